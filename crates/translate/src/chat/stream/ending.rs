//! The end of a choice: its finish reason waits for the metadata event, which follows directly.

use schema::converse::response::{ServedTier, StopReason};
use schema::openai::chunk::{Chunk, ChunkChoice, Delta};

use super::ChatStream;
use crate::chat::finish::finish_reason;
use crate::chat::response::{self, OWN_TOOL, hides_calls};
use crate::parts::stop::untold;
use crate::profile::StreamCounts;

impl ChatStream {
    /// Emits the citations, and stores the finish reason.
    pub(super) fn settle<E>(
        &mut self,
        told: &StopReason,
        out: &mut impl FnMut(&Chunk<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let (annotations, citations) = self.sources.finish();
        if !annotations.is_empty() {
            self.emit(Delta { annotations: &annotations, ..Delta::default() }, None, out)?;
        }
        let reason = finish_reason(told, self.calls.len(), self.reply.calls);
        let by_tool = self.answer.is_some();
        let hides = hides_calls(by_tool, &self.reply);
        self.outcrop.stop_reason =
            untold(told, self.calls.len()).filter(|word| !hides || word != OWN_TOOL);
        self.outcrop.citations = citations;
        self.last = Some(reason);
        Ok(())
    }

    pub(super) fn metadata<E>(
        &mut self,
        tier: Option<&ServedTier<'_>>,
        out: &mut impl FnMut(&Chunk<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.tier = response::tier(tier, &self.reply);
        self.end(out)
    }

    /// Reads token counts as a complete response gives them, because the replayed events come from
    /// one.
    pub(in crate::chat) fn counts_as_whole(&mut self) {
        self.reply.stream_counts = StreamCounts::Net;
    }

    /// Emits the last chunk of the choice, if it is due and has not been sent.
    pub(super) fn end<E>(
        &mut self,
        out: &mut impl FnMut(&Chunk<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let Some(reason) = self.last.take() else { return Ok(()) };
        let outcrop = (!self.outcrop.is_empty()).then_some(&self.outcrop);
        let (delta, finish_reason) = (Delta::default(), Some(reason));
        let index = self.index;
        out(&self.chunk(&[ChunkChoice { index, delta, finish_reason, logprobs: None, outcrop }]))
    }
}
