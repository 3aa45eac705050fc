//! Reads a streamed Converse answer: a value that events are pushed into. It reads no clock and no
//! socket, so any split of the same bytes gives the same output, and the output combined is the
//! complete answer.

use bytes::BytesMut;
use schema::converse::event::{MessageStop, Metadata, StreamEvent};
use schema::converse::response::TokenUsage;

use super::sources::CitedSources;
use super::turn::AnswerTurn;
use super::{AnswerWriter, StoppedAnswer, Written};
use crate::answer_stream::{
    AnswerStream, KeptItem, Progress, Received, StreamError, StreamFailure, Truncated, Unwritable,
};
use crate::parts::format::AnswerText;
use crate::parts::stop::{Finish, finish, untold};
use crate::parts::tags::Tagged;
use crate::parts::tools::{Form, Unwrap};
use crate::parts::usage;
use crate::parts::written::Reader;
use crate::profile::StreamCounts;
use crate::reply::CallShape;
use crate::spent::{BilledTier, Spent};
use crate::{Reply, Stamp};

mod blocks;
mod text;
mod written;

/// Stop reason of an answer given through the gateway's own tool, which the client does not know.
pub(crate) const OWN_TOOL: &str = "tool_use";

/// The translator of one streamed answer, which a dialect's writer writes.
#[derive(Debug)]
pub(crate) struct AnswerReader<W> {
    reply: Reply,
    writer: W,
    /// The id of the answer, from which ids of written calls are made.
    id: String,
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
    turn: AnswerTurn,
    sources: CitedSources,
    /// Separates reasoning between tags from the text, where configured.
    tagged: Option<Tagged>,
    /// Extracts calls from text and reasoning, where the model may write them there.
    reader: Option<Reader>,
    /// The block of the reasoning being read.
    reasoning: Option<u32>,
    /// The end of the answer, once it has arrived.
    finish: Option<Finish>,
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

impl<W> AnswerReader<W> {
    /// A translator for the answer to the request that made `reply`; `id` is the answer's.
    pub(crate) fn writing(writer: W, reply: Reply, id: String) -> Self {
        let tagged = reply.splits_tags.then(Tagged::default);
        let answer_text = reply.answer_text();
        let reader = reply.reader();
        let checked = reply.wanted.is_some().then(String::new);
        Self {
            reply,
            writer,
            id,
            started: false,
            calls: Vec::new(),
            block: 0,
            cites: None,
            answer: None,
            answer_text,
            checked,
            turn: AnswerTurn::default(),
            sources: CitedSources::default(),
            tagged,
            reader,
            reasoning: None,
            finish: None,
            usage: None,
            billed: BilledTier::default(),
            thought: None,
        }
    }

    pub(crate) fn writer_mut(&mut self) -> &mut W {
        &mut self.writer
    }

    pub(crate) fn into_writer(self) -> W {
        self.writer
    }
}

impl<W: AnswerWriter> AnswerReader<W> {
    fn event(&mut self, event: &StreamEvent<'_>, out: &mut BytesMut) -> Written {
        match event {
            StreamEvent::MessageStart => self.start(out),
            StreamEvent::ContentBlockStart(start) => self.block_start(start, out),
            StreamEvent::ContentBlockDelta(delta) => self.block_delta(delta, out),
            StreamEvent::ContentBlockStop(stop) => {
                let cited = self.sources.end_block();
                if !cited.is_empty() {
                    self.writer.cited(cited, out)?;
                }
                self.block_stop(stop.content_block_index, out)
            }
            StreamEvent::MessageStop(stop) => self.message_stop(stop, out),
            StreamEvent::Metadata(metadata) => {
                self.measure(metadata);
                Ok(())
            }
            StreamEvent::Unknown => Ok(()),
        }
    }

    fn start(&mut self, out: &mut BytesMut) -> Written {
        if self.started {
            return Ok(());
        }
        self.started = true;
        self.writer.begin(out)
    }

    fn measure(&mut self, metadata: &Metadata<'_>) {
        self.usage = Some(usage::of_stream(metadata.usage, self.reply.stream_counts));
        self.billed = BilledTier::of(metadata.service_tier.as_ref());
        self.writer.measured(metadata, &self.reply);
    }

    /// Returns whether another call may begin: the deprecated form and a limit of one call allow
    /// one, forbidden calls allow none.
    fn has_room(&self) -> bool {
        let many = self.reply.calls == CallShape::Tools && !self.reply.one_call;
        !self.reply.drops_calls && (many || self.calls.is_empty())
    }

    fn open_call(&self, block: u32) -> Option<usize> {
        self.calls.iter().rposition(|call| call.open && call.block == block)
    }

    fn message_stop(&mut self, stop: &MessageStop<'_>, out: &mut BytesMut) -> Written {
        if self.finish.is_some() {
            return Ok(());
        }
        self.start(out)?;
        self.close_thought(out)?;
        self.end_words(out)?;
        // Set now: written calls are pushed as blocks.
        self.finish = Some(finish(&stop.stop_reason, self.calls.len()));
        if let Some(mut tagged) = self.tagged.take() {
            tagged.finish(&mut |voice, piece| self.voice(voice, piece, out))?;
        }
        self.call_written(out)?;
        let fields = stop.additional_model_response_fields;
        self.thought = usage::thought(fields);
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
        self.turn.end(&self.reply);
        let (reason, calls) = (&stop.stop_reason, self.calls.len());
        let finish = finish(reason, calls);
        self.finish = Some(finish);
        let hides = hides_calls(self.answer.is_some(), &self.reply);
        let untold = untold(reason, calls).filter(|word| !hides || word != OWN_TOOL);
        let (turn, sources, reply) = (&self.turn, &mut self.sources, &self.reply);
        let stop = StoppedAnswer { finish, reason, untold, fields, turn, sources, reply };
        self.writer.stopped(stop, out)
    }

    fn is_complete(&self) -> bool {
        self.finish.is_some() && self.usage.is_some()
    }

    /// Ends the answer, as far as it has not ended. A complete answer in a requested format is returned
    /// instead: its last event tells whether it matches.
    fn end(&mut self, out: &mut BytesMut) -> Result<Option<String>, Unwritable> {
        if self.finish == Some(Finish::Complete)
            && let Some(answer) = self.checked.take()
        {
            return Ok(Some(answer));
        }
        self.writer.last(out)?;
        Ok(None)
    }
}

/// Returns whether the answer may have calls that the client does not see: of the answering tool,
/// or forbidden ones.
pub(crate) fn hides_calls(by_tool: bool, reply: &Reply) -> bool {
    by_tool || reply.drops_calls
}

/// A dialect's stream: a reader with the dialect's writer.
pub(crate) trait Reads {
    /// The writer.
    type Writer: AnswerWriter;

    /// The reader.
    fn reader(&self) -> &AnswerReader<Self::Writer>;

    /// The reader, to push events into.
    fn reader_mut(&mut self) -> &mut AnswerReader<Self::Writer>;
}

impl<S: Reads> AnswerStream for S {
    fn fail_without(
        stamp: &Stamp,
        received: Received<'_>,
        failure: &StreamFailure<'_>,
        out: &mut BytesMut,
    ) -> Written {
        S::Writer::fail_without(stamp, received, failure, out)
    }

    fn fail(&mut self, failure: &StreamFailure<'_>, out: &mut BytesMut) -> Written {
        self.reader_mut().writer.fail(failure, out)
    }

    fn push(
        &mut self,
        event: &StreamEvent<'_>,
        out: &mut BytesMut,
    ) -> Result<Progress, Unwritable> {
        let reader = self.reader_mut();
        reader.event(event, out)?;
        let reasoning = reader.turn.take_kept(&reader.reply);
        let answer = if reader.is_complete() { reader.end(out)? } else { None };
        Ok(Progress { reasoning, answer })
    }

    fn is_complete(&self) -> bool {
        self.reader().is_complete()
    }

    fn spent(&self) -> Spent {
        let AnswerReader { usage, thought, billed, .. } = self.reader();
        Spent::new(*usage, *thought, *billed)
    }

    fn close(&mut self, out: &mut BytesMut) -> Result<Progress, StreamError> {
        let reader = self.reader_mut();
        if reader.finish.is_none() {
            return Err(Truncated.into());
        }
        Ok(Progress { reasoning: None, answer: reader.end(out)? })
    }

    fn continued(&mut self, target: &str) {
        self.reader_mut().writer_mut().continued(target);
    }

    fn judged(&mut self, word: Option<&'static str>, out: &mut BytesMut) -> Written {
        let writer = self.reader_mut().writer_mut();
        writer.judged(word);
        writer.last(out)
    }

    fn finish(&mut self, total: Spent, out: &mut BytesMut) -> Written {
        self.reader_mut().writer.finish(total, out)
    }

    fn counts_as_whole(&mut self) {
        self.reader_mut().reply.stream_counts = StreamCounts::Net;
    }

    fn still_works(&mut self, out: &mut BytesMut) -> Written {
        self.reader_mut().writer.still_works(out)
    }

    fn ends_at(&mut self, seconds: u32) {
        self.reader_mut().writer.ends_at(seconds);
    }

    fn take_items(&mut self) -> Vec<KeptItem> {
        self.reader_mut().writer.take_items()
    }

    fn kept_answer(&self) -> Option<KeptItem> {
        self.reader().writer.kept_answer()
    }
}
