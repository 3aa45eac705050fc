//! Calls on another surface than Converse: the body and the headers that its API takes.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use schema::anthropic::object::RawObject;
use schema::converse::request::ConverseRequest;
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};
use translate::profile::{Profile, Surface, SurfaceApi, SurfaceEndpoint, SurfaceHost};
use translate::upstream::{self, Unsendable, UpstreamCall, UpstreamDelivery, UpstreamError};
use translate::{BODY_LIMIT, Invalid, Report, stored_prompt};
use uuid::Uuid;

use super::body_writer::too_large;
use super::native_call::value_of;
use super::parsed_request::Untranslated;
use crate::error::GatewayError;
use crate::offload::Offload;
use crate::reasoning_store::ReasoningStore;
use bedrock::{Failure, FrameDecoder, FrameKind, Kind, ServiceError};
use routing::{Operation, SESSION, Target};

/// The project of a call in OpenAI's APIs.
const PROJECT: HeaderName = HeaderName::from_static("openai-project");
/// The workspace of a call in Anthropic's API.
const WORKSPACE: HeaderName = HeaderName::from_static("anthropic-workspace-id");
const VERSION: HeaderName = HeaderName::from_static("anthropic-version");
const BETA: HeaderName = HeaderName::from_static("anthropic-beta");
/// The version of Anthropic's API.
const LATEST: HeaderValue = HeaderValue::from_static("2023-06-01");

/// The body of a call, from the Converse body as it would be sent.
///
/// # Errors
/// The API cannot express it, or it is too large.
pub(super) fn body(
    converse: &[u8],
    endpoint: SurfaceEndpoint,
    target: &Target,
    kind: Kind,
) -> Result<Bytes, Untranslated> {
    let delivery = match kind {
        Kind::Unary => UpstreamDelivery::Whole,
        Kind::Stream => UpstreamDelivery::Events,
    };
    let (model, profile) = (target.model.surface_name(), &target.model.profile);
    let call = UpstreamCall::new(endpoint.api, model, delivery, profile);
    let body = match upstream::question(converse, &call) {
        Ok(body) => body,
        Err(Unsendable::Invalid(invalid)) => return Err(invalid.into()),
        Err(Unsendable::Json(error)) => return Err(error.into()),
    };
    if body.len() > BODY_LIMIT {
        return Err(too_large().into());
    }
    Ok(body.into())
}

/// The body to send after a guardrail around the call has passed the Converse body.
///
/// # Errors
/// As [`body`].
pub(super) async fn after_guardrail(
    converse: Bytes,
    operation: Operation,
    target: &Target,
    offload: &Offload,
) -> Result<Bytes, GatewayError> {
    let Some(endpoint) = operation.surface() else { return Ok(converse) };
    let target = target.clone();
    let length = converse.len();
    let work = async move { body(&converse, endpoint, &target, operation.kind()) };
    Ok(offload.run(length, work).await??)
}

/// Fits a request to the surface of its target: settings that have no effect there are noted.
///
/// # Errors
/// A stored prompt does not take it, or cannot be found.
pub(super) fn fit(
    body: &mut ConverseRequest<'_>,
    target: &Target,
    report: &mut Report,
) -> Result<(), Invalid> {
    let profile = &target.model.profile;
    if let Some(endpoint) = profile.surface_endpoint() {
        without_effect(body, endpoint, report);
    }
    if profile.surface != Surface::Prompt {
        return Ok(());
    }
    if !target.model.sent_id().starts_with("arn:") {
        let message = format!(
            "The stored prompt {} cannot be looked up in {}: it does not exist there, or bedrock:GetPrompt is not allowed, which finds its ARN. Its ARN can be named instead.",
            target.model.model_id,
            target.account.region()
        );
        return Err(Invalid::value("model", message).with_code("model_not_found"));
    }
    stored_prompt::fit(body, report)
}

/// Notes settings of Converse that the API does not have.
fn without_effect(body: &ConverseRequest<'_>, endpoint: SurfaceEndpoint, report: &mut Report) {
    if body.performance_config.is_some() {
        report.ignore("performance_config");
    }
    if matches!(endpoint.api, SurfaceApi::Chat | SurfaceApi::Flow)
        && !body.request_metadata.is_empty()
    {
        report.ignore("metadata");
    }
    if endpoint.api.is_framed() {
        let ConverseRequest { inference_config, messages, .. } = body;
        let settings = [
            ("max_tokens", inference_config.max_tokens.is_some()),
            ("temperature", inference_config.temperature.is_some()),
            ("top_p", inference_config.top_p.is_some()),
            ("stop", !inference_config.stop_sequences.is_empty()),
            // A flow is given the last message.
            ("messages", endpoint.api == SurfaceApi::Flow && messages.len() > 1),
        ];
        for (field, is_set) in settings {
            if is_set {
                report.ignore(field);
            }
        }
    }
}

/// Adds the headers of a call.
///
/// # Errors
/// The project is no header value.
pub(super) fn add_headers(
    profile: &Profile,
    endpoint: SurfaceEndpoint,
    headers: &mut HeaderMap,
) -> Result<(), Untranslated> {
    let name = match endpoint.api {
        SurfaceApi::Chat | SurfaceApi::Responses => PROJECT,
        SurfaceApi::Messages => {
            headers.insert(VERSION, LATEST);
            WORKSPACE
        }
        SurfaceApi::Agent | SurfaceApi::Flow => return Ok(()),
    };
    if endpoint.host == SurfaceHost::Mantle && !profile.mantle_project.is_empty() {
        headers.insert(name, value_of(&profile.mantle_project)?);
    }
    Ok(())
}

/// Names the session of a call to an agent: the one that the metadata names, of this caller, or a new one.
///
/// # Errors
/// The name is no header value.
pub(super) fn add_session(
    converse: &ConverseRequest<'_>,
    caller: &ReasoningStore,
    headers: &mut HeaderMap,
) -> Result<(), Untranslated> {
    let named = converse.request_metadata.iter().find(|(name, _)| **name == *upstream::SESSION);
    let session = match named {
        // Callers must not meet in a session.
        Some((_, name)) => {
            let owned = format!("{}\n{}", caller.owner(), &**name);
            let digest = digest(&SHA256, owned.as_bytes());
            let hex = digest.as_ref().iter().take(20).map(|byte| format!("{byte:02x}"));
            hex.collect::<String>()
        }
        None => Uuid::now_v7().to_string(),
    };
    headers.insert(SESSION, value_of(&session)?);
    Ok(())
}

/// A complete answer in Converse's form.
///
/// # Errors
/// A frame is damaged, or an exception.
pub(super) fn whole_answer(
    body: Bytes,
    api: SurfaceApi,
) -> Result<Result<Vec<u8>, UpstreamError>, GatewayError> {
    if !api.is_framed() {
        return Ok(upstream::answer(&body, api));
    }
    let (mut decoder, mut payloads) = (FrameDecoder::new(), Vec::new());
    decoder.push(body);
    while let Some(frame) = decoder.next().map_err(Failure::from)? {
        if let Some(error) = ServiceError::of_frame(&frame) {
            return Err(Failure::from(error).into());
        }
        if let FrameKind::Event(_) = frame.kind {
            payloads.push(frame.payload);
        }
    }
    decoder.finish().map_err(Failure::from)?;
    Ok(upstream::joined(payloads.iter().map(|payload| &**payload), api, decode))
}

/// Decodes base64.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// The body of Anthropic's API, from the one that InvokeModel takes: the model and the form of the answer are
/// members here, version and betas are headers.
///
/// # Errors
/// The body is no object, or a beta is no header value.
pub(super) fn messages_body(
    native: &[u8],
    target: &Target,
    kind: Kind,
    headers: &mut HeaderMap,
) -> Result<Vec<u8>, Untranslated> {
    let mut body: RawObject<'_> = serde_json::from_slice(native)?;
    body.remove("anthropic_version");
    if let Some(betas) = body.get("anthropic_beta") {
        let betas: Vec<String> = serde_json::from_str(betas.get())?;
        if !betas.is_empty() {
            headers.insert(BETA, value_of(&betas.join(","))?);
        }
    }
    body.remove("anthropic_beta");
    body.set("model", raw(&target.model.surface_name().into())?);
    if kind == Kind::Stream {
        body.set("stream", raw(&Value::Bool(true))?);
    }
    Ok(serde_json::to_vec(&body)?)
}

fn raw(value: &Value) -> Result<Box<RawValue>, Untranslated> {
    Ok(to_raw_value(value)?)
}
