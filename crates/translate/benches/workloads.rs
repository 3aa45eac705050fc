//! The bodies that both benchmarks translate.

use schema::openai::chat::ChatRequest;
use serde_json::{Value, json};
use translate::chat::question;
use translate::{Profile, Reply, Stamp};

#[path = "../tests/support/picture.rs"]
mod picture;

pub(crate) use picture::picture;

/// A `contentBlockDelta` of a Converse stream.
pub(crate) const PAYLOAD: &[u8] =
    br#"{"contentBlockIndex":0,"delta":{"text":" igneous"},"p":"abcdefghijklmnopqrstu"}"#;

/// A Converse answer of about 120 tokens.
pub(crate) fn response() -> String {
    let text: Value = "Granite is an igneous rock. ".repeat(20).into();
    json!({
        "metrics": { "latencyMs": 900 },
        "output": { "message": { "content": [{ "text": text }], "role": "assistant" } },
        "stopReason": "end_turn",
        "usage": { "inputTokens": 900, "outputTokens": 120, "totalTokens": 1020 },
    })
    .to_string()
}

pub(crate) fn ten_messages() -> String {
    let paragraph = "The outcrop is where bedrock meets the surface. ".repeat(8);
    let mut messages = vec![json!({ "role": "system", "content": "Answer briefly." })];
    for turn in 0..3 {
        let (id, text) = (format!("call_{turn}"), format!("{paragraph}\nTurn {turn}"));
        messages.push(json!({ "role": "user", "content": text }));
        messages.push(json!({ "role": "assistant", "content": null, "tool_calls": [
            { "id": id, "type": "function", "function": { "name": "lookup", "arguments": "{\"q\": \"granite\"}" } }
        ] }));
        messages.push(json!({ "role": "tool", "tool_call_id": id, "content": paragraph }));
    }
    let schema =
        json!({ "type": "object", "properties": { "q": { "type": "string" } }, "required": ["q"] });
    let tool = json!({ "type": "function", "function": { "name": "lookup", "description": "Looks up", "parameters": schema } });
    json!({ "model": "m", "messages": messages, "tools": [tool], "temperature": 0.5, "max_tokens": 500 })
        .to_string()
}

/// An agent's conversation of about 100,000 tokens (400,000 bytes), without cache marks.
pub(crate) fn long_conversation() -> String {
    let mut request: Value = serde_json::from_str(&ten_messages()).unwrap();
    let result = "The outcrop is where bedrock meets the surface.\n".repeat(85);
    let messages = request["messages"].as_array_mut().unwrap();
    for turn in 0..100 {
        let id = format!("call_long_{turn}");
        messages.push(json!({ "role": "assistant", "content": null, "tool_calls": [
            { "id": id, "type": "function", "function": { "name": "lookup", "arguments": "{\"q\": \"granite\"}" } }
        ] }));
        messages.push(json!({ "role": "tool", "tool_call_id": id, "content": result }));
    }
    request.to_string()
}

pub(crate) fn stamp() -> Stamp {
    Stamp { id: "chatcmpl-0123456789abcdef".into(), created: 1_790_000_000, model: "m".into() }
}

pub(crate) fn reply(body: &str) -> Reply {
    let request: ChatRequest<'_> = serde_json::from_str(body).unwrap();
    question(&request, &Profile::default()).unwrap().reply
}
