//! The end of a choice: its finish reason waits for the metadata event, which follows directly.

use bytes::BytesMut;
use schema::converse::response::StopReason;
use schema::openai::chat::FinishReason;
use schema::openai::chunk::{ChunkChoice, Delta};

use super::ChatStream;
use crate::answer_stream::Unwritable;
use crate::chat::finish::finish_reason;
use crate::chat::response::{OWN_TOOL, hides_calls};
use crate::parts::stop::untold;
use crate::sse;

impl ChatStream {
    /// Emits the citations, and stores the finish reason.
    pub(super) fn store_finish(
        &mut self,
        told: &StopReason,
        out: &mut BytesMut,
    ) -> Result<(), Unwritable> {
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

    /// Writes the last chunk of the choice, if it is due and was not written. A complete answer in a
    /// requested format is returned instead: its last chunk tells whether it matches.
    pub(super) fn end(&mut self, out: &mut BytesMut) -> Result<Option<String>, Unwritable> {
        if self.last == Some(FinishReason::Stop)
            && let Some(answer) = self.checked.take()
        {
            return Ok(Some(answer));
        }
        self.last_chunk(out)?;
        Ok(None)
    }

    pub(super) fn last_chunk(&mut self, out: &mut BytesMut) -> Result<(), Unwritable> {
        let Some(reason) = self.last.take() else { return Ok(()) };
        let outcrop = (!self.outcrop.is_empty()).then_some(&self.outcrop);
        let (delta, finish_reason) = (Delta::default(), Some(reason));
        let index = self.index;
        let choices = [ChunkChoice { index, delta, finish_reason, logprobs: None, outcrop }];
        sse::write(out, &self.chunk(&choices))
    }
}
