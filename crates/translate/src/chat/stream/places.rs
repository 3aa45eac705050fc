//! Emits reasoning blocks, each complete and with its position in the turn.

use bytes::BytesMut;
use schema::openai::chunk::Delta;

use super::ChatStream;
use crate::answer_stream::Unwritable;

impl ChatStream {
    /// Emits the current reasoning block, which is now complete.
    pub(super) fn close_thought(&mut self, out: &mut BytesMut) -> Result<(), Unwritable> {
        self.end_reasoning(out)?;
        if !self.turn_reasoning.close() {
            return Ok(());
        }
        if self.answer_text.may_hold() {
            self.turn_reasoning.displace();
        }
        if self.reply.thoughts.hidden {
            return Ok(());
        }
        self.start(out)?;
        let details = self.turn_reasoning.last_detail(&self.reply).map(|detail| [detail]);
        self.emit(Delta { reasoning_details: details, ..Delta::default() }, None, out)
    }

    /// Emits the positions after the last reasoning block, where they are not the usual ones.
    pub(super) fn show_places(&mut self, out: &mut BytesMut) -> Result<(), Unwritable> {
        self.turn_reasoning.end(&self.reply);
        let rest =
            self.turn_reasoning.rest_detail(&self.reply).filter(|_| !self.reply.thoughts.hidden);
        let Some(rest) = rest else { return Ok(()) };
        self.emit(Delta { reasoning_details: Some([rest]), ..Delta::default() }, None, out)
    }
}
