//! Whole answers that were asked to be JSON: judged, and where the operator allows it a model whose answer
//! is not what was asked for is told so, once. The second call goes to the target that answered, whose cache
//! is warm; if it fails, the first answer is still there.

use bytes::Bytes;
use schema::converse::response::ConverseResponse;
use schema::openai::chat::ChatCompletion;
use schema::openai::format::FormatKind;
use serde_json::json;
use translate::Reply;
use translate::chat::Spent;

use super::guarded::{Admitted, Judge, Told};
use super::{ANSWER_LIMIT, Asking, Circumstances, Made, UNASKED};
use crate::app::{Snapshot, Worker};
use crate::bedrock::Kind;
use crate::error::GatewayError;
use crate::exchange::{Exchange, of_quota};
use crate::routing::{self, Flight, Judged, Leg, Moment, Operation, Path};
use crate::structured::{Finding, OnMismatch, Reasons, Repair, Validators, judgeable};

/// What a second call needs.
pub(super) struct Second {
    body: Bytes,
    around: Circumstances,
    leg: Leg,
    path: Path,
}

/// An answer that may go out.
pub(super) struct Settled {
    pub(super) completion: ChatCompletion,
    /// On both calls, if there were two.
    pub(super) spent: Spent,
    /// What is said of an answer that could be judged.
    pub(super) word: Option<&'static str>,
}

/// Whether an answer to this may have to be asked for again. Where only words hold the model to JSON, that is
/// what makes them more than a wish.
pub(super) fn may_repeat(now: &Snapshot, kind: FormatKind, operation: Operation) -> bool {
    let repairs = match now.config.structured.repair {
        Repair::Off => false,
        Repair::Objects => kind == FormatKind::JsonObject,
        Repair::Once => kind != FormatKind::Text,
    };
    repairs && operation.kind() == Kind::Unary
}

impl Second {
    /// The call that was answered by `leg`, to be made again. `None` where that cannot be.
    pub(super) fn of(asking: &mut Asking, leg: Option<Leg>, flight: &Flight) -> Option<Self> {
        let (body, around) = (asking.kept.take()?, asking.around.clone());
        Some(Self { body, around, leg: leg?, path: flight.path() })
    }

    /// Asks again, with what the model said and what is wrong with it at the end. The call goes into the books
    /// of its target as any other; what is held back on its way there is no call.
    async fn ask(
        &self,
        worker: &Worker,
        (said, reasons): (&str, &[String]),
        exchange: &mut Exchange,
    ) -> Result<Again, GatewayError> {
        let complaint = format!(
            "This answer is not what was asked for:\n- {}\nAnswer again: the whole of the corrected JSON and nothing else.",
            reasons.join("\n- ")
        );
        let said = json!({ "role": "assistant", "content": said }).to_string();
        let complaint = json!({ "role": "user", "content": complaint }).to_string();
        let (operation, added) = (Operation::Converse, vec![said, complaint]);
        let around = Circumstances { operation, added, ..self.around.clone() };
        let offload = &worker.shared.offload;
        let Made { body, reply, guard, .. } =
            around.translate(&self.body, &self.leg, offload).await?;
        let typed = worker.typed(&self.leg.account);
        let judge = guard.map(|guard| Judge::new(guard, typed, offload.clone()));
        let (body, judge) = match judge {
            None => (body, None),
            Some(mut judge) => match judge.admit(body).await? {
                Admitted::Asked(body) => (body, Some(judge)),
                Admitted::Without(_) => return Err(GatewayError::Internal(UNASKED.to_owned())),
                Admitted::Answered(body) => return Ok(Again { body, reply, flight: None }),
            },
        };
        let transport = worker.transport(&self.leg.account);
        exchange.asked_again();
        let mut flight = self.path.again(Moment::now());
        let read = async {
            let answer = routing::send(&transport, &self.leg, Operation::Converse, body).await?;
            flight.answered(Moment::now());
            let told = match judge {
                None => Told::Coming(answer),
                Some(judge) => Told::Judged { answer, judge },
            };
            told.read(ANSWER_LIMIT).await
        };
        match read.await {
            Ok((body, _)) => Ok(Again { body, reply, flight: Some(flight) }),
            Err(error) => {
                flight.failed(Moment::now(), error.verdict(Kind::Unary).blame);
                Err(error)
            }
        }
    }
}

/// Judges an answer, has it repaired if it must and may be, and refuses it if the operator wants that.
pub(super) async fn settle(
    first: &ConverseResponse<'_>,
    reply: &Reply,
    second: Option<&Second>,
    (worker, now): (&Worker, &Snapshot),
    exchange: &mut Exchange,
) -> Result<Settled, GatewayError> {
    let completion = translate::chat::answer(first, reply, exchange.stamp());
    let validators = &worker.shared.validators;
    let spent = Spent::of(first);
    // A second attempt is told what is wrong with the first.
    let reasons = if second.is_some() { Reasons::Read } else { Reasons::Unread };
    let Some(finding) = found(&completion, reply, validators, reasons).await else {
        return Ok(Settled { completion, spent, word: None });
    };
    let mut settled = Settled { completion, spent, word: Some(finding.word()) };
    if let (Finding::Mismatch(reasons), Some(second)) = (&finding, second) {
        let said = settled.completion.choices.iter().find_map(judgeable).unwrap_or_default();
        match second.ask(worker, (said, reasons), exchange).await {
            Ok(again) => settled = again.better(settled, validators, exchange).await,
            Err(error) => log::warn!("{} no second answer: {error}", exchange.id()),
        }
    }
    if settled.word == Some("mismatch") {
        log::warn!("{} the answer does not match its schema", exchange.id());
        if now.config.structured.on_mismatch == OnMismatch::Refuse {
            exchange.settle(settled.spent.usage());
            return Err(GatewayError::Mismatch);
        }
    }
    Ok(settled)
}

/// What a second call brought.
struct Again {
    body: Bytes,
    reply: Reply,
    /// None where the model was not asked.
    flight: Option<Flight>,
}

impl Again {
    /// The better of two answers, with the costs of both. One that cannot be read leaves the first as it was.
    async fn better(
        self,
        first: Settled,
        validators: &Validators,
        exchange: &mut Exchange,
    ) -> Settled {
        let Self { body, reply, flight } = self;
        let again: ConverseResponse<'_> = match serde_json::from_slice(&body) {
            Ok(again) => again,
            Err(error) => {
                let error = GatewayError::Unreadable(error);
                log::warn!("{} no second answer: {error}", exchange.id());
                if let Some(mut flight) = flight {
                    flight.failed(Moment::now(), error.verdict(Kind::Unary).blame);
                }
                return first;
            }
        };
        if let Some(mut flight) = flight {
            flight.settle(of_quota(again.usage));
            exchange.settled_apart(again.usage);
        }
        let answer = translate::chat::answer(&again, &reply, exchange.stamp());
        let (mut completion, word) = match found(&answer, &reply, validators, Reasons::Unread).await
        {
            Some(Finding::Valid) => (answer, Some("repaired")),
            Some(other) => (answer, Some(other.word())),
            None => (first.completion, first.word),
        };
        let spent = first.spent.and(Spent::of(&again));
        spent.tell(&mut completion);
        Settled { completion, spent, word }
    }
}

/// What is found of all choices that can be judged: the worst.
async fn found(
    completion: &ChatCompletion,
    reply: &Reply,
    validators: &Validators,
    reasons: Reasons,
) -> Option<Finding> {
    let wanted = reply.wanted()?;
    let texts: Vec<&str> = completion.choices.iter().filter_map(judgeable).collect();
    if texts.is_empty() {
        return None;
    }
    let criterion = validators.criterion(wanted).await;
    let mut worst = Finding::Valid;
    for text in texts {
        worst = match (worst, criterion.judge(text, reasons).await) {
            (worst @ Finding::Mismatch(_), _) | (_, worst @ Finding::Mismatch(_)) => worst,
            (Finding::Unchecked, _) | (_, Finding::Unchecked) => Finding::Unchecked,
            (Finding::Valid, Finding::Valid) => Finding::Valid,
        };
    }
    Some(worst)
}
