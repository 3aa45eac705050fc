//! Checks complete answers that were requested as JSON. If the operator allows it, a model whose answer
//! does not match is told so, once. The second call goes to the target that answered, whose cache is
//! warm; if it fails, the first answer is used.

use std::sync::Arc;

use bytes::Bytes;
use schema::openai::format::FormatKind;
use translate::dialect::{Answered, Dialect};
use translate::spent::Spent;

use super::Admitted;
use super::dispatch::ANSWER_LIMIT;
use super::guardrail_around::{GuardedInput, GuardrailCall, UpstreamAnswer};
use super::native_call::{BodyForm, read_answer};
use super::pending_call::{PendingCall, RejectedAnswer, TranslateContext, Translated, UNASKED};
use super::surface_call;
use crate::call_price::CallPrice;
use crate::error::GatewayError;
use crate::json_schema::{Conformity, Reasons, Repair, ValidationResult, Validators};
use crate::request::context::{RequestContext, of_quota};
use crate::state::Snapshot;
use bedrock::Kind;
use routing::{self, InFlight, InFlightTemplate, Operation, Outgoing, Target, Timestamp};

/// Everything that a repair call needs.
pub(super) struct RepairCall {
    body: Bytes,
    context: TranslateContext,
    target: Target,
    path: InFlightTemplate,
}

/// An answer that was validated, if it was requested as JSON.
pub(super) struct Checked<A> {
    pub(super) answered: Answered<A>,
    /// Usage of both calls, if there were two.
    pub(super) spent: Spent,
    /// `None` if there was nothing to check.
    pub(super) conformity: Option<Conformity>,
}

/// Whether an answer may need a repair call. If the format is only requested in the prompt, the repair
/// call makes it reliable.
pub(super) fn may_repeat(now: &Snapshot, format: FormatKind, operation: Operation) -> bool {
    let repairs = match now.config.structured_output.repair {
        Repair::Off => false,
        Repair::Objects => format == FormatKind::JsonObject,
        Repair::Once => format != FormatKind::Text,
    };
    repairs && operation.kind() == Kind::Unary
}

impl RepairCall {
    /// A repair call to the `target` that answered. `None` if it cannot be made.
    pub(super) fn of<D: Dialect>(
        call: &mut PendingCall<D>,
        target: Option<Target>,
        in_flight: &InFlight,
    ) -> Option<Self> {
        let (body, context) = (call.kept.take()?, call.context.clone());
        Some(Self { body, context, target: target?, path: in_flight.path() })
    }

    /// Asks again, with the model's answer and the reasons why it does not match appended. The call
    /// counts in its target's health and usage as any other; if the guardrail stops the input, no call
    /// is made.
    async fn ask<D: Dialect>(
        &self,
        admitted: &Admitted,
        (answer, reasons): (&str, &[String]),
        context: &mut RequestContext,
    ) -> Result<RepairAnswer<D::Reply>, GatewayError> {
        let complaint = format!(
            "This answer is not what was asked for:\n- {}\nAnswer again: the whole of the corrected JSON and nothing else.",
            reasons.join("\n- ")
        );
        let correction = Some(Arc::new(RejectedAnswer { answer: answer.to_owned(), complaint }));
        let operation = Operation::Converse;
        let translate = TranslateContext { operation, correction, ..self.context.clone() };
        let translated =
            translate.translate::<D>(&self.body, &self.target, admitted.offload()).await?;
        let operation = translated.operation(operation);
        let Translated { body, reply, guard, form, headers, .. } = translated;
        let account = &self.target.account;
        let check = guard.map(|guard| GuardrailCall::new(guard, admitted, account));
        let (body, check) = match check {
            None => (body, None),
            Some(mut check) => match check.admit(body).await? {
                GuardedInput::Send(body) => {
                    let (target, offload) = (&self.target, admitted.offload());
                    let body =
                        surface_call::after_guardrail(body, operation, target, offload).await?;
                    (body, Some(check))
                }
                GuardedInput::Without(_) => return Err(GatewayError::Internal(UNASKED.to_owned())),
                GuardedInput::Answered(body) => {
                    let price = CallPrice::of(&self.target.model);
                    return Ok(RepairAnswer { body, reply, form, price, in_flight: None });
                }
            },
        };
        let transport = admitted.account_transport(account);
        context.asked_again();
        let mut in_flight = self.path.again(Timestamp::now());
        let read = async {
            let outgoing = Outgoing { operation, headers, body };
            let _wait = admitted.settlement().waits();
            let answer = routing::send(&transport, &self.target, outgoing).await?;
            in_flight.answered(Timestamp::now());
            let answer = match check {
                None => UpstreamAnswer::Coming(answer),
                Some(check) => UpstreamAnswer::Checked { answer, check },
            };
            answer.read(ANSWER_LIMIT, form).await
        };
        match read.await {
            Ok((body, _)) => {
                let price = CallPrice::of(&self.target.model);
                Ok(RepairAnswer { body, reply, form, price, in_flight: Some(in_flight) })
            }
            Err(error) => {
                in_flight.broke_off(&error);
                Err(error)
            }
        }
    }
}

/// Validates an answer, and has it repaired if that is needed and allowed.
pub(super) async fn checked<D: Dialect>(
    first: Checked<D::Answer>,
    (reply, repair): (&D::Reply, Option<&RepairCall>),
    admitted: &Admitted,
    context: &mut RequestContext,
) -> Checked<D::Answer> {
    let validators = &admitted.worker().shared.validators;
    // A repair call includes the reasons why the first answer does not match.
    let reasons = if repair.is_some() { Reasons::Read } else { Reasons::Unread };
    let Some(found) = found::<D>(&first.answered.answer, reply, validators, reasons).await else {
        return first;
    };
    let mut checked = Checked { conformity: Some(found.conformity()), ..first };
    if let (ValidationResult::Mismatch(reasons), Some(repair)) = (&found, repair) {
        let texts = D::checked_texts(&checked.answered.answer);
        let answer = texts.first().copied().unwrap_or_default();
        match Box::pin(repair.ask::<D>(admitted, (answer, reasons), context)).await {
            Ok(again) => {
                checked = Box::pin(again.better::<D>(checked, validators, context)).await;
            }
            Err(error) => log::warn!("{} the repair call gave no answer: {error}", context.id()),
        }
    }
    if checked.conformity == Some(Conformity::Mismatch) {
        log::warn!("{} the answer does not match its schema", context.id());
    }
    checked
}

/// The answer of a repair call.
struct RepairAnswer<R> {
    body: Bytes,
    reply: R,
    form: BodyForm,
    price: CallPrice,
    /// `None` if the model was not called.
    in_flight: Option<InFlight>,
}

impl<R> RepairAnswer<R> {
    /// The better of two answers, with the costs of both. If the second cannot be read, the first is
    /// kept unchanged.
    async fn better<D: Dialect<Reply = R>>(
        self,
        first: Checked<D::Answer>,
        validators: &Validators,
        context: &RequestContext,
    ) -> Checked<D::Answer> {
        let Self { body, reply, form, price, mut in_flight } = self;
        let with = (&reply, context.stamp(D::ID_PREFIX));
        let (second, again) = match read_answer::<D>(&body, form, with) {
            Ok(again) => again,
            Err(error) => {
                log::warn!("{} the repair call gave no answer: {error}", context.id());
                if let Some(in_flight) = &mut in_flight {
                    in_flight.broke_off(&error);
                }
                return first;
            }
        };
        if let (Some(in_flight), Some(usage)) = (&mut in_flight, again.usage()) {
            in_flight.settle(of_quota(usage));
        }
        let spent = first.spent.and(price.priced(again));
        let found = found::<D>(&second.answer, &reply, validators, Reasons::Unread).await;
        match found {
            Some(found) => {
                let conformity = match found.conformity() {
                    Conformity::Valid => Conformity::Repaired,
                    other => other,
                };
                Checked { answered: second, spent, conformity: Some(conformity) }
            }
            None => Checked { spent, ..first },
        }
    }
}

/// The worst validation result of all texts that can be checked.
async fn found<D: Dialect>(
    answer: &D::Answer,
    reply: &D::Reply,
    validators: &Validators,
    reasons: Reasons,
) -> Option<ValidationResult> {
    let wanted = D::wanted(reply)?;
    let texts = D::checked_texts(answer);
    if texts.is_empty() {
        return None;
    }
    let criterion = validators.criterion(wanted).await;
    let mut worst = ValidationResult::Valid;
    for text in texts {
        let next = criterion.judge(text, reasons).await;
        if next.conformity() > worst.conformity() {
            worst = next;
        }
    }
    Some(worst)
}
