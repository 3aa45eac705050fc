//! Failures of a stream that has begun: `response.failed`, with a code that agents act on.

use bytes::BytesMut;
use schema::openai::responses::event::EventBody;
use schema::openai::responses::object::{ResponseError, ResponseObject, Status};

use super::EventWriter;
use crate::answer::Written;
use crate::answer_stream::StreamFailure;

impl EventWriter {
    /// Tells the failure; items that are open stay open.
    pub(super) fn tell_failure(
        &mut self,
        failure: &StreamFailure<'_>,
        out: &mut BytesMut,
    ) -> Written {
        self.status = Status::Failed;
        self.completed_at = None;
        let (code, message) = (code(failure), message(failure));
        let mut events = std::mem::take(&mut self.events);
        let error = Some(ResponseError { code, message: &message });
        let response = ResponseObject { error, ..self.object() };
        let told = events.write("response.failed", EventBody::Response { response }, out);
        events.end(out);
        self.events = events;
        told
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
