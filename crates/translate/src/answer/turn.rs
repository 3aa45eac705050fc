//! The blocks of one answer, as far as reasoning needs them. The turn is handed over for saving before
//! the client learns of its calls.

use std::sync::Arc;

use schema::converse::event::ReasoningDelta;
use schema::converse::response::ReasoningContent;

use crate::Reply;
use crate::parts::media::base64;
use crate::reasoning::{Passage, ReasoningItem, SavedTurn, Step, Turn};

/// The turn of an answer so far.
#[derive(Debug, Default)]
pub(crate) struct AnswerTurn {
    /// The current reasoning block, and its index.
    open: Option<(u32, Open)>,
    blocks: Vec<Block>,
    /// Calls that are not handed over yet.
    calls: Vec<String>,
    /// Number of blocks at the last handover.
    kept: Option<usize>,
    /// A reasoning block stands beside held text, so its position is unknown.
    is_displaced: bool,
}

/// A block of the turn.
#[derive(Debug)]
pub(crate) enum Block {
    Reasoning(ReasoningItem),
    Text(SaidText),
    Call(String),
}

/// A text block, as far as it was sent to the client.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SaidText {
    block: u32,
    pub(crate) passage: Passage,
    pub(crate) is_cited: bool,
}

#[derive(Debug, Default)]
struct Open {
    text: String,
    signature: Option<String>,
    redacted: Option<String>,
}

impl AnswerTurn {
    /// Adds a piece of reasoning.
    pub(crate) fn hear(&mut self, block: u32, piece: &ReasoningDelta<'_>) {
        let (_, open) = self.open.get_or_insert_with(|| (block, Open::default()));
        open.text.push_str(piece.text.as_deref().unwrap_or_default());
        if let Some(more) = piece.signature.as_deref() {
            open.signature.get_or_insert_default().push_str(more);
        }
        if let Some(more) = piece.redacted_content.as_deref() {
            base64::join(open.redacted.get_or_insert_default(), more);
        }
    }

    /// Adds a complete reasoning block. Returns whether it has content.
    pub(crate) fn add(&mut self, content: &ReasoningContent<'_>) -> bool {
        let (text, signature) = match &content.reasoning_text {
            Some(text) => (text.text.to_string(), text.signature.as_deref().map(ToOwned::to_owned)),
            None => (String::new(), None),
        };
        let redacted = content.redacted_content.as_deref().map(ToOwned::to_owned);
        let thought = Open { text, signature, redacted }.close();
        let is_thought = thought.is_some();
        self.blocks.extend(thought.map(Block::Reasoning));
        is_thought
    }

    /// Returns whether a reasoning block is open with another index.
    pub(crate) fn is_elsewhere(&self, block: u32) -> bool {
        self.open.as_ref().is_some_and(|(open, _)| *open != block)
    }

    /// Returns whether a reasoning block is open.
    pub(crate) fn is_thinking(&self) -> bool {
        self.open.is_some()
    }

    /// Ends the open reasoning block. Returns whether it has content.
    pub(crate) fn close(&mut self) -> bool {
        let thought = self.open.take().and_then(|(_, open)| open.close());
        let is_thought = thought.is_some();
        self.blocks.extend(thought.map(Block::Reasoning));
        is_thought
    }

    /// Notes that a reasoning block stands beside held text.
    pub(crate) fn displace(&mut self) {
        self.is_displaced = true;
    }

    /// The blocks so far.
    pub(crate) fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// Returns whether the place of its reasoning among the other blocks is unknown.
    pub(crate) fn is_displaced(&self) -> bool {
        self.is_displaced
    }

    /// Notes text that is sent from a block.
    pub(crate) fn say(&mut self, block: u32, text: &str) {
        if text.is_empty() {
            return;
        }
        let passage = Passage::of(text);
        match self.blocks.last_mut() {
            Some(Block::Text(said)) if said.block == block => {
                said.passage = said.passage.and(passage);
            }
            _ => self.blocks.push(Block::Text(SaidText { block, passage, is_cited: false })),
        }
    }

    /// Notes that a block has a citation. Citations divide one text into many blocks, which are
    /// sent back as one.
    pub(crate) fn cite(&mut self, block: u32) {
        if let Some(Block::Text(said)) = self.blocks.last_mut()
            && said.block == block
        {
            said.is_cited = true;
        }
    }

    /// Notes a call that is about to be sent.
    pub(crate) fn call(&mut self, id: &str, reply: &Reply) {
        if reply.keeps_turns() {
            self.calls.push(id.to_owned());
        }
        self.blocks.push(Block::Call(id.to_owned()));
    }

    /// The turn to save, if it has new calls.
    pub(crate) fn take_kept(&mut self, reply: &Reply) -> Option<SavedTurn> {
        if self.calls.is_empty() {
            return None;
        }
        let calls = std::mem::take(&mut self.calls);
        Some(SavedTurn { calls, turn: self.handed_over(reply) })
    }

    /// Prepares a second handover of the turn at its end, if blocks followed its last call. It is
    /// saved under that call, whose turn is the most complete.
    pub(crate) fn end(&mut self, reply: &Reply) {
        let is_known = self.kept.is_none_or(|kept| kept == self.blocks.len());
        if is_known || !self.calls.is_empty() || !reply.keeps_turns() {
            return;
        }
        let last = self.blocks.iter().rev().find_map(|block| match block {
            Block::Call(id) => Some(id.clone()),
            Block::Reasoning(_) | Block::Text(_) => None,
        });
        self.calls.extend(last);
    }

    fn handed_over(&mut self, reply: &Reply) -> Arc<Turn> {
        self.kept = Some(self.blocks.len());
        let mut steps: Vec<Step> = Vec::with_capacity(self.blocks.len());
        let mut was_cited = false;
        for block in &self.blocks {
            match (block, steps.last_mut()) {
                (Block::Text(said), Some(Step::Text(before))) if said.is_cited || was_cited => {
                    *before = before.and(said.passage);
                }
                (Block::Text(said), _) => steps.push(Step::Text(said.passage)),
                (Block::Reasoning(thought), _) => steps.push(Step::Reasoning(thought.clone())),
                (Block::Call(id), _) => steps.push(Step::Call(id.clone())),
            }
            was_cited = matches!(block, Block::Text(said) if said.is_cited);
        }
        let placed = !self.is_displaced;
        let (origin, preface) = (reply.origin, reply.preface.clone());
        Arc::new(Turn { steps, placed, origin, preface })
    }
}

impl Open {
    fn close(self) -> Option<ReasoningItem> {
        let Self { text, signature, redacted } = self;
        if let Some(data) = redacted {
            return Some(ReasoningItem::Redacted(data));
        }
        (!text.is_empty() || signature.is_some()).then_some(ReasoningItem::Text { text, signature })
    }
}
