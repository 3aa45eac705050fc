//! Thoughts on their way out, each whole and with its place in the turn.

use schema::openai::chunk::{Chunk, Delta};

use super::ChatStream;

impl ChatStream {
    /// Shows the thought under way: it is whole now.
    pub(super) fn close_thought<E>(
        &mut self,
        out: &mut impl FnMut(&Chunk<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.end_reasoning(out)?;
        if !self.mind.close() {
            return Ok(());
        }
        if self.spoken.may_hold() {
            self.mind.displace();
        }
        if self.reply.thoughts.hidden {
            return Ok(());
        }
        self.start(out)?;
        let details = self.mind.last_detail(&self.reply).map(|detail| [detail]);
        self.emit(Delta { reasoning_details: details, ..Delta::default() }, None, out)
    }

    /// Tells what follows the last thought, where that is not what it usually is.
    pub(super) fn show_places<E>(
        &mut self,
        out: &mut impl FnMut(&Chunk<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.mind.end(&self.reply);
        let rest = self.mind.rest_detail(&self.reply).filter(|_| !self.reply.thoughts.hidden);
        let Some(rest) = rest else { return Ok(()) };
        self.emit(Delta { reasoning_details: Some([rest]), ..Delta::default() }, None, out)
    }
}
