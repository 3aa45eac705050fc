//! The end of a choice: its finish reason waits for what the metadata tell, which follow at once.

use schema::converse::response::{ServedTier, StopReason};
use schema::openai::chunk::{Chunk, ChunkChoice, Delta};

use super::ChatStream;
use crate::chat::response::{self, OWN_TOOL, hides_calls};
use crate::parts::stop::{finish_reason, untold};
use crate::profile::StreamCounts;

impl ChatStream {
    /// Shows the sources, and notes why the answer ended.
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
        self.outcrop.stop_reason = untold(told, reason).filter(|word| !hides || word != OWN_TOOL);
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

    /// Takes the token counts as a whole answer gives them: what is pushed comes from one.
    pub(in crate::chat) fn counts_as_whole(&mut self) {
        self.reply.stream_counts = StreamCounts::Net;
    }

    /// The last chunk of the choice, if it is due and has not been sent.
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
