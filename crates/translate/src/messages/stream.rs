//! Translates a streamed answer to Anthropic's events: Converse's events here, those of a model's own
//! stream in `stream/native.rs`.

use bytes::BytesMut;
use schema::anthropic::messages::answer::StopReason as Stop;
use schema::anthropic::messages::event::{
    BlockDelta, Ending as EndingDelta, Event, Opening, StartedBlock,
};
use schema::converse::event::{MessageStop, StreamEvent};
use schema::converse::response::{StopReason, TokenUsage};
use schema::openai::annotation::Outcrop;

use super::MessagesReply;
use super::answer::{MessageEnding, usage};
use super::blocks::{AnswerBlocks, BlockSink};
use super::error::MessagesError;
use crate::Stamp;
use crate::answer_stream::{
    AnswerStream, NativeEventError, Progress, Received, StreamError, StreamFailure, Truncated,
    Unwritable,
};
use crate::chat::response;
use crate::parts::usage::{net, thought};
use crate::profile::StreamCounts;
use crate::spent::{BilledTier, Spent};
use crate::sse::{self, TextEvent};

pub(super) mod native;

use native::NativeStream;

/// The translator of one streamed answer.
#[derive(Debug)]
pub struct MessagesStream(Source);

#[derive(Debug)]
enum Source {
    Converse(Box<ConverseStream>),
    Native(Box<NativeStream>),
}

impl MessagesStream {
    pub(super) fn new(reply: MessagesReply, stamp: Stamp) -> Self {
        Self(match reply.is_native {
            true => Source::Native(Box::new(NativeStream::new(reply, stamp))),
            false => Source::Converse(Box::new(ConverseStream::new(reply, stamp))),
        })
    }
}

impl AnswerStream for MessagesStream {
    fn fail_without(
        _: &Stamp,
        _: Received<'_>,
        failure: &StreamFailure<'_>,
        out: &mut BytesMut,
    ) -> Result<(), Unwritable> {
        write_failure(failure, out)
    }

    fn fail(&mut self, failure: &StreamFailure<'_>, out: &mut BytesMut) -> Result<(), Unwritable> {
        write_failure(failure, out)
    }

    fn push(
        &mut self,
        event: &StreamEvent<'_>,
        out: &mut BytesMut,
    ) -> Result<Progress, Unwritable> {
        match &mut self.0 {
            Source::Converse(stream) => stream.push(event, out),
            Source::Native(_) => Ok(Progress::default()),
        }
    }

    fn push_native(
        &mut self,
        event: &[u8],
        out: &mut BytesMut,
    ) -> Result<Progress, NativeEventError> {
        match &mut self.0 {
            Source::Converse(_) => Ok(Progress::default()),
            Source::Native(stream) => stream.push(event, out),
        }
    }

    fn is_complete(&self) -> bool {
        match &self.0 {
            Source::Converse(stream) => stream.ending.is_some() && stream.usage.is_some(),
            Source::Native(stream) => stream.is_complete(),
        }
    }

    fn spent(&self) -> Spent {
        match &self.0 {
            Source::Converse(stream) => Spent::new(stream.usage, stream.thought, stream.billed),
            Source::Native(stream) => stream.spent(),
        }
    }

    fn close(&mut self, out: &mut BytesMut) -> Result<Progress, StreamError> {
        match &mut self.0 {
            Source::Converse(stream) if stream.ending.is_none() => Err(Truncated.into()),
            Source::Converse(stream) => Ok(stream.ended()),
            Source::Native(stream) => stream.close(out),
        }
    }

    fn judged(&mut self, word: Option<&'static str>, out: &mut BytesMut) -> Result<(), Unwritable> {
        match &mut self.0 {
            Source::Converse(stream) => {
                stream.outcrop.structured_output = word;
                Ok(())
            }
            Source::Native(stream) => stream.judged(word, out),
        }
    }

    fn finish(&mut self, total: Spent, out: &mut BytesMut) -> Result<(), Unwritable> {
        match &mut self.0 {
            Source::Converse(stream) => stream.finish(total, out),
            Source::Native(_) => Ok(()),
        }
    }

    fn still_works(&mut self, out: &mut BytesMut) -> Result<(), Unwritable> {
        write(&Event::Ping, out)
    }

    fn counts_as_whole(&mut self) {
        if let Source::Converse(stream) = &mut self.0 {
            stream.blocks.reply.reply.stream_counts = StreamCounts::Net;
        }
    }
}

/// The translator of an answer from Converse.
#[derive(Debug)]
struct ConverseStream {
    stamp: Stamp,
    started: bool,
    blocks: AnswerBlocks,
    /// The event of a piece of text, and the block that it is for.
    text_event: Option<(u32, TextEvent)>,
    ending: Option<MessageEnding>,
    outcrop: Outcrop,
    usage: Option<TokenUsage>,
    billed: BilledTier,
    /// Reasoning tokens, where the model reports them.
    thought: Option<u64>,
}

impl ConverseStream {
    fn new(reply: MessagesReply, stamp: Stamp) -> Self {
        Self {
            started: false,
            blocks: AnswerBlocks::new(reply, &stamp.id),
            stamp,
            text_event: None,
            ending: None,
            outcrop: Outcrop::default(),
            usage: None,
            billed: BilledTier::default(),
            thought: None,
        }
    }

    fn push(
        &mut self,
        event: &StreamEvent<'_>,
        out: &mut BytesMut,
    ) -> Result<Progress, Unwritable> {
        self.start(out)?;
        let Self { blocks, text_event, .. } = self;
        let mut sink = Written { out, text_event };
        match event {
            StreamEvent::MessageStart | StreamEvent::Unknown => {}
            StreamEvent::ContentBlockStart(start) => blocks.block_start(start, &mut sink)?,
            StreamEvent::ContentBlockDelta(delta) => blocks.block_delta(delta, &mut sink)?,
            StreamEvent::ContentBlockStop(stop) => {
                blocks.block_stop(stop.content_block_index, &mut sink)?;
            }
            StreamEvent::MessageStop(stop) => self.stop(stop, out)?,
            StreamEvent::Metadata(metadata) => {
                self.usage = Some(match blocks.reply.reply.stream_counts {
                    StreamCounts::Net => metadata.usage,
                    StreamCounts::Gross => net(metadata.usage),
                });
                self.billed = BilledTier::of(metadata.service_tier.as_ref());
                response::trace(metadata.trace, &mut self.outcrop);
            }
        }
        let reasoning = self.blocks.take_saved();
        let is_complete = self.ending.is_some() && self.usage.is_some();
        let answer = if is_complete { self.ended().answer } else { None };
        Ok(Progress { reasoning, answer })
    }

    /// Begins the message. Its usage comes with the end: clients take the counts there as the answer's.
    fn start(&mut self, out: &mut BytesMut) -> Result<(), Unwritable> {
        if self.started {
            return Ok(());
        }
        self.started = true;
        let message = Opening {
            id: &self.stamp.id,
            kind: "message",
            role: "assistant",
            model: &self.stamp.model,
            content: [],
            stop_reason: None,
            stop_sequence: None,
            usage: usage(None, None),
        };
        write(&Event::MessageStart { message }, out)?;
        write(&Event::Ping, out)
    }

    fn stop(&mut self, stop: &MessageStop<'_>, out: &mut BytesMut) -> Result<(), Unwritable> {
        let Self { blocks, text_event, .. } = self;
        let is_malformed = matches!(
            stop.stop_reason,
            StopReason::MalformedModelOutput | StopReason::MalformedToolUse
        );
        // Without an end the stream ends in an error.
        if self.ending.is_some() || is_malformed {
            return Ok(());
        }
        blocks.finish(&mut Written { out, text_event })?;
        let calls = blocks.calls();
        let told = stop.additional_model_response_fields;
        self.thought = thought(told);
        let ending = MessageEnding::of(&stop.stop_reason, calls, told);
        self.outcrop.stop_reason = ending.untold(&stop.stop_reason, calls);
        self.ending = Some(ending);
        Ok(())
    }

    /// The text to validate, once.
    fn ended(&mut self) -> Progress {
        let is_whole =
            self.ending.as_ref().is_some_and(|ending| ending.stop_reason == Stop::EndTurn);
        let answer = self.blocks.checked.take().filter(|_| is_whole);
        Progress { reasoning: None, answer }
    }

    fn finish(&mut self, total: Spent, out: &mut BytesMut) -> Result<(), Unwritable> {
        let Some(MessageEnding { stop_reason, stop_sequence, stop_details }) = &self.ending else {
            return Ok(());
        };
        let delta = EndingDelta {
            stop_reason: *stop_reason,
            stop_sequence: stop_sequence.as_deref(),
            stop_details: *stop_details,
        };
        let mut usage = usage(total.usage, total.thought);
        usage.cost = total.cost;
        let outcrop = (!self.outcrop.is_empty()).then_some(&self.outcrop);
        write(&Event::MessageDelta { delta, usage, outcrop }, out)?;
        write(&Event::MessageStop, out)
    }
}

/// Writes blocks as events.
struct Written<'o> {
    out: &'o mut BytesMut,
    text_event: &'o mut Option<(u32, TextEvent)>,
}

impl BlockSink for Written<'_> {
    fn start(&mut self, index: u32, content_block: StartedBlock<'_>) -> Result<(), Unwritable> {
        write(&Event::ContentBlockStart { index, content_block }, self.out)
    }

    fn delta(&mut self, index: u32, delta: BlockDelta<'_>) -> Result<(), Unwritable> {
        let BlockDelta::TextDelta { text } = delta else {
            return write(&Event::ContentBlockDelta { index, delta }, self.out);
        };
        if self.text_event.as_ref().is_none_or(|(of, _)| *of != index) {
            let delta = BlockDelta::TextDelta { text: TextEvent::MARK };
            let event = Event::ContentBlockDelta { index, delta };
            *self.text_event = TextEvent::named(event.name(), &event)?.map(|event| (index, event));
        }
        match &self.text_event {
            Some((_, event)) => event.write(self.out, text),
            None => write(&Event::ContentBlockDelta { index, delta }, self.out),
        }
    }

    fn stop(&mut self, index: u32) -> Result<(), Unwritable> {
        write(&Event::ContentBlockStop { index }, self.out)
    }
}

fn write(event: &Event<'_>, out: &mut BytesMut) -> Result<(), Unwritable> {
    sse::write_named(out, event.name(), event)
}

/// Writes the event that ends a stream that failed.
fn write_failure(failure: &StreamFailure<'_>, out: &mut BytesMut) -> Result<(), Unwritable> {
    sse::write_named(out, "error", &MessagesError::of(failure).envelope(None))
}
