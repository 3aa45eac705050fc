//! The script's step for a call, as far as it means the same for every operation.

use serde_json::Value;

use super::State;
use crate::{
    delivery::{Act, Reply},
    error::Refusal,
    script::{Fault, Step},
};

/// The scripted part of an answer.
pub(super) enum Scripted {
    /// The usual answer, with a fault if there is one.
    Usual(Option<Fault>),
    /// This answer, in the operation's own form.
    Answer(Value),
    /// These events or chunks, in the operation's own form.
    Events(Vec<Value>),
    /// The bytes of an event stream.
    Bytes(Reply),
    /// A complete body.
    Text(Reply),
}

/// Takes the step for a call of this id.
///
/// # Errors
/// The step is a refusal.
pub(super) fn scripted(state: &State, id: &str, base: Option<&str>) -> Result<Scripted, Refusal> {
    Ok(match state.script.take(id, base) {
        None => Scripted::Usual(None),
        Some(Step::Fault(fault)) => Scripted::Usual(Some(fault)),
        Some(Step::Answer(answer)) => Scripted::Answer(answer),
        Some(Step::Events(events)) => Scripted::Events(events),
        Some(Step::Bytes(bytes)) => Scripted::Bytes(Reply::stream(vec![Act::Send(bytes.into())])),
        Some(Step::Text { body, headers }) => Scripted::Text(Reply::text(body, headers)),
        Some(Step::Error { status, kind, message, headers }) => {
            let mut refusal = Refusal::new(status, kind, message);
            refusal.headers.extend(headers);
            return Err(refusal);
        }
    })
}
