//! A complete answer of an agent or a flow, which comes as events, in Converse's form.

use schema::converse::event::{Metadata, StreamEvent};
use serde::de::Error as _;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::UpstreamError;
use super::agent_events::AgentEvents;
use crate::answer_stream::{NativeEventError, Unwritable};

/// Joins the events of an answer.
///
/// # Errors
/// One cannot be read or passed on, or the answer has no end.
pub(super) fn read<'e>(
    mut events: AgentEvents,
    mut payloads: impl Iterator<Item = &'e [u8]>,
) -> Result<Value, UpstreamError> {
    let mut whole = Whole::default();
    let mut sink = |event: &StreamEvent<'_>| whole.take(event);
    let read = payloads
        .try_for_each(|payload| events.push(payload, &mut sink))
        .and_then(|()| events.finish(&mut sink));
    match read {
        Ok(()) if whole.has_ended => Ok(whole.answer()),
        Ok(()) => {
            let error = serde_json::Error::custom("the answer broke off before its end");
            Err(UpstreamError::Unreadable(error))
        }
        Err(NativeEventError::Failed { exception, message }) => {
            Err(UpstreamError::Failed { exception, message })
        }
        Err(NativeEventError::Unreadable(error)) => Err(UpstreamError::Unreadable(error)),
        Err(NativeEventError::Unwritable(error)) => {
            Err(UpstreamError::Unreadable(serde_json::Error::custom(error)))
        }
    }
}

/// The parts of an answer.
#[derive(Default)]
struct Whole {
    blocks: Vec<Block>,
    trace: Option<Box<RawValue>>,
    counts: [u64; 3],
    has_ended: bool,
}

/// A text with its citations.
#[derive(Default)]
struct Block {
    text: String,
    citations: Vec<Box<RawValue>>,
    is_over: bool,
}

impl Whole {
    fn take(&mut self, event: &StreamEvent<'_>) -> Result<(), Unwritable> {
        match event {
            StreamEvent::ContentBlockDelta(block) => {
                if self.blocks.last().is_none_or(|last| last.is_over) {
                    self.blocks.push(Block::default());
                }
                if let Some(open) = self.blocks.last_mut() {
                    open.text.push_str(block.delta.text.as_deref().unwrap_or_default());
                    open.citations.extend(block.delta.citation.map(ToOwned::to_owned));
                }
            }
            StreamEvent::ContentBlockStop(_) => {
                if let Some(open) = self.blocks.last_mut() {
                    open.is_over = true;
                }
            }
            StreamEvent::MessageStop(_) => self.has_ended = true,
            StreamEvent::Metadata(Metadata { trace, usage, .. }) => {
                self.trace = trace.map(ToOwned::to_owned);
                self.counts = [usage.input_tokens, usage.output_tokens, usage.total_tokens];
            }
            _ => {}
        }
        Ok(())
    }

    fn answer(self) -> Value {
        let content: Vec<Value> = self.blocks.into_iter().map(Block::content).collect();
        let [input, output, total] = self.counts;
        let mut answer = Map::new();
        let message = json!({ "role": "assistant", "content": content });
        answer.insert("output".to_owned(), json!({ "message": message }));
        answer.insert("stopReason".to_owned(), "end_turn".into());
        let usage = json!({ "inputTokens": input, "outputTokens": output, "totalTokens": total });
        answer.insert("usage".to_owned(), usage);
        if let Some(trace) = self.trace {
            answer.insert("trace".to_owned(), json!(trace));
        }
        answer.into()
    }
}

impl Block {
    fn content(self) -> Value {
        let Self { text, citations, is_over: _ } = self;
        if citations.is_empty() {
            return json!({ "text": text });
        }
        json!({ "citationsContent": { "content": [{ "text": text }], "citations": citations } })
    }
}
