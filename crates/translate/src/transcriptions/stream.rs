//! A transcript as events: pieces of its text, then the whole with its usage.

use bytes::BytesMut;
use schema::converse::event::StreamEvent;
use schema::converse::response::TokenUsage;
use schema::openai::transcriptions::{
    TRANSCRIPT_DELTA, TRANSCRIPT_DONE, TranscriptDelta, TranscriptDone,
};

use super::{flaw_of, usage};
use crate::Stamp;
use crate::answer_stream::{
    AnswerStream, Progress, Received, StreamError, StreamFailure, Truncated, Unwritable,
};
use crate::parts::usage::of_stream;
use crate::profile::StreamCounts;
use crate::spent::{BilledTier, Spent};
use crate::sse::{self, TextEvent};

/// The translator of one transcript.
#[derive(Debug)]
pub struct TranscriptStream {
    counts: StreamCounts,
    /// The text so far, which the last event repeats.
    text: String,
    /// The event of a piece of text, from the first one on.
    text_event: Option<TextEvent>,
    /// Whether the model has ended its answer, and in full.
    ending: Ending,
    usage: Option<TokenUsage>,
    billed: BilledTier,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Open,
    Whole,
    /// The text was cut off or withheld.
    Flawed,
}

impl TranscriptStream {
    pub(super) fn new(counts: StreamCounts) -> Self {
        Self {
            counts,
            text: String::new(),
            text_event: None,
            ending: Ending::Open,
            usage: None,
            billed: BilledTier::default(),
        }
    }

    fn show(&mut self, piece: &str, out: &mut BytesMut) -> Result<(), Unwritable> {
        let piece = if self.text.is_empty() { piece.trim_start() } else { piece };
        if piece.is_empty() {
            return Ok(());
        }
        self.text.push_str(piece);
        let delta = |text| TranscriptDelta { kind: TRANSCRIPT_DELTA, delta: text };
        if self.text_event.is_none() {
            self.text_event = TextEvent::new(&delta(TextEvent::MARK))?;
        }
        match &self.text_event {
            Some(event) => event.write(out, piece),
            None => sse::write(out, &delta(piece)),
        }
    }
}

impl AnswerStream for TranscriptStream {
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
                self.show(delta.delta.text.as_deref().unwrap_or_default(), out)?;
            }
            StreamEvent::MessageStop(stop) => {
                let is_flawed = flaw_of(&stop.stop_reason).is_some();
                self.ending = if is_flawed { Ending::Flawed } else { Ending::Whole };
            }
            StreamEvent::Metadata(metadata) => {
                self.usage = Some(of_stream(metadata.usage, self.counts));
                self.billed = BilledTier::of(metadata.service_tier.as_ref());
            }
            StreamEvent::MessageStart
            | StreamEvent::ContentBlockStart(_)
            | StreamEvent::ContentBlockStop(_)
            | StreamEvent::Unknown => {}
        }
        Ok(Progress::default())
    }

    fn is_complete(&self) -> bool {
        self.ending != Ending::Open && self.usage.is_some()
    }

    fn spent(&self) -> Spent {
        Spent::new(self.usage, None, self.billed)
    }

    /// A text that was cut off or withheld is no transcript: its stream ends in an error.
    fn close(&mut self, _: &mut BytesMut) -> Result<Progress, StreamError> {
        match self.ending {
            Ending::Whole => Ok(Progress::default()),
            Ending::Open | Ending::Flawed => Err(Truncated.into()),
        }
    }

    /// No format can be requested, so that no answer is validated.
    fn judged(&mut self, _: Option<&'static str>, _: &mut BytesMut) -> Result<(), Unwritable> {
        Ok(())
    }

    fn finish(&mut self, _: Spent, out: &mut BytesMut) -> Result<(), Unwritable> {
        let usage = usage(self.usage.unwrap_or_default());
        sse::write(out, &TranscriptDone { kind: TRANSCRIPT_DONE, text: &self.text, usage })
    }

    fn counts_as_whole(&mut self) {
        self.counts = StreamCounts::Net;
    }
}
