//! A question on its way to one target after another: translated for the first, and again where another
//! model, guardrail or policy makes it another question.

use std::sync::Arc;

use bytes::Bytes;
use schema::openai::chat::ChatRequest;
use translate::chat::{Defaults, Delivery, Question, question_with};
use translate::errors::refuses_grammar;
use translate::profile::{GuardrailPlace, StructuredOutput};
use translate::reasoning::Origin;
use translate::{Profile, Reply, Report, Unsupported};

use super::guardrail::RequestedGuardrail;
use super::guardrail_around::{self, Guard};
use super::request::{Untranslated, weight};
use super::{betas, choices};
use crate::error::GatewayError;
use crate::media::Fetched;
use crate::offload::Offload;
use crate::reasoning_store::ReasoningStore;
use crate::request::options::RequestOptions;
use crate::routes::body_writer::written;
use crate::routes::json::parse;
use bedrock::{Failure, Kind};
use routing::catalogue::ResolvedModel;
use routing::{Guardrail, Operation, Target};

/// What happens to no question.
pub(super) const UNASKED: &str = "a question was never translated";

/// What a translation needs to know beside the request and its target: owned, so that it can go to another
/// thread.
#[derive(Debug, Clone)]
pub(super) struct TranslateContext {
    pub(super) operation: Operation,
    /// What the caller's headers say of guardrails.
    pub(super) wanted: RequestedGuardrail,
    pub(super) options: RequestOptions,
    /// Betas that the caller's headers ask for.
    pub(super) betas: Vec<String>,
    pub(super) fetched: Arc<Fetched>,
    pub(super) reasoning: ReasoningStore,
    /// Thoughts that must not go along: a guardrail masks them.
    pub(super) withheld: Vec<String>,
    pub(super) thoughts: PastReasoning,
    /// Messages that follow the caller's, as JSON.
    pub(super) added: Vec<String>,
}

/// What becomes of past thoughts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PastReasoning {
    /// They go along.
    Sent,
    /// They stay away: the model has refused them.
    Forgotten,
    /// They are shown to the caller, those that are remembered by a placeholder.
    Veiled,
}

/// A question, as it is asked of one target after another.
pub(super) struct PendingCall {
    pub(super) around: TranslateContext,
    /// How many answers the caller wants.
    pub(super) choices: u32,
    pub(super) translated: Result<Translated, GatewayError>,
    /// The client's own bytes, where a target may need them translated anew.
    pub(super) kept: Option<Bytes>,
    /// Whether it may have to be asked a second time.
    pub(super) repeats: bool,
}

/// A question translated.
#[derive(Clone)]
pub(super) struct Translated {
    pub(super) body: Bytes,
    /// Whether calls with the same beginning profit from one that has begun to be answered.
    pub(super) warms: bool,
    pub(super) delivery: Delivery,
    pub(super) reply: Reply,
    pub(super) report: Report,
    /// What judges it, where the call itself takes no guardrail.
    pub(super) guard: Option<Guard>,
    /// What it was translated for.
    pub(super) profile: Profile,
    pub(super) policy: Unsupported,
    pub(super) guardrail: Option<Arc<Guardrail>>,
    /// What it was given where the request says nothing.
    pub(super) params: Option<Arc<Defaults>>,
    /// Where it goes, if thoughts depend on it.
    pub(super) origin: Option<Origin>,
    /// Whether past thoughts go along.
    pub(super) thinks_back: bool,
}

impl TranslateContext {
    /// Translates a body for a target, away from the worker if it is large.
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
    /// The same question, to be asked again.
    pub(super) fn twin(&self) -> Self {
        let translated = match &self.translated {
            Ok(translated) => Ok(translated.clone()),
            // It is translated anew for the target that is asked, and refused with its own words.
            Err(_) => Err(GatewayError::Internal(UNASKED.to_owned())),
        };
        let (around, kept) = (self.around.clone(), self.kept.clone());
        Self { around, translated, kept, ..*self }
    }

    /// The operation that fetches the answer to the question as it was translated last.
    pub(super) fn at_last(&self) -> Operation {
        match &self.translated {
            Ok(translated) => translated.operation(self.around.operation),
            Err(_) => self.around.operation,
        }
    }

    /// Whether the target refuses past thoughts that went along: then none goes any more, to any target.
    pub(super) fn forgets_thoughts(&mut self, error: &GatewayError) -> bool {
        let thinks_back = self.translated.as_ref().is_ok_and(|translated| translated.thinks_back);
        let is_refused = self.kept.is_some() && thinks_back && error.is_about_thoughts();
        if is_refused {
            self.around.thoughts = PastReasoning::Forgotten;
        }
        is_refused
    }

    /// What judges the question as it was translated last.
    pub(super) fn guard(&self) -> Option<Guard> {
        self.translated.as_ref().ok().and_then(|translated| translated.guard.clone())
    }

    /// The body for a target: translated again only where the last was not for such a one.
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

    /// The target to ask again, where it refused the grammar that the answer was to follow.
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

    /// The question as it was translated last.
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

    /// The operation that fetches the answer, where the caller asks for one.
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
    betas::apply(&around.betas, &mut converse, profile, &mut report);
    around.wanted.apply(&mut converse, target.guardrail.as_deref(), kind, &mut report)?;
    let policy = around.options.policy(target.unsupported);
    let report = report.under(policy)?;
    let guard = match profile.guardrail {
        GuardrailPlace::OnCall => None,
        GuardrailPlace::Around => converse.guardrail_config.take().map(Guard::of),
    };
    // What is not whole cannot be judged.
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
