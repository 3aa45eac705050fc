//! Translates a streamed Converse answer to completion chunks.

use bytes::BytesMut;
use schema::converse::event::StreamEvent;
use schema::converse::response::{StopReason, TokenUsage};
use schema::openai::annotation::Outcrop;
use schema::openai::chat::FinishReason;
use schema::openai::completions::{CompletionChunk, CompletionDelta, TEXT_COMPLETION_OBJECT};

use super::CompletionReply;
use super::response::{TextReader, finish_reason};
use crate::Stamp;
use crate::answer_stream::{
    AnswerStream, Progress, Received, StreamError, StreamFailure, Truncated, Unwritable,
};
use crate::chat::{response, usage};
use crate::parts::stop::untold;
use crate::parts::usage::{of_stream, thought};
use crate::profile::StreamCounts;
use crate::spent::{BilledTier, Spent};
use crate::sse::{self, TextEvent};

/// The translator of one streamed answer.
#[derive(Debug)]
pub struct CompletionStream {
    reply: CompletionReply,
    stamp: Stamp,
    /// Index of the answer among several to the same request.
    index: u32,
    reader: TextReader,
    /// The text of the current event.
    text: String,
    /// The chunk of a piece of text, from the first one on.
    text_event: Option<TextEvent>,
    stopped: bool,
    /// The finish reason, until its chunk is written: it waits for the metadata event.
    last: Option<FinishReason>,
    outcrop: Outcrop,
    usage: Option<TokenUsage>,
    /// The tier that served the answer.
    billed: BilledTier,
    /// Reasoning tokens, where the model reports them.
    thought: Option<u64>,
}

impl CompletionStream {
    pub(super) fn new(mut reply: CompletionReply, stamp: Stamp, index: u32) -> Self {
        let reader = TextReader::new(&reply);
        let text = reply.echo.take().unwrap_or_default();
        Self {
            reply,
            stamp,
            index,
            reader,
            text,
            text_event: None,
            stopped: false,
            last: None,
            outcrop: Outcrop::default(),
            usage: None,
            billed: BilledTier::default(),
            thought: None,
        }
    }

    fn stop(&mut self, reason: &StopReason) {
        if self.stopped {
            return;
        }
        self.stopped = true;
        self.reader.finish(&mut self.text);
        self.last = Some(finish_reason(reason));
        self.outcrop.stop_reason = untold(reason, 0);
    }

    /// Writes the text of the event, if there is any.
    fn show(&mut self, out: &mut BytesMut) -> Result<(), Unwritable> {
        if self.text.is_empty() {
            return Ok(());
        }
        if self.text_event.is_none() {
            let delta = self.delta(TextEvent::MARK);
            self.text_event = TextEvent::new(&self.chunk(&[delta]))?;
        }
        match &self.text_event {
            Some(event) => event.write(out, &self.text)?,
            None => sse::write(out, &self.chunk(&[self.delta(&self.text)]))?,
        }
        self.text.clear();
        Ok(())
    }

    /// Writes the last chunk of the answer, if it is due and was not written.
    fn end(&mut self, out: &mut BytesMut) -> Result<(), Unwritable> {
        let Some(reason) = self.last.take() else { return Ok(()) };
        let outcrop = (!self.outcrop.is_empty()).then_some(&self.outcrop);
        let finish_reason = Some(reason);
        let delta = CompletionDelta { finish_reason, outcrop, ..self.delta("") };
        sse::write(out, &self.chunk(&[delta]))
    }

    fn delta<'d>(&self, text: &'d str) -> CompletionDelta<'d> {
        let index = self.index;
        CompletionDelta { text, index, logprobs: None, finish_reason: None, outcrop: None }
    }

    fn chunk<'c>(&'c self, choices: &'c [CompletionDelta<'c>]) -> CompletionChunk<'c> {
        CompletionChunk {
            id: &self.stamp.id,
            object: TEXT_COMPLETION_OBJECT,
            created: self.stamp.created,
            model: &self.stamp.model,
            choices,
            usage: self.reply.include_usage.then_some(None),
        }
    }
}

impl AnswerStream for CompletionStream {
    fn fail_without(
        _: &Stamp,
        _: Received<'_>,
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
        match event {
            StreamEvent::ContentBlockDelta(delta) => {
                if let Some(piece) = delta.delta.text.as_deref() {
                    self.reader.push(piece, &mut self.text);
                }
            }
            StreamEvent::MessageStop(stop) => {
                self.thought = thought(stop.additional_model_response_fields);
                self.stop(&stop.stop_reason);
            }
            StreamEvent::Metadata(metadata) => {
                self.usage = Some(of_stream(metadata.usage, self.reply.stream_counts));
                self.billed = BilledTier::of(metadata.service_tier.as_ref());
                response::trace(metadata.trace, &mut self.outcrop);
            }
            // The prompt, where it is echoed, goes out with the first event.
            StreamEvent::MessageStart
            | StreamEvent::ContentBlockStart(_)
            | StreamEvent::ContentBlockStop(_)
            | StreamEvent::Unknown => {}
        }
        self.show(out)?;
        if self.is_complete() {
            self.end(out)?;
        }
        Ok(Progress::default())
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
        self.end(out)?;
        Ok(Progress::default())
    }

    fn continued(&mut self, target: &str) {
        self.outcrop.continued_at = Some(target.to_owned());
    }

    /// No format can be requested, so that no answer is validated.
    fn judged(&mut self, _: Option<&'static str>, _: &mut BytesMut) -> Result<(), Unwritable> {
        Ok(())
    }

    fn finish(&mut self, total: Spent, out: &mut BytesMut) -> Result<(), Unwritable> {
        if self.reply.include_usage {
            let usage = total.told();
            let usage = usage.unwrap_or_else(|| usage::openai(TokenUsage::default(), None));
            sse::write(out, &CompletionChunk { usage: Some(Some(usage)), ..self.chunk(&[]) })?;
        }
        out.extend_from_slice(sse::DONE);
        Ok(())
    }

    fn counts_as_whole(&mut self) {
        self.reply.stream_counts = StreamCounts::Net;
    }
}
