//! The blocks of an answer from Converse's events, one after another, numbered without gaps. Complete
//! and streamed answers are made by the same code: events go in, starts, pieces and ends of blocks
//! come out.

use std::sync::Arc;

use schema::anthropic::messages::event::{BlockDelta, Empty, StartedBlock};
use schema::converse::event::{BlockDelta as Delta, BlockStart, ReasoningDelta, ToolUseStart};
use serde_json::value::RawValue;

use super::{MessagesReply, sealed};
use crate::answer_stream::{CHECKED_LIMIT, Unwritable};
use crate::parts::format::AnswerText;
use crate::parts::media::base64;
use crate::parts::tags::{Tagged, Voice};
use crate::parts::tools::{Form, Unwrap};
use crate::parts::written::{self, Reader, WrittenCall};
use crate::reasoning::{Passage, ReasoningItem, SavedTurn, Step, Turn};

mod citation;
mod unwrapped;

use citation::location;
use unwrapped::{pushed, rest_of};

/// First block index for calls that were written in text; the service counts from 0.
const WRITTEN: u32 = 1 << 31;

/// Receives the blocks of an answer.
pub(super) trait BlockSink {
    fn start(&mut self, index: u32, block: StartedBlock<'_>) -> Result<(), Unwritable>;
    fn delta(&mut self, index: u32, delta: BlockDelta<'_>) -> Result<(), Unwritable>;
    fn stop(&mut self, index: u32) -> Result<(), Unwritable>;
}

/// The blocks so far.
#[derive(Debug)]
pub(super) struct AnswerBlocks {
    pub(super) reply: MessagesReply,
    /// Id of the answer, from which written calls have theirs.
    id: String,
    /// Number of blocks begun.
    count: u32,
    open: Option<Open>,
    /// Calls shown to the client.
    calls: usize,
    /// The block in which the answering tool gives the answer.
    answer: Option<Answer>,
    answer_text: AnswerText,
    tagged: Option<Tagged>,
    reader: Option<Reader>,
    /// Text sent so far, where the caller requested a format.
    pub(super) checked: Option<String>,
    /// The turn so far, for the reasoning store.
    steps: Vec<Step>,
    /// Calls that are not handed over yet.
    unsaved: Vec<String>,
}

#[derive(Debug)]
enum Open {
    Text,
    /// Reasoning; a signature comes in pieces, and is sent whole.
    Thinking {
        block: u32,
        text: String,
        signature: Option<String>,
    },
    /// Encrypted reasoning, which comes in pieces too.
    Redacted {
        block: u32,
        data: String,
    },
    Call {
        block: u32,
        wrapped: Option<Unwrap>,
    },
}

#[derive(Debug)]
struct Answer {
    block: u32,
    is_empty: bool,
    wrapped: Option<Unwrap>,
}

impl AnswerBlocks {
    pub(super) fn new(reply: MessagesReply, id: &str) -> Self {
        let inner = &reply.reply;
        Self {
            id: id.to_owned(),
            count: 0,
            open: None,
            calls: 0,
            answer: None,
            answer_text: inner.answer_text(),
            tagged: inner.splits_tags.then(Tagged::default),
            reader: inner.reader(),
            checked: inner.wanted.is_some().then(String::new),
            steps: Vec::new(),
            unsaved: Vec::new(),
            reply,
        }
    }

    /// Number of calls shown to the client.
    pub(super) fn calls(&self) -> usize {
        self.calls
    }

    /// The turn to save, if it has new calls.
    pub(super) fn take_saved(&mut self) -> Option<SavedTurn> {
        if self.unsaved.is_empty() {
            return None;
        }
        let inner = &self.reply.reply;
        let turn = Turn {
            steps: self.steps.clone(),
            placed: true,
            origin: inner.origin,
            preface: inner.preface.clone(),
        };
        Some(SavedTurn { calls: std::mem::take(&mut self.unsaved), turn: Arc::new(turn) })
    }

    /// The beginning of a block: of a call. Other blocks begin with their first piece.
    pub(super) fn block_start(
        &mut self,
        event: &BlockStart<'_>,
        sink: &mut impl BlockSink,
    ) -> Result<(), Unwritable> {
        let names = &self.reply.reply.names;
        let tool = event.start.tool_use.as_ref();
        let Some(tool) = tool.filter(|tool| !tool.is_server_side() && !names.is_hosted(&tool.name))
        else {
            return Ok(());
        };
        self.end_words(sink)?;
        let block = event.content_block_index;
        if let Some(reader) = &mut self.reader {
            reader.made(block, &tool.name);
        }
        self.call(block, tool, sink)
    }

    fn call(
        &mut self,
        block: u32,
        tool: &ToolUseStart<'_>,
        sink: &mut impl BlockSink,
    ) -> Result<(), Unwritable> {
        let inner = &self.reply.reply;
        let form = inner.names.form(&tool.name);
        let wrapped = (form != Form::Plain).then(|| Unwrap::new(form));
        if inner.is_answer(&tool.name) {
            // A second answer is a repetition by the model; the tool is not the client's.
            if self.answer.is_none() && !self.answer_text.is_answer() {
                self.answer = Some(Answer { block, is_empty: true, wrapped });
                let aside = self.answer_text.yields_to_tool();
                self.think(&aside, sink)?;
            }
            return Ok(());
        }
        if inner.drops_calls || (inner.one_call && self.calls > 0) {
            return Ok(());
        }
        if self.answer.is_none() {
            let (voice, held) = self.answer_text.yields_to_call();
            match voice {
                Voice::Reasoning => self.think(&held, sink)?,
                Voice::Said => self.emit_text(&held, sink)?,
            }
        }
        self.close(sink)?;
        let id = tool.tool_use_id.to_string();
        let keeps = self.reply.reply.keeps_turns();
        self.steps.push(Step::Call(id.clone()));
        if keeps {
            self.unsaved.push(id);
        }
        self.calls += 1;
        let name = self.reply.reply.names.original(&tool.name);
        let started = StartedBlock::ToolUse { id: &tool.tool_use_id, name, input: Empty {} };
        sink.start(self.count, started)?;
        self.count += 1;
        self.open = Some(Open::Call { block, wrapped });
        Ok(())
    }

    /// A piece of a block.
    pub(super) fn block_delta(
        &mut self,
        event: &Delta<'_>,
        sink: &mut impl BlockSink,
    ) -> Result<(), Unwritable> {
        let (block, delta) = (event.content_block_index, &event.delta);
        if let Some(citation) = delta.citation {
            self.cite(citation, sink)?;
        }
        if let Some(text) = delta.text.as_deref().filter(|text| !text.is_empty()) {
            self.read(Voice::Said, text, sink)?;
        }
        if let Some(piece) = &delta.reasoning_content {
            self.reason(block, piece, sink)?;
        }
        let input = delta.tool_use.as_ref().map(|tool| &*tool.input);
        match input.filter(|input| !input.is_empty()) {
            Some(input) => self.input(block, input, sink),
            None => Ok(()),
        }
    }

    fn input(
        &mut self,
        block: u32,
        input: &str,
        sink: &mut impl BlockSink,
    ) -> Result<(), Unwritable> {
        if let Some(reader) = &mut self.reader {
            reader.made_with(block, input);
        }
        if let Some(answer) = self.answer.as_mut().filter(|answer| answer.block == block) {
            answer.is_empty = false;
            let out = answer.wrapped.as_mut().map(|wrapped| pushed(wrapped, input));
            let text = out.as_deref().unwrap_or(input).to_owned();
            return self.emit_text(&text, sink);
        }
        if let Some(Open::Call { block: open, wrapped }) = &mut self.open
            && *open == block
        {
            let out = wrapped.as_mut().map(|wrapped| pushed(wrapped, input));
            let partial_json = out.as_deref().unwrap_or(input);
            if !partial_json.is_empty() {
                sink.delta(self.count - 1, BlockDelta::InputJsonDelta { partial_json })?;
            }
        }
        Ok(())
    }

    /// The end of a block.
    pub(super) fn block_stop(
        &mut self,
        block: u32,
        sink: &mut impl BlockSink,
    ) -> Result<(), Unwritable> {
        if let Some(answer) = self.answer.as_mut().filter(|answer| answer.block == block) {
            let rest = answer.wrapped.take().map(rest_of).unwrap_or_default();
            let rest = if std::mem::take(&mut answer.is_empty) { "{}".to_owned() } else { rest };
            return self.emit_text(&rest, sink);
        }
        match &self.open {
            Some(
                Open::Thinking { block: open, .. }
                | Open::Redacted { block: open, .. }
                | Open::Call { block: open, .. },
            ) if *open == block => self.close(sink),
            // Text may still be held back, and then goes on in the same block.
            Some(Open::Text) if !self.holds_text() => self.close(sink),
            Some(_) | None => Ok(()),
        }
    }

    /// Ends the answer: held text and written calls come out.
    pub(super) fn finish(&mut self, sink: &mut impl BlockSink) -> Result<(), Unwritable> {
        self.end_words(sink)?;
        if let Some(mut tagged) = self.tagged.take() {
            tagged.finish(&mut |voice, piece: &str| self.voice(voice, piece, sink))?;
        }
        if let Some(mut reader) = self.reader.take() {
            for (at, WrittenCall { name, input }) in (0..).zip(reader.take_calls()) {
                let block = WRITTEN.saturating_add(at);
                let tool_use_id = written::call_id(&self.id, at).into();
                let tool = ToolUseStart { tool_use_id, name: name.into(), kind: None };
                self.call(block, &tool, sink)?;
                self.input(block, &input, sink)?;
                self.block_stop(block, sink)?;
            }
        }
        let held = self.answer_text.finish();
        let aside = self.answer_text.take_aside();
        self.think(&aside, sink)?;
        if self.answer.is_some() {
            self.think(&held, sink)?;
        } else {
            self.emit_text(&held, sink)?;
        }
        self.close(sink)
    }

    fn holds_text(&self) -> bool {
        self.answer_text.may_hold() || self.tagged.is_some() || self.reader.is_some()
    }

    fn cite(&mut self, citation: &RawValue, sink: &mut impl BlockSink) -> Result<(), Unwritable> {
        let Some(citation) = location(citation) else { return Ok(()) };
        self.open_text(sink)?;
        sink.delta(self.count - 1, BlockDelta::CitationsDelta { citation: &citation })
    }

    /// Reads text or reasoning without the calls that are written in it.
    fn read(
        &mut self,
        voice: Voice,
        text: &str,
        sink: &mut impl BlockSink,
    ) -> Result<(), Unwritable> {
        let Some(mut reader) = self.reader.take() else { return self.heard(voice, text, sink) };
        let read =
            reader.push(voice, text, &mut |voice, words: &str| self.heard(voice, words, sink));
        self.reader = Some(reader);
        read
    }

    fn end_words(&mut self, sink: &mut impl BlockSink) -> Result<(), Unwritable> {
        let Some(mut reader) = self.reader.take() else { return Ok(()) };
        let ended = reader.end(&mut |voice, words: &str| self.heard(voice, words, sink));
        self.reader = Some(reader);
        ended
    }

    fn heard(
        &mut self,
        voice: Voice,
        words: &str,
        sink: &mut impl BlockSink,
    ) -> Result<(), Unwritable> {
        if voice == Voice::Reasoning {
            return self.think(words, sink);
        }
        let Some(mut tagged) = self.tagged.take() else { return self.say(words, sink) };
        let pushed = tagged.push(words, &mut |voice, piece: &str| self.voice(voice, piece, sink));
        self.tagged = Some(tagged);
        pushed
    }

    fn voice(
        &mut self,
        voice: Voice,
        text: &str,
        sink: &mut impl BlockSink,
    ) -> Result<(), Unwritable> {
        match voice {
            Voice::Said => self.say(text, sink),
            Voice::Reasoning => self.think(text, sink),
        }
    }

    fn say(&mut self, text: &str, sink: &mut impl BlockSink) -> Result<(), Unwritable> {
        let text = self.answer_text.push(text);
        let aside = self.answer_text.take_aside();
        self.think(&aside, sink)?;
        self.emit_text(&text, sink)
    }

    fn emit_text(&mut self, text: &str, sink: &mut impl BlockSink) -> Result<(), Unwritable> {
        if text.is_empty() {
            return Ok(());
        }
        self.open_text(sink)?;
        if let Some(checked) = self.checked.as_mut().filter(|text| text.len() <= CHECKED_LIMIT) {
            checked.push_str(text);
        }
        let passage = Passage::of(text);
        match self.steps.last_mut() {
            Some(Step::Text(said)) => *said = said.and(passage),
            _ => self.steps.push(Step::Text(passage)),
        }
        sink.delta(self.count - 1, BlockDelta::TextDelta { text })
    }

    fn open_text(&mut self, sink: &mut impl BlockSink) -> Result<(), Unwritable> {
        if matches!(self.open, Some(Open::Text)) {
            return Ok(());
        }
        self.close(sink)?;
        sink.start(self.count, StartedBlock::Text { text: "" })?;
        self.count += 1;
        self.open = Some(Open::Text);
        Ok(())
    }

    /// Sends reasoning that came as text.
    fn think(&mut self, text: &str, sink: &mut impl BlockSink) -> Result<(), Unwritable> {
        if text.is_empty() {
            return Ok(());
        }
        self.open_thinking(WRITTEN, sink)?;
        self.emit_thinking(text, sink)
    }

    fn reason(
        &mut self,
        block: u32,
        piece: &ReasoningDelta<'_>,
        sink: &mut impl BlockSink,
    ) -> Result<(), Unwritable> {
        let ReasoningDelta { text, signature, redacted_content } = piece;
        if let Some(more) = redacted_content.as_deref() {
            match &mut self.open {
                Some(Open::Redacted { block: open, data }) if *open == block => {
                    base64::join(data, more);
                }
                _ => {
                    self.close(sink)?;
                    self.open = Some(Open::Redacted { block, data: more.to_owned() });
                }
            }
            return Ok(());
        }
        if let Some(text) = text.as_deref().filter(|text| !text.is_empty()) {
            self.end_text_before(sink)?;
            if self.reader.is_none() {
                self.open_thinking(block, sink)?;
                self.emit_thinking(text, sink)?;
            } else {
                self.read(Voice::Reasoning, text, sink)?;
            }
        }
        if let Some(more) = signature.as_deref().filter(|more| !more.is_empty()) {
            self.end_text_before(sink)?;
            self.open_thinking(block, sink)?;
            if let Some(Open::Thinking { signature, .. }) = &mut self.open {
                signature.get_or_insert_default().push_str(more);
            }
        }
        Ok(())
    }

    /// Ends the words before reasoning.
    fn end_text_before(&mut self, sink: &mut impl BlockSink) -> Result<(), Unwritable> {
        if matches!(self.open, Some(Open::Text)) { self.end_words(sink) } else { Ok(()) }
    }

    fn open_thinking(&mut self, block: u32, sink: &mut impl BlockSink) -> Result<(), Unwritable> {
        // Reasoning with calls written in it passes through the reader, which knows no blocks.
        if let Some(Open::Thinking { block: open, .. }) = &mut self.open
            && (*open == block || *open == WRITTEN || block == WRITTEN)
        {
            *open = (*open).min(block);
            return Ok(());
        }
        self.close(sink)?;
        sink.start(self.count, StartedBlock::Thinking { thinking: "", signature: "" })?;
        self.count += 1;
        self.open = Some(Open::Thinking { block, text: String::new(), signature: None });
        Ok(())
    }

    fn emit_thinking(
        &mut self,
        thinking: &str,
        sink: &mut impl BlockSink,
    ) -> Result<(), Unwritable> {
        if let Some(Open::Thinking { text, .. }) = &mut self.open {
            text.push_str(thinking);
        }
        sink.delta(self.count - 1, BlockDelta::ThinkingDelta { thinking })
    }

    /// Ends the open block.
    fn close(&mut self, sink: &mut impl BlockSink) -> Result<(), Unwritable> {
        match self.open.take() {
            None => Ok(()),
            Some(Open::Text) => sink.stop(self.count - 1),
            Some(Open::Thinking { text, signature, .. }) => {
                if let Some(signature) = &signature {
                    sink.delta(self.count - 1, BlockDelta::SignatureDelta { signature })?;
                }
                self.steps.push(Step::Reasoning(ReasoningItem::Text { text, signature }));
                sink.stop(self.count - 1)
            }
            Some(Open::Redacted { data, .. }) => {
                let shown = sealed::sealed(&data, self.reply.sealed.as_deref());
                sink.start(self.count, StartedBlock::RedactedThinking { data: &shown })?;
                sink.stop(self.count)?;
                self.count += 1;
                self.steps.push(Step::Reasoning(ReasoningItem::Redacted(data)));
                Ok(())
            }
            Some(Open::Call { wrapped, .. }) => {
                let rest = wrapped.map(rest_of).unwrap_or_default();
                if !rest.is_empty() {
                    let delta = BlockDelta::InputJsonDelta { partial_json: &rest };
                    sink.delta(self.count - 1, delta)?;
                }
                sink.stop(self.count - 1)
            }
        }
    }
}
