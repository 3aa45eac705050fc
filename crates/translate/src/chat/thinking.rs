//! The blocks of one answer, as far as reasoning needs them: reasoning is shown to the client as
//! `reasoning_details`, one complete block at a time and with its position, and the turn is handed
//! over for saving before the client learns of its calls.

use std::borrow::Cow;
use std::sync::Arc;

use schema::converse::event::ReasoningDelta;
use schema::converse::response::ReasoningContent;
use schema::openai::reasoning::{Detail, DetailKind};

use super::Digest;
use crate::Reply;
use crate::parts::media::base64;
use crate::parts::thinking::place::{Between, ReasoningPlace};
use crate::reasoning::{Passage, ReasoningItem, SavedTurn, Step, Turn};

/// The turn of an answer so far.
#[derive(Debug, Default)]
pub(super) struct ReasoningStream {
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

#[derive(Debug)]
enum Block {
    Reasoning(ReasoningItem),
    Text(Said),
    Call(String),
}

/// A text block, as far as it was sent to the client.
#[derive(Debug, Clone, Copy)]
struct Said {
    block: u32,
    passage: Passage,
    is_cited: bool,
}

#[derive(Debug, Default)]
struct Open {
    text: String,
    signature: Option<String>,
    redacted: Option<String>,
}

impl ReasoningStream {
    /// Adds a piece of reasoning.
    pub(super) fn hear(&mut self, block: u32, piece: &ReasoningDelta<'_>) {
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
    pub(super) fn add(&mut self, content: &ReasoningContent<'_>) -> bool {
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
    pub(super) fn is_elsewhere(&self, block: u32) -> bool {
        self.open.as_ref().is_some_and(|(open, _)| *open != block)
    }

    /// Returns whether a reasoning block is open.
    pub(super) fn is_thinking(&self) -> bool {
        self.open.is_some()
    }

    /// Ends the open reasoning block. Returns whether it has content.
    pub(super) fn close(&mut self) -> bool {
        let thought = self.open.take().and_then(|(_, open)| open.close());
        let is_thought = thought.is_some();
        self.blocks.extend(thought.map(Block::Reasoning));
        is_thought
    }

    /// Notes that a reasoning block stands beside held text.
    pub(super) fn displace(&mut self) {
        self.is_displaced = true;
    }

    /// Notes text that is sent from a block.
    pub(super) fn say(&mut self, block: u32, text: &str) {
        if text.is_empty() {
            return;
        }
        let passage = Passage::of(text);
        match self.blocks.last_mut() {
            Some(Block::Text(said)) if said.block == block => {
                said.passage = said.passage.and(passage);
            }
            _ => self.blocks.push(Block::Text(Said { block, passage, is_cited: false })),
        }
    }

    /// Notes that a block has a citation. Citations divide one text into many blocks, which are
    /// sent back as one.
    pub(super) fn cite(&mut self, block: u32) {
        if let Some(Block::Text(said)) = self.blocks.last_mut()
            && said.block == block
        {
            said.is_cited = true;
        }
    }

    /// Notes a call that is about to be sent.
    pub(super) fn call(&mut self, id: &str, reply: &Reply) {
        if reply.keeps_turns() {
            self.calls.push(id.to_owned());
        }
        self.blocks.push(Block::Call(id.to_owned()));
    }

    /// The last reasoning block, in the client's form.
    pub(super) fn last_detail<'m>(&'m self, reply: &'m Reply) -> Option<Detail<'m>> {
        let at = self.blocks.iter().rposition(|block| matches!(block, Block::Reasoning(_)))?;
        self.detail(at, reply)
    }

    /// The blocks after the last reasoning, in the client's form: an entry without reasoning.
    /// `None` for the usual order, one text and then the calls.
    pub(super) fn rest_detail<'m>(&self, reply: &'m Reply) -> Option<Detail<'m>> {
        let last = self.blocks.iter().rposition(|block| matches!(block, Block::Reasoning(_)))?;
        let rest = between(self.blocks.get(last + 1..)?);
        let texts = rest.iter().skip_while(|one| matches!(one, Between::Text(_))).count();
        let is_usual = rest.len() - texts <= 1
            && rest.iter().rev().take(texts).all(|one| *one == Between::Call);
        if is_usual || !reply.places_thoughts() || self.is_displaced {
            return None;
        }
        let thought = DetailKind::Text { text: Cow::Borrowed(""), signature: None };
        let index = self.thoughts_before(self.blocks.len());
        let id = ReasoningPlace { between: Some(rest), ..whence(reply) }.word();
        let format = Cow::Borrowed(reply.thoughts.format.as_str());
        Some(Detail { thought, id: Some(id.into()), format, index })
    }

    /// All reasoning and the blocks after it, in the client's form.
    pub(super) fn details(&self, reply: &Reply) -> Vec<Detail<'static>> {
        let all = (0..self.blocks.len()).filter_map(|at| self.detail(at, reply));
        all.chain(self.rest_detail(reply)).map(owned).collect()
    }

    fn detail<'m>(&'m self, at: usize, reply: &'m Reply) -> Option<Detail<'m>> {
        let Some(Block::Reasoning(thought)) = self.blocks.get(at) else { return None };
        let before = self.blocks.get(..at)?;
        let from = before.iter().rposition(|block| matches!(block, Block::Reasoning(_)));
        let from = from.map_or(0, |last| last + 1);
        let between = (!self.is_displaced).then(|| between(&before[from..]));
        let id =
            reply.places_thoughts().then(|| ReasoningPlace { between, ..whence(reply) }.word());
        let thought = match thought {
            ReasoningItem::Text { text, signature } => DetailKind::Text {
                text: Cow::Borrowed(text),
                signature: signature.as_deref().map(Cow::Borrowed),
            },
            ReasoningItem::Redacted(data) => DetailKind::Encrypted { data: Cow::Borrowed(data) },
        };
        let format = Cow::Borrowed(reply.thoughts.format.as_str());
        Some(Detail { thought, id: id.map(Cow::Owned), format, index: self.thoughts_before(at) })
    }

    fn thoughts_before(&self, at: usize) -> u32 {
        let thoughts = self.blocks.iter().take(at);
        let count = thoughts.filter(|block| matches!(block, Block::Reasoning(_))).count();
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// The turn to save, if it has new calls.
    pub(super) fn take_kept(&mut self, reply: &Reply) -> Option<SavedTurn> {
        if self.calls.is_empty() {
            return None;
        }
        let calls = std::mem::take(&mut self.calls);
        Some(SavedTurn { calls, turn: self.handed_over(reply) })
    }

    /// Prepares a second handover of the turn at its end, if blocks followed its last call. It is
    /// saved under that call, whose turn is the most complete.
    pub(super) fn end(&mut self, reply: &Reply) {
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

/// The blocks between reasoning blocks. A text divided by citations counts as one.
fn between(blocks: &[Block]) -> Vec<Between> {
    let mut all: Vec<Between> = Vec::with_capacity(blocks.len());
    let mut was_cited = false;
    for block in blocks {
        match (block, all.last_mut()) {
            (Block::Text(said), Some(Between::Text(before))) if said.is_cited || was_cited => {
                *before = before.and(said.passage);
            }
            (Block::Text(said), _) => all.push(Between::Text(said.passage)),
            (Block::Call(_), _) => all.push(Between::Call),
            (Block::Reasoning(_), _) => {}
        }
        was_cited = matches!(block, Block::Text(said) if said.is_cited);
    }
    all
}

/// The origin of an answer, for the positions of its reasoning.
fn whence(reply: &Reply) -> ReasoningPlace {
    let preface = reply.preface.as_deref().map(|words| Digest::of(words.as_bytes()));
    ReasoningPlace { between: None, origin: reply.origin, preface }
}

fn owned(detail: Detail<'_>) -> Detail<'static> {
    let own = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
    let Detail { thought, id, format, index } = detail;
    let thought = match thought {
        DetailKind::Text { text, signature } => {
            DetailKind::Text { text: own(text), signature: signature.map(own) }
        }
        DetailKind::Encrypted { data } => DetailKind::Encrypted { data: own(data) },
    };
    Detail { thought, id: id.map(own), format: own(format), index }
}
