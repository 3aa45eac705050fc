//! Checks complete answers that were requested as JSON. If the operator allows it, a model whose answer
//! does not match is told so, once. The second call goes to the target that answered, whose cache is
//! warm; if it fails, the first answer is used.

use bytes::Bytes;
use schema::converse::response::ConverseResponse;
use schema::openai::chat::ChatCompletion;
use schema::openai::format::FormatKind;
use serde_json::json;
use translate::Reply;
use translate::chat::Spent;

use super::guardrail_around::{GuardedInput, GuardrailCall, UpstreamAnswer};
use super::{ANSWER_LIMIT, PendingCall, TranslateContext, Translated, UNASKED};
use crate::error::GatewayError;
use crate::json_schema::{OnMismatch, Reasons, Repair, ValidationResult, Validators, judgeable};
use crate::pipeline::Admitted;
use crate::request::context::{RequestContext, of_quota};
use crate::state::Snapshot;
use bedrock::Kind;
use routing::{self, Classify, InFlight, InFlightTemplate, Operation, Target, Timestamp};

/// Everything that a repair call needs.
pub(super) struct RepairCall {
    body: Bytes,
    around: TranslateContext,
    target: Target,
    path: InFlightTemplate,
}

/// An answer that may be sent to the client.
pub(super) struct RepairOutcome {
    pub(super) completion: ChatCompletion,
    /// Usage of both calls, if there were two.
    pub(super) spent: Spent,
    /// The value of `x-outcrop-structured-output`; `None` if the answer could not be checked.
    pub(super) word: Option<&'static str>,
}

/// Whether an answer may need a repair call. If the format is only requested in the prompt, the repair
/// call makes it reliable.
pub(super) fn may_repeat(now: &Snapshot, kind: FormatKind, operation: Operation) -> bool {
    let repairs = match now.config.structured.repair {
        Repair::Off => false,
        Repair::Objects => kind == FormatKind::JsonObject,
        Repair::Once => kind != FormatKind::Text,
    };
    repairs && operation.kind() == Kind::Unary
}

impl RepairCall {
    /// A repair call to the `target` that answered. `None` if it cannot be made.
    pub(super) fn of(
        call: &mut PendingCall,
        target: Option<Target>,
        in_flight: &InFlight,
    ) -> Option<Self> {
        let (body, around) = (call.kept.take()?, call.around.clone());
        Some(Self { body, around, target: target?, path: in_flight.path() })
    }

    /// Asks again, with the model's answer and the reasons why it does not match appended. The call
    /// counts in its target's health and usage as any other; if the guardrail stops the input, no call
    /// is made.
    async fn ask(
        &self,
        admitted: &Admitted,
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
        let Translated { body, reply, guard, .. } =
            around.translate(&self.body, &self.target, admitted.offload()).await?;
        let account = &self.target.account;
        let check = guard.map(|guard| GuardrailCall::new(guard, admitted, account));
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
        let transport = admitted.account_transport(account);
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

/// Checks an answer, has it repaired if that is needed and allowed, and refuses it if the operator
/// requires that.
pub(super) async fn settle(
    first: &ConverseResponse<'_>,
    reply: &Reply,
    second: Option<&RepairCall>,
    admitted: &Admitted,
    context: &mut RequestContext,
) -> Result<RepairOutcome, GatewayError> {
    let completion = translate::chat::answer(first, reply, context.stamp());
    let validators = &admitted.worker().shared.validators;
    let spent = Spent::of(first);
    // A repair call includes the reasons why the first answer does not match.
    let reasons = if second.is_some() { Reasons::Read } else { Reasons::Unread };
    let Some(finding) = found(&completion, reply, validators, reasons).await else {
        return Ok(RepairOutcome { completion, spent, word: None });
    };
    let mut settled = RepairOutcome { completion, spent, word: Some(finding.word()) };
    if let (ValidationResult::Mismatch(reasons), Some(second)) = (&finding, second) {
        let said = settled.completion.choices.iter().find_map(judgeable).unwrap_or_default();
        match second.ask(admitted, (said, reasons), context).await {
            Ok(again) => settled = again.better(settled, validators, context).await,
            Err(error) => log::warn!("{} the repair call gave no answer: {error}", context.id()),
        }
    }
    if settled.word == Some("mismatch") {
        log::warn!("{} the answer does not match its schema", context.id());
        if admitted.now().config.structured.on_mismatch == OnMismatch::Refuse {
            context.settle(settled.spent.usage());
            return Err(GatewayError::Mismatch);
        }
    }
    Ok(settled)
}

/// The answer of a repair call.
struct RepairAnswer {
    body: Bytes,
    reply: Reply,
    /// `None` if the model was not called.
    in_flight: Option<InFlight>,
}

impl RepairAnswer {
    /// The better of two answers, with the costs of both. If the second cannot be read, the first is
    /// kept unchanged.
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
                log::warn!("{} the repair call gave no answer: {error}", context.id());
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

/// The worst validation result of all choices that can be checked.
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
