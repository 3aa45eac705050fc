//! Scripted answers and failures: each step is used once, by the next matching call.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The queue of steps of one emulator; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Script {
    queue: Arc<Mutex<VecDeque<Entry>>>,
}

/// A step and its condition.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// Only for calls to this model id or ARN (as in the path, decoded, or without its region prefix).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The step, as `{"answer": ...}`, `{"error": ...}` and so on.
    #[serde(flatten)]
    pub step: Step,
}

/// Behaviour for the next call.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Answer 200 with this JSON; a streaming call gets the same answer as events.
    Answer(Value),
    /// Answer with these stream events, each `{"contentBlockDelta": {...}}`, padded and framed.
    Events(Vec<Value>),
    /// Answer with these bytes as the event stream (base64 in JSON).
    Bytes(#[serde(with = "base64_bytes")] Vec<u8>),
    /// Answer 200 with this JSON text unchanged, and with these headers.
    Text {
        /// The body, byte for byte.
        body: String,
        /// Further headers, such as `X-Amzn-Bedrock-Input-Token-Count`.
        #[serde(default)]
        headers: BTreeMap<String, String>,
    },
    /// Refuse the call.
    Error {
        /// HTTP status.
        status: u16,
        /// Exception type, such as `ThrottlingException`.
        #[serde(rename = "type")]
        kind: String,
        /// Message in the body.
        message: String,
        /// Further headers, such as `Retry-After`.
        #[serde(default)]
        headers: BTreeMap<String, String>,
    },
    /// Answer as usual, but fail during the answer.
    Fault(Fault),
}

/// A failure during an otherwise good answer. Counts are of stream events already sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// An exception frame.
    Exception {
        /// Events sent before it.
        after: usize,
        /// Lower-camel-case name, such as `throttlingException`.
        #[serde(rename = "type")]
        kind: String,
        /// Message in its payload.
        message: String,
    },
    /// A frame of message type `error`.
    ErrorFrame {
        /// Events sent before it.
        after: usize,
        /// Value of `:error-code`.
        code: String,
        /// Value of `:error-message`.
        message: String,
    },
    /// The stream ends cleanly, too early.
    Cut(usize),
    /// The connection is reset in the middle of the next frame.
    Reset(usize),
    /// The stream falls silent, with the connection open.
    Stall(usize),
    /// Neither headers nor body are sent.
    Silent,
    /// Milliseconds until the first byte.
    Slow(u64),
    /// The event at this index has a wrong checksum.
    Corrupt(usize),
    /// The event at this index announces nearly 4 GiB.
    Oversized(usize),
}

impl Script {
    /// Adds a step for the next call of any kind.
    pub fn push(&self, step: Step) {
        self.push_entry(Entry { model: None, step });
    }

    /// Adds a step for the next call to `model`.
    pub fn push_for(&self, model: impl Into<String>, step: Step) {
        self.push_entry(Entry { model: Some(model.into()), step });
    }

    /// Adds a step with its condition.
    pub fn push_entry(&self, entry: Entry) {
        self.lock().push_back(entry);
    }

    /// Number of steps still waiting.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether every step has been used.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Removes all steps.
    pub fn clear(&self) {
        self.lock().clear();
    }

    /// Takes the first step that matches a call to `model_id`, which names the model `base`.
    pub(crate) fn take(&self, model_id: &str, base: Option<&str>) -> Option<Step> {
        let mut queue = self.lock();
        let fits = |entry: &Entry| match entry.model.as_deref() {
            None => true,
            Some(wanted) => wanted == model_id || Some(wanted) == base,
        };
        let index = queue.iter().position(fits)?;
        queue.remove(index).map(|entry| entry.step)
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Entry>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

mod base64_bytes {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        STANDARD.decode(String::deserialize(from)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn steps_are_taken_in_order_by_matching_calls() {
        let script = Script::default();
        script.push_for("us.a.b", Step::Fault(Fault::Cut(1)));
        script.push(Step::Fault(Fault::Silent));
        assert!(matches!(script.take("x", Some("x")), Some(Step::Fault(Fault::Silent))));
        assert!(script.take("x", None).is_none());
        assert!(matches!(script.take("us.a.b", None), Some(Step::Fault(Fault::Cut(1)))));
        assert!(script.is_empty());
    }

    #[test]
    fn entries_are_written_as_documented() {
        let entry: Entry = serde_json::from_value(json!({
            "model": "m", "error": {"status": 429, "type": "ThrottlingException", "message": "slow", "headers": {"Retry-After": "2"}}
        }))
        .expect("an error step");
        assert!(matches!(entry.step, Step::Error { status: 429, .. }));
        let entry: Entry =
            serde_json::from_value(json!({"fault": {"exception": {"after": 2, "type": "throttlingException", "message": "m"}}}))
                .expect("a fault");
        assert!(matches!(entry.step, Step::Fault(Fault::Exception { after: 2, .. })));
        let entry: Entry =
            serde_json::from_value(json!({"text": {"body": "[0.10]"}})).expect("text");
        assert!(matches!(entry.step, Step::Text { body, .. } if body == "[0.10]"));
        let entry: Entry = serde_json::from_value(json!({"bytes": "AAEC"})).expect("bytes");
        assert!(matches!(entry.step, Step::Bytes(bytes) if bytes == [0, 1, 2]));
    }
}
