//! Failures of a stream that has begun: `response.failed`, with a code that agents act on; and the end of a
//! response that was cancelled.

use bytes::BytesMut;
use schema::openai::responses::object::Status;

use super::EventWriter;
use crate::answer::Written;
use crate::answer_stream::StreamFailure;

/// The code of a failure that is a request of the client: it cancelled the response.
pub const CANCELLED: &str = "response_cancelled";

/// The failure of a response, in the words of this API.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) code: &'static str,
    pub(crate) message: String,
}

impl Failed {
    pub(crate) fn of(failure: &StreamFailure<'_>) -> Self {
        Self { code: code(failure), message: message(failure) }
    }
}

impl EventWriter {
    /// Tells the failure; items that are open stay open. A cancelled response has none, and closes its item.
    pub(super) fn tell_failure(
        &mut self,
        failure: &StreamFailure<'_>,
        out: &mut BytesMut,
    ) -> Written {
        self.completed_at = None;
        let kind = if failure.code == Some(CANCELLED) {
            self.write_waiting(out)?;
            self.close(Status::Incomplete, out)?;
            self.status = Status::Cancelled;
            "response.incomplete"
        } else {
            self.status = Status::Failed;
            self.failed = Some(Failed::of(failure));
            "response.failed"
        };
        self.tell(kind, out)?;
        self.events.end(out);
        Ok(())
    }
}

/// The code in the words of this API, by which agents decide whether to wait, to shorten or to stop.
fn code(failure: &StreamFailure<'_>) -> &'static str {
    match (failure.code, failure.status) {
        (Some("context_length_exceeded"), _) => "context_length_exceeded",
        (Some("insufficient_quota"), _) => "insufficient_quota",
        (_, 429) => "rate_limit_exceeded",
        (_, 503 | 529) => "server_is_overloaded",
        (_, 400..=499) => "invalid_prompt",
        _ => "server_error",
    }
}

/// The message; a client that may try again reads the wait from its end.
fn message(failure: &StreamFailure<'_>) -> String {
    match (failure.status, failure.retry_after_ms) {
        (429, Some(wait)) => {
            let (seconds, rest) = (wait / 1000, wait % 1000 / 100);
            format!("{} Please try again in {seconds}.{rest}s", failure.message)
        }
        _ => failure.message.to_owned(),
    }
}
