//! The frames of one answer: its first frame decides whether the answer begins, and each is pushed through
//! the translator.

use bytes::BytesMut;
use schema::converse::event::StreamEvent;
use serde_json::Value;
use translate::answer_stream::{AnswerStream, Progress, Truncated};

use crate::error::{GatewayError, Position};
use bedrock::{EventStream, Failure, Frame, FrameKind, ServiceError};

/// A stream whose first frame has arrived: from here on the status is 200.
pub(crate) struct StartedStream {
    pub(super) first: Frame,
    pub(super) rest: EventStream,
}

impl StartedStream {
    /// AWS's id of the call.
    pub(crate) fn request_id(&self) -> Option<&str> {
        self.rest.request_id()
    }

    /// Waits for the first frame, so that a call that fails at once still gets a real status.
    pub(crate) async fn wait(mut events: EventStream) -> Result<Self, GatewayError> {
        let first = events.next().await?.ok_or(Truncated)?;
        match ServiceError::of_frame(&first) {
            Some(error) => Err(Failure::from(error).into()),
            None => Ok(Self { first, rest: events }),
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
    out: &mut BytesMut,
) -> Result<Progress, GatewayError> {
    if let Some(error) = ServiceError::of_frame(frame) {
        return Err(Failure::from(error).into());
    }
    let FrameKind::Event(name) = &frame.kind else { return Ok(Progress::default()) };
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

/// Whether an unreadable event may begin a call.
fn is_of_call(name: &str, payload: &[u8]) -> bool {
    let read = || serde_json::from_slice::<Value>(payload);
    name == "contentBlockStart" && read().map_or(true, |read| !read["start"]["toolUse"].is_null())
}
