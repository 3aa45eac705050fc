//! Responses that are made in the background, before they have an answer and where they have none.

use schema::openai::responses::object::Status;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::ResponseReply;
use super::writer::EventWriter;
use super::writer::failure::Failed;
use crate::Stamp;
use crate::answer_stream::{KeptItem, StreamFailure};

pub use super::writer::failure::CANCELLED;

/// The state of a response, as far as its object tells.
#[derive(Debug, Deserialize)]
pub struct ResponseState {
    /// `status`.
    pub status: Box<str>,
    /// Whether the response is made in the background.
    #[serde(default)]
    pub background: bool,
}

impl ResponseState {
    /// The state of a response.
    pub fn of(object: &str) -> Option<Self> {
        serde_json::from_str(object).ok()
    }

    /// Whether the response is still to change.
    pub fn is_pending(&self) -> bool {
        matches!(&*self.status, "queued" | "in_progress")
    }

    /// Whether the response is an answer, in full or in part.
    pub fn is_answer(&self) -> bool {
        matches!(&*self.status, "completed" | "incomplete")
    }
}

/// The response to a request before it is made, if it is made in the background.
pub(super) fn queued(reply: &ResponseReply, stamp: Stamp) -> Option<KeptItem> {
    reply.is_background.then(|| EventWriter::new(reply.clone(), stamp).queued())?
}

/// The response once it is being made.
pub fn in_progress(queued: &str) -> Option<String> {
    with(queued, Status::InProgress, None)
}

/// The response that ended before it had an answer: failed, or cancelled by the client.
pub fn ended(queued: &str, failure: &StreamFailure<'_>) -> Option<String> {
    if failure.code == Some(CANCELLED) {
        return with(queued, Status::Cancelled, None);
    }
    let Failed { code, message } = Failed::of(failure);
    with(queued, Status::Failed, Some(json!({ "code": code, "message": message })))
}

fn with(object: &str, status: Status, error: Option<Value>) -> Option<String> {
    let mut members: Map<String, Value> = serde_json::from_str(object).ok()?;
    members.insert("status".to_owned(), serde_json::to_value(status).ok()?);
    members.insert("error".to_owned(), error.unwrap_or_default());
    serde_json::to_string(&members).ok()
}
