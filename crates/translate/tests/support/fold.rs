//! Combines chunks as OpenAI's SDKs do, so that a stream can be compared with a complete response.

use schema::converse::event::StreamEvent;
use schema::converse::response::ConverseResponse;
use schema::openai::chat::{ChatCompletion, FinishReason};
use schema::openai::chunk::Chunk;
use schema::openai::tool::CallBody;
use schema::openai::usage::Usage;
use translate::chat::{ChatStream, Truncated, replay};
use translate::{Reply, Stamp};

/// The content of an answer, complete or streamed.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Folded {
    pub(crate) content: String,
    pub(crate) reasoning: String,
    /// As JSON.
    pub(crate) details: Vec<serde_json::Value>,
    /// Id, name, arguments.
    pub(crate) calls: Vec<(String, String, String)>,
    pub(crate) finish_reason: Option<FinishReason>,
    pub(crate) usage: Option<Usage>,
    /// As JSON.
    pub(crate) annotations: Vec<serde_json::Value>,
    /// As JSON.
    pub(crate) outcrop: serde_json::Value,
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
            finish_reason: Some(choice.finish_reason),
            usage: Some(answer.usage),
            annotations: values(&choice.message.annotations),
            outcrop: match choice.outcrop.is_empty() {
                true => serde_json::Value::Null,
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
        let mut chat = ChatStream::new(reply, stamp);
        let mut folded = Self::default();
        for (name, payload) in events {
            let event = StreamEvent::parse(name, payload.as_bytes()).unwrap();
            chat.push(&event, &mut |chunk| {
                folded.add(chunk);
                Ok::<(), Truncated>(())
            })?;
        }
        folded.settle(chat)
    }

    fn settle(mut self, chat: ChatStream) -> Result<Self, Truncated> {
        chat.finish(&mut |chunk| {
            self.add(chunk);
            Ok::<(), Truncated>(())
        })?;
        Ok(self)
    }

    /// Combines a complete response that is replayed as a stream.
    pub(crate) fn of_replay(
        reply: Reply,
        stamp: Stamp,
        response: ConverseResponse<'_>,
    ) -> Result<Self, Truncated> {
        let mut chat = ChatStream::new(reply, stamp);
        let mut folded = Self::default();
        replay(response, &mut chat, &mut |chunk| {
            folded.add(chunk);
            Ok::<(), Truncated>(())
        })?;
        folded.settle(chat)
    }

    fn add(&mut self, chunk: &Chunk<'_>) {
        if let Some(Some(usage)) = chunk.usage {
            assert!(self.usage.replace(usage).is_none(), "usage is told once");
        }
        for choice in chunk.choices {
            let delta = &choice.delta;
            if !delta.annotations.is_empty() {
                assert!(self.annotations.is_empty(), "annotations come together");
                self.annotations = values(delta.annotations);
            }
            if let Some(outcrop) = choice.outcrop {
                assert!(choice.finish_reason.is_some());
                self.outcrop = serde_json::to_value(outcrop).unwrap();
            }
            self.content.push_str(delta.content.unwrap_or_default());
            self.reasoning.push_str(delta.reasoning_content.unwrap_or_default());
            for detail in delta.reasoning_details.iter().flatten() {
                assert_eq!(detail.index as usize, self.details.len(), "thoughts are counted");
                self.details.push(serde_json::to_value(detail).unwrap());
            }
            for call in delta.tool_calls.iter().flatten() {
                let index = call.index as usize;
                assert!(index <= self.calls.len(), "calls are counted without gaps");
                if index == self.calls.len() {
                    self.calls.push((String::new(), String::new(), String::new()));
                }
                let known = &mut self.calls[index];
                known.0.push_str(call.id.unwrap_or_default());
                if let Some(function) = &call.function {
                    known.1.push_str(function.name.unwrap_or_default());
                    known.2.push_str(function.arguments);
                }
                if let Some(custom) = &call.custom {
                    known.1.push_str(custom.name.unwrap_or_default());
                    known.2.push_str(custom.input);
                }
            }
            if let Some(reason) = choice.finish_reason {
                assert!(self.finish_reason.replace(reason).is_none(), "one finish reason");
            }
        }
    }
}

fn values(all: &[impl serde::Serialize]) -> Vec<serde_json::Value> {
    all.iter().map(|one| serde_json::to_value(one).unwrap()).collect()
}
