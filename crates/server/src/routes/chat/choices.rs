//! `n` above 1: Bedrock gives one answer to a call, so the question is asked several times at once. Each call
//! finds its own way, attempts included; the first that fails for good ends them all, and so does a client
//! that leaves, for all of them are one future.

use actix_web::HttpResponse;
use futures_util::future::try_join_all;
use schema::converse::response::ConverseResponse;
use schema::openai::chat::ChatCompletion;
use translate::chat::{ChatStream, Question, Spent, gather, kept};
use translate::{Invalid, Reply, Report};

use super::repair::{self, Second, Settled};
use super::{ANSWER_LIMIT, Asking, Begun, Made, STRUCTURED_OUTPUT, call, watch};
use crate::app::{Snapshot, Worker};
use crate::bedrock::Kind;
use crate::error::GatewayError;
use crate::exchange::{Exchange, describe, of_quota};
use crate::pump;
use crate::pump::choices::{Choice, Source};
use crate::recall::Recall;
use crate::routing::{Flight, Journey, Judged, Moment, Sent, Trail, Unsent};

/// Shorter requests are not worth waiting for: no model needs more than 4,096 tokens to cache a beginning.
const WORTH: usize = 16 * 1024;

/// How many answers are wanted.
///
/// # Errors
/// More than may be. Fewer than one is for the translation to refuse.
pub(super) fn count(n: Option<i64>, most: u32) -> Result<u32, Invalid> {
    match u32::try_from(n.unwrap_or(1)) {
        Ok(count) if count <= most => Ok(count),
        Err(_) if n < Some(1) => Ok(1),
        Ok(_) | Err(_) => {
            let n = n.unwrap_or_default();
            let message = format!("n may be {most} at most here, and is {n}.");
            Err(Invalid::value("n", message).with_code("integer_above_max_value"))
        }
    }
}

/// Whether it pays to ask once first, so that the other calls find the beginning cached: they would all
/// write it otherwise, and writing costs more than not caching at all.
pub(super) fn warms(question: &Question<'_>, n: Option<i64>, length: usize) -> bool {
    n > Some(1) && length >= WORTH && question.is_cached()
}

/// Answers a request for several answers.
pub(super) async fn complete(
    worker: &Worker,
    now: &Snapshot,
    journey: Journey<'_>,
    asking: Asking,
    recall: &Recall,
    mut exchange: Exchange,
) -> HttpResponse {
    let kind = asking.around.operation.kind();
    let all = match ask(worker, journey, asking, &mut exchange).await {
        Ok(all) => all,
        Err(error) => return exchange.refuse(&error),
    };
    let about = About::of(&all);
    match kind {
        Kind::Stream => {
            let stamp = exchange.stamp();
            let watch = match all.first() {
                Some(first) => watch(worker, now, &first.reply).await,
                None => None,
            };
            let choices = (0..).zip(all).map(|(index, one)| Choice {
                source: one.source,
                chat: ChatStream::new(one.reply, stamp.clone()).of_choice(index),
                flight: one.flight,
            });
            let (id, choices) = (about.request_id.as_deref(), choices.collect());
            pump::choices::respond(choices, recall, watch, &about.report, id, &now.config, exchange)
        }
        Kind::Unary => match whole(all, (worker, now, recall), &mut exchange).await {
            Ok((completion, word)) => {
                let first = completion.choices.first();
                exchange
                    .was_routed_to(first.and_then(|one| one.outcrop.invoked_model_id.as_deref()));
                exchange.complete();
                let mut response = HttpResponse::Ok();
                let id = about.request_id.as_deref();
                describe(&mut response, &exchange, &about.report, id);
                if let Some(word) = word {
                    response.insert_header((STRUCTURED_OUTPUT, word));
                }
                response.json(completion)
            }
            Err(error) => exchange.refuse(&error),
        },
    }
}

/// One of several answers.
struct One {
    source: Source,
    request_id: Option<String>,
    reply: Reply,
    report: Report,
    /// How it is asked again, if it may be.
    second: Option<Second>,
    flight: Flight,
    trail: Trail,
}

/// What the headers tell of several answers: ids of the first, and what had no effect in any.
struct About {
    report: Report,
    request_id: Option<String>,
}

impl About {
    fn of(all: &[One]) -> Self {
        let mut report = Report::default();
        for one in all {
            report.join(&one.report);
        }
        Self { report, request_id: all.first().and_then(|one| one.request_id.clone()) }
    }
}

/// Asks as often as is wanted, until every answer has begun: until then a failure has a status.
async fn ask(
    worker: &Worker,
    journey: Journey<'_>,
    asking: Asking,
    exchange: &mut Exchange,
) -> Result<Vec<One>, GatewayError> {
    let warms = asking.made.as_ref().is_ok_and(|made| made.warms);
    let mut others = Vec::new();
    for _ in 1..asking.choices {
        others.push(one(worker, journey.twin()?, asking.twin()));
    }
    let first = one(worker, journey, asking);
    let answered = if warms {
        ahead(first, others).await
    } else {
        try_join_all(std::iter::once(first).chain(others)).await
    };
    match answered {
        Ok(all) => {
            let attempts = all.iter().map(|one| one.trail.attempts).sum();
            if let Some(first) = all.first() {
                exchange.went(Trail { attempts, ..first.trail.clone() });
            }
            Ok(all)
        }
        Err(unsent) => {
            exchange.went(unsent.trail);
            Err(unsent.error)
        }
    }
}

/// The first alone, until it has begun, then the others.
async fn ahead<T, E>(
    first: impl Future<Output = Result<T, E>>,
    others: Vec<impl Future<Output = Result<T, E>>>,
) -> Result<Vec<T>, E> {
    let mut all = vec![first.await?];
    all.extend(try_join_all(others).await?);
    Ok(all)
}

/// One of the calls, until its answer has begun; an answer that comes whole has come then.
async fn one(
    worker: &Worker,
    journey: Journey<'_>,
    mut asking: Asking,
) -> Result<One, Box<Unsent<GatewayError>>> {
    let (Sent { answer, mut flight, trail }, leg) = call(worker, journey, &mut asking).await?;
    let (source, request_id) = match answer {
        Begun::Stream(begun) => {
            let id = begun.request_id().map(ToOwned::to_owned);
            (Source::Live(begun), id)
        }
        Begun::Whole(told) | Begun::Replayed(told) => match told.read(ANSWER_LIMIT).await {
            Ok((body, id)) => (Source::Told(body), id),
            Err(error) => {
                flight.failed(Moment::now(), error.verdict(Kind::Unary).blame);
                return Err(Box::new(Unsent { error, trail }));
            }
        },
    };
    let second = if asking.repeats { Second::of(&mut asking, leg, &flight) } else { None };
    match asking.made {
        Ok(Made { reply, report, .. }) => {
            Ok(One { source, request_id, reply, report, second, flight, trail })
        }
        Err(error) => Err(Box::new(Unsent { error, trail })),
    }
}

/// Where answers are judged, asked for again and remembered.
type Around<'a> = (&'a Worker, &'a Snapshot, &'a Recall);

/// Translates answers that have come whole, and says what was found of those that were asked to be JSON. What
/// each cost counts even if another cannot go out.
async fn whole(
    all: Vec<One>,
    around: Around<'_>,
    exchange: &mut Exchange,
) -> Result<(ChatCompletion, Option<&'static str>), GatewayError> {
    let (mut spent, mut answers, mut failed) = (Spent::default(), Vec::new(), None);
    let mut word = None;
    for one in all {
        match translated(one, around, &mut spent, exchange).await {
            Ok(Settled { completion, spent: _, word: found }) => {
                answers.push(completion);
                word = worse(word, found);
            }
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    exchange.settle(spent.usage());
    if let Some(error) = failed {
        return Err(error);
    }
    let none = || GatewayError::Internal("no answer was asked for".to_owned());
    Ok((gather(answers, spent).ok_or_else(none)?, word))
}

async fn translated(
    mut one: One,
    around: Around<'_>,
    spent: &mut Spent,
    exchange: &mut Exchange,
) -> Result<Settled, GatewayError> {
    let Source::Told(body) = one.source else {
        return Err(GatewayError::Internal("a whole answer came as a stream".to_owned()));
    };
    let converse: ConverseResponse<'_> = match serde_json::from_slice(&body) {
        Ok(converse) => converse,
        Err(error) => {
            let error = GatewayError::Unreadable(error);
            one.flight.failed(Moment::now(), error.verdict(Kind::Unary).blame);
            return Err(error);
        }
    };
    one.flight.settle(of_quota(converse.usage));
    let (worker, now, recall) = around;
    if let Some(kept) = kept(&converse, &one.reply) {
        recall.keep(&kept).await;
    }
    let (before, own) = (*spent, Spent::of(&converse));
    *spent = before.and(own);
    let second = one.second.as_ref();
    let around = (worker, now);
    let settled = repair::settle(&converse, &one.reply, second, around, exchange).await?;
    *spent = before.and(settled.spent);
    Ok(settled)
}

/// Of what was found of two answers, what a caller must know first.
fn worse(one: Option<&'static str>, other: Option<&'static str>) -> Option<&'static str> {
    let weight = |word: &Option<&str>| match *word {
        None => 0,
        Some("valid") => 1,
        Some("repaired") => 2,
        Some("unchecked") => 3,
        Some(_) => 4,
    };
    if weight(&other) > weight(&one) { other } else { one }
}
