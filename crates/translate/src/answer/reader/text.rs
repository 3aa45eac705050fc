//! Text of an answer: separated from reasoning between tags, counted for the positions of citations,
//! held back while a tool may still give the answer.

use bytes::BytesMut;

use super::AnswerReader;
use crate::answer::{AnswerWriter, Written};
use crate::parts::tags::Voice;

impl<W: AnswerWriter> AnswerReader<W> {
    pub(super) fn text(&mut self, text: &str, out: &mut BytesMut) -> Written {
        let Some(mut tagged) = self.tagged.take() else { return self.say(text, out) };
        tagged.push(text, &mut |voice, piece| self.voice(voice, piece, out))?;
        self.tagged = Some(tagged);
        Ok(())
    }

    pub(super) fn voice(&mut self, voice: Voice, text: &str, out: &mut BytesMut) -> Written {
        match voice {
            Voice::Said => self.say(text, out),
            Voice::Reasoning => self.think_aloud(text, out),
        }
    }

    fn say(&mut self, text: &str, out: &mut BytesMut) -> Written {
        let text = self.answer_text.push(text);
        let aside = self.answer_text.take_aside();
        self.think_aloud(&aside, out)?;
        self.sources.say(&text);
        self.emit_answer(&text, out)
    }

    /// Sends held text before the call: it is not the answer.
    pub(super) fn yield_to_call(&mut self, out: &mut BytesMut) -> Written {
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

    /// Sends text that is not the answer as reasoning.
    pub(super) fn think_aloud(&mut self, text: &str, out: &mut BytesMut) -> Written {
        if self.reply.thoughts.hidden || text.is_empty() {
            return Ok(());
        }
        self.writer.thought(text, out)
    }
}
