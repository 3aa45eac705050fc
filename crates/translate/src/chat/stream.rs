//! Writes a streamed answer as chat chunks.

use bytes::BytesMut;
use schema::converse::event::Metadata;
use schema::converse::response::TokenUsage;
use schema::openai::annotation::{Cited, Outcrop};
use schema::openai::chat::FinishReason;
use schema::openai::chunk::{
    CHUNK_OBJECT, CallDelta, Chunk, ChunkChoice, CustomDelta, Delta, FunctionDelta,
};
use schema::openai::tool::CallKind;

use super::details::{last_detail, rest_detail};
use super::finish::finish_reason;
use super::response;
use super::usage::openai;
use crate::answer::turn::AnswerTurn;
use crate::answer::{AnswerReader, AnswerWriter, BegunCall, Reads, StoppedAnswer, Written};
use crate::answer_stream::{Received, StreamFailure};
use crate::parts::tools::Form;
use crate::reply::CallShape;
use crate::spent::Spent;
use crate::sse::{self, TextEvent};
use crate::{Reply, Stamp};

/// The translator of one streamed answer.
#[derive(Debug)]
pub struct ChatStream(AnswerReader<ChunkWriter>);

/// Writes the chunks of one answer.
#[derive(Debug)]
pub(crate) struct ChunkWriter {
    /// Index of the answer among several to the same request.
    index: u32,
    stamp: Stamp,
    /// The form of calls.
    shape: CallShape,
    /// The forms of the inputs, call by call.
    forms: Vec<Form>,
    include_usage: bool,
    /// The chunk of a piece of text, from the first one on.
    text_event: Option<TextEvent>,
    /// The finish reason, delayed until the metadata event, which follows directly.
    last: Option<FinishReason>,
    outcrop: Outcrop,
    tier: Option<String>,
}

impl ChatStream {
    /// A translator for the answer to the request that made `reply`.
    pub fn new(reply: Reply, stamp: Stamp) -> Self {
        let id = stamp.id.clone();
        let writer = ChunkWriter {
            index: 0,
            stamp,
            shape: reply.calls,
            forms: Vec::new(),
            include_usage: reply.include_usage,
            text_event: None,
            last: None,
            outcrop: Outcrop::default(),
            tier: None,
        };
        Self(AnswerReader::writing(writer, reply, id))
    }

    /// Sets the index of the answer, where a request is sent several times; the first is 0.
    #[must_use]
    pub fn of_choice(mut self, index: u32) -> Self {
        self.0.writer_mut().index = index;
        self
    }
}

impl Reads for ChatStream {
    type Writer = ChunkWriter;

    fn reader(&self) -> &AnswerReader<ChunkWriter> {
        &self.0
    }

    fn reader_mut(&mut self) -> &mut AnswerReader<ChunkWriter> {
        &mut self.0
    }
}

impl ChunkWriter {
    fn call_delta<'d>(
        &self,
        index: usize,
        head: Option<(&'d str, &'d str)>,
        arguments: &'d str,
    ) -> Delta<'d> {
        let name = head.map(|(_, name)| name);
        let function = FunctionDelta { name, arguments };
        if self.shape == CallShape::Function {
            return Delta { function_call: Some(function), ..Delta::default() };
        }
        let form = self.forms.get(index).copied().unwrap_or_default();
        let (kind, function, custom) = match form {
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

    fn emit(&self, delta: Delta<'_>, out: &mut BytesMut) -> Written {
        sse::write(out, &self.chunk(&[self.choice(delta)]))
    }

    fn choice<'d>(&self, delta: Delta<'d>) -> ChunkChoice<'d> {
        ChunkChoice { index: self.index, delta, finish_reason: None, logprobs: None, outcrop: None }
    }

    fn chunk<'c>(&'c self, choices: &'c [ChunkChoice<'c>]) -> Chunk<'c> {
        Chunk {
            id: &self.stamp.id,
            object: CHUNK_OBJECT,
            created: self.stamp.created,
            model: &self.stamp.model,
            choices,
            service_tier: self.tier.as_deref(),
            usage: self.include_usage.then_some(None),
        }
    }
}

impl AnswerWriter for ChunkWriter {
    fn begin(&mut self, out: &mut BytesMut) -> Written {
        self.emit(Delta { role: Some("assistant"), content: Some(""), ..Delta::default() }, out)
    }

    /// The tier, which arrives with the last event, would change the rest of the chunk.
    fn text(&mut self, text: &str, out: &mut BytesMut) -> Written {
        if self.text_event.is_none() && self.tier.is_none() {
            let delta = Delta { content: Some(TextEvent::MARK), ..Delta::default() };
            self.text_event = TextEvent::new(&self.chunk(&[self.choice(delta)]))?;
        }
        match &self.text_event {
            Some(event) if self.tier.is_none() => event.write(out, text),
            _ => self.emit(Delta { content: Some(text), ..Delta::default() }, out),
        }
    }

    fn thought(&mut self, text: &str, out: &mut BytesMut) -> Written {
        self.emit(Delta { reasoning_content: Some(text), ..Delta::default() }, out)
    }

    fn thought_ended(&mut self, turn: &AnswerTurn, reply: &Reply, out: &mut BytesMut) -> Written {
        if reply.thoughts.hidden {
            return Ok(());
        }
        let details = last_detail(turn, reply).map(|detail| [detail]);
        self.emit(Delta { reasoning_details: details, ..Delta::default() }, out)
    }

    fn call(&mut self, call: &BegunCall<'_>, out: &mut BytesMut) -> Written {
        let BegunCall { index, id, name, form } = *call;
        self.forms.push(form);
        self.emit(self.call_delta(index, Some((id, name)), ""), out)
    }

    fn input(&mut self, index: usize, piece: &str, out: &mut BytesMut) -> Written {
        self.emit(self.call_delta(index, None, piece), out)
    }

    /// A chunk has no end of a call.
    fn call_ended(&mut self, _: usize, _: &mut BytesMut) -> Written {
        Ok(())
    }

    /// Citations are written at the end, all at once.
    fn cited(&mut self, _: &[Cited], _: &mut BytesMut) -> Written {
        Ok(())
    }

    /// Writes the positions after the last reasoning block, where they are not the usual ones, and the
    /// citations.
    fn stopped(&mut self, stop: StoppedAnswer<'_>, out: &mut BytesMut) -> Written {
        let StoppedAnswer { finish, reason: _, untold, fields, turn, sources, reply } = stop;
        let rest = rest_detail(turn, reply).filter(|_| !reply.thoughts.hidden);
        if let Some(rest) = rest {
            self.emit(Delta { reasoning_details: Some([rest]), ..Delta::default() }, out)?;
        }
        let (annotations, citations) = sources.finish();
        if !annotations.is_empty() {
            self.emit(Delta { annotations: &annotations, ..Delta::default() }, out)?;
        }
        self.outcrop.additional_model_response_fields = response::fields(fields, reply);
        self.outcrop.stop_reason = untold;
        self.outcrop.citations = citations;
        self.last = Some(finish_reason(finish, self.shape));
        Ok(())
    }

    fn measured(&mut self, metadata: &Metadata<'_>, reply: &Reply) {
        response::trace(metadata.trace, &mut self.outcrop);
        self.tier = response::tier(metadata.service_tier.as_ref(), reply);
    }

    fn continued(&mut self, target: &str) {
        self.outcrop.continued_at = Some(target.to_owned());
    }

    fn judged(&mut self, word: Option<&'static str>) {
        self.outcrop.structured_output = word;
    }

    fn last(&mut self, out: &mut BytesMut) -> Written {
        let Some(reason) = self.last.take() else { return Ok(()) };
        let outcrop = (!self.outcrop.is_empty()).then_some(&self.outcrop);
        let (delta, finish_reason) = (Delta::default(), Some(reason));
        let index = self.index;
        let choices = [ChunkChoice { index, delta, finish_reason, logprobs: None, outcrop }];
        sse::write(out, &self.chunk(&choices))
    }

    fn finish(&mut self, total: Spent, out: &mut BytesMut) -> Written {
        if self.include_usage {
            // Clients wait for this chunk and treat it as the last, so it is sent even without
            // token counts.
            let usage = total.told().unwrap_or_else(|| openai(TokenUsage::default(), None));
            sse::write(out, &Chunk { usage: Some(Some(usage)), ..self.chunk(&[]) })?;
        }
        out.extend_from_slice(sse::DONE);
        Ok(())
    }

    fn fail(&mut self, failure: &StreamFailure<'_>, out: &mut BytesMut) -> Written {
        sse::write_failure(out, failure)
    }

    fn fail_without(
        _: &Stamp,
        _: Received<'_>,
        failure: &StreamFailure<'_>,
        out: &mut BytesMut,
    ) -> Written {
        sse::write_failure(out, failure)
    }
}
