//! A streamed Converse answer as chat chunks: a value that events are pushed into. It reads no
//! clock and no socket, so any split of the same bytes gives the same chunks, and the chunks folded
//! together are the whole answer.

use schema::converse::event::{BlockDelta, BlockStart, StreamEvent};
use schema::converse::response::{StopReason, TokenUsage};
use schema::openai::chat::FinishReason;
use schema::openai::chunk::{CHUNK_OBJECT, CallDelta, Chunk, ChunkChoice, Delta, FunctionDelta};
use schema::openai::tool::CallKind;

use crate::parts::stop::finish_reason;
use crate::parts::usage;
use crate::reply::CallShape;
use crate::{Reply, Stamp};

/// The stream ended before the model said that it was done. What was sent is a fragment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the model's answer broke off before it was complete")]
pub struct Truncated;

/// The translator of one streamed answer.
#[derive(Debug)]
pub struct ChatStream {
    reply: Reply,
    stamp: Stamp,
    started: bool,
    /// Open and finished calls, in the order the client counts them.
    calls: Vec<Call>,
    /// The block in which the answering tool gives the answer.
    answer: Option<Answer>,
    /// Text held back while an answering tool is awaited: only its call shows what the text was.
    held: String,
    stopped: bool,
    usage: Option<TokenUsage>,
}

#[derive(Debug)]
struct Answer {
    block: u32,
    is_empty: bool,
}

#[derive(Debug)]
struct Call {
    block: u32,
    has_arguments: bool,
    open: bool,
}

impl ChatStream {
    /// A translator for the answer to the question that made `reply`.
    pub fn new(reply: Reply, stamp: Stamp) -> Self {
        Self {
            reply,
            stamp,
            started: false,
            calls: Vec::new(),
            answer: None,
            held: String::new(),
            stopped: false,
            usage: None,
        }
    }

    /// Translates one event; `out` gets each chunk that follows from it, in order.
    ///
    /// # Errors
    /// Only what `out` returns.
    pub fn push<E>(
        &mut self,
        event: &StreamEvent<'_>,
        out: &mut impl FnMut(&Chunk<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        match event {
            StreamEvent::MessageStart => self.start(out),
            StreamEvent::ContentBlockStart(start) => self.block_start(start, out),
            StreamEvent::ContentBlockDelta(delta) => self.block_delta(delta, out),
            StreamEvent::ContentBlockStop(stop) => self.block_stop(stop.content_block_index, out),
            StreamEvent::MessageStop(stop) => self.message_stop(&stop.stop_reason, out),
            StreamEvent::Metadata(metadata) => {
                self.usage = Some(metadata.usage);
                Ok(())
            }
            StreamEvent::Unknown => Ok(()),
        }
    }

    /// Whether everything has come that a whole answer has. What may still fail is the connection.
    pub fn is_complete(&self) -> bool {
        self.stopped && self.usage.is_some()
    }

    /// The token counts, once they have come.
    pub fn usage(&self) -> Option<TokenUsage> {
        self.usage
    }

    /// Ends the answer: the usage chunk where it was asked for, and the token counts for the books.
    ///
    /// # Errors
    /// [`Truncated`] when the model never said that it was done; then the stream must end in an
    /// error, because half an answer that looks whole is the worst failure of all.
    pub fn finish<E: From<Truncated>>(
        self,
        out: &mut impl FnMut(&Chunk<'_>) -> Result<(), E>,
    ) -> Result<Option<TokenUsage>, E> {
        if !self.stopped {
            return Err(Truncated.into());
        }
        if let Some(usage) = self.usage.filter(|_| self.reply.include_usage) {
            out(&Chunk { usage: Some(Some(usage::openai(usage))), ..self.chunk(&[]) })?;
        }
        Ok(self.usage)
    }

    fn start<E>(&mut self, out: &mut impl FnMut(&Chunk<'_>) -> Result<(), E>) -> Result<(), E> {
        if self.started {
            return Ok(());
        }
        self.started = true;
        self.emit(
            Delta { role: Some("assistant"), content: Some(""), ..Delta::default() },
            None,
            out,
        )
    }

    /// The deprecated form has room for one call; further ones are not begun.
    fn has_room(&self) -> bool {
        self.reply.calls == CallShape::Tools || self.calls.is_empty()
    }

    fn block_start<E>(
        &mut self,
        event: &BlockStart<'_>,
        out: &mut impl FnMut(&Chunk<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let Some(tool) = event.start.tool_use.as_ref().filter(|tool| !tool.is_server_side()) else {
            return Ok(());
        };
        self.start(out)?;
        let block = event.content_block_index;
        if self.reply.is_answer(&tool.name) {
            if self.answer.is_some() {
                // A second answer is the model repeating itself; the tool is nobody's to call.
                return Ok(());
            }
            self.answer = Some(Answer { block, is_empty: true });
            return self
                .release(out, |text| Delta { reasoning_content: Some(text), ..Delta::default() });
        }
        if !self.has_room() {
            return Ok(());
        }
        let index = self.calls.len();
        self.calls.push(Call { block, has_arguments: false, open: true });
        let name = self.reply.names.original(&tool.name);
        self.emit(self.call_delta(index, Some((&tool.tool_use_id, name)), ""), None, out)
    }

    fn block_delta<E>(
        &mut self,
        event: &BlockDelta<'_>,
        out: &mut impl FnMut(&Chunk<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let delta = &event.delta;
        if let Some(text) = delta.text.as_deref().filter(|text| !text.is_empty()) {
            self.start(out)?;
            if self.reply.answering_tool.is_some() {
                self.held.push_str(text);
                return Ok(());
            }
            self.emit(Delta { content: Some(text), ..Delta::default() }, None, out)?;
        }
        let reasoning = delta.reasoning_content.as_ref().and_then(|one| one.text.as_deref());
        if let Some(text) = reasoning.filter(|text| !text.is_empty()) {
            self.start(out)?;
            self.emit(Delta { reasoning_content: Some(text), ..Delta::default() }, None, out)?;
        }
        let input = delta.tool_use.as_ref().map(|tool| &*tool.input);
        let Some(input) = input.filter(|input| !input.is_empty()) else { return Ok(()) };
        let block = event.content_block_index;
        if let Some(answer) = self.answer.as_mut().filter(|answer| answer.block == block) {
            answer.is_empty = false;
            return self.emit(Delta { content: Some(input), ..Delta::default() }, None, out);
        }
        if let Some(index) = self.open_call(block) {
            self.calls[index].has_arguments = true;
            self.emit(self.call_delta(index, None, input), None, out)?;
        }
        Ok(())
    }

    /// A call that got no arguments has none: clients parse `{}`, not the empty text.
    fn block_stop<E>(
        &mut self,
        block: u32,
        out: &mut impl FnMut(&Chunk<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.answer.as_ref().is_some_and(|answer| answer.block == block && answer.is_empty) {
            return self.emit(Delta { content: Some("{}"), ..Delta::default() }, None, out);
        }
        let Some(index) = self.open_call(block) else { return Ok(()) };
        self.calls[index].open = false;
        if self.calls[index].has_arguments {
            return Ok(());
        }
        self.emit(self.call_delta(index, None, "{}"), None, out)
    }

    fn message_stop<E>(
        &mut self,
        reason: &StopReason,
        out: &mut impl FnMut(&Chunk<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.stopped {
            return Ok(());
        }
        self.start(out)?;
        self.stopped = true;
        if self.answer.is_some() {
            self.release(out, |text| Delta { reasoning_content: Some(text), ..Delta::default() })?;
        } else {
            self.release(out, |text| Delta { content: Some(text), ..Delta::default() })?;
        }
        let reason = finish_reason(reason, self.calls.len(), self.reply.calls);
        self.emit(Delta::default(), Some(reason), out)
    }

    /// Lets go of held text, as what it has turned out to be.
    fn release<E>(
        &mut self,
        out: &mut impl FnMut(&Chunk<'_>) -> Result<(), E>,
        delta: impl for<'t> FnOnce(&'t str) -> Delta<'t>,
    ) -> Result<(), E> {
        let held = std::mem::take(&mut self.held);
        if held.is_empty() { Ok(()) } else { self.emit(delta(&held), None, out) }
    }

    fn open_call(&self, block: u32) -> Option<usize> {
        self.calls.iter().rposition(|call| call.open && call.block == block)
    }

    fn call_delta<'d>(
        &self,
        index: usize,
        head: Option<(&'d str, &'d str)>,
        arguments: &'d str,
    ) -> Delta<'d> {
        let function = FunctionDelta { name: head.map(|(_, name)| name), arguments };
        match self.reply.calls {
            CallShape::Tools => Delta {
                tool_calls: Some([CallDelta {
                    index: u32::try_from(index).unwrap_or(u32::MAX),
                    id: head.map(|(id, _)| id),
                    kind: head.map(|_| CallKind::Function),
                    function,
                }]),
                ..Delta::default()
            },
            CallShape::Function => Delta { function_call: Some(function), ..Delta::default() },
        }
    }

    fn emit<E>(
        &self,
        delta: Delta<'_>,
        finish_reason: Option<FinishReason>,
        out: &mut impl FnMut(&Chunk<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let choices = [ChunkChoice { index: 0, delta, finish_reason, logprobs: None }];
        out(&self.chunk(&choices))
    }

    fn chunk<'c>(&'c self, choices: &'c [ChunkChoice<'c>]) -> Chunk<'c> {
        Chunk {
            id: &self.stamp.id,
            object: CHUNK_OBJECT,
            created: self.stamp.created,
            model: &self.stamp.model,
            choices,
            usage: self.reply.include_usage.then_some(None),
        }
    }
}
