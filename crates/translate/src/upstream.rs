//! Protocols by which a model is called that Converse does not serve, or that an operator wants to be called on
//! another surface. Every front door writes Converse's request, and reads Converse's answer and events: here the
//! request becomes the body of another API, and that API's answer and events become Converse's.

use bytes::BytesMut;
use schema::converse::event::StreamEvent;
use schema::converse::sent::SentRequest;
use serde_json::Value;

use crate::Invalid;
use crate::Profile;
use crate::answer_stream::{AnswerStream, NativeEventError, Progress, Unwritable};
use crate::profile::{Replay, SurfaceApi};

mod agent_body;
mod agent_events;
mod agent_whole;
mod call_ids;
mod chat_answer;
mod chat_body;
mod chat_stream;
mod media;
mod model_fields;
mod responses_answer;
mod responses_body;
mod responses_stream;
mod schema_fit;
mod whole;

use agent_events::{AgentEvents, AnswerEnd};
use chat_stream::ChatEvents;
use responses_stream::ResponsesEvents;

pub use agent_body::SESSION;
pub use agent_events::DecodeBase64;

/// A call to write the body of.
#[derive(Debug, Clone, Copy)]
pub struct UpstreamCall<'c> {
    /// The API.
    pub api: SurfaceApi,
    /// The model's name there.
    pub model: &'c str,
    /// The answer is requested as events.
    pub delivery: UpstreamDelivery,
    /// Past reasoning is taken back in encrypted form.
    pub takes_encrypted: bool,
}

/// Form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpstreamDelivery {
    /// In one body.
    Whole,
    /// As server-sent events.
    Events,
}

impl<'c> UpstreamCall<'c> {
    /// A call to a model of this profile.
    pub fn new(
        api: SurfaceApi,
        model: &'c str,
        delivery: UpstreamDelivery,
        profile: &Profile,
    ) -> Self {
        let takes_encrypted = profile.replay == Replay::Redacted;
        Self { api, model, delivery, takes_encrypted }
    }
}

/// Failures of a request's translation.
#[derive(Debug, thiserror::Error)]
pub enum Unsendable {
    /// The API cannot express it.
    #[error("{}", .0.message)]
    Invalid(Invalid),
    /// It is not the Converse request that was written, or the body cannot be written.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

impl From<Invalid> for Unsendable {
    fn from(invalid: Invalid) -> Self {
        Self::Invalid(invalid)
    }
}

/// Translates a Converse request, as it would be sent, into the body of an API.
///
/// # Errors
/// The API cannot express the request; the error names the field.
pub fn question(converse: &[u8], call: &UpstreamCall<'_>) -> Result<Vec<u8>, Unsendable> {
    let request: SentRequest<'_> = serde_json::from_slice(converse)?;
    let mut out = Vec::with_capacity(converse.len() + converse.len() / 8);
    match call.api {
        SurfaceApi::Chat => serde_json::to_writer(&mut out, &chat_body::of(&request, call)?)?,
        SurfaceApi::Responses => {
            serde_json::to_writer(&mut out, &responses_body::of(&request, call)?)?;
        }
        SurfaceApi::Messages => return Err(only_messages().into()),
        SurfaceApi::Agent => serde_json::to_writer(&mut out, &agent_body::agent(&request, call)?)?,
        SurfaceApi::Flow => serde_json::to_writer(&mut out, &agent_body::flow(&request)?)?,
    }
    Ok(out)
}

/// The refusal of a request in another API than Anthropic's for a model that is served in that API alone.
pub fn only_messages() -> Invalid {
    let message = "Where this model is called, it is served in the API of POST /v1/messages alone and without a guardrail: send the request there, or name a target on Converse.";
    Invalid::value("model", message).with_code("model_not_supported")
}

/// Translates a complete answer into Converse's.
///
/// # Errors
/// It cannot be read.
pub fn answer(body: &[u8], api: SurfaceApi) -> Result<Vec<u8>, UpstreamError> {
    let whole = match api {
        SurfaceApi::Chat => chat_answer::read(body)?,
        SurfaceApi::Responses => responses_answer::read(body)?,
        SurfaceApi::Messages | SurfaceApi::Agent | SurfaceApi::Flow => return Ok(body.to_vec()),
    };
    Ok(serde_json::to_vec(&whole)?)
}

/// Joins the payloads of a framed answer into Converse's.
///
/// # Errors
/// It cannot be read or passed on, or has no end.
pub fn joined<'e>(
    payloads: impl Iterator<Item = &'e [u8]>,
    api: SurfaceApi,
    decode: DecodeBase64,
) -> Result<Vec<u8>, UpstreamError> {
    let whole = agent_whole::read(AgentEvents::new(decode, ending(api)), payloads)?;
    Ok(serde_json::to_vec(&whole)?)
}

/// The end of an answer in events.
fn ending(api: SurfaceApi) -> AnswerEnd {
    if api == SurfaceApi::Flow { AnswerEnd::Told } else { AnswerEnd::OfStream }
}

/// Failures of an answer's translation.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// The model ended its answer with an error.
    #[error("{exception}: {message}")]
    Failed {
        /// Bedrock's exception that means the same.
        exception: &'static str,
        /// The model's message.
        message: String,
    },
    /// It is not what the API answers.
    #[error(transparent)]
    Unreadable(#[from] serde_json::Error),
}

/// The translator of a stream's events into Converse's.
#[derive(Debug)]
pub struct UpstreamEvents(Api);

#[derive(Debug)]
enum Api {
    Chat(ChatEvents),
    Responses(ResponsesEvents),
    Agent(AgentEvents),
    /// The dialect reads the events itself.
    Messages,
}

impl UpstreamEvents {
    /// The translator of an API's events.
    pub fn new(api: SurfaceApi, decode: DecodeBase64) -> Self {
        Self(match api {
            SurfaceApi::Chat => Api::Chat(ChatEvents::default()),
            SurfaceApi::Responses => Api::Responses(ResponsesEvents::default()),
            SurfaceApi::Messages => Api::Messages,
            SurfaceApi::Agent | SurfaceApi::Flow => {
                Api::Agent(AgentEvents::new(decode, ending(api)))
            }
        })
    }

    /// Pushes an event through a front door's translator into `out`.
    ///
    /// # Errors
    /// The event is an error, or cannot be read or written.
    pub fn push(
        &mut self,
        data: &[u8],
        translator: &mut impl AnswerStream,
        out: &mut BytesMut,
    ) -> Result<Progress, NativeEventError> {
        let mut all = Progress::default();
        let mut sink = |event: &StreamEvent<'_>| pass(event, translator, out, &mut all);
        match &mut self.0 {
            Api::Chat(events) => events.push(data, &mut sink)?,
            Api::Responses(events) => events.push(data, &mut sink)?,
            Api::Agent(events) => events.push(data, &mut sink)?,
            Api::Messages => return translator.push_native(data, out),
        }
        Ok(all)
    }

    /// Pushes the end of the stream through a front door's translator, where no event tells it.
    ///
    /// # Errors
    /// An event cannot be written.
    pub fn finish(
        &mut self,
        translator: &mut impl AnswerStream,
        out: &mut BytesMut,
    ) -> Result<Progress, NativeEventError> {
        let mut all = Progress::default();
        let mut sink = |event: &StreamEvent<'_>| pass(event, translator, out, &mut all);
        match &mut self.0 {
            Api::Agent(events) => events.finish(&mut sink)?,
            Api::Chat(_) | Api::Responses(_) | Api::Messages => {}
        }
        Ok(all)
    }
}

/// Pushes one of Converse's events through a front door's translator.
fn pass(
    event: &StreamEvent<'_>,
    translator: &mut impl AnswerStream,
    out: &mut BytesMut,
    all: &mut Progress,
) -> Result<(), Unwritable> {
    let Progress { reasoning, answer } = translator.push(event, out)?;
    all.reasoning = reasoning.or(all.reasoning.take());
    all.answer = answer.or(all.answer.take());
    Ok(())
}

/// Receives Converse's events.
type Sink<'s> = dyn FnMut(&StreamEvent<'_>) -> Result<(), Unwritable> + 's;

/// The error that the first event of a stream may be: the exception that means the same, and the message.
pub fn failure(data: &[u8]) -> Option<(&'static str, String)> {
    // An event of text cannot be an error, and is not parsed twice.
    let may_be = data.len() < 64 * 1024 && data.windows(7).any(|word| word == b"\"error\"");
    let event: Value = may_be.then(|| serde_json::from_slice(data).ok()).flatten()?;
    let response = event.get("response").unwrap_or(&event);
    let error = [event.get("error"), response.get("error")].into_iter().flatten();
    let of_type = (event.get("type").and_then(Value::as_str) == Some("error")).then_some(&event);
    let error = error.chain(of_type).find(|error| error.is_object())?;
    let word = |name: &str| error.get(name).and_then(Value::as_str);
    let code = error.get("code").and_then(Value::as_u64);
    let exception = exception(word("code").or(word("type")), code);
    Some((exception, word("message").unwrap_or_default().to_owned()))
}

/// Bedrock's exception for an error within an answer, by its word or its status.
fn exception(word: Option<&str>, status: Option<u64>) -> &'static str {
    match (word.unwrap_or_default(), status) {
        ("rate_limit_exceeded" | "rate_limit_error" | "throttling_error", _) | (_, Some(429)) => {
            "throttlingException"
        }
        ("invalid_request_error" | "invalid_prompt" | "context_length_exceeded", _)
        | (_, Some(400)) => "validationException",
        ("overloaded_error" | "server_is_overloaded" | "service_unavailable", _)
        | (_, Some(503)) => "serviceUnavailableException",
        ("internal_server_error" | "api_error", _) | (_, Some(500)) => "internalServerException",
        _ => "modelStreamErrorException",
    }
}
