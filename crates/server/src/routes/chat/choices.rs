//! `n` above 1: Bedrock gives one answer per call, so several calls are made at once. Each call is
//! dispatched independently, with its own attempts. The first final failure ends them all, and so does
//! a client that disconnects, because all calls are one future.

use actix_web::HttpResponse;
use futures_util::future::try_join_all;
use schema::converse::response::ConverseResponse;
use schema::openai::chat::ChatCompletion;
use translate::chat::{ChatStream, Question, Spent, gather, kept};
use translate::{Invalid, Reply, Report};

use super::repair::{self, RepairCall, RepairOutcome};
use super::{
    ANSWER_LIMIT, PendingCall, STRUCTURED_OUTPUT, StartedAnswer, Translated, call_target, validator,
};
use crate::error::GatewayError;
use crate::pipeline::Admitted;
use crate::request::context::{RequestContext, describe, of_quota};
use crate::sse::choices;
use crate::sse::choices::{AnswerSource, Choice, Choices};
use bedrock::Kind;
use routing::{AttemptLog, Classify, Dispatch, DispatchError, Dispatched, InFlight, Timestamp};

/// Minimum length for sending one call first: no model needs more than 4,096 tokens to cache a prefix.
const WORTH: usize = 16 * 1024;

/// The number of answers requested.
///
/// # Errors
/// More than the limit. The translation refuses values below one.
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

/// Whether to send one call first, so that the others find the prefix cached. Otherwise every call
/// would write the cache, which costs more than no caching.
pub(super) fn warms(question: &Question<'_>, n: Option<i64>, length: usize) -> bool {
    n > Some(1) && length >= WORTH && question.is_cached()
}

/// Responds to a request for several answers.
pub(super) async fn complete(
    admitted: &Admitted,
    dispatch: Dispatch<'_>,
    call: PendingCall,
    mut context: RequestContext,
) -> HttpResponse {
    let kind = call.around.operation.kind();
    let all = match ask(admitted, dispatch, call, &mut context).await {
        Ok(all) => all,
        Err(error) => return context.refuse(&error),
    };
    let about = About::of(&all);
    match kind {
        Kind::Stream => {
            let stamp = context.stamp();
            let validator = match all.first() {
                Some(first) => validator(admitted, &first.reply).await,
                None => None,
            };
            let choices = (0..).zip(all).map(|(index, one)| Choice {
                source: one.source,
                chat: ChatStream::new(one.reply, stamp.clone()).of_choice(index),
                in_flight: one.in_flight,
            });
            let (id, choices) = (about.request_id.as_deref(), choices.collect());
            let choices = Choices::new(choices, validator, admitted.reasoning().clone());
            choices::respond(choices, (&about.report, id), &admitted.now().config, context)
        }
        Kind::Unary => match whole(all, admitted, &mut context).await {
            Ok((completion, word)) => {
                let first = completion.choices.first();
                context
                    .was_routed_to(first.and_then(|one| one.outcrop.invoked_model_id.as_deref()));
                context.complete();
                let mut response = HttpResponse::Ok();
                let id = about.request_id.as_deref();
                describe(&mut response, &context, &about.report, id);
                if let Some(word) = word {
                    response.insert_header((STRUCTURED_OUTPUT, word));
                }
                response.json(completion)
            }
            Err(error) => context.refuse(&error),
        },
    }
}

/// One of several answers.
struct One {
    source: AnswerSource,
    request_id: Option<String>,
    reply: Reply,
    report: Report,
    /// The repair call, if one may be made.
    second: Option<RepairCall>,
    in_flight: InFlight,
    attempt_log: AttemptLog,
}

/// Headers for several answers: the ids of the first, and fields without effect in any of them.
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

/// Makes the calls and waits until every answer has begun; until then a failure still has a status.
async fn ask(
    admitted: &Admitted,
    dispatch: Dispatch<'_>,
    call: PendingCall,
    context: &mut RequestContext,
) -> Result<Vec<One>, GatewayError> {
    let warms = call.translated.as_ref().is_ok_and(|translated| translated.warms);
    let mut others = Vec::new();
    for _ in 1..call.choices {
        others.push(one(admitted, dispatch.twin()?, call.twin()));
    }
    let first = one(admitted, dispatch, call);
    let answered = if warms {
        ahead(first, others).await
    } else {
        try_join_all(std::iter::once(first).chain(others)).await
    };
    match answered {
        Ok(all) => {
            let attempts = all.iter().map(|one| one.attempt_log.attempts).sum();
            if let Some(first) = all.first() {
                context.went(AttemptLog { attempts, ..first.attempt_log.clone() });
            }
            Ok(all)
        }
        Err(unsent) => {
            context.went(unsent.attempt_log);
            Err(unsent.error)
        }
    }
}

/// Makes the first call alone until its answer has begun, then the others.
async fn ahead<T, E>(
    first: impl Future<Output = Result<T, E>>,
    others: Vec<impl Future<Output = Result<T, E>>>,
) -> Result<Vec<T>, E> {
    let mut all = vec![first.await?];
    all.extend(try_join_all(others).await?);
    Ok(all)
}

/// Makes one call and waits until its answer has begun; a unary answer is complete by then.
async fn one(
    admitted: &Admitted,
    dispatch: Dispatch<'_>,
    mut call: PendingCall,
) -> Result<One, Box<DispatchError<GatewayError>>> {
    let (Dispatched { answer, mut in_flight, attempt_log }, target) =
        call_target(admitted, dispatch, &mut call).await?;
    let (source, request_id) = match answer {
        StartedAnswer::Stream(begun) => {
            let id = begun.request_id().map(ToOwned::to_owned);
            (AnswerSource::Live(begun), id)
        }
        StartedAnswer::Whole(told) | StartedAnswer::Replayed(told) => {
            match told.read(ANSWER_LIMIT).await {
                Ok((body, id)) => (AnswerSource::Told(body), id),
                Err(error) => {
                    in_flight.failed(Timestamp::now(), error.verdict(Kind::Unary).fault);
                    return Err(Box::new(DispatchError { error, attempt_log }));
                }
            }
        }
    };
    let second = if call.repeats { RepairCall::of(&mut call, target, &in_flight) } else { None };
    match call.translated {
        Ok(Translated { reply, report, .. }) => {
            Ok(One { source, request_id, reply, report, second, in_flight, attempt_log })
        }
        Err(error) => Err(Box::new(DispatchError { error, attempt_log })),
    }
}

/// Translates complete answers and validates those that were requested as JSON. Each answer's usage
/// counts even if another answer cannot be sent.
async fn whole(
    all: Vec<One>,
    admitted: &Admitted,
    context: &mut RequestContext,
) -> Result<(ChatCompletion, Option<&'static str>), GatewayError> {
    let (mut spent, mut answers, mut failed) = (Spent::default(), Vec::new(), None);
    let mut word = None;
    for one in all {
        match translated(one, admitted, &mut spent, context).await {
            Ok(RepairOutcome { completion, spent: _, word: found }) => {
                answers.push(completion);
                word = worse(word, found);
            }
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    context.settle(spent.usage());
    if let Some(error) = failed {
        return Err(error);
    }
    let none = || GatewayError::Internal("no answer was asked for".to_owned());
    Ok((gather(answers, spent).ok_or_else(none)?, word))
}

async fn translated(
    mut one: One,
    admitted: &Admitted,
    spent: &mut Spent,
    context: &mut RequestContext,
) -> Result<RepairOutcome, GatewayError> {
    let AnswerSource::Told(body) = one.source else {
        return Err(GatewayError::Internal("a whole answer came as a stream".to_owned()));
    };
    let converse: ConverseResponse<'_> = match serde_json::from_slice(&body) {
        Ok(converse) => converse,
        Err(error) => {
            let error = GatewayError::Unreadable(error);
            one.in_flight.failed(Timestamp::now(), error.verdict(Kind::Unary).fault);
            return Err(error);
        }
    };
    one.in_flight.settle(of_quota(converse.usage));
    if let Some(kept) = kept(&converse, &one.reply) {
        admitted.reasoning().keep(&kept).await;
    }
    let (before, own) = (*spent, Spent::of(&converse));
    *spent = before.and(own);
    let second = one.second.as_ref();
    let settled = repair::settle(&converse, &one.reply, second, admitted, context).await?;
    *spent = before.and(settled.spent);
    Ok(settled)
}

/// The result of two that matters more to the caller.
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
