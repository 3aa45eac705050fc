//! Turns that the translator answers and a client writes back.

use std::sync::Arc;

use schema::converse::response::ConverseResponse;
use schema::openai::chat::ChatRequest;
use serde_json::{Value, json};
use translate::chat::{Chat, ChatStream, question_with};
use translate::dialect::Dialect;
use translate::reasoning::{Origin, RestoredReasoning, Turn};
use translate::report::LostReasoning;
use translate::{Profile, Reply, S3Access};

use super::{HERE, stamp};
use crate::wire::Wire;

pub(crate) fn response(content: &[Value]) -> String {
    json!({
        "output": { "message": { "role": "assistant", "content": content } },
        "stopReason": "tool_use",
        "usage": { "inputTokens": 1, "outputTokens": 1, "totalTokens": 2 },
    })
    .to_string()
}

pub(crate) fn reply(profile: &Profile, body: &Value) -> Reply {
    let body = body.to_string();
    let request: ChatRequest<'_> = serde_json::from_str(&body).unwrap();
    let mut recalled = RestoredReasoning::default();
    recalled.is_for(HERE);
    question_with(&request, profile, &S3Access::default(), Some(&recalled)).unwrap().reply
}

/// The client's message, and the turns to save.
pub(crate) fn answered(
    content: &[Value],
    reply: Reply,
    streamed: bool,
) -> (Value, Vec<(String, Arc<Turn>)>) {
    let text = response(content);
    let whole: ConverseResponse<'_> = serde_json::from_str(&text).unwrap();
    let mut memory = Vec::new();
    if !streamed {
        let answered = Chat::answer(&whole, &reply, stamp());
        if let Some(kept) = answered.saved {
            memory.extend(kept.calls.into_iter().map(|call| (call, Arc::clone(&kept.turn))));
        }
        let completion = serde_json::to_value(answered.answer).unwrap();
        return (completion["choices"][0]["message"].clone(), memory);
    }
    let mut chat = ChatStream::new(reply, stamp());
    let mut message =
        json!({ "role": "assistant", "content": "", "tool_calls": [], "reasoning_details": [] });
    let mut wire = Wire::default();
    for (name, payload) in events(content) {
        if let Some(kept) = wire.push(&mut chat, name, &payload.to_string()) {
            memory.extend(kept.calls.into_iter().map(|call| (call, Arc::clone(&kept.turn))));
        }
    }
    for chunk in wire.chunks() {
        for choice in chunk["choices"].as_array().unwrap() {
            fold(&mut message, &choice["delta"]);
        }
    }
    (message, memory)
}

pub(crate) fn fold(message: &mut Value, delta: &Value) {
    if let Some(text) = delta["content"].as_str() {
        message["content"] = (message["content"].as_str().unwrap().to_owned() + text).into();
    }
    for detail in delta["reasoning_details"].as_array().into_iter().flatten() {
        message["reasoning_details"].as_array_mut().unwrap().push(detail.clone());
    }
    for call in delta["tool_calls"].as_array().into_iter().flatten() {
        let calls = message["tool_calls"].as_array_mut().unwrap();
        if call["id"].is_string() {
            calls.push(call.clone());
        } else {
            let arguments = &mut calls.last_mut().unwrap()["function"]["arguments"];
            let more = call["function"]["arguments"].as_str().unwrap();
            *arguments = (arguments.as_str().unwrap().to_owned() + more).into();
        }
    }
}

pub(crate) fn events(content: &[Value]) -> Vec<(&'static str, Value)> {
    let mut events = vec![("messageStart", json!({ "role": "assistant" }))];
    for (at, block) in content.iter().enumerate() {
        let mut delta = |delta: Value| {
            events.push(("contentBlockDelta", json!({ "contentBlockIndex": at, "delta": delta })));
        };
        let thought = &block["reasoningContent"];
        if let Some(text) = block["text"].as_str() {
            let cut = text.char_indices().nth(1).map_or(text.len(), |(at, _)| at);
            delta(json!({ "text": text[..cut] }));
            delta(json!({ "text": text[cut..] }));
        } else if let Some(data) = thought["redactedContent"].as_str() {
            delta(json!({ "reasoningContent": { "redactedContent": data } }));
        } else if thought.is_object() {
            delta(json!({ "reasoningContent": { "text": thought["reasoningText"]["text"] } }));
            delta(
                json!({ "reasoningContent": { "signature": thought["reasoningText"]["signature"] } }),
            );
        } else {
            let call = &block["toolUse"];
            let start =
                json!({ "toolUse": { "toolUseId": call["toolUseId"], "name": call["name"] } });
            events.push(("contentBlockStart", json!({ "contentBlockIndex": at, "start": start })));
            let input = json!({ "toolUse": { "input": call["input"].to_string() } });
            events.push(("contentBlockDelta", json!({ "contentBlockIndex": at, "delta": input })));
        }
        events.push(("contentBlockStop", json!({ "contentBlockIndex": at })));
    }
    events.push(("messageStop", json!({ "stopReason": "tool_use" })));
    let usage = json!({ "inputTokens": 1, "outputTokens": 1, "totalTokens": 2 });
    events.push(("metadata", json!({ "usage": usage, "metrics": { "latencyMs": 1 } })));
    events
}

/// The form in which a client writes an answered message.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Client {
    /// Unchanged.
    Faithful,
    /// Only OpenAI's own fields, trimmed, with null for empty text.
    Plain,
    /// Text in a list of parts.
    Parts,
}

pub(crate) fn written(message: &Value, client: Client, with_details: bool) -> Value {
    let text = message["content"].as_str().unwrap_or_default();
    let content = match client {
        Client::Faithful => message["content"].clone(),
        Client::Plain if text.trim().is_empty() => Value::Null,
        Client::Plain => text.trim().into(),
        Client::Parts => json!([{ "type": "text", "text": text }]),
    };
    let mut written = json!({ "role": "assistant", "content": content });
    if message["tool_calls"].as_array().is_some_and(|calls| !calls.is_empty()) {
        written["tool_calls"] = message["tool_calls"].clone();
    }
    if with_details {
        written["reasoning_details"] = message["reasoning_details"].clone();
    }
    written
}

pub(crate) fn results(message: &Value) -> Vec<Value> {
    let calls = message["tool_calls"].as_array().into_iter().flatten();
    calls
        .map(|call| json!({ "role": "tool", "tool_call_id": call["id"], "content": "found" }))
        .collect()
}

/// The assistant turns that are sent, without cache points, and the reported loss of reasoning.
pub(crate) fn sent(
    messages: &[Value],
    profile: &Profile,
    memory: &[(String, Arc<Turn>)],
    target: Origin,
) -> (Vec<Vec<Value>>, Option<LostReasoning>, Value) {
    let body = json!({ "model": "m", "messages": messages }).to_string();
    let request: ChatRequest<'_> = serde_json::from_str(&body).unwrap();
    let mut recalled = RestoredReasoning::default();
    for (call, turn) in memory {
        recalled.add(call, Arc::clone(turn));
    }
    recalled.is_for(target);
    let question = question_with(&request, profile, &S3Access::default(), Some(&recalled)).unwrap();
    let lost = question.report.lost_thoughts();
    let body = serde_json::to_value(&question.body).unwrap();
    let turns = body["messages"].as_array().unwrap().iter();
    let turns = turns.filter(|turn| turn["role"] == "assistant").map(|turn| {
        let blocks = turn["content"].as_array().unwrap().iter();
        blocks.filter(|block| block.get("cachePoint").is_none()).cloned().collect()
    });
    (turns.collect(), lost, body)
}
