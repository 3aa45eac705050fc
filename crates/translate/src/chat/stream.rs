//! Translates a streamed Converse answer to chat chunks: a value that events are pushed into. It
//! reads no clock and no socket, so any split of the same bytes gives the same chunks, and the
//! chunks combined give the complete response.

use bytes::BytesMut;
use schema::converse::event::{BlockDelta, BlockStart, MessageStop, StreamEvent};
use schema::converse::response::TokenUsage;
use schema::openai::annotation::Outcrop;
use schema::openai::chat::FinishReason;
use schema::openai::chunk::{
    CHUNK_OBJECT, CallDelta, Chunk, ChunkChoice, CustomDelta, Delta, FunctionDelta,
};
use schema::openai::tool::CallKind;

use super::citations::CitedSources;
use super::response;
use super::thinking::ReasoningStream;
use super::usage::openai;
use crate::answer_stream::{
    AnswerStream, CHECKED_LIMIT, Progress, Received, StreamError, StreamFailure, Truncated,
    Unwritable,
};
use crate::parts::format::AnswerText;
use crate::parts::tags::Tagged;
use crate::parts::tools::{Form, Unwrap};
use crate::parts::usage;
use crate::parts::written::Reader;
use crate::profile::StreamCounts;
use crate::reply::CallShape;
use crate::spent::{BilledTier, Spent};
use crate::sse::{self, TextEvent};
use crate::{Reply, Stamp};

mod ending;
mod places;
mod text;
mod written;

/// The translator of one streamed answer.
#[derive(Debug)]
pub struct ChatStream {
    reply: Reply,
    /// Index of the answer among several to the same request.
    index: u32,
    stamp: Stamp,
    started: bool,
    /// Open and finished calls, in the client's order.
    calls: Vec<Call>,
    /// Index of the current block.
    block: u32,
    /// The last block with a citation.
    cites: Option<u32>,
    /// The block in which the answering tool gives the answer.
    answer: Option<Answer>,
    /// Holds text back until its role is known.
    answer_text: AnswerText,
    /// The text sent so far, where the caller requested a format: it is validated at the end.
    checked: Option<String>,
    turn_reasoning: ReasoningStream,
    sources: CitedSources,
    /// The chunk of a piece of text, from the first one on.
    text_event: Option<TextEvent>,
    /// Separates reasoning between tags from the text, where configured.
    tagged: Option<Tagged>,
    /// Extracts calls from text and reasoning, where the model may write them there.
    reader: Option<Reader>,
    /// The block of the reasoning being read.
    reasoning: Option<u32>,
    stopped: bool,
    /// The finish reason, delayed until the metadata event, which follows directly.
    last: Option<FinishReason>,
    outcrop: Outcrop,
    tier: Option<String>,
    usage: Option<TokenUsage>,
    /// The tier that served the answer.
    billed: BilledTier,
    /// Reasoning tokens, where the model reports them.
    thought: Option<u64>,
}

#[derive(Debug)]
struct Answer {
    block: u32,
    is_empty: bool,
    wrapped: Option<Unwrap>,
}

#[derive(Debug)]
struct Call {
    block: u32,
    form: Form,
    /// Extracts the input from its wrapping; `None` where it is not wrapped.
    wrapped: Option<Unwrap>,
    has_arguments: bool,
    open: bool,
}

fn unwrap_for(form: Form) -> Option<Unwrap> {
    (form != Form::Plain).then(|| Unwrap::new(form))
}

impl ChatStream {
    /// A translator for the answer to the request that made `reply`.
    pub fn new(reply: Reply, stamp: Stamp) -> Self {
        let tagged = reply.splits_tags.then(Tagged::default);
        let answer_text = reply.answer_text();
        let reader = reply.reader();
        let checked = reply.wanted.is_some().then(String::new);
        Self {
            reply,
            index: 0,
            stamp,
            started: false,
            calls: Vec::new(),
            block: 0,
            cites: None,
            answer: None,
            answer_text,
            checked,
            turn_reasoning: ReasoningStream::default(),
            sources: CitedSources::default(),
            text_event: None,
            tagged,
            reader,
            reasoning: None,
            stopped: false,
            last: None,
            outcrop: Outcrop::default(),
            tier: None,
            usage: None,
            billed: BilledTier::default(),
            thought: None,
        }
    }

    /// Sets the index of the answer, where a request is sent several times; the first is 0.
    #[must_use]
    pub fn of_choice(mut self, index: u32) -> Self {
        self.index = index;
        self
    }

    fn event(&mut self, event: &StreamEvent<'_>, out: &mut BytesMut) -> Result<(), Unwritable> {
        match event {
            StreamEvent::MessageStart => self.start(out),
            StreamEvent::ContentBlockStart(start) => self.block_start(start, out),
            StreamEvent::ContentBlockDelta(delta) => self.block_delta(delta, out),
            StreamEvent::ContentBlockStop(stop) => {
                self.sources.end_block();
                self.block_stop(stop.content_block_index, out)
            }
            StreamEvent::MessageStop(stop) => self.message_stop(stop, out),
            StreamEvent::Metadata(metadata) => {
                self.usage = Some(match self.reply.stream_counts {
                    StreamCounts::Net => metadata.usage,
                    StreamCounts::Gross => usage::net(metadata.usage),
                });
                response::trace(metadata.trace, &mut self.outcrop);
                self.billed = BilledTier::of(metadata.service_tier.as_ref());
                self.tier = response::tier(metadata.service_tier.as_ref(), &self.reply);
                Ok(())
            }
            StreamEvent::Unknown => Ok(()),
        }
    }

    fn start(&mut self, out: &mut BytesMut) -> Result<(), Unwritable> {
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

    /// Returns whether another call may begin: the deprecated form and a limit of one call allow
    /// one, forbidden calls allow none.
    fn has_room(&self) -> bool {
        let many = self.reply.calls == CallShape::Tools && !self.reply.one_call;
        !self.reply.drops_calls && (many || self.calls.is_empty())
    }

    fn block_start(
        &mut self,
        event: &BlockStart<'_>,
        out: &mut BytesMut,
    ) -> Result<(), Unwritable> {
        let names = &self.reply.names;
        let tool = event.start.tool_use.as_ref();
        let Some(tool) = tool.filter(|tool| !tool.is_server_side() && !names.is_hosted(&tool.name))
        else {
            return Ok(());
        };
        self.start(out)?;
        self.close_thought(out)?;
        self.end_words(out)?;
        let block = event.content_block_index;
        if let Some(reader) = &mut self.reader {
            reader.made(block, &tool.name);
        }
        if self.reply.is_answer(&tool.name) {
            if self.answer.is_some() || self.answer_text.is_answer() {
                // A second answer is a repetition by the model; the tool is not exposed as a call.
                return Ok(());
            }
            let wrapped = unwrap_for(self.reply.names.form(&tool.name));
            self.answer = Some(Answer { block, is_empty: true, wrapped });
            let aside = self.answer_text.yields_to_tool();
            return self.think_aloud(&aside, out);
        }
        if !self.has_room() {
            return Ok(());
        }
        self.yield_to_call(out)?;
        self.turn_reasoning.call(&tool.tool_use_id, &self.reply);
        let index = self.calls.len();
        let form = self.reply.names.form(&tool.name);
        let wrapped = unwrap_for(form);
        self.calls.push(Call { block, form, wrapped, has_arguments: false, open: true });
        let name = self.reply.names.original(&tool.name);
        self.emit(self.call_delta(index, Some((&tool.tool_use_id, name)), ""), None, out)
    }

    fn block_delta(
        &mut self,
        event: &BlockDelta<'_>,
        out: &mut BytesMut,
    ) -> Result<(), Unwritable> {
        let delta = &event.delta;
        let block = event.content_block_index;
        if self.turn_reasoning.is_elsewhere(block) || self.reasons_elsewhere(block) {
            self.close_thought(out)?;
        }
        if let Some(text) = delta.text.as_deref().filter(|text| !text.is_empty()) {
            self.start(out)?;
            self.block = block;
            self.read(text, out)?;
            if self.cites == Some(block) {
                self.turn_reasoning.cite(block);
            }
        }
        if let Some(citation) = delta.citation {
            self.sources.cite(citation);
            self.cites = Some(block);
            self.turn_reasoning.cite(block);
        }
        if let Some(piece) = &delta.reasoning_content {
            self.reason(block, piece, out)?;
        }
        let input = delta.tool_use.as_ref().map(|tool| &*tool.input);
        let Some(input) = input.filter(|input| !input.is_empty()) else { return Ok(()) };
        if let Some(reader) = &mut self.reader {
            reader.made_with(block, input);
        }
        if let Some(answer) = self.answer.as_mut().filter(|answer| answer.block == block) {
            answer.is_empty = false;
            self.block = block;
            let out_of = answer.wrapped.as_mut().map(|wrapped| pushed(wrapped, input));
            let text = out_of.as_deref().unwrap_or(input);
            return self.emit_answer(text, out);
        }
        if let Some(index) = self.open_call(block) {
            let call = &mut self.calls[index];
            call.has_arguments = true;
            let out_of = call.wrapped.as_mut().map(|wrapped| pushed(wrapped, input));
            let text = out_of.as_deref().unwrap_or(input);
            self.emit_input(index, text, out)?;
        }
        Ok(())
    }

    /// Ends a block. A call without arguments gets `{}`, because clients parse it and cannot parse
    /// the empty text. Input still held by a wrapping is sent now.
    fn block_stop(&mut self, block: u32, out: &mut BytesMut) -> Result<(), Unwritable> {
        let thinks = self.turn_reasoning.is_thinking() && !self.turn_reasoning.is_elsewhere(block);
        if thinks || self.reasons_in(block) {
            return self.close_thought(out);
        }
        if let Some(answer) = self.answer.as_mut().filter(|answer| answer.block == block) {
            let rest = answer.wrapped.take().map(rest_of).unwrap_or_default();
            let rest = if std::mem::take(&mut answer.is_empty) { "{}" } else { &rest };
            self.block = block;
            return self.emit_answer(rest, out);
        }
        let Some(index) = self.open_call(block) else { return Ok(()) };
        let call = &mut self.calls[index];
        call.open = false;
        let rest = call.wrapped.take().map(rest_of).unwrap_or_default();
        let rest = if call.has_arguments || call.form == Form::Text { rest.as_str() } else { "{}" };
        self.emit_input(index, rest, out)
    }

    fn emit_answer(&mut self, text: &str, out: &mut BytesMut) -> Result<(), Unwritable> {
        if text.is_empty() {
            return Ok(());
        }
        self.turn_reasoning.say(self.block, text);
        if let Some(checked) = &mut self.checked
            && checked.len() <= CHECKED_LIMIT
        {
            checked.push_str(text);
        }
        self.emit_text(text, out)
    }

    /// Writes the chunk of a piece of text. The tier, which arrives with the last event, would change the
    /// rest of the chunk.
    fn emit_text(&mut self, text: &str, out: &mut BytesMut) -> Result<(), Unwritable> {
        if self.text_event.is_none() && self.tier.is_none() {
            let delta = Delta { content: Some(TextEvent::MARK), ..Delta::default() };
            self.text_event = TextEvent::new(&self.chunk(&[self.choice(delta, None)]))?;
        }
        match &self.text_event {
            Some(event) if self.tier.is_none() => event.write(out, text),
            _ => self.emit(Delta { content: Some(text), ..Delta::default() }, None, out),
        }
    }

    fn emit_input(&self, index: usize, input: &str, out: &mut BytesMut) -> Result<(), Unwritable> {
        if input.is_empty() {
            return Ok(());
        }
        self.emit(self.call_delta(index, None, input), None, out)
    }

    fn message_stop(
        &mut self,
        stop: &MessageStop<'_>,
        out: &mut BytesMut,
    ) -> Result<(), Unwritable> {
        if self.stopped {
            return Ok(());
        }
        self.start(out)?;
        self.close_thought(out)?;
        self.end_words(out)?;
        self.stopped = true;
        if let Some(mut tagged) = self.tagged.take() {
            tagged.finish(&mut |voice, piece| self.voice(voice, piece, out))?;
        }
        self.call_written(out)?;
        let told = stop.additional_model_response_fields;
        self.thought = usage::thought(told);
        self.outcrop.additional_model_response_fields = response::fields(told, &self.reply);
        let held = self.answer_text.finish();
        let aside = self.answer_text.take_aside();
        self.think_aloud(&aside, out)?;
        if self.answer.is_some() {
            self.sources.unsay();
            self.think_aloud(&held, out)?;
        } else {
            self.sources.say(&held);
            self.emit_answer(&held, out)?;
        }
        self.show_places(out)?;
        self.store_finish(&stop.stop_reason, out)
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
        let name = head.map(|(_, name)| name);
        let function = FunctionDelta { name, arguments };
        if self.reply.calls == CallShape::Function {
            return Delta { function_call: Some(function), ..Delta::default() };
        }
        let (kind, function, custom) = match self.calls[index].form {
            Form::Text => (CallKind::Custom, None, Some(CustomDelta { name, input: arguments })),
            Form::Plain | Form::Value => (CallKind::Function, Some(function), None),
        };
        let call = CallDelta {
            index: u32::try_from(index).unwrap_or(u32::MAX),
            id: head.map(|(id, _)| id),
            kind: head.map(|_| kind),
            function,
            custom,
        };
        Delta { tool_calls: Some([call]), ..Delta::default() }
    }

    fn emit(
        &self,
        delta: Delta<'_>,
        finish_reason: Option<FinishReason>,
        out: &mut BytesMut,
    ) -> Result<(), Unwritable> {
        sse::write(out, &self.chunk(&[self.choice(delta, finish_reason)]))
    }

    fn choice<'d>(&self, delta: Delta<'d>, finish_reason: Option<FinishReason>) -> ChunkChoice<'d> {
        ChunkChoice { index: self.index, delta, finish_reason, logprobs: None, outcrop: None }
    }

    fn chunk<'c>(&'c self, choices: &'c [ChunkChoice<'c>]) -> Chunk<'c> {
        Chunk {
            id: &self.stamp.id,
            object: CHUNK_OBJECT,
            created: self.stamp.created,
            model: &self.stamp.model,
            choices,
            service_tier: self.tier.as_deref(),
            usage: self.reply.include_usage.then_some(None),
        }
    }
}

impl AnswerStream for ChatStream {
    fn fail_without(
        _: &Stamp,
        _: Received,
        failure: &StreamFailure<'_>,
        out: &mut BytesMut,
    ) -> Result<(), Unwritable> {
        sse::write_failure(out, failure)
    }

    fn fail(&mut self, failure: &StreamFailure<'_>, out: &mut BytesMut) -> Result<(), Unwritable> {
        sse::write_failure(out, failure)
    }

    fn push(
        &mut self,
        event: &StreamEvent<'_>,
        out: &mut BytesMut,
    ) -> Result<Progress, Unwritable> {
        self.event(event, out)?;
        let reasoning = self.turn_reasoning.take_kept(&self.reply);
        let answer = if self.is_complete() { self.end(out)? } else { None };
        Ok(Progress { reasoning, answer })
    }

    fn is_complete(&self) -> bool {
        self.stopped && self.usage.is_some()
    }

    fn spent(&self) -> Spent {
        Spent::new(self.usage, self.thought, self.billed)
    }

    fn close(&mut self, out: &mut BytesMut) -> Result<Progress, StreamError> {
        if !self.stopped {
            return Err(Truncated.into());
        }
        Ok(Progress { reasoning: None, answer: self.end(out)? })
    }

    fn judged(&mut self, word: Option<&'static str>, out: &mut BytesMut) -> Result<(), Unwritable> {
        self.outcrop.structured_output = word;
        self.last_chunk(out)
    }

    fn finish(&mut self, total: Spent, out: &mut BytesMut) -> Result<(), Unwritable> {
        if self.reply.include_usage {
            // Clients wait for this chunk and treat it as the last, so it is sent even without
            // token counts.
            let usage = total.told().unwrap_or_else(|| openai(TokenUsage::default(), None));
            sse::write(out, &Chunk { usage: Some(Some(usage)), ..self.chunk(&[]) })?;
        }
        out.extend_from_slice(sse::DONE);
        Ok(())
    }

    fn counts_as_whole(&mut self) {
        self.reply.stream_counts = StreamCounts::Net;
    }
}

/// The input that this piece yields.
fn pushed(wrapped: &mut Unwrap, piece: &str) -> String {
    let mut out = String::with_capacity(piece.len());
    wrapped.push(piece, &mut out);
    out
}

/// The rest of an input, at its end.
fn rest_of(mut wrapped: Unwrap) -> String {
    let mut out = String::new();
    wrapped.finish(&mut out);
    out
}
