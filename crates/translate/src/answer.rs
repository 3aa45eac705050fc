//! A model's answer, event by event, whatever the API it is written in: text without the calls and the
//! reasoning in it, calls with the client's names, reasoning with its signature. An [`AnswerReader`]
//! reads Converse's events and tells a dialect's writer what they mean.

use std::fmt::Debug;

use bytes::BytesMut;
use schema::converse::event::Metadata;
use schema::converse::response::StopReason;
use schema::openai::annotation::Cited;
use serde_json::value::RawValue;

use crate::answer_stream::{KeptItem, Received, StreamFailure, Unwritable};
use crate::parts::stop::Finish;
use crate::parts::tools::Form;
use crate::spent::Spent;
use crate::{Reply, Stamp};
use sources::CitedSources;
use turn::AnswerTurn;

pub(crate) mod reader;
pub(crate) mod sources;
pub(crate) mod turn;

pub(crate) use reader::{AnswerReader, Reads};

/// The failure of an answer whose stop reason tells that the model's output is none.
pub(crate) const UNREADABLE_OUTPUT: &str = "The model's output could not be read as an answer.";

/// The result of writing to a stream.
pub(crate) type Written = Result<(), Unwritable>;

/// Writes the parts of one answer as events of a dialect. Blocks do not overlap in what Converse sends;
/// a writer that needs that makes sure of it.
pub(crate) trait AnswerWriter: Debug {
    /// Begins the answer; called once, before everything else.
    fn begin(&mut self, out: &mut BytesMut) -> Written;

    /// Writes text of the answer, which is not empty.
    fn text(&mut self, text: &str, out: &mut BytesMut) -> Written;

    /// Ends a block of text, where none of it is held back.
    fn text_ended(&mut self, _out: &mut BytesMut) -> Written {
        Ok(())
    }

    /// Adds a citation of the block of text that is being written, as it came.
    fn citation(&mut self, _citation: &RawValue, _out: &mut BytesMut) -> Written {
        Ok(())
    }

    /// Writes reasoning that the client is shown, which is not empty.
    fn thought(&mut self, text: &str, out: &mut BytesMut) -> Written;

    /// Ends a reasoning block, the last of `turn`.
    fn thought_ended(&mut self, turn: &AnswerTurn, reply: &Reply, out: &mut BytesMut) -> Written;

    /// Begins a call.
    fn call(&mut self, call: &BegunCall<'_>, out: &mut BytesMut) -> Written;

    /// Writes a piece of a call's input, which is not empty.
    fn input(&mut self, index: usize, piece: &str, out: &mut BytesMut) -> Written;

    /// Ends a call.
    fn call_ended(&mut self, index: usize, out: &mut BytesMut) -> Written;

    /// Adds citations of the text so far.
    fn cited(&mut self, cited: &[Cited], out: &mut BytesMut) -> Written;

    /// Records the end of the answer. Its last event waits for the metadata.
    fn stopped(&mut self, stop: StoppedAnswer<'_>, out: &mut BytesMut) -> Written;

    /// Records Bedrock's facts about the answer.
    fn measured(&mut self, metadata: &Metadata<'_>, reply: &Reply);

    /// Records that a call to this target continued the answer after it had broken off.
    fn continued(&mut self, _target: &str) {}

    /// Records the result of a validation, `None` for a valid answer.
    fn judged(&mut self, word: Option<&'static str>);

    /// Writes the last event of the answer, if it is due and was not written.
    fn last(&mut self, out: &mut BytesMut) -> Written;

    /// Ends the stream after the last of its answers; `total` is the usage of all.
    fn finish(&mut self, total: Spent, out: &mut BytesMut) -> Written;

    /// Ends a stream that failed.
    fn fail(&mut self, failure: &StreamFailure<'_>, out: &mut BytesMut) -> Written;

    /// Ends a stream that failed and has no writer.
    fn fail_without(
        stamp: &Stamp,
        received: Received<'_>,
        failure: &StreamFailure<'_>,
        out: &mut BytesMut,
    ) -> Written
    where
        Self: Sized;

    /// Tells that the answer is still being made, where the dialect has an event for that.
    fn still_works(&mut self, _out: &mut BytesMut) -> Written {
        Ok(())
    }

    /// Sets the time of the answer's end, in Unix seconds.
    fn ends_at(&mut self, _seconds: u32) {}

    /// The parts of the answer to keep that are new.
    fn take_items(&mut self) -> Vec<KeptItem> {
        Vec::new()
    }

    /// The whole answer after its end, if it is kept.
    fn kept_answer(&self) -> Option<KeptItem> {
        None
    }
}

/// A call that begins.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BegunCall<'c> {
    /// Position among the calls of the answer.
    pub(crate) index: usize,
    pub(crate) id: &'c str,
    /// The client's name of the tool.
    pub(crate) name: &'c str,
    pub(crate) form: Form,
}

/// The end of an answer.
pub(crate) struct StoppedAnswer<'s> {
    pub(crate) finish: Finish,
    pub(crate) reason: &'s StopReason,
    /// Bedrock's stop reason, where `finish` does not convey it.
    pub(crate) untold: Option<String>,
    /// Fields of the model's own response.
    pub(crate) fields: Option<&'s RawValue>,
    pub(crate) turn: &'s AnswerTurn,
    pub(crate) sources: &'s mut CitedSources,
    pub(crate) reply: &'s Reply,
}
