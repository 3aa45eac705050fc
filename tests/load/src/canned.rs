//! Bedrock's answers, made once: bodies, and events each of which is a chunk of the response, as the service
//! sends them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::frames::event;

/// A word and a space, the usual content of one event.
const DELTA: &str = "sunlight ";
/// Bedrock pads events to hide the lengths of their texts.
const PADDING: &str = "abcdefghijklmnopqrstuvwxyzABCDEF";
const DIMENSIONS: usize = 1024;

/// The answers of one upstream.
pub struct Canned {
    converse: Vec<u8>,
    messages: Vec<u8>,
    converse_events: Vec<Vec<u8>>,
    message_events: Vec<Vec<u8>>,
}

/// An answer to one call.
pub enum Answer<'c> {
    /// One body of JSON.
    Whole(std::borrow::Cow<'c, [u8]>),
    /// Frames of an event stream.
    Events(&'c [Vec<u8>]),
    /// No such operation.
    Unknown,
}

impl Canned {
    /// Answers whose streams have `deltas` events of text.
    pub fn new(deltas: usize) -> Self {
        let text = DELTA.repeat(deltas);
        Self {
            converse: bytes(&converse(&text, deltas)),
            messages: bytes(&messages(&text, deltas)),
            converse_events: converse_events(deltas),
            message_events: message_events(deltas),
        }
    }

    /// The answer to a call by its path; `body` is read for embeddings only.
    pub fn answer(&self, path: &str, body: &[u8]) -> Answer<'_> {
        let operation = path.rsplit('/').next().unwrap_or_default();
        match operation {
            "converse" => Answer::Whole(self.converse.as_slice().into()),
            "converse-stream" => Answer::Events(&self.converse_events),
            "invoke" if path.contains("claude") => Answer::Whole(self.messages.as_slice().into()),
            "invoke" => Answer::Whole(embeddings(path, body).into()),
            "invoke-with-response-stream" => Answer::Events(&self.message_events),
            _ => Answer::Unknown,
        }
    }
}

fn bytes(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

fn converse(text: &str, tokens: usize) -> Value {
    json!({
        "metrics": { "latencyMs": 512 },
        "output": { "message": { "content": [{ "text": text }], "role": "assistant" } },
        "stopReason": "end_turn",
        "usage": { "inputTokens": 20, "outputTokens": tokens, "totalTokens": 20 + tokens },
    })
}

fn converse_events(deltas: usize) -> Vec<Vec<u8>> {
    let of = |name: &str, payload: Value| event(name, &bytes(&payload));
    let mut events = vec![of("messageStart", json!({ "p": PADDING, "role": "assistant" }))];
    for _ in 0..deltas {
        let delta = json!({ "contentBlockIndex": 0, "delta": { "text": DELTA }, "p": PADDING });
        events.push(of("contentBlockDelta", delta));
    }
    events.push(of("contentBlockStop", json!({ "contentBlockIndex": 0, "p": PADDING })));
    events.push(of("messageStop", json!({ "p": PADDING, "stopReason": "end_turn" })));
    let usage = json!({ "inputTokens": 20, "outputTokens": deltas, "totalTokens": 20 + deltas });
    events.push(of(
        "metadata",
        json!({ "metrics": { "latencyMs": 512 }, "p": PADDING, "usage": usage }),
    ));
    events
}

fn messages(text: &str, tokens: usize) -> Value {
    json!({
        "id": "msg_bdrk_01", "type": "message", "role": "assistant", "model": "claude",
        "content": [{ "type": "text", "text": text }],
        "stop_reason": "end_turn", "stop_sequence": null,
        "usage": { "input_tokens": 20, "output_tokens": tokens },
    })
}

fn message_events(deltas: usize) -> Vec<Vec<u8>> {
    let of = |payload: Value| {
        let chunk = json!({ "bytes": STANDARD.encode(payload.to_string()), "p": PADDING });
        event("chunk", &bytes(&chunk))
    };
    let usage = json!({ "input_tokens": 20, "output_tokens": 1 });
    let message = json!({
        "id": "msg_bdrk_01", "type": "message", "role": "assistant", "model": "claude",
        "content": [], "stop_reason": null, "stop_sequence": null, "usage": usage,
    });
    let block = json!({ "type": "text", "text": "" });
    let mut events = vec![
        of(json!({ "type": "message_start", "message": message })),
        of(json!({ "type": "content_block_start", "index": 0, "content_block": block })),
    ];
    for _ in 0..deltas {
        let delta = json!({ "type": "text_delta", "text": DELTA });
        events.push(of(json!({ "type": "content_block_delta", "index": 0, "delta": delta })));
    }
    let end = json!({ "stop_reason": "end_turn", "stop_sequence": null });
    let usage = json!({ "output_tokens": deltas });
    events.push(of(json!({ "type": "content_block_stop", "index": 0 })));
    events.push(of(json!({ "type": "message_delta", "delta": end, "usage": usage })));
    events.push(of(json!({ "type": "message_stop" })));
    events
}

/// Vectors for as many texts as Cohere's body holds, or for Titan's one.
fn embeddings(path: &str, body: &[u8]) -> Vec<u8> {
    let vector: Vec<f64> = (0..DIMENSIONS).map(|at| (at as f64).sin() / 32.0).collect();
    if !path.contains("cohere") {
        return bytes(&json!({ "embedding": vector, "inputTextTokenCount": 8 }));
    }
    let request: Value = serde_json::from_slice(body).unwrap_or_default();
    let texts = request["texts"].as_array().map_or(1, Vec::len);
    let vectors = vec![vector; texts];
    bytes(&json!({
        "embeddings": { "float": vectors }, "id": "e", "response_type": "embeddings_by_type", "texts": request["texts"],
    }))
}
