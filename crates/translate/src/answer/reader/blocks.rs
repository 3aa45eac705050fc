//! The blocks of an answer: calls and their input, pieces of text and reasoning.

use bytes::BytesMut;
use schema::converse::event::{BlockDelta, BlockStart};

use super::{Answer, AnswerReader, Call};
use crate::answer::{AnswerWriter, BegunCall, Written};
use crate::answer_stream::CHECKED_LIMIT;
use crate::parts::tools::{Form, Unwrap};

impl<W: AnswerWriter> AnswerReader<W> {
    pub(super) fn block_start(&mut self, event: &BlockStart<'_>, out: &mut BytesMut) -> Written {
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
        self.turn.call(&tool.tool_use_id, &self.reply);
        let index = self.calls.len();
        let form = self.reply.names.form(&tool.name);
        let wrapped = unwrap_for(form);
        self.calls.push(Call { block, form, wrapped, has_arguments: false, open: true });
        let name = self.reply.names.original(&tool.name);
        self.writer.call(&BegunCall { index, id: &tool.tool_use_id, name, form }, out)
    }

    pub(super) fn block_delta(&mut self, event: &BlockDelta<'_>, out: &mut BytesMut) -> Written {
        let delta = &event.delta;
        let block = event.content_block_index;
        if self.turn.is_elsewhere(block) || self.reasons_elsewhere(block) {
            self.close_thought(out)?;
        }
        if let Some(text) = delta.text.as_deref().filter(|text| !text.is_empty()) {
            self.start(out)?;
            self.block = block;
            self.read(text, out)?;
            if self.cites == Some(block) {
                self.turn.cite(block);
            }
        }
        if let Some(citation) = delta.citation {
            self.sources.cite(citation);
            self.cites = Some(block);
            self.turn.cite(block);
            self.writer.citation(citation, out)?;
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
    pub(super) fn block_stop(&mut self, block: u32, out: &mut BytesMut) -> Written {
        let thinks = self.turn.is_thinking() && !self.turn.is_elsewhere(block);
        if thinks || self.reasons_in(block) {
            return self.close_thought(out);
        }
        if let Some(answer) = self.answer.as_mut().filter(|answer| answer.block == block) {
            let rest = answer.wrapped.take().map(rest_of).unwrap_or_default();
            let rest = if std::mem::take(&mut answer.is_empty) { "{}" } else { &rest };
            self.block = block;
            return self.emit_answer(rest, out);
        }
        let Some(index) = self.open_call(block) else {
            let holds =
                self.answer_text.may_hold() || self.tagged.is_some() || self.reader.is_some();
            return if holds { Ok(()) } else { self.writer.text_ended(out) };
        };
        let call = &mut self.calls[index];
        call.open = false;
        let rest = call.wrapped.take().map(rest_of).unwrap_or_default();
        let rest = if call.has_arguments || call.form == Form::Text { rest.as_str() } else { "{}" };
        self.emit_input(index, rest, out)?;
        self.writer.call_ended(index, out)
    }

    /// Ends the current reasoning block, which is now complete.
    pub(super) fn close_thought(&mut self, out: &mut BytesMut) -> Written {
        self.end_reasoning(out)?;
        if !self.turn.close() {
            return Ok(());
        }
        if self.answer_text.may_hold() {
            self.turn.displace();
        }
        if !self.reply.thoughts.hidden {
            self.start(out)?;
        }
        self.writer.thought_ended(&self.turn, &self.reply, out)
    }

    pub(super) fn emit_answer(&mut self, text: &str, out: &mut BytesMut) -> Written {
        if text.is_empty() {
            return Ok(());
        }
        self.turn.say(self.block, text);
        if let Some(checked) = &mut self.checked
            && checked.len() <= CHECKED_LIMIT
        {
            checked.push_str(text);
        }
        self.writer.text(text, out)
    }

    fn emit_input(&mut self, index: usize, input: &str, out: &mut BytesMut) -> Written {
        if input.is_empty() {
            return Ok(());
        }
        self.writer.input(index, input, out)
    }
}

fn unwrap_for(form: Form) -> Option<Unwrap> {
    (form != Form::Plain).then(|| Unwrap::new(form))
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
