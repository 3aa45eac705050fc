//! Events of chat completions as Converse's. An upstream may begin to count calls at any number, give several
//! answers' calls the same id, write reasoning between tags, and end without `[DONE]`.

use schema::converse::event::{
    BlockDelta, BlockStart, BlockStop, Delta, MessageStop, Metadata, ReasoningDelta, Start,
    StreamEvent, ToolUseDelta, ToolUseStart,
};
use schema::converse::response::{StopReason, TokenUsage};
use schema::surface::chat::{ChatEvent, EventChoice, Said, SaidCall};
use serde_json::value::to_raw_value;

use super::Sink;
use super::call_ids::unique;
use super::responses_answer::failed;
use super::whole::{Counts, stop_reason};
use crate::answer_stream::{NativeEventError, Unwritable};
use crate::parts::tags::{Tagged, Voice};

/// The last event.
const DONE: &[u8] = b"[DONE]";

/// The translator of one answer's events.
#[derive(Debug)]
pub(super) struct ChatEvents {
    has_begun: bool,
    id: String,
    blocks: OpenBlocks,
    /// The calls, each with its number upstream and its block.
    calls: Vec<(u32, u32)>,
    tagged: Tagged,
    /// Whether the model refuses.
    refuses: bool,
    finish: Option<StopReason>,
    counts: Option<Counts>,
    has_ended: bool,
}

impl Default for ChatEvents {
    fn default() -> Self {
        Self {
            has_begun: false,
            id: String::new(),
            blocks: OpenBlocks::default(),
            calls: Vec::new(),
            tagged: Tagged::reasoning(),
            refuses: false,
            finish: None,
            counts: None,
            has_ended: false,
        }
    }
}

/// The kind of a block that is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Open {
    Text,
    Reasoning,
}

/// The blocks of an answer.
#[derive(Debug, Default)]
pub(super) struct OpenBlocks {
    next: u32,
    /// The block of text or reasoning that is open.
    open: Option<(Open, u32)>,
}

impl OpenBlocks {
    /// The index of a new block; an open one ends before it.
    pub(super) fn begin(&mut self, sink: &mut Sink<'_>) -> Result<u32, Unwritable> {
        self.close(sink)?;
        let at = self.next;
        self.next += 1;
        Ok(at)
    }

    /// The index of the open block of this kind, or of a new one.
    pub(super) fn of(&mut self, kind: Open, sink: &mut Sink<'_>) -> Result<u32, Unwritable> {
        match self.open {
            Some((open, at)) if open == kind => Ok(at),
            _ => {
                let at = self.begin(sink)?;
                self.open = Some((kind, at));
                Ok(at)
            }
        }
    }

    /// Ends the open block.
    pub(super) fn close(&mut self, sink: &mut Sink<'_>) -> Result<(), Unwritable> {
        match self.open.take() {
            Some((_, at)) => stop(at, sink),
            None => Ok(()),
        }
    }

    /// Writes a piece of text or reasoning.
    pub(super) fn say(
        &mut self,
        kind: Open,
        text: &str,
        sink: &mut Sink<'_>,
    ) -> Result<(), Unwritable> {
        if text.is_empty() {
            return Ok(());
        }
        let at = self.of(kind, sink)?;
        let text = Some(text.into());
        let delta = match kind {
            Open::Text => Delta { text, ..Delta::default() },
            Open::Reasoning => {
                let reasoning = ReasoningDelta { text, ..ReasoningDelta::default() };
                Delta { reasoning_content: Some(reasoning), ..Delta::default() }
            }
        };
        sink(&delta_of(at, delta))
    }
}

/// The end of a block.
pub(super) fn stop(at: u32, sink: &mut Sink<'_>) -> Result<(), Unwritable> {
    sink(&StreamEvent::ContentBlockStop(BlockStop { content_block_index: at }))
}

/// The beginning of a call.
pub(super) fn call_start(
    at: u32,
    id: &str,
    name: &str,
    sink: &mut Sink<'_>,
) -> Result<(), Unwritable> {
    let tool_use = ToolUseStart { tool_use_id: id.into(), name: name.into(), kind: None };
    let start = Start { tool_use: Some(tool_use) };
    sink(&StreamEvent::ContentBlockStart(BlockStart { content_block_index: at, start }))
}

/// A piece of a call's arguments.
pub(super) fn arguments(at: u32, piece: &str, sink: &mut Sink<'_>) -> Result<(), Unwritable> {
    let tool_use = Some(ToolUseDelta { input: piece.into() });
    sink(&delta_of(at, Delta { tool_use, ..Delta::default() }))
}

fn delta_of(at: u32, delta: Delta<'_>) -> StreamEvent<'_> {
    StreamEvent::ContentBlockDelta(BlockDelta { content_block_index: at, delta })
}

/// The end of the answer, with its counts.
pub(super) fn end(
    stop_reason: StopReason,
    counts: Counts,
    sink: &mut Sink<'_>,
) -> Result<(), Unwritable> {
    let details = counts.details().map(|details| to_raw_value(&details)).transpose()?;
    let additional_model_response_fields = details.as_deref();
    sink(&StreamEvent::MessageStop(MessageStop { stop_reason, additional_model_response_fields }))?;
    let usage = TokenUsage {
        input_tokens: counts.fresh(),
        output_tokens: counts.output,
        total_tokens: counts.total(),
        cache_read_input_tokens: counts.cached,
        cache_write_input_tokens: counts.written,
        ..TokenUsage::default()
    };
    sink(&StreamEvent::Metadata(Metadata { usage, ..Metadata::default() }))
}

impl ChatEvents {
    /// Translates an event.
    ///
    /// # Errors
    /// It is an error, or cannot be read or written.
    pub(super) fn push(
        &mut self,
        data: &[u8],
        sink: &mut Sink<'_>,
    ) -> Result<(), NativeEventError> {
        if data == DONE {
            return Ok(self.end(sink)?);
        }
        let event: ChatEvent<'_> =
            serde_json::from_slice(data).map_err(NativeEventError::Unreadable)?;
        if let Some(error) = &event.error {
            let (exception, message) = failed(Some(error));
            return Err(NativeEventError::Failed { exception, message });
        }
        if !self.has_begun {
            self.has_begun = true;
            self.id = event.id.as_deref().unwrap_or_default().to_owned();
            sink(&StreamEvent::MessageStart)?;
        }
        for choice in event.choices.iter().filter(|choice| choice.index == 0) {
            self.choice(choice, sink)?;
        }
        if let Some(usage) = event.usage {
            self.counts = Some(usage.into());
        }
        // The counts come last, with the end of the answer or after it.
        if self.finish.is_some() && self.counts.is_some() {
            self.end(sink)?;
        }
        Ok(())
    }

    fn choice(&mut self, choice: &EventChoice<'_>, sink: &mut Sink<'_>) -> Result<(), Unwritable> {
        let EventChoice { index: _, delta, finish_reason } = choice;
        let Said { content, refusal, reasoning, reasoning_content, tool_calls } = delta;
        if let Some(text) = reasoning_content.as_ref().or(reasoning.as_ref()) {
            self.blocks.say(Open::Reasoning, text, sink)?;
        }
        if let Some(text) = content {
            let Self { tagged, blocks, .. } = self;
            tagged.push(text, &mut |voice, text: &str| blocks.say(open(voice), text, sink))?;
        }
        if let Some(text) = refusal.as_ref().filter(|text| !text.is_empty()) {
            self.refuses = true;
            self.blocks.say(Open::Text, text, sink)?;
        }
        for call in tool_calls {
            self.call(call, sink)?;
        }
        if let Some(finish) = finish_reason.as_deref() {
            self.held_back(sink)?;
            self.blocks.close(sink)?;
            for (_, at) in self.calls.iter().copied() {
                stop(at, sink)?;
            }
            let reason = match (finish, self.calls.is_empty()) {
                _ if self.refuses => StopReason::Refusal,
                ("stop", false) => StopReason::ToolUse,
                _ => reason(stop_reason(Some(finish))),
            };
            self.finish = Some(reason);
        }
        Ok(())
    }

    fn call(&mut self, call: &SaidCall<'_>, sink: &mut Sink<'_>) -> Result<(), Unwritable> {
        let SaidCall { index, id, function } = call;
        let known = match (index, id) {
            (Some(index), _) => self.calls.iter().find(|(number, _)| number == index),
            (None, Some(_)) => None,
            (None, None) => self.calls.last(),
        };
        let at = match known {
            Some((_, at)) => *at,
            None => {
                self.held_back(sink)?;
                let at = self.blocks.begin(sink)?;
                let ordinal = self.calls.len();
                let number = index.unwrap_or(u32::MAX - u32::try_from(ordinal).unwrap_or_default());
                self.calls.push((number, at));
                let id = unique(id.as_deref(), &self.id, ordinal);
                call_start(at, &id, function.name.as_deref().unwrap_or_default(), sink)?;
                at
            }
        };
        match function.arguments.as_deref().filter(|piece| !piece.is_empty()) {
            Some(piece) => arguments(at, piece, sink),
            None => Ok(()),
        }
    }

    /// Writes text that might have been a tag.
    fn held_back(&mut self, sink: &mut Sink<'_>) -> Result<(), Unwritable> {
        let Self { tagged, blocks, .. } = self;
        tagged.finish(&mut |voice, text: &str| blocks.say(open(voice), text, sink))
    }

    /// Ends the answer, once. Without a reason it has broken off, and the end is missing.
    fn end(&mut self, sink: &mut Sink<'_>) -> Result<(), Unwritable> {
        match self.finish.clone() {
            Some(reason) if !self.has_ended => {
                self.has_ended = true;
                end(reason, self.counts.unwrap_or_default(), sink)
            }
            Some(_) | None => Ok(()),
        }
    }
}

fn open(voice: Voice) -> Open {
    match voice {
        Voice::Reasoning => Open::Reasoning,
        Voice::Said => Open::Text,
    }
}

/// A reason by Converse's name.
pub(super) fn reason(name: &str) -> StopReason {
    match name {
        "tool_use" => StopReason::ToolUse,
        "max_tokens" => StopReason::MaxTokens,
        "content_filtered" => StopReason::ContentFiltered,
        _ => StopReason::EndTurn,
    }
}
