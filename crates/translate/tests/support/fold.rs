//! Combines chunks as OpenAI's SDKs do, so that a stream can be compared with a complete response.

use schema::converse::response::ConverseResponse;
use schema::openai::chat::ChatCompletion;
use schema::openai::tool::CallBody;
use serde_json::Value;
use translate::answer_stream::Truncated;
use translate::chat::ChatStream;
use translate::spent::Spent;
use translate::{Reply, Stamp};

use crate::wire::Wire;

/// The content of an answer, complete or streamed.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Folded {
    pub(crate) content: String,
    pub(crate) reasoning: String,
    /// As JSON.
    pub(crate) details: Vec<Value>,
    /// Id, name, arguments.
    pub(crate) calls: Vec<(String, String, String)>,
    /// As JSON.
    pub(crate) finish_reason: Value,
    /// As JSON.
    pub(crate) usage: Value,
    /// As JSON.
    pub(crate) annotations: Vec<Value>,
    /// As JSON.
    pub(crate) outcrop: Value,
}

impl Folded {
    pub(crate) fn of_answer(answer: &ChatCompletion) -> Self {
        let choice = &answer.choices[0];
        let calls = choice.message.tool_calls.iter();
        Self {
            content: choice.message.content.clone().unwrap_or_default(),
            reasoning: choice.message.reasoning_content.clone().unwrap_or_default(),
            details: choice
                .message
                .reasoning_details
                .iter()
                .map(|detail| serde_json::to_value(detail).unwrap())
                .collect(),
            calls: calls
                .map(|call| {
                    let (name, input) = match &call.body {
                        CallBody::Function { function } => (&function.name, &function.arguments),
                        CallBody::Custom { custom } => (&custom.name, &custom.input),
                    };
                    (call.id.clone(), name.clone(), input.clone())
                })
                .collect(),
            finish_reason: serde_json::to_value(choice.finish_reason).unwrap(),
            usage: serde_json::to_value(answer.usage).unwrap(),
            annotations: values(&choice.message.annotations),
            outcrop: match choice.outcrop.is_empty() {
                true => Value::Null,
                false => serde_json::to_value(&choice.outcrop).unwrap(),
            },
        }
    }

    /// Combines a stream given as event types and payloads.
    pub(crate) fn of_events(
        reply: Reply,
        stamp: Stamp,
        events: &[(&str, String)],
    ) -> Result<Self, Truncated> {
        let (mut chat, mut wire) = (ChatStream::new(reply, stamp), Wire::default());
        for (name, payload) in events {
            wire.push(&mut chat, name, payload);
        }
        Self::settle(chat, wire)
    }

    fn settle(mut chat: ChatStream, mut wire: Wire) -> Result<Self, Truncated> {
        wire.finish(&mut chat, Spent::default())?;
        let mut folded = Self::default();
        for chunk in wire.chunks() {
            folded.add(&chunk);
        }
        Ok(folded)
    }

    /// Combines a complete response that is replayed as a stream.
    pub(crate) fn of_replay(
        reply: Reply,
        stamp: Stamp,
        response: ConverseResponse<'_>,
    ) -> Result<Self, Truncated> {
        let (mut chat, mut wire) = (ChatStream::new(reply, stamp), Wire::default());
        wire.replay(&mut chat, response);
        Self::settle(chat, wire)
    }

    fn add(&mut self, chunk: &Value) {
        if chunk["usage"].is_object() {
            assert!(self.usage.is_null(), "usage is told once");
            self.usage = chunk["usage"].clone();
        }
        for choice in list(&chunk["choices"]) {
            let delta = &choice["delta"];
            if delta["annotations"].is_array() {
                assert!(self.annotations.is_empty(), "annotations come together");
                self.annotations = list(&delta["annotations"]).to_vec();
            }
            if choice["outcrop"].is_object() {
                assert!(choice["finish_reason"].is_string());
                self.outcrop = choice["outcrop"].clone();
            }
            self.content.push_str(text(&delta["content"]));
            self.reasoning.push_str(text(&delta["reasoning_content"]));
            for detail in list(&delta["reasoning_details"]) {
                assert_eq!(detail["index"], self.details.len(), "thoughts are counted");
                self.details.push(detail.clone());
            }
            for call in list(&delta["tool_calls"]) {
                let index = usize::try_from(call["index"].as_u64().unwrap()).unwrap();
                assert!(index <= self.calls.len(), "calls are counted without gaps");
                if index == self.calls.len() {
                    self.calls.push((String::new(), String::new(), String::new()));
                }
                let known = &mut self.calls[index];
                known.0.push_str(text(&call["id"]));
                for body in [&call["function"], &call["custom"]] {
                    known.1.push_str(text(&body["name"]));
                    known.2.push_str(text(&body["arguments"]));
                    known.2.push_str(text(&body["input"]));
                }
            }
            if choice["finish_reason"].is_string() {
                assert!(self.finish_reason.is_null(), "one finish reason");
                self.finish_reason = choice["finish_reason"].clone();
            }
        }
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn values(all: &[impl serde::Serialize]) -> Vec<Value> {
    all.iter().map(|one| serde_json::to_value(one).unwrap()).collect()
}
