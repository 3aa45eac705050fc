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

use super::guardrail_around::{GuardedInput, GuardrailCall, UpstreamAnswer};
use super::{ANSWER_LIMIT, PendingCall, TranslateContext, Translated, UNASKED};
use crate::app::{Snapshot, Worker};
use crate::error::GatewayError;
use crate::json_schema::{OnMismatch, Reasons, Repair, ValidationResult, Validators, judgeable};
use crate::request::context::{RequestContext, of_quota};
use bedrock::Kind;
use routing::{self, Classify, InFlight, InFlightTemplate, Operation, Target, Timestamp};

/// What a second call needs.
pub(super) struct RepairCall {
    body: Bytes,
    around: TranslateContext,
    target: Target,
    path: InFlightTemplate,
}

/// An answer that may go out.
pub(super) struct RepairOutcome {
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

impl RepairCall {
    /// The call that was answered by `target`, to be made again. `None` where that cannot be.
    pub(super) fn of(
        call: &mut PendingCall,
        target: Option<Target>,
        in_flight: &InFlight,
    ) -> Option<Self> {
        let (body, around) = (call.kept.take()?, call.around.clone());
        Some(Self { body, around, target: target?, path: in_flight.path() })
    }

    /// Asks again, with what the model said and what is wrong with it at the end. The call goes into the books
    /// of its target as any other; what is held back on its way there is no call.
    async fn ask(
        &self,
        worker: &Worker,
        (said, reasons): (&str, &[String]),
        context: &mut RequestContext,
    ) -> Result<RepairAnswer, GatewayError> {
        let complaint = format!(
            "This answer is not what was asked for:\n- {}\nAnswer again: the whole of the corrected JSON and nothing else.",
            reasons.join("\n- ")
        );
        let said = json!({ "role": "assistant", "content": said }).to_string();
        let complaint = json!({ "role": "user", "content": complaint }).to_string();
        let (operation, added) = (Operation::Converse, vec![said, complaint]);
        let around = TranslateContext { operation, added, ..self.around.clone() };
        let offload = &worker.shared.offload;
        let Translated { body, reply, guard, .. } =
            around.translate(&self.body, &self.target, offload).await?;
        let sdk = worker.sdk(&self.target.account);
        let check = guard.map(|guard| GuardrailCall::new(guard, sdk, offload.clone()));
        let (body, check) = match check {
            None => (body, None),
            Some(mut check) => match check.admit(body).await? {
                GuardedInput::Send(body) => (body, Some(check)),
                GuardedInput::Without(_) => return Err(GatewayError::Internal(UNASKED.to_owned())),
                GuardedInput::Answered(body) => {
                    return Ok(RepairAnswer { body, reply, in_flight: None });
                }
            },
        };
        let transport = worker.transport(&self.target.account);
        context.asked_again();
        let mut in_flight = self.path.again(Timestamp::now());
        let read = async {
            let answer = routing::send(&transport, &self.target, Operation::Converse, body).await?;
            in_flight.answered(Timestamp::now());
            let told = match check {
                None => UpstreamAnswer::Coming(answer),
                Some(check) => UpstreamAnswer::Checked { answer, check },
            };
            told.read(ANSWER_LIMIT).await
        };
        match read.await {
            Ok((body, _)) => Ok(RepairAnswer { body, reply, in_flight: Some(in_flight) }),
            Err(error) => {
                in_flight.failed(Timestamp::now(), error.verdict(Kind::Unary).fault);
                Err(error)
            }
        }
    }
}

/// Judges an answer, has it repaired if it must and may be, and refuses it if the operator wants that.
pub(super) async fn settle(
    first: &ConverseResponse<'_>,
    reply: &Reply,
    second: Option<&RepairCall>,
    (worker, now): (&Worker, &Snapshot),
    context: &mut RequestContext,
) -> Result<RepairOutcome, GatewayError> {
    let completion = translate::chat::answer(first, reply, context.stamp());
    let validators = &worker.shared.validators;
    let spent = Spent::of(first);
    // A second attempt is told what is wrong with the first.
    let reasons = if second.is_some() { Reasons::Read } else { Reasons::Unread };
    let Some(finding) = found(&completion, reply, validators, reasons).await else {
        return Ok(RepairOutcome { completion, spent, word: None });
    };
    let mut settled = RepairOutcome { completion, spent, word: Some(finding.word()) };
    if let (ValidationResult::Mismatch(reasons), Some(second)) = (&finding, second) {
        let said = settled.completion.choices.iter().find_map(judgeable).unwrap_or_default();
        match second.ask(worker, (said, reasons), context).await {
            Ok(again) => settled = again.better(settled, validators, context).await,
            Err(error) => log::warn!("{} no second answer: {error}", context.id()),
        }
    }
    if settled.word == Some("mismatch") {
        log::warn!("{} the answer does not match its schema", context.id());
        if now.config.structured.on_mismatch == OnMismatch::Refuse {
            context.settle(settled.spent.usage());
            return Err(GatewayError::Mismatch);
        }
    }
    Ok(settled)
}

/// What a second call brought.
struct RepairAnswer {
    body: Bytes,
    reply: Reply,
    /// None where the model was not asked.
    in_flight: Option<InFlight>,
}

impl RepairAnswer {
    /// The better of two answers, with the costs of both. One that cannot be read leaves the first as it was.
    async fn better(
        self,
        first: RepairOutcome,
        validators: &Validators,
        context: &mut RequestContext,
    ) -> RepairOutcome {
        let Self { body, reply, in_flight } = self;
        let again: ConverseResponse<'_> = match serde_json::from_slice(&body) {
            Ok(again) => again,
            Err(error) => {
                let error = GatewayError::Unreadable(error);
                log::warn!("{} no second answer: {error}", context.id());
                if let Some(mut in_flight) = in_flight {
                    in_flight.failed(Timestamp::now(), error.verdict(Kind::Unary).fault);
                }
                return first;
            }
        };
        if let Some(mut in_flight) = in_flight {
            in_flight.settle(of_quota(again.usage));
            context.settled_apart(again.usage);
        }
        let answer = translate::chat::answer(&again, &reply, context.stamp());
        let (mut completion, word) = match found(&answer, &reply, validators, Reasons::Unread).await
        {
            Some(ValidationResult::Valid) => (answer, Some("repaired")),
            Some(other) => (answer, Some(other.word())),
            None => (first.completion, first.word),
        };
        let spent = first.spent.and(Spent::of(&again));
        spent.tell(&mut completion);
        RepairOutcome { completion, spent, word }
    }
}

/// What is found of all choices that can be judged: the worst.
async fn found(
    completion: &ChatCompletion,
    reply: &Reply,
    validators: &Validators,
    reasons: Reasons,
) -> Option<ValidationResult> {
    let wanted = reply.wanted()?;
    let texts: Vec<&str> = completion.choices.iter().filter_map(judgeable).collect();
    if texts.is_empty() {
        return None;
    }
    let criterion = validators.criterion(wanted).await;
    let mut worst = ValidationResult::Valid;
    for text in texts {
        worst = match (worst, criterion.judge(text, reasons).await) {
            (worst @ ValidationResult::Mismatch(_), _)
            | (_, worst @ ValidationResult::Mismatch(_)) => worst,
            (ValidationResult::Unchecked, _) | (_, ValidationResult::Unchecked) => {
                ValidationResult::Unchecked
            }
            (ValidationResult::Valid, ValidationResult::Valid) => ValidationResult::Valid,
        };
    }
    Some(worst)
}
