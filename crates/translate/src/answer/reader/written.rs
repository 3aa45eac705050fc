//! Text and reasoning without the calls that the model writes into them. Those calls are sent
//! at the end, like calls in blocks.

use bytes::BytesMut;
use schema::converse::event::{
    BlockDelta, BlockStart, Delta, ReasoningDelta, Start, ToolUseDelta, ToolUseStart,
};

use super::AnswerReader;
use crate::answer::{AnswerWriter, Written};
use crate::parts::tags::Voice;
use crate::parts::written::{self, WrittenCall};

/// First block index for written calls; the service counts from 0.
const BLOCKS: u32 = 1 << 31;

impl<W: AnswerWriter> AnswerReader<W> {
    /// A piece of text.
    pub(super) fn read(&mut self, text: &str, out: &mut BytesMut) -> Written {
        let Some(mut reader) = self.reader.take() else { return self.text(text, out) };
        reader.push(Voice::Said, text, &mut |voice, words| self.heard(voice, words, out))?;
        self.reader = Some(reader);
        Ok(())
    }

    /// A piece of reasoning.
    pub(super) fn reason(
        &mut self,
        block: u32,
        piece: &ReasoningDelta<'_>,
        out: &mut BytesMut,
    ) -> Written {
        let text = piece.text.as_deref().filter(|text| !text.is_empty());
        if text.is_some() || piece.signature.is_some() || piece.redacted_content.is_some() {
            self.end_words(out)?;
        }
        let Some(mut reader) = self.reader.take() else {
            self.turn.hear(block, piece);
            return self.show_thought(text.unwrap_or_default(), out);
        };
        if let Some(text) = text {
            self.reasoning = Some(block);
            let mut hear = |voice, words: &str| self.thought(block, voice, words, out);
            reader.push(Voice::Reasoning, text, &mut hear)?;
        }
        self.reader = Some(reader);
        let ReasoningDelta { text: _, signature, redacted_content } = piece.clone();
        if signature.is_some() || redacted_content.is_some() {
            self.turn.hear(block, &ReasoningDelta { text: None, signature, redacted_content });
        }
        Ok(())
    }

    /// Returns whether reasoning is being read in another block.
    pub(super) fn reasons_elsewhere(&self, block: u32) -> bool {
        self.reasoning.is_some_and(|reasoning| reasoning != block)
    }

    /// Returns whether reasoning is being read in this block.
    pub(super) fn reasons_in(&self, block: u32) -> bool {
        self.reasoning == Some(block)
    }

    /// Ends the current reasoning.
    pub(super) fn end_reasoning(&mut self, out: &mut BytesMut) -> Written {
        let Some(block) = self.reasoning.take() else { return Ok(()) };
        let Some(mut reader) = self.reader.take() else { return Ok(()) };
        reader.end(&mut |voice, words: &str| self.thought(block, voice, words, out))?;
        self.reader = Some(reader);
        Ok(())
    }

    /// Ends the current text.
    pub(super) fn end_words(&mut self, out: &mut BytesMut) -> Written {
        if self.reasoning.is_some() {
            return Ok(());
        }
        let Some(mut reader) = self.reader.take() else { return Ok(()) };
        reader.end(&mut |voice, words: &str| self.heard(voice, words, out))?;
        self.reader = Some(reader);
        Ok(())
    }

    /// Emits the written calls. The reader is dropped, since no text follows.
    pub(super) fn call_written(&mut self, out: &mut BytesMut) -> Written {
        let Some(mut reader) = self.reader.take() else { return Ok(()) };
        for (at, WrittenCall { name, input }) in (0..).zip(reader.take_calls()) {
            let block = BLOCKS.saturating_add(at);
            let tool_use_id = written::call_id(&self.id, at).into();
            let tool = ToolUseStart { tool_use_id, name: name.into(), kind: None };
            let start = Start { tool_use: Some(tool) };
            self.block_start(&BlockStart { content_block_index: block, start }, out)?;
            let delta =
                Delta { tool_use: Some(ToolUseDelta { input: input.into() }), ..Delta::default() };
            self.block_delta(&BlockDelta { content_block_index: block, delta }, out)?;
            self.block_stop(block, out)?;
        }
        Ok(())
    }

    fn heard(&mut self, voice: Voice, words: &str, out: &mut BytesMut) -> Written {
        match voice {
            Voice::Said => self.text(words, out),
            Voice::Reasoning => self.think_aloud(words, out),
        }
    }

    fn thought(&mut self, block: u32, voice: Voice, words: &str, out: &mut BytesMut) -> Written {
        if voice == Voice::Said {
            return self.text(words, out);
        }
        let text = Some(words.to_owned().into());
        self.turn.hear(block, &ReasoningDelta { text, ..ReasoningDelta::default() });
        self.show_thought(words, out)
    }

    fn show_thought(&mut self, text: &str, out: &mut BytesMut) -> Written {
        if text.is_empty() || self.reply.thoughts.hidden {
            return Ok(());
        }
        self.start(out)?;
        self.writer.thought(text, out)
    }
}
