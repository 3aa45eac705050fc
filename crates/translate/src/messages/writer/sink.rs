//! The place of an answer's blocks: events for a stream, or a list for a complete answer.

use bytes::BytesMut;
use schema::anthropic::messages::answer::AnswerBlock;
use schema::anthropic::messages::event::{BlockDelta, Event, StartedBlock};
use serde_json::value::{RawValue, to_raw_value};

use crate::answer::Written;
use crate::sse::{self, TextEvent};

/// Receives the blocks of an answer.
#[derive(Debug)]
pub(super) enum Sink {
    Events {
        /// The event of a piece of text, and the block that it is for.
        text: Option<(u32, TextEvent)>,
    },
    Blocks(Gathered),
}

/// The blocks of a complete answer.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    blocks: Vec<AnswerBlock>,
    /// Input of the last block, as text.
    input: String,
}

impl Default for Sink {
    fn default() -> Self {
        Self::Events { text: None }
    }
}

impl Sink {
    /// A sink that gathers blocks.
    pub(super) fn gathering() -> Self {
        Self::Blocks(Gathered::default())
    }

    /// The gathered blocks.
    pub(super) fn into_blocks(self) -> Vec<AnswerBlock> {
        match self {
            Self::Events { .. } => Vec::new(),
            Self::Blocks(gathered) => gathered.blocks,
        }
    }

    /// Writes an event that belongs to no block.
    pub(super) fn event(&self, event: &Event<'_>, out: &mut BytesMut) -> Written {
        match self {
            Self::Events { .. } => sse::write_named(out, event.name(), event),
            Self::Blocks(_) => Ok(()),
        }
    }

    /// Begins a block.
    pub(super) fn start(
        &mut self,
        index: u32,
        content_block: StartedBlock<'_>,
        out: &mut BytesMut,
    ) -> Written {
        match self {
            Self::Events { .. } => {
                self.event(&Event::ContentBlockStart { index, content_block }, out)
            }
            Self::Blocks(gathered) => gathered.start(&content_block),
        }
    }

    /// Adds to the block that began last.
    pub(super) fn delta(
        &mut self,
        index: u32,
        delta: BlockDelta<'_>,
        out: &mut BytesMut,
    ) -> Written {
        match (self, delta) {
            (Self::Events { text: known }, BlockDelta::TextDelta { text }) => {
                if known.as_ref().is_none_or(|(of, _)| *of != index) {
                    *known = text_event(index)?.map(|event| (index, event));
                }
                match known {
                    Some((_, event)) => event.write(out, text),
                    None => Ok(()),
                }
            }
            (sink @ Self::Events { .. }, delta) => {
                sink.event(&Event::ContentBlockDelta { index, delta }, out)
            }
            (Self::Blocks(gathered), delta) => {
                gathered.add(delta);
                Ok(())
            }
        }
    }

    /// Ends the block that began last.
    pub(super) fn stop(&mut self, index: u32, out: &mut BytesMut) -> Written {
        match self {
            Self::Events { .. } => self.event(&Event::ContentBlockStop { index }, out),
            Self::Blocks(gathered) => {
                gathered.end();
                Ok(())
            }
        }
    }
}

/// The event of a piece of text of this block.
fn text_event(index: u32) -> Result<Option<TextEvent>, crate::answer_stream::Unwritable> {
    let delta = BlockDelta::TextDelta { text: TextEvent::MARK };
    let event = Event::ContentBlockDelta { index, delta };
    TextEvent::named(event.name(), &event)
}

impl Gathered {
    fn start(&mut self, block: &StartedBlock<'_>) -> Written {
        self.input.clear();
        self.blocks.push(match block {
            StartedBlock::Text { .. } => AnswerBlock::Text { text: String::new(), citations: None },
            StartedBlock::Thinking { .. } => {
                AnswerBlock::Thinking { thinking: String::new(), signature: String::new() }
            }
            StartedBlock::RedactedThinking { data } => {
                AnswerBlock::RedactedThinking { data: (*data).to_owned() }
            }
            StartedBlock::ToolUse { id, name, input } => AnswerBlock::ToolUse {
                id: (*id).to_owned(),
                name: (*name).to_owned(),
                input: to_raw_value(input)?,
            },
        });
        Ok(())
    }

    fn add(&mut self, delta: BlockDelta<'_>) {
        match (self.blocks.last_mut(), delta) {
            (Some(AnswerBlock::Text { text, .. }), BlockDelta::TextDelta { text: more }) => {
                text.push_str(more);
            }
            (
                Some(AnswerBlock::Text { citations, .. }),
                BlockDelta::CitationsDelta { citation },
            ) => {
                citations.get_or_insert_default().push(citation.to_owned());
            }
            (
                Some(AnswerBlock::Thinking { thinking, .. }),
                BlockDelta::ThinkingDelta { thinking: more },
            ) => thinking.push_str(more),
            (
                Some(AnswerBlock::Thinking { signature, .. }),
                BlockDelta::SignatureDelta { signature: whole },
            ) => whole.clone_into(signature),
            (Some(AnswerBlock::ToolUse { .. }), BlockDelta::InputJsonDelta { partial_json }) => {
                self.input.push_str(partial_json);
            }
            (_, _) => {}
        }
    }

    fn end(&mut self) {
        if let Some(AnswerBlock::ToolUse { input, .. }) = self.blocks.last_mut() {
            let text = std::mem::take(&mut self.input);
            // Input that is cut off is no JSON; clients get the object that they expect.
            if let Ok(whole) = RawValue::from_string(text) {
                *input = whole;
            }
        }
    }
}
