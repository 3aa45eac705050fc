//! Emits text: separated from reasoning between tags, counted for the positions of citations, held
//! back while a tool may still give the answer.

use bytes::BytesMut;
use schema::openai::chunk::Delta;

use super::ChatStream;
use crate::answer_stream::Unwritable;
use crate::parts::tags::Voice;

impl ChatStream {
    pub(super) fn text(&mut self, text: &str, out: &mut BytesMut) -> Result<(), Unwritable> {
        let Some(mut tagged) = self.tagged.take() else { return self.say(text, out) };
        tagged.push(text, &mut |voice, piece| self.voice(voice, piece, out))?;
        self.tagged = Some(tagged);
        Ok(())
    }

    pub(super) fn voice(
        &mut self,
        voice: Voice,
        text: &str,
        out: &mut BytesMut,
    ) -> Result<(), Unwritable> {
        match voice {
            Voice::Said => self.say(text, out),
            Voice::Reasoning if self.reply.thoughts.hidden => Ok(()),
            Voice::Reasoning => {
                self.emit(Delta { reasoning_content: Some(text), ..Delta::default() }, None, out)
            }
        }
    }

    fn say(&mut self, text: &str, out: &mut BytesMut) -> Result<(), Unwritable> {
        let text = self.answer_text.push(text);
        let aside = self.answer_text.take_aside();
        self.think_aloud(&aside, out)?;
        self.sources.say(&text);
        self.emit_answer(&text, out)
    }

    /// Sends held text before the call: it is not the answer.
    pub(super) fn yield_to_call(&mut self, out: &mut BytesMut) -> Result<(), Unwritable> {
        if self.answer.is_some() {
            return Ok(());
        }
        match self.answer_text.yields_to_call() {
            (Voice::Reasoning, held) => self.think_aloud(&held, out),
            (Voice::Said, held) => {
                self.sources.say(&held);
                self.emit_answer(&held, out)
            }
        }
    }

    /// Sends held text that was not the answer, as reasoning.
    pub(super) fn think_aloud(&self, text: &str, out: &mut BytesMut) -> Result<(), Unwritable> {
        if self.reply.thoughts.hidden || text.is_empty() {
            return Ok(());
        }
        self.emit(Delta { reasoning_content: Some(text), ..Delta::default() }, None, out)
    }
}
