//! A request during dispatch: translated for the first target, and again if another model,
//! guardrail or policy requires a different body.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use translate::chat::{Defaults, Delivery};
use translate::dialect::{Dialect, Question, QuestionInput};
use translate::errors::{refuses_betas, refuses_grammar};
use translate::profile::{GuardrailPlace, StructuredOutput, Surface, SurfaceApi};
use translate::reasoning::{Origin, RestoredReasoning};
use translate::{Profile, Report, Unsupported, upstream};

use super::body_writer::written;
use super::guardrail_around::{self, Guard};
use super::json::parse;
use super::native_call::{self, BodyForm};
use super::parsed_request::{Untranslated, weight};
use super::surface_call;
use crate::error::GatewayError;
use crate::media::Fetched;
use crate::offload::Offload;
use crate::reasoning_store::{KnownItems, ReasoningStore};
use crate::request::betas;
use crate::request::options::RequestOptions;
use crate::token_ids;
use bedrock::{Failure, Kind, ServiceError};
use routing::catalogue::ResolvedModel;
use routing::{Guardrail, Operation, Outgoing, Target};

/// Minimum length for sending one call first: no model needs more than 4,096 tokens to cache a prefix.
const WORTH: usize = 16 * 1024;

/// Text of an internal error that must not occur.
pub(super) const UNASKED: &str = "a request was never translated";

/// Data that a translation needs besides the request and its target: owned, so that it can move to
/// another thread.
#[derive(Debug, Clone)]
pub(super) struct TranslateContext {
    pub(super) operation: Operation,
    pub(super) options: Arc<RequestOptions>,
    pub(super) fetched: Arc<Fetched>,
    /// Items that the request only refers to.
    pub(super) items: Arc<KnownItems>,
    pub(super) reasoning: ReasoningStore,
    /// Reasoning that must not be sent, because a guardrail masks it.
    pub(super) withheld: Vec<String>,
    pub(super) thoughts: PastReasoning,
    /// An answer that does not match, and the request to correct it, appended to the caller's messages.
    pub(super) correction: Option<Arc<RejectedAnswer>>,
    /// Calls that the request makes with the same question.
    pub(super) choices: u32,
    /// Index of the question.
    pub(super) question: usize,
}

/// An answer that does not match the requested format, and the request to correct it.
#[derive(Debug)]
pub(super) struct RejectedAnswer {
    pub(super) answer: String,
    pub(super) complaint: String,
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
pub(super) struct PendingCall<D: Dialect> {
    pub(super) context: TranslateContext,
    /// Number of questions in the request.
    pub(super) questions: usize,
    pub(super) translated: Result<Translated<D::Reply>, GatewayError>,
    /// The client's own bytes, if another target may need a new translation.
    pub(super) kept: Option<Bytes>,
    /// Whether a repair call may be needed.
    pub(super) repeats: bool,
    /// The beginning of the answer, which another call has given.
    pub(super) prefill: Option<Arc<str>>,
}

/// A translated request.
#[derive(Clone)]
pub(super) struct Translated<R> {
    pub(super) body: Bytes,
    /// Whether calls with the same prefix benefit from waiting until the first answer begins.
    pub(super) warms: bool,
    pub(super) delivery: Delivery,
    pub(super) reply: R,
    pub(super) report: Report,
    /// The guardrail around the call, if the call itself does not accept one.
    pub(super) guard: Option<Guard>,
    /// The profile it was translated for.
    pub(super) profile: Arc<Profile>,
    pub(super) policy: Unsupported,
    pub(super) guardrail: Option<Arc<Guardrail>>,
    /// What it was given where the request says nothing.
    pub(super) params: Option<Arc<Defaults>>,
    /// Where it goes, if thoughts depend on it.
    pub(super) origin: Option<Origin>,
    /// Whether past reasoning is sent.
    pub(super) thinks_back: bool,
    /// The form of the body and of its answer.
    pub(super) form: BodyForm,
    /// Headers of the call.
    pub(super) headers: HeaderMap,
    /// Whether the model's own body names betas, or members that need some.
    pub(super) has_betas: bool,
}

impl TranslateContext {
    /// Translates a body for a target, off the worker thread if it is large.
    pub(super) async fn translate<D: Dialect>(
        &self,
        body: &Bytes,
        target: &Target,
        offload: &Offload,
    ) -> Result<Translated<D::Reply>, GatewayError> {
        let (context, body, target) = (self.clone(), body.clone(), target.clone());
        let added =
            context.correction.as_ref().map(|added| added.answer.len() + added.complaint.len());
        let length = body.len() + added.unwrap_or_default();
        let weight = weight(&body).max(length);
        let translated = offload.run(weight, async move {
            let mut request: D::Request<'_> = parse(&body)?;
            context.fetched.fill::<D>(&mut request);
            context.items.fill::<D>(&mut request);
            if let Some(RejectedAnswer { answer, complaint }) = context.correction.as_deref() {
                D::ask_again(&mut request, answer, complaint);
            }
            translated::<D>(&mut request, length, &context, &target).await
        });
        Ok(translated.await??)
    }

    /// The saved reasoning of a conversation, for a target that accepts it.
    async fn restored<D: Dialect>(
        &self,
        request: &D::Request<'_>,
        target: &Target,
    ) -> RestoredReasoning {
        let mut restored = self.reasoning.of::<D>(request, target).await;
        restored.withhold(&self.withheld);
        match self.thoughts {
            PastReasoning::Sent => {}
            PastReasoning::Forgotten => restored.forget(),
            PastReasoning::Veiled => restored.veil(),
        }
        restored
    }

    /// Whether to send one call first, so that the others find the prefix cached. Otherwise every call
    /// would write the cache, which costs more than no caching.
    fn warms<R>(&self, question: &Question<'_, R>, length: usize) -> bool {
        self.choices > 1 && length >= WORTH && question.is_cached()
    }
}

impl<D: Dialect> PendingCall<D> {
    /// A copy of the call, to be made again or with another question of the request.
    pub(super) fn twin(&self, question: usize) -> Self {
        let translated = match &self.translated {
            Ok(translated) if question == self.context.question => Ok(translated.clone()),
            // The copy is translated for its own target, whose error it then reports.
            Ok(_) | Err(_) => Err(GatewayError::Internal(UNASKED.to_owned())),
        };
        let (context, kept) = (self.context.clone(), self.kept.clone());
        let context = TranslateContext { question, ..context };
        let prefill = self.prefill.clone();
        Self { context, translated, kept, prefill, ..*self }
    }

    /// The operation for the last translation.
    pub(super) fn at_last(&self) -> Operation {
        match &self.translated {
            Ok(translated) => translated.operation(self.context.operation),
            Err(_) => self.context.operation,
        }
    }

    /// The form of the last translation.
    pub(super) fn form(&self) -> BodyForm {
        self.translated.as_ref().map(|translated| translated.form).unwrap_or_default()
    }

    /// The call for the last translation.
    pub(super) fn outgoing(&self, body: Bytes) -> Outgoing {
        let headers = self.translated.as_ref().map(|translated| translated.headers.clone());
        Outgoing { operation: self.at_last(), headers: headers.unwrap_or_default(), body }
    }

    /// Whether the target refuses past reasoning that was sent. If so, no target receives it any more.
    pub(super) fn forgets_thoughts(&mut self, error: &GatewayError) -> bool {
        let thinks_back = self.translated.as_ref().is_ok_and(|translated| translated.thinks_back);
        let is_refused = self.kept.is_some() && thinks_back && error.is_about_thoughts();
        if is_refused {
            self.context.thoughts = PastReasoning::Forgotten;
        }
        is_refused
    }

    /// The guardrail check of the last translation.
    pub(super) fn guard(&self) -> Option<Guard> {
        self.translated.as_ref().ok().and_then(|translated| translated.guard.clone())
    }

    /// Whether the request is one call, with no guardrail around it.
    pub(super) fn is_single(&self) -> bool {
        let is_guarded =
            self.translated.as_ref().is_ok_and(|translated| translated.guard.is_some());
        self.questions == 1 && self.context.choices == 1 && !is_guarded
    }

    /// The body for a target; translated again only if the last translation does not fit it.
    pub(super) async fn for_target(
        &mut self,
        target: &Target,
        offload: &Offload,
    ) -> Result<Bytes, GatewayError> {
        let policy = self.context.options.policy(target.unsupported);
        let fits = self.translated.as_ref().is_ok_and(|translated| translated.fits(target, policy));
        if self.kept.is_some() && !fits {
            Box::pin(self.translate(target, offload)).await?;
        }
        self.body()
    }

    /// The target without what it refused, if the request can be translated without that: the grammar of the
    /// answer, or betas.
    pub(super) fn without_refused(
        &self,
        target: &Target,
        error: &GatewayError,
    ) -> Option<ResolvedModel> {
        let (GatewayError::Upstream(Failure::Service(refused))
        | GatewayError::Refused { error: refused, .. }) = error
        else {
            return None;
        };
        self.without_grammar(target, refused).or_else(|| {
            let has_betas = self.translated.as_ref().is_ok_and(|translated| translated.has_betas);
            let is_refused = refuses_betas(refused.status, &refused.message);
            (self.kept.is_some() && has_betas && is_refused).then(|| target.model.without_betas())
        })
    }

    fn without_grammar(&self, target: &Target, refused: &ServiceError) -> Option<ResolvedModel> {
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
        self.translated = Ok(self.context.translate::<D>(kept, target, offload).await?);
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

impl<R> Translated<R> {
    pub(super) fn fits(&self, target: &Target, policy: Unsupported) -> bool {
        self.profile == target.model.profile
            && self.guardrail == target.guardrail
            && self.params == target.params
            && self.policy == policy
            && self.origin.is_none_or(|origin| origin == target.origin())
    }

    /// The operation to call for the operation that the caller requested.
    pub(super) fn operation(&self, asked: Operation) -> Operation {
        let kind = match self.delivery {
            Delivery::Whole => Kind::Unary,
            Delivery::AsAsked => asked.kind(),
        };
        match (self.form, kind) {
            (BodyForm::Converse, Kind::Unary) => Operation::Converse,
            (BodyForm::Converse, Kind::Stream) => Operation::ConverseStream,
            (BodyForm::Native, Kind::Unary) => Operation::Invoke,
            (BodyForm::Native, Kind::Stream) => Operation::InvokeStream,
            (BodyForm::Surface(endpoint), Kind::Unary) => Operation::Surface(endpoint),
            (BodyForm::Surface(endpoint), Kind::Stream) => Operation::SurfaceStream(endpoint),
        }
    }
}

/// Adds the target's parameters where a request gives none. Tags that have selected the target have had
/// their effect.
///
/// # Errors
/// None: the parameters were read with the configuration.
pub(crate) fn complete<'r, D: Dialect>(
    request: &mut D::Request<'r>,
    target: &'r Target,
) -> Result<(), serde_json::Error> {
    if target.heeds_tags {
        D::remove_tags(request);
    }
    match &target.params {
        Some(params) => D::complete(request, params),
        None => Ok(()),
    }
}

pub(super) async fn translated<'r, D: Dialect>(
    request: &mut D::Request<'r>,
    length: usize,
    context: &TranslateContext,
    target: &'r Target,
) -> Result<Translated<D::Reply>, Untranslated> {
    complete::<D>(request, target)?;
    let request = &*request;
    let profile = &target.model.profile;
    let restored = context.restored::<D>(request, target).await;
    let (stores, index) = (&context.fetched.stores, context.question);
    let text_of = token_ids::text_of;
    let betas = &context.options.betas;
    let input = QuestionInput { stores, restored: Some(&restored), index, betas, text_of };
    if native_call::is_possible(context, target)
        && let Some(question) = D::native_question(request, profile, &input)?
    {
        return native_call::translated(question, context, target);
    }
    let endpoint = profile.surface_endpoint();
    if endpoint.is_none() && !matches!(profile.surface, Surface::Converse | Surface::Prompt) {
        return Err(upstream::only_messages().into());
    }
    let question = D::question(request, profile, &input)?;
    let thinks_back = question.thinks_back();
    let warms = context.warms(&question, length);
    let Question { body: mut converse, delivery, reply, mut report } = question;
    let kind = match delivery {
        Delivery::Whole => Kind::Unary,
        Delivery::AsAsked => context.operation.kind(),
    };
    if profile.guardrail == GuardrailPlace::Around {
        guardrail_around::without_effect(&converse, &mut report);
    }
    surface_call::fit(&mut converse, target, &mut report)?;
    if let Some(field) = target.model.unheeded() {
        report.ignore(field);
    }
    betas::apply(&context.options.betas, &mut converse, profile, &mut report);
    context.options.guardrail.apply(
        &mut converse,
        target.guardrail.as_deref(),
        kind,
        &mut report,
    )?;
    let policy = context.options.policy(target.unsupported);
    let report = report.under(policy)?;
    let guard = match profile.guardrail {
        GuardrailPlace::OnCall => None,
        GuardrailPlace::Around => converse.guardrail_config.take().map(Guard::of),
    };
    // A guardrail can check only a complete answer.
    let delivery = if guard.is_some() { Delivery::Whole } else { delivery };
    let (mut body, mut headers) = (written(&converse, length)?, HeaderMap::new());
    let form = endpoint.map_or(BodyForm::Converse, BodyForm::Surface);
    if let Some(endpoint) = endpoint {
        surface_call::add_headers(profile, endpoint, &mut headers)?;
        if endpoint.api == SurfaceApi::Agent {
            surface_call::add_session(&converse, &context.reasoning, &mut headers)?;
        }
        // A guardrail around the call reads Converse's body, which is translated after it.
        if guard.is_none() {
            let kind = match delivery {
                Delivery::Whole => Kind::Unary,
                Delivery::AsAsked => context.operation.kind(),
            };
            body = surface_call::body(&body, endpoint, target, kind)?;
        }
    }
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
        form,
        headers,
        has_betas: false,
    })
}
