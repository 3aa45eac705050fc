//! Calls in the model's own body: the translation for InvokeModel, and the answers in the model's own form.
//! Everything else of a request is as with Converse.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use schema::converse::request::{ConverseRequest, GuardrailConfig, GuardrailTrace};
use schema::converse::response::ConverseResponse;
use serde::de::Error as _;
use serde_json::json;
use translate::chat::Delivery;
use translate::dialect::{Answered, Dialect, NativeAnswered, NativeQuestion};
use translate::profile::{GuardrailPlace, SurfaceApi, SurfaceEndpoint};
use translate::spent::Spent;
use translate::upstream::{self, UpstreamError, UpstreamEvents};
use translate::{BODY_LIMIT, Stamp};

use super::body_writer::too_large;
use super::parsed_request::Untranslated;
use super::pending_call::{TranslateContext, Translated};
use super::surface_call;
use crate::error::GatewayError;
use bedrock::{Failure, ServiceError};
use routing::{GUARDRAIL_ID, GUARDRAIL_VERSION, Target};

const TRACE: HeaderName = HeaderName::from_static("x-amzn-bedrock-trace");

/// Form of a body and of its answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum BodyForm {
    /// Converse's.
    #[default]
    Converse,
    /// The model's own.
    Native,
    /// That of an API on another surface. Its answer is read as Converse's, or as the model's own.
    Surface(SurfaceEndpoint),
}

impl BodyForm {
    /// A complete answer as it is read later on: in Converse's form, or in the model's own.
    ///
    /// # Errors
    /// It cannot be read, or tells of a failure.
    pub(super) fn as_read(self, body: Bytes) -> Result<Bytes, GatewayError> {
        match self {
            Self::Converse | Self::Native => Ok(body),
            Self::Surface(endpoint) if endpoint.api == SurfaceApi::Messages => Ok(body),
            Self::Surface(endpoint) => match surface_call::whole_answer(body, endpoint.api)? {
                Ok(answer) => Ok(answer.into()),
                Err(UpstreamError::Unreadable(error)) => Err(GatewayError::Unreadable(error)),
                Err(UpstreamError::Failed { exception, message }) => {
                    let payload = json!({ "message": message }).to_string();
                    let error = ServiceError::from_event(exception, &payload.into());
                    Err(Failure::from(error).into())
                }
            },
        }
    }

    /// The translator of the events of a stream, if they are not Converse's.
    pub(super) fn events(self) -> Option<UpstreamEvents> {
        match self {
            Self::Converse | Self::Native => None,
            Self::Surface(endpoint) => {
                Some(UpstreamEvents::new(endpoint.api, surface_call::decode))
            }
        }
    }

    /// Whether the events of a stream are server-sent.
    pub(super) fn is_server_sent(self) -> bool {
        match self {
            Self::Converse | Self::Native => false,
            Self::Surface(endpoint) => !endpoint.api.is_framed(),
        }
    }

    fn is_own(self) -> bool {
        match self {
            Self::Converse => false,
            Self::Native => true,
            Self::Surface(endpoint) => endpoint.api == SurfaceApi::Messages,
        }
    }
}

/// Whether the call may take the model's own body: a guardrail around it reads Converse's.
pub(super) fn is_possible(context: &TranslateContext, target: &Target) -> bool {
    target.model.profile.guardrail == GuardrailPlace::OnCall
        || (target.guardrail.is_none() && !context.options.guardrail.is_named())
}

/// Adds to a question what the gateway adds to every call.
///
/// # Errors
/// The guardrail is not allowed, or the body is too large.
pub(super) fn translated<R>(
    question: NativeQuestion<'_, R>,
    context: &TranslateContext,
    target: &Target,
) -> Result<Translated<R>, Untranslated> {
    let NativeQuestion { body, headers, guardrail, thinks_back, has_betas, reply, mut report } =
        question;
    if body.len() > BODY_LIMIT {
        return Err(too_large().into());
    }
    if let Some(field) = target.model.unheeded() {
        report.ignore(field);
    }
    // The rules of guardrails are those of Converse, whose body carries them in a member.
    let mut carrier = ConverseRequest { guardrail_config: guardrail, ..ConverseRequest::default() };
    context.options.guardrail.apply(
        &mut carrier,
        target.guardrail.as_deref(),
        context.operation.kind(),
        &mut report,
    )?;
    let mut all = HeaderMap::with_capacity(headers.len() + 3);
    for (name, value) in &headers {
        all.insert(*name, value_of(value)?);
    }
    if let Some(config) = carrier.guardrail_config {
        add_guardrail(&config, &mut all)?;
    }
    let policy = context.options.policy(target.unsupported);
    let report = report.under(policy)?;
    let profile = &target.model.profile;
    let (body, form) = match profile.messages_endpoint() {
        None => (body, BodyForm::Native),
        // Headers of a guardrail have no effect there.
        Some(_) if all.contains_key(GUARDRAIL_ID) => return Err(upstream::only_messages().into()),
        Some(endpoint) => {
            surface_call::add_headers(profile, endpoint, &mut all)?;
            let kind = context.operation.kind();
            (
                surface_call::messages_body(&body, target, kind, &mut all)?,
                BodyForm::Surface(endpoint),
            )
        }
    };
    Ok(Translated {
        body: body.into(),
        warms: false,
        delivery: Delivery::AsAsked,
        reply,
        report,
        guard: None,
        profile: profile.clone(),
        policy,
        guardrail: target.guardrail.clone(),
        params: target.params.clone(),
        origin: profile.keeps_thoughts().then(|| target.origin()),
        thinks_back,
        form,
        headers: all,
        has_betas,
    })
}

pub(super) fn value_of(text: &str) -> Result<HeaderValue, Untranslated> {
    HeaderValue::from_str(text).map_err(|error| Untranslated::Internal(error.to_string()))
}

fn add_guardrail(
    config: &GuardrailConfig<'_>,
    headers: &mut HeaderMap,
) -> Result<(), Untranslated> {
    headers.insert(GUARDRAIL_ID, value_of(&config.guardrail_identifier)?);
    headers.insert(GUARDRAIL_VERSION, value_of(&config.guardrail_version)?);
    let trace = config.trace.map(|trace| match trace {
        GuardrailTrace::Enabled => "ENABLED",
        GuardrailTrace::Disabled => "DISABLED",
        GuardrailTrace::EnabledFull => "ENABLED_FULL",
    });
    if let Some(trace) = trace {
        headers.insert(TRACE, HeaderValue::from_static(trace));
    }
    Ok(())
}

/// A complete answer in the dialect's form, and its usage.
///
/// # Errors
/// It cannot be read.
pub(super) fn read_answer<D: Dialect>(
    body: &[u8],
    form: BodyForm,
    (reply, stamp): (&D::Reply, Stamp),
) -> Result<(Answered<D::Answer>, Spent), GatewayError> {
    match form.is_own() {
        false => {
            let converse: ConverseResponse<'_> =
                serde_json::from_slice(body).map_err(GatewayError::Unreadable)?;
            if D::MALFORMED_FAILS && converse.stop_reason.is_malformed() {
                let told = serde_json::Error::custom("the model could not finish its answer");
                return Err(GatewayError::Unreadable(told));
            }
            Ok((D::answer(&converse, reply, stamp), Spent::of(&converse)))
        }
        true => {
            let NativeAnswered { answered, spent } =
                D::native_answer(body, reply, stamp).map_err(GatewayError::Unreadable)?;
            Ok((answered, spent))
        }
    }
}
