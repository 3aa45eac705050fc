//! The frames of one answer: its first frame decides whether the answer begins, and each is pushed through
//! the translator.

use base64::engine::general_purpose::STANDARD;
use base64::{Engine as _, decoded_len_estimate};
use bytes::BytesMut;
use schema::converse::event::StreamEvent;
use serde::Deserialize;
use serde::de::Error as _;
use serde_json::{Value, json};
use translate::answer_stream::{AnswerStream, NativeEventError, Progress, Truncated};
use translate::upstream::{self, UpstreamEvents};

use crate::error::{GatewayError, Position};
use bedrock::{EventStream, Failure, Frame, FrameKind, ServiceError};

/// Event of a stream in the model's own form.
pub(super) const CHUNK: &str = "chunk";

/// Longest event that is decoded without an allocation, in bytes: most are pieces of text.
const SHORT: usize = 1024;

/// A stream whose first frame has arrived: from here on the status is 200.
pub(crate) struct StartedStream {
    pub(super) first: Frame,
    pub(super) rest: EventStream,
    /// The translator of its events, if they are not Converse's.
    pub(super) upstream: Option<UpstreamEvents>,
}

impl StartedStream {
    /// AWS's id of the call.
    pub(crate) fn request_id(&self) -> Option<&str> {
        self.rest.request_id()
    }

    /// Waits for the first frame, so that a call that fails at once still gets a real status.
    pub(crate) async fn wait(
        mut events: EventStream,
        upstream: Option<UpstreamEvents>,
    ) -> Result<Self, GatewayError> {
        let first = events.next().await?.ok_or(Truncated)?;
        let told = upstream.as_ref().and_then(|_| upstream::failure(&first.payload));
        if let Some((exception, message)) = told {
            return Err(failed(exception, &message));
        }
        match ServiceError::of_frame(&first) {
            Some(error) => Err(Failure::from(error).into()),
            None => Ok(Self { first, rest: events, upstream }),
        }
    }
}

/// Pushes one frame through a translator into `out`.
///
/// # Errors
/// It is an exception of the service, or an event that cannot be read and must not be left out.
pub(crate) fn step(
    frame: &Frame,
    translator: &mut impl AnswerStream,
    upstream: Option<&mut UpstreamEvents>,
    out: &mut BytesMut,
) -> Result<Progress, GatewayError> {
    if let Some(error) = ServiceError::of_frame(frame) {
        return Err(Failure::from(error).into());
    }
    let FrameKind::Event(name) = &frame.kind else { return Ok(Progress::default()) };
    if let Some(upstream) = upstream {
        return upstream.push(&frame.payload, translator, out).map_err(broken);
    }
    if name == CHUNK {
        return native(&frame.payload, translator, out);
    }
    let event = match StreamEvent::parse(name, &frame.payload) {
        Ok(event) => event,
        // An answer without some of its text or calls would be wrong; other parts may be missing.
        Err(error) if name == "contentBlockDelta" || is_of_call(name, &frame.payload) => {
            return Err(GatewayError::Unreadable(error));
        }
        Err(error) => {
            log::warn!("event {name:?} cannot be read: {}", Position(&error));
            return Ok(Progress::default());
        }
    };
    Ok(translator.push(&event, out)?)
}

/// Pushes an event in the model's own form, which a chunk holds.
fn native(
    payload: &[u8],
    translator: &mut impl AnswerStream,
    out: &mut BytesMut,
) -> Result<Progress, GatewayError> {
    let chunk: Chunk<'_> = serde_json::from_slice(payload).map_err(GatewayError::Unreadable)?;
    let (mut short, long);
    let encoded = chunk.bytes.as_bytes();
    let event = if decoded_len_estimate(encoded.len()) <= SHORT {
        short = [0; SHORT];
        let length = STANDARD.decode_slice(encoded, &mut short).map_err(unreadable)?;
        &short[..length]
    } else {
        long = STANDARD.decode(encoded).map_err(unreadable)?;
        &long[..]
    };
    translator.push_native(event, out).map_err(broken)
}

pub(super) fn broken(error: NativeEventError) -> GatewayError {
    match error {
        NativeEventError::Failed { exception, message } => failed(exception, &message),
        NativeEventError::Unreadable(error) => GatewayError::Unreadable(error),
        NativeEventError::Unwritable(error) => error.into(),
    }
}

fn failed(exception: &str, message: &str) -> GatewayError {
    let payload = json!({ "message": message }).to_string();
    Failure::from(ServiceError::from_event(exception, &payload.into())).into()
}

fn unreadable(error: impl std::fmt::Display) -> GatewayError {
    GatewayError::Unreadable(serde_json::Error::custom(error))
}

/// The payload of a chunk.
#[derive(Deserialize)]
struct Chunk<'a> {
    /// Base64.
    #[serde(borrow)]
    bytes: schema::Str<'a>,
}

/// Whether an unreadable event may begin a call.
fn is_of_call(name: &str, payload: &[u8]) -> bool {
    let read = || serde_json::from_slice::<Value>(payload);
    name == "contentBlockStart" && read().map_or(true, |read| !read["start"]["toolUse"].is_null())
}
