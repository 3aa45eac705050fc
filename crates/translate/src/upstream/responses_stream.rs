//! Events of responses as Converse's. What an upstream tells only at the end of an item is written there.

use schema::converse::event::{BlockDelta, Delta, ReasoningDelta, StreamEvent};
use schema::converse::response::StopReason;
use schema::surface::responses::{OutputItem, ResponsesAnswer, ResponsesEvent};
use serde_json::Value;

use super::call_ids::unique;
use super::chat_stream::{Open, OpenBlocks, arguments, call_start, end, reason, stop};
use super::responses_answer::{failed, incomplete};
use super::{Sink, exception};
use crate::answer_stream::{NativeEventError, Unwritable};

/// The translator of one response's events.
#[derive(Debug, Default)]
pub(super) struct ResponsesEvents {
    has_begun: bool,
    id: String,
    blocks: OpenBlocks,
    /// The calls, each with its item, its block and whether arguments have come.
    calls: Vec<Call>,
    /// The item whose text or reasoning came in pieces.
    in_pieces: Option<u32>,
    refuses: bool,
}

#[derive(Debug, Clone, Copy)]
struct Call {
    item: u32,
    at: u32,
    has_arguments: bool,
    is_open: bool,
}

impl ResponsesEvents {
    /// Translates an event.
    ///
    /// # Errors
    /// It is an error, or cannot be read or written.
    pub(super) fn push(
        &mut self,
        data: &[u8],
        sink: &mut Sink<'_>,
    ) -> Result<(), NativeEventError> {
        if data == b"[DONE]" {
            return Ok(());
        }
        let event: ResponsesEvent<'_> =
            serde_json::from_slice(data).map_err(NativeEventError::Unreadable)?;
        self.failure(&event)?;
        if !self.has_begun {
            self.has_begun = true;
            let id = event.response.as_ref().map(|response| response.id.as_str());
            self.id = id.unwrap_or_default().to_owned();
            sink(&StreamEvent::MessageStart)?;
        }
        let (item, delta) = (event.output_index, event.delta.as_deref().unwrap_or_default());
        match &*event.kind {
            "response.output_text.delta" => self.say(Open::Text, item, delta, sink)?,
            "response.refusal.delta" => {
                self.refuses = true;
                self.say(Open::Text, item, delta, sink)?;
            }
            "response.reasoning_summary_text.delta" | "response.reasoning_text.delta" => {
                self.say(Open::Reasoning, item, delta, sink)?;
            }
            "response.output_item.added" => {
                if let Some(added) =
                    event.item.as_ref().filter(|added| added.kind == "function_call")
                {
                    self.call(item, added, sink)?;
                }
            }
            "response.function_call_arguments.delta" => {
                let call = self.calls.iter_mut().rfind(|call| call.item == item);
                if let Some(call) = call.filter(|_| !delta.is_empty()) {
                    call.has_arguments = true;
                    arguments(call.at, delta, sink)?;
                }
            }
            "response.output_item.done" => {
                if let Some(done) = &event.item {
                    self.done(item, done, sink)?;
                }
            }
            "response.completed" | "response.incomplete" => {
                if let Some(response) = &event.response {
                    self.end(response, &event.kind, sink)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn failure(&self, event: &ResponsesEvent<'_>) -> Result<(), NativeEventError> {
        let (exception, message) = match &*event.kind {
            "response.failed" => {
                failed(event.response.as_ref().and_then(|response| response.error.as_ref()))
            }
            "error" if event.error.is_some() => failed(event.error.as_ref()),
            "error" => {
                let code = event.code.as_ref();
                let name = exception(code.and_then(Value::as_str), code.and_then(Value::as_u64));
                (name, event.message.as_deref().unwrap_or_default().to_owned())
            }
            "" if event.error.is_some() => failed(event.error.as_ref()),
            _ => return Ok(()),
        };
        Err(NativeEventError::Failed { exception, message })
    }

    fn say(
        &mut self,
        kind: Open,
        item: u32,
        text: &str,
        sink: &mut Sink<'_>,
    ) -> Result<(), Unwritable> {
        self.in_pieces = Some(item);
        self.blocks.say(kind, text, sink)
    }

    /// Begins a call.
    fn call(
        &mut self,
        item: u32,
        added: &OutputItem<'_>,
        sink: &mut Sink<'_>,
    ) -> Result<(), Unwritable> {
        let at = self.blocks.begin(sink)?;
        let id = unique(added.call_id.as_deref(), &self.id, self.calls.len());
        self.calls.push(Call { item, at, has_arguments: false, is_open: true });
        call_start(at, &id, added.name.as_deref().unwrap_or_default(), sink)
    }

    /// Ends an item, and writes what did not come before.
    fn done(
        &mut self,
        item: u32,
        done: &OutputItem<'_>,
        sink: &mut Sink<'_>,
    ) -> Result<(), Unwritable> {
        let came = self.in_pieces.take() == Some(item);
        match &*done.kind {
            "message" => {
                for part in done.content.iter().filter(|_| !came) {
                    self.refuses |= part.refusal.is_some();
                    let text = part.text.as_deref().or(part.refusal.as_deref());
                    self.blocks.say(Open::Text, text.unwrap_or_default(), sink)?;
                }
                self.blocks.close(sink)
            }
            "reasoning" => {
                for part in done.summary.iter().chain(&done.content).filter(|_| !came) {
                    let text = part.text.as_deref().unwrap_or_default();
                    self.blocks.say(Open::Reasoning, text, sink)?;
                }
                self.blocks.close(sink)?;
                match done.encrypted_content.as_deref().filter(|text| !text.is_empty()) {
                    Some(encrypted) => self.encrypted(encrypted, sink),
                    None => Ok(()),
                }
            }
            "function_call" => {
                if !self.calls.iter().any(|call| call.item == item) {
                    self.call(item, done, sink)?;
                }
                let call = self.calls.iter_mut().rfind(|call| call.item == item && call.is_open);
                let Some(call) = call else { return Ok(()) };
                let whole = done.arguments.as_deref().filter(|whole| !whole.is_empty());
                if let Some(whole) = whole.filter(|_| !call.has_arguments) {
                    arguments(call.at, whole, sink)?;
                }
                call.is_open = false;
                stop(call.at, sink)
            }
            _ => Ok(()),
        }
    }

    /// Writes reasoning that only the provider can read.
    fn encrypted(&mut self, encrypted: &str, sink: &mut Sink<'_>) -> Result<(), Unwritable> {
        let at = self.blocks.begin(sink)?;
        let redacted_content = Some(encrypted.into());
        let reasoning = ReasoningDelta { redacted_content, ..ReasoningDelta::default() };
        let delta = Delta { reasoning_content: Some(reasoning), ..Delta::default() };
        sink(&StreamEvent::ContentBlockDelta(BlockDelta { content_block_index: at, delta }))?;
        stop(at, sink)
    }

    fn end(
        &mut self,
        response: &ResponsesAnswer<'_>,
        kind: &str,
        sink: &mut Sink<'_>,
    ) -> Result<(), Unwritable> {
        self.blocks.close(sink)?;
        for call in self.calls.iter_mut().filter(|call| call.is_open) {
            call.is_open = false;
            stop(call.at, sink)?;
        }
        let stop_reason = match kind {
            "response.incomplete" => {
                reason(incomplete(response.incomplete_details.reason.as_deref()))
            }
            _ if self.refuses => StopReason::Refusal,
            _ if self.calls.is_empty() => StopReason::EndTurn,
            _ => StopReason::ToolUse,
        };
        end(stop_reason, response.usage.into(), sink)
    }
}
