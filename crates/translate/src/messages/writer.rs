//! Writes an answer as the blocks of a message, one after another and numbered without gaps. Events and
//! complete answers are made by the same code; where the blocks go is the sink's.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;

use bytes::BytesMut;
use schema::anthropic::messages::answer::{StopReason as Stop, Usage};
use schema::anthropic::messages::event::{
    BlockDelta, Empty, Ending as EndingDelta, Event, Opening, StartedBlock,
};
use schema::converse::event::Metadata;
use schema::openai::annotation::{Cited, Outcrop};
use serde_json::value::RawValue;

use super::answer::{MessageEnding, usage};
use super::error::MessagesError;
use super::sealed;
use crate::answer::turn::{AnswerTurn, Block};
use crate::answer::{AnswerWriter, BegunCall, StoppedAnswer, UNREADABLE_OUTPUT, Written};
use crate::answer_stream::{Received, StreamFailure};
use crate::capsule::Capsules;
use crate::chat::response;
use crate::parts::thinking::capsule;
use crate::reasoning::ReasoningItem;
use crate::spent::Spent;
use crate::{Reply, Stamp, sse};
use citation::location;
use sink::Sink;

mod citation;
mod sink;

/// Writes the blocks of one message.
#[derive(Debug)]
pub(super) struct MessageWriter {
    stamp: Stamp,
    /// Format to seal encrypted reasoning with.
    sealed: Option<String>,
    /// Seals reasoning without a signature.
    capsules: Option<Arc<dyn Capsules>>,
    sink: Sink,
    begun: bool,
    /// Number of blocks begun.
    count: u32,
    open: Option<Open>,
    /// Calls that began before the open one ended.
    waiting: VecDeque<WaitingCall>,
    ending: Option<MessageEnding>,
    /// The model's own stop reason tells that its output is no answer.
    is_unreadable: bool,
    outcrop: Outcrop,
}

/// The block that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Open {
    Text,
    Thinking,
    /// A call, by its position among the calls.
    Call(usize),
}

/// A call whose block waits for the end of another.
#[derive(Debug)]
struct WaitingCall {
    index: usize,
    id: String,
    name: String,
    input: String,
    ended: bool,
}

impl MessageWriter {
    pub(super) fn new(
        stamp: Stamp,
        sealed: Option<String>,
        capsules: Option<Arc<dyn Capsules>>,
    ) -> Self {
        Self {
            stamp,
            sealed,
            capsules,
            sink: Sink::default(),
            begun: false,
            count: 0,
            open: None,
            waiting: VecDeque::new(),
            ending: None,
            is_unreadable: false,
            outcrop: Outcrop::default(),
        }
    }

    /// Gathers the blocks instead of writing events.
    pub(super) fn gather(&mut self) {
        self.sink = Sink::gathering();
    }

    /// The identity of the answer, its gathered blocks, its end and Bedrock's facts about it.
    pub(super) fn into_parts(self) -> MessageParts {
        let Self { stamp, sink, ending, outcrop, .. } = self;
        MessageParts { stamp, blocks: sink.into_blocks(), ending, outcrop }
    }

    fn start(&mut self, out: &mut BytesMut) -> Written {
        if std::mem::replace(&mut self.begun, true) {
            return Ok(());
        }
        // Clients take the counts at the end as the answer's.
        let message = Opening {
            id: &self.stamp.id,
            kind: "message",
            role: "assistant",
            model: &self.stamp.model,
            content: [],
            stop_reason: None,
            stop_sequence: None,
            usage: Usage::default(),
        };
        self.sink.event(&Event::MessageStart { message }, out)?;
        self.sink.event(&Event::Ping, out)
    }

    fn open(&mut self, open: Open, block: StartedBlock<'_>, out: &mut BytesMut) -> Written {
        self.close(out)?;
        self.sink.start(self.count, block, out)?;
        self.count += 1;
        self.open = Some(open);
        Ok(())
    }

    fn delta(&mut self, delta: BlockDelta<'_>, out: &mut BytesMut) -> Written {
        self.sink.delta(self.count.saturating_sub(1), delta, out)
    }

    /// Ends the open block.
    fn close(&mut self, out: &mut BytesMut) -> Written {
        match self.open.take() {
            Some(_) => self.sink.stop(self.count.saturating_sub(1), out),
            None => Ok(()),
        }
    }

    fn open_text(&mut self, citations: Option<[(); 0]>, out: &mut BytesMut) -> Written {
        self.start(out)?;
        if self.open == Some(Open::Text) {
            return Ok(());
        }
        self.write_waiting(out)?;
        self.open(Open::Text, StartedBlock::Text { text: "", citations }, out)
    }

    fn open_thinking(&mut self, out: &mut BytesMut) -> Written {
        self.start(out)?;
        if self.open == Some(Open::Thinking) {
            return Ok(());
        }
        self.write_waiting(out)?;
        self.open(Open::Thinking, StartedBlock::Thinking { thinking: "", signature: "" }, out)
    }

    fn open_call(&mut self, index: usize, id: &str, name: &str, out: &mut BytesMut) -> Written {
        self.open(Open::Call(index), StartedBlock::ToolUse { id, name, input: Empty {} }, out)
    }

    /// Writes the calls that wait for the open block, as far as they have ended; the rest of the first
    /// other one comes as it comes.
    fn write_waiting(&mut self, out: &mut BytesMut) -> Written {
        while let Some(call) = self.waiting.pop_front() {
            let WaitingCall { index, id, name, input, ended } = call;
            self.open_call(index, &id, &name, out)?;
            if !input.is_empty() {
                self.delta(BlockDelta::InputJsonDelta { partial_json: &input }, out)?;
            }
            if !ended {
                break;
            }
            self.close(out)?;
        }
        Ok(())
    }
}

/// The parts of a complete answer.
pub(super) struct MessageParts {
    pub(super) stamp: Stamp,
    pub(super) blocks: Vec<schema::anthropic::messages::answer::AnswerBlock>,
    pub(super) ending: Option<MessageEnding>,
    pub(super) outcrop: Outcrop,
}

impl AnswerWriter for MessageWriter {
    fn begin(&mut self, out: &mut BytesMut) -> Written {
        self.start(out)
    }

    fn text(&mut self, text: &str, out: &mut BytesMut) -> Written {
        self.open_text(None, out)?;
        self.delta(BlockDelta::TextDelta { text }, out)
    }

    fn text_ended(&mut self, out: &mut BytesMut) -> Written {
        if self.open == Some(Open::Text) { self.close(out) } else { Ok(()) }
    }

    fn citation(&mut self, citation: &RawValue, out: &mut BytesMut) -> Written {
        let Some(citation) = location(citation) else { return Ok(()) };
        self.open_text(Some([]), out)?;
        self.delta(BlockDelta::CitationsDelta { citation: &citation }, out)
    }

    fn thought(&mut self, thinking: &str, out: &mut BytesMut) -> Written {
        self.open_thinking(out)?;
        self.delta(BlockDelta::ThinkingDelta { thinking }, out)
    }

    /// Signatures come in pieces and are sent whole, because clients replace by them.
    fn thought_ended(&mut self, turn: &AnswerTurn, reply: &Reply, out: &mut BytesMut) -> Written {
        let Some(Block::Reasoning(thought)) = turn.blocks().last() else { return Ok(()) };
        let signature = match thought {
            ReasoningItem::Text { signature: Some(signature), .. } => Cow::Borrowed(&**signature),
            ReasoningItem::Text { signature: None, .. } => {
                let capsules = self.capsules.as_deref();
                let capsule =
                    capsules.and_then(|capsules| capsule::sealed(thought, reply, capsules));
                Cow::Owned(capsule.unwrap_or_default())
            }
            ReasoningItem::Redacted(data) => {
                self.start(out)?;
                let shown = sealed::sealed(data, self.sealed.as_deref()).into_owned();
                let block = StartedBlock::RedactedThinking { data: &shown };
                self.open(Open::Thinking, block, out)?;
                return self.close(out);
            }
        };
        if !signature.is_empty() {
            // Reasoning that is not shown has its block for the signature.
            self.open_thinking(out)?;
            self.delta(BlockDelta::SignatureDelta { signature: &signature }, out)?;
        }
        if self.open == Some(Open::Thinking) { self.close(out) } else { Ok(()) }
    }

    fn call(&mut self, call: &BegunCall<'_>, out: &mut BytesMut) -> Written {
        let BegunCall { index, id, name, form: _ } = *call;
        self.start(out)?;
        if matches!(self.open, Some(Open::Call(_))) {
            let (id, name) = (id.to_owned(), name.to_owned());
            let (input, ended) = (String::new(), false);
            self.waiting.push_back(WaitingCall { index, id, name, input, ended });
            return Ok(());
        }
        self.open_call(index, id, name, out)
    }

    fn input(&mut self, index: usize, piece: &str, out: &mut BytesMut) -> Written {
        if self.open == Some(Open::Call(index)) {
            return self.delta(BlockDelta::InputJsonDelta { partial_json: piece }, out);
        }
        if let Some(call) = self.waiting.iter_mut().find(|call| call.index == index) {
            call.input.push_str(piece);
        }
        Ok(())
    }

    fn call_ended(&mut self, index: usize, out: &mut BytesMut) -> Written {
        if self.open == Some(Open::Call(index)) {
            self.close(out)?;
            return self.write_waiting(out);
        }
        if let Some(call) = self.waiting.iter_mut().find(|call| call.index == index) {
            call.ended = true;
        }
        Ok(())
    }

    /// Citations stand in their blocks.
    fn cited(&mut self, _: &[Cited], _: &mut BytesMut) -> Written {
        Ok(())
    }

    fn stopped(&mut self, stop: StoppedAnswer<'_>, out: &mut BytesMut) -> Written {
        let StoppedAnswer { finish, reason, untold, fields, turn: _, sources: _, reply: _ } = stop;
        self.start(out)?;
        while !self.waiting.is_empty() {
            self.write_waiting(out)?;
        }
        self.close(out)?;
        self.is_unreadable = reason.is_malformed();
        let ending = MessageEnding::of(finish, reason, fields);
        self.outcrop.stop_reason = untold.filter(|_| !MessageEnding::tells(reason));
        self.ending = Some(ending);
        Ok(())
    }

    fn measured(&mut self, metadata: &Metadata<'_>, _: &Reply) {
        response::trace(metadata.trace, &mut self.outcrop);
    }

    fn continued(&mut self, target: &str) {
        self.outcrop.continued_at = Some(target.to_owned());
    }

    fn judged(&mut self, word: Option<&'static str>) {
        self.outcrop.structured_output = word;
    }

    /// The last events tell the usage, and wait for it.
    fn last(&mut self, _: &mut BytesMut) -> Written {
        Ok(())
    }

    fn finish(&mut self, total: Spent, out: &mut BytesMut) -> Written {
        let Some(MessageEnding { stop_reason, stop_sequence, stop_details }) = &self.ending else {
            return Ok(());
        };
        if self.is_unreadable {
            return write_failure(&unreadable(), out);
        }
        let delta = EndingDelta {
            stop_reason: *stop_reason,
            stop_sequence: stop_sequence.as_deref(),
            stop_details: *stop_details,
        };
        let usage = Usage { cost: total.cost, ..usage(total.usage, total.thought) };
        let outcrop = (!self.outcrop.is_empty()).then_some(&self.outcrop);
        self.sink.event(&Event::MessageDelta { delta, usage, outcrop }, out)?;
        self.sink.event(&Event::MessageStop, out)
    }

    fn fail(&mut self, failure: &StreamFailure<'_>, out: &mut BytesMut) -> Written {
        write_failure(failure, out)
    }

    fn fail_without(
        _: &Stamp,
        _: Received,
        failure: &StreamFailure<'_>,
        out: &mut BytesMut,
    ) -> Written {
        write_failure(failure, out)
    }

    fn still_works(&mut self, out: &mut BytesMut) -> Written {
        write_ping(out)
    }
}

/// Returns whether an answer with this end is whole.
pub(super) fn is_whole(ending: &MessageEnding) -> bool {
    ending.stop_reason == Stop::EndTurn
}

/// Writes the event that ends a stream that failed.
pub(super) fn write_failure(failure: &StreamFailure<'_>, out: &mut BytesMut) -> Written {
    sse::write_named(out, "error", &MessagesError::of(failure).envelope(None))
}

/// Writes the event that clients accept at any time.
pub(super) fn write_ping(out: &mut BytesMut) -> Written {
    sse::write_named(out, Event::Ping.name(), &Event::Ping)
}

/// The failure of an answer that the model itself could not finish.
fn unreadable() -> StreamFailure<'static> {
    StreamFailure {
        status: 502,
        kind: "server_error",
        code: None,
        param: None,
        message: UNREADABLE_OUTPUT,
        retry_after_ms: None,
    }
}
