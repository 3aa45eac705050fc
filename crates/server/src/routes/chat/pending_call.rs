//! A chat request during dispatch: translated for the first target, and again if another model,
//! guardrail or policy requires a different body.

use std::sync::Arc;

use bytes::Bytes;
use schema::openai::chat::ChatRequest;
use translate::chat::{Defaults, Delivery, Question, question_with};
use translate::errors::refuses_grammar;
use translate::profile::{GuardrailPlace, StructuredOutput};
use translate::reasoning::Origin;
use translate::{Profile, Reply, Report, Unsupported};

use super::choices;
use super::guardrail_around::{self, Guard};
use super::request::{Untranslated, weight};
use crate::error::GatewayError;
use crate::media::Fetched;
use crate::offload::Offload;
use crate::reasoning_store::ReasoningStore;
use crate::request::betas;
use crate::request::options::RequestOptions;
use crate::routes::body_writer::written;
use crate::routes::json::parse;
use bedrock::{Failure, Kind};
use routing::catalogue::ResolvedModel;
use routing::{Guardrail, Operation, Target};

/// Text of an internal error that must not occur.
pub(super) const UNASKED: &str = "a request was never translated";

/// Data that a translation needs besides the request and its target: owned, so that it can move to
/// another thread.
#[derive(Debug, Clone)]
pub(super) struct TranslateContext {
    pub(super) operation: Operation,
    pub(super) options: Arc<RequestOptions>,
    pub(super) fetched: Arc<Fetched>,
    pub(super) reasoning: ReasoningStore,
    /// Reasoning that must not be sent, because a guardrail masks it.
    pub(super) withheld: Vec<String>,
    pub(super) thoughts: PastReasoning,
    /// Messages appended to the caller's, as JSON.
    pub(super) added: Vec<String>,
}

/// The treatment of past reasoning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PastReasoning {
    /// It is sent.
    Sent,
    /// It is left out, because the model has refused it.
    Forgotten,
    /// It is shown to the caller; reasoning from the reasoning store appears as a placeholder.
    Veiled,
}

/// A request that is sent to one target after another.
pub(super) struct PendingCall {
    pub(super) around: TranslateContext,
    /// Number of answers that the caller requested.
    pub(super) choices: u32,
    pub(super) translated: Result<Translated, GatewayError>,
    /// The client's own bytes, if another target may need a new translation.
    pub(super) kept: Option<Bytes>,
    /// Whether a repair call may be needed.
    pub(super) repeats: bool,
}

/// A translated request.
#[derive(Clone)]
pub(super) struct Translated {
    pub(super) body: Bytes,
    /// Whether calls with the same prefix benefit from waiting until the first answer begins.
    pub(super) warms: bool,
    pub(super) delivery: Delivery,
    pub(super) reply: Reply,
    pub(super) report: Report,
    /// The guardrail around the call, if the call itself does not accept one.
    pub(super) guard: Option<Guard>,
    /// The profile it was translated for.
    pub(super) profile: Profile,
    pub(super) policy: Unsupported,
    pub(super) guardrail: Option<Arc<Guardrail>>,
    /// What it was given where the request says nothing.
    pub(super) params: Option<Arc<Defaults>>,
    /// Where it goes, if thoughts depend on it.
    pub(super) origin: Option<Origin>,
    /// Whether past reasoning is sent.
    pub(super) thinks_back: bool,
}

impl TranslateContext {
    /// Translates a body for a target, off the worker thread if it is large.
    pub(super) async fn translate(
        &self,
        body: &Bytes,
        target: &Target,
        offload: &Offload,
    ) -> Result<Translated, GatewayError> {
        let (around, body, target) = (self.clone(), body.clone(), target.clone());
        let length = body.len() + around.added.iter().map(String::len).sum::<usize>();
        let weight = weight(&body).max(length);
        let translated = offload.run(weight, async move {
            let mut request: ChatRequest<'_> = parse(&body)?;
            around.fetched.fill(&mut request);
            for message in &around.added {
                request.messages.push(serde_json::from_str(message)?);
            }
            translated(&mut request, length, &around, &target).await
        });
        Ok(translated.await??)
    }
}

impl PendingCall {
    /// A copy of the call, to be made again.
    pub(super) fn twin(&self) -> Self {
        let translated = match &self.translated {
            Ok(translated) => Ok(translated.clone()),
            // The copy is translated for its own target, whose error it then reports.
            Err(_) => Err(GatewayError::Internal(UNASKED.to_owned())),
        };
        let (around, kept) = (self.around.clone(), self.kept.clone());
        Self { around, translated, kept, ..*self }
    }

    /// The operation for the last translation.
    pub(super) fn at_last(&self) -> Operation {
        match &self.translated {
            Ok(translated) => translated.operation(self.around.operation),
            Err(_) => self.around.operation,
        }
    }

    /// Whether the target refuses past reasoning that was sent. If so, no target receives it any more.
    pub(super) fn forgets_thoughts(&mut self, error: &GatewayError) -> bool {
        let thinks_back = self.translated.as_ref().is_ok_and(|translated| translated.thinks_back);
        let is_refused = self.kept.is_some() && thinks_back && error.is_about_thoughts();
        if is_refused {
            self.around.thoughts = PastReasoning::Forgotten;
        }
        is_refused
    }

    /// The guardrail check of the last translation.
    pub(super) fn guard(&self) -> Option<Guard> {
        self.translated.as_ref().ok().and_then(|translated| translated.guard.clone())
    }

    /// The body for a target; translated again only if the last translation does not fit it.
    pub(super) async fn for_target(
        &mut self,
        target: &Target,
        offload: &Offload,
    ) -> Result<Bytes, GatewayError> {
        let policy = self.around.options.policy(target.unsupported);
        let fits = self.translated.as_ref().is_ok_and(|translated| translated.fits(target, policy));
        if self.kept.is_some() && !fits {
            self.translate(target, offload).await?;
        }
        self.body()
    }

    /// The target without a grammar, if it refused the grammar of the answer.
    pub(super) fn without_grammar(
        &self,
        target: &Target,
        error: &GatewayError,
    ) -> Option<ResolvedModel> {
        let (GatewayError::Upstream(Failure::Service(refused))
        | GatewayError::Refused { error: refused, .. }) = error
        else {
            return None;
        };
        let is_native = target.model.profile.structured_output == StructuredOutput::Native;
        if self.kept.is_none() || !is_native {
            return None;
        }
        let refusal = refuses_grammar(refused.status, &refused.message)?;
        Some(target.model.without_grammar(refusal))
    }

    /// Translates the client's own bytes again.
    pub(super) async fn translate(
        &mut self,
        target: &Target,
        offload: &Offload,
    ) -> Result<(), GatewayError> {
        let Some(kept) = &self.kept else { return Err(GatewayError::Internal(UNASKED.to_owned())) };
        self.translated = Ok(self.around.translate(kept, target, offload).await?);
        Ok(())
    }

    /// The body of the last translation.
    pub(super) fn body(&self) -> Result<Bytes, GatewayError> {
        match &self.translated {
            Ok(translated) => Ok(translated.body.clone()),
            Err(_) => Err(GatewayError::Internal(UNASKED.to_owned())),
        }
    }
}

impl Translated {
    pub(super) fn fits(&self, target: &Target, policy: Unsupported) -> bool {
        self.profile == target.model.profile
            && self.guardrail == target.guardrail
            && self.params == target.params
            && self.policy == policy
            && self.origin.is_none_or(|origin| origin == target.origin())
    }

    /// The operation to call for the operation that the caller requested.
    pub(super) fn operation(&self, asked: Operation) -> Operation {
        match self.delivery {
            Delivery::Whole => Operation::Converse,
            Delivery::AsAsked => asked,
        }
    }
}

pub(super) async fn translated<'r>(
    request: &mut ChatRequest<'r>,
    length: usize,
    around: &TranslateContext,
    target: &'r Target,
) -> Result<Translated, Untranslated> {
    target.complete(request)?;
    let request = &*request;
    let profile = &target.model.profile;
    let mut restored = around.reasoning.of(request, target).await;
    restored.withhold(&around.withheld);
    match around.thoughts {
        PastReasoning::Sent => {}
        PastReasoning::Forgotten => restored.forget(),
        PastReasoning::Veiled => restored.veil(),
    }
    let question = question_with(request, profile, &around.fetched.stores, Some(&restored))?;
    let thinks_back = question.thinks_back();
    let warms = choices::warms(&question, request.n, length);
    let Question { body: mut converse, delivery, reply, mut report } = question;
    let kind = match delivery {
        Delivery::Whole => Kind::Unary,
        Delivery::AsAsked => around.operation.kind(),
    };
    if profile.guardrail == GuardrailPlace::Around {
        guardrail_around::without_effect(&converse, &mut report);
    }
    if let Some(field) = target.model.unheeded() {
        report.ignore(field);
    }
    betas::apply(&around.options.betas, &mut converse, profile, &mut report);
    around.options.guardrail.apply(
        &mut converse,
        target.guardrail.as_deref(),
        kind,
        &mut report,
    )?;
    let policy = around.options.policy(target.unsupported);
    let report = report.under(policy)?;
    let guard = match profile.guardrail {
        GuardrailPlace::OnCall => None,
        GuardrailPlace::Around => converse.guardrail_config.take().map(Guard::of),
    };
    // A guardrail can check only a complete answer.
    let delivery = if guard.is_some() { Delivery::Whole } else { delivery };
    let body = written(&converse, length)?;
    let origin = profile.keeps_thoughts().then(|| target.origin());
    let (profile, guardrail) = (profile.clone(), target.guardrail.clone());
    let params = target.params.clone();
    Ok(Translated {
        body,
        warms,
        delivery,
        reply,
        report,
        guard,
        profile,
        policy,
        guardrail,
        params,
        origin,
        thinks_back,
    })
}
