//! A guardrail around a call: the input is checked before the model is called, and the answer before
//! the client sees any of it. If the guardrail cannot be called, the request fails, so that unchecked
//! text never passes.

use std::sync::Arc;

use bytes::Bytes;
use schema::converse::request::{ConverseRequest, GuardrailConfig, GuardrailTrace};
use schema::openai::moderations::GuardrailReport;
use translate::Report;
use translate::dialect::Dialect;
use translate::guardrail::content as texts;
use translate::guardrail::content::{Stretch, Subject};
use translate::guardrail::verdict::{Action, GuardrailVerdict, Side};
use translate::moderations::{Moderated, Picture};

use super::Admitted;
use super::native_call::BodyForm;
use super::pending_call::PendingCall;
use crate::error::GatewayError;
use crate::guardrail_api::{GuardrailName, apply_guardrail};
use crate::offload::Offload;
use crate::request::settlement::Settlement;
use bedrock::{Account, Failure, Sdk, UpstreamResponse};
use routing::Target;

const LATE: &str = "guardrail_config.stream_processing_mode";

/// The guardrail that is applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Guard {
    id: String,
    version: String,
    trace: Option<GuardrailTrace>,
}

impl Guard {
    /// The guardrail that the call would have carried.
    pub(super) fn of(config: GuardrailConfig<'_>) -> Self {
        let GuardrailConfig {
            guardrail_identifier,
            guardrail_version,
            trace,
            stream_processing_mode: _,
        } = config;
        Self { id: guardrail_identifier.to_string(), version: guardrail_version.to_string(), trace }
    }
}

/// Notes the setting that has no effect around a call: a stream that does not wait for its guardrail.
pub(super) fn without_effect(body: &ConverseRequest<'_>, report: &mut Report) {
    let asked = body.guardrail_config.as_ref().and_then(|said| said.stream_processing_mode);
    if asked.is_some() {
        report.ignore(LATE);
    }
}

/// The result of checking the input.
#[derive(Debug)]
pub(super) enum GuardedInput {
    /// The body may be sent in this form.
    Send(Bytes),
    /// The body may be sent without this reasoning, which is signed and cannot be masked.
    Without(Vec<String>),
    /// The body is stopped; this Converse answer replaces the model's.
    Answered(Bytes),
}

impl<D: Dialect> PendingCall<D> {
    /// Checks the input. If reasoning must be masked, the request is translated again without it and
    /// checked again.
    pub(super) async fn admitted(
        &mut self,
        check: &mut GuardrailCall,
        mut body: Bytes,
        target: &Target,
    ) -> Result<GuardedInput, GatewayError> {
        loop {
            match check.admit(body).await? {
                GuardedInput::Without(thoughts) => {
                    self.context.withheld.extend(thoughts);
                    self.translate(target, &check.offload).await?;
                    body = self.body()?;
                }
                admitted => return Ok(admitted),
            }
        }
    }
}

/// A complete Converse answer: unchecked, to be checked, or in place of the model's.
#[derive(Debug)]
pub(super) enum UpstreamAnswer {
    Coming(UpstreamResponse),
    Checked { answer: UpstreamResponse, check: GuardrailCall },
    Withheld(Bytes),
}

impl UpstreamAnswer {
    /// The body that the client may see, in the form in which it is read later on, and AWS's id of the model's
    /// call.
    ///
    /// # Errors
    /// The answer did not arrive, or the guardrail could not be called.
    pub(super) async fn read(
        self,
        limit: usize,
        form: BodyForm,
    ) -> Result<(Bytes, Option<String>), GatewayError> {
        match self {
            Self::Coming(answer) => {
                let request_id = answer.request_id.clone();
                Ok((form.as_read(answer.bytes(limit).await?)?, request_id))
            }
            Self::Checked { answer, check } => {
                let request_id = answer.request_id.clone();
                let body = form.as_read(answer.bytes(limit).await?)?;
                Ok((check.release(&body).await?, request_id))
            }
            Self::Withheld(body) => Ok((body, None)),
        }
    }
}

/// A guardrail with its client, for one call.
#[derive(Debug, Clone)]
pub(super) struct GuardrailCall {
    guard: Guard,
    sdk: Sdk,
    offload: Offload,
    settlement: Arc<Settlement>,
    /// The result for the input.
    input: GuardrailReport,
}

/// The result for all texts of one side.
enum GuardrailOutcome {
    /// The texts may pass in this form.
    Passed(Vec<String>),
    /// The texts are stopped; this message replaces them.
    Stopped(String),
}

impl GuardrailCall {
    /// A guardrail check in the account in which the model is called.
    pub(super) fn new(guard: Guard, admitted: &Admitted, account: &Account) -> Self {
        let (sdk, offload) = (admitted.sdk(account), admitted.offload().clone());
        let settlement = Arc::clone(admitted.settlement());
        Self { guard, sdk, offload, settlement, input: GuardrailReport::default() }
    }

    /// Checks the input.
    ///
    /// # Errors
    /// It holds content that no guardrail can read, or the guardrail cannot be called.
    pub(super) async fn admit(&mut self, body: Bytes) -> Result<GuardedInput, GatewayError> {
        let read = body.clone();
        let subject = self.offload.run(body.len(), async move { texts::question(&read) });
        let subject = subject.await??;
        if subject.is_empty() {
            return Ok(GuardedInput::Send(body));
        }
        let (judgement, report) = self.check(Side::Input, &subject).await?;
        self.input = report;
        let message = match judgement {
            GuardrailOutcome::Stopped(message) => message,
            GuardrailOutcome::Passed(texts) => {
                let thoughts = subject.masked_thoughts(&texts);
                if !thoughts.is_empty() {
                    return Ok(GuardedInput::Without(thoughts));
                }
                let written = async move { subject.with(&texts) };
                match self.offload.run(body.len(), written).await? {
                    Ok(body) => return Ok(GuardedInput::Send(body.into())),
                    Err(_) => speechless(),
                }
            }
        };
        let answer = texts::unasked(&message);
        Ok(GuardedInput::Answered(self.traced(answer, None)?.into()))
    }

    /// Checks an answer and returns the part that may be seen.
    async fn release(self, body: &[u8]) -> Result<Bytes, GatewayError> {
        let subject = texts::answer(body).map_err(GatewayError::Unreadable)?;
        let (judgement, report) = self.check(Side::Output, &subject).await?;
        let answer = match judgement {
            GuardrailOutcome::Stopped(message) => subject.held_back(&message),
            GuardrailOutcome::Passed(texts) => match subject.with(&texts) {
                Ok(answer) => answer,
                Err(subject) => subject.held_back(&speechless()),
            },
        };
        Ok(self.traced(answer, Some(&report))?.into())
    }

    /// Checks one portion after another, so that after a stop the remaining portions cost nothing.
    async fn check(
        &self,
        side: Side,
        subject: &Subject,
    ) -> Result<(GuardrailOutcome, GuardrailReport), GatewayError> {
        let _wait = self.settlement.waits();
        let mut report = GuardrailReport::default();
        let mut texts = vec![String::new(); subject.len()];
        let mut images = subject.images();
        let mut portions = subject.portions();
        if portions.is_empty() && !images.is_empty() {
            portions.push(Vec::new());
        }
        for portion in portions {
            let judged = self.portion(side, &portion, std::mem::take(&mut images), &mut report);
            match judged.await.map_err(GatewayError::Unjudged)? {
                GuardrailOutcome::Stopped(message) => {
                    return Ok((GuardrailOutcome::Stopped(message), report));
                }
                GuardrailOutcome::Passed(written) => {
                    for (stretch, written) in portion.iter().zip(written) {
                        if let Some(text) = texts.get_mut(stretch.of) {
                            text.push_str(&written);
                        }
                    }
                }
            }
        }
        Ok((GuardrailOutcome::Passed(texts), report))
    }

    /// Checks several stretches in one call. If the guardrail masks some and does not tell which, each
    /// is checked again alone.
    async fn portion(
        &self,
        side: Side,
        portion: &[Stretch<'_>],
        images: Vec<Picture<'_>>,
        report: &mut GuardrailReport,
    ) -> Result<GuardrailOutcome, Failure> {
        let texts: Vec<&str> = portion.iter().map(|stretch| stretch.text).collect();
        let Some(verdict) = self.ask(side, &texts, images).await? else {
            return Ok(passed(&texts));
        };
        texts::add(report, &verdict);
        match verdict.action {
            Action::Passed => return Ok(passed(&texts)),
            Action::Masked => {}
            Action::Intervened | Action::Measured | Action::Unknown => {
                return Ok(stopped(&verdict));
            }
        }
        let asked = texts.iter().filter(|text| !is_blank(text)).count();
        if verdict.outputs.len() == asked {
            return Ok(written(&texts, verdict.outputs));
        }
        let mut all = Vec::with_capacity(texts.len());
        for text in texts {
            let alone = self.ask(side, &[text], Vec::new()).await?.unwrap_or_default();
            match alone.action {
                Action::Masked => all.push(alone.outputs.concat()),
                Action::Passed => all.push(text.to_owned()),
                Action::Measured if is_blank(text) => all.push(text.to_owned()),
                Action::Intervened | Action::Measured | Action::Unknown => {
                    return Ok(stopped(&alone));
                }
            }
        }
        Ok(GuardrailOutcome::Passed(all))
    }

    /// Calls the guardrail; `None` if there is no content to check.
    async fn ask(
        &self,
        side: Side,
        texts: &[&str],
        images: Vec<Picture<'_>>,
    ) -> Result<Option<GuardrailVerdict>, Failure> {
        let texts: Vec<&str> = texts.iter().copied().filter(|text| !is_blank(text)).collect();
        if texts.is_empty() && images.is_empty() {
            return Ok(None);
        }
        let name = GuardrailName { id: &self.guard.id, version: &self.guard.version };
        let content = Moderated { texts, images };
        let verdict = apply_guardrail(&self.sdk, name, side, &content).await?;
        self.settlement.guardrail(verdict.units);
        Ok(Some(verdict))
    }

    /// Adds the guardrail's result if its trace was requested.
    fn traced(
        &self,
        answer: Vec<u8>,
        output: Option<&GuardrailReport>,
    ) -> Result<Vec<u8>, GatewayError> {
        let mut found = [Some(self.input.clone()), output.cloned()];
        match self.guard.trace {
            None | Some(GuardrailTrace::Disabled) => return Ok(answer),
            Some(GuardrailTrace::EnabledFull) => {}
            Some(GuardrailTrace::Enabled) => {
                for report in found.iter_mut().flatten() {
                    report.findings.retain(|finding| finding.detected);
                }
            }
        }
        let [input, output] = &found;
        texts::traced(&answer, input.as_ref(), output.as_ref()).map_err(GatewayError::Unreadable)
    }
}

/// The message used if masking leaves no text that can be sent.
fn speechless() -> String {
    texts::message(&GuardrailVerdict::default()).into_owned()
}

fn is_blank(text: &str) -> bool {
    text.trim().is_empty()
}

fn passed(texts: &[&str]) -> GuardrailOutcome {
    GuardrailOutcome::Passed(texts.iter().map(|text| (*text).to_owned()).collect())
}

fn stopped(verdict: &GuardrailVerdict) -> GuardrailOutcome {
    GuardrailOutcome::Stopped(texts::message(verdict).into_owned())
}

/// The texts as the guardrail returned them, for those that it read.
fn written(texts: &[&str], outputs: Vec<String>) -> GuardrailOutcome {
    let mut outputs = outputs.into_iter();
    let all = texts.iter().map(|text| match is_blank(text) {
        true => (*text).to_owned(),
        false => outputs.next().unwrap_or_default(),
    });
    GuardrailOutcome::Passed(all.collect())
}
