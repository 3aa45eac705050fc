//! Past reasoning on Converse: the client's blocks stay in their places; those of a client that drops
//! them are restored from the store.

use std::borrow::Cow;
use std::collections::VecDeque;

use schema::anthropic::messages::Message as Sent;
use schema::anthropic::messages::content::{Block, BlockKind};
use schema::converse::message::ReasoningBlock;

use super::{Building, call_ids};
use crate::capsule::CAPSULE_PREFIX;
use crate::messages::sealed;
use crate::parts::conversation::ConversationBuilder;
use crate::parts::thinking::Past;
use crate::parts::thinking::received::{Sent as SentField, SentThought};
use crate::parts::thinking::replay::{Memory, PastAnswer, Preface, ReplayStep, Replayed, replay};
use crate::profile::{Profile, Replay};
use crate::report::Report;

const FIELD: &str = "messages.content.thinking";

/// The reasoning of one message, each with the index of the block before which it stands.
pub(in crate::messages) struct PastThoughts<'a> {
    placed: VecDeque<(usize, ReasoningBlock<'a>)>,
    pub(in crate::messages) past: Past,
    /// Whether the reasoning is not the client's own blocks.
    pub(in crate::messages) is_restored: bool,
    /// Text added by the gateway at the end of the user's turn before it.
    pub(in crate::messages) preface: Option<Preface<'a>>,
}

impl<'a> PastThoughts<'a> {
    /// The reasoning directly before a block.
    pub(in crate::messages) fn before(&mut self, index: usize) -> Vec<ReasoningBlock<'a>> {
        let mut found = Vec::new();
        while self.placed.front().is_some_and(|(at, _)| *at <= index) {
            found.extend(self.placed.pop_front().map(|(_, block)| block));
        }
        found
    }

    /// The reasoning after all blocks.
    pub(in crate::messages) fn rest(&mut self) -> Vec<ReasoningBlock<'a>> {
        self.placed.drain(..).map(|(_, block)| block).collect()
    }
}

impl<'a> Building<'a, '_> {
    pub(super) fn thoughts(&mut self, at: usize, message: &'a Sent<'a>) -> PastThoughts<'a> {
        let ConversationBuilder { past, profile, report, .. } = &mut self.builder;
        thoughts((at, message), past, profile, report)
    }
}

/// The reasoning of an assistant message in the form that the model accepts.
pub(in crate::messages) fn thoughts<'a>(
    (at, message): (usize, &'a Sent<'a>),
    memory: &Memory<'a>,
    profile: &Profile,
    report: &mut Report,
) -> PastThoughts<'a> {
    let blocks = message.content.blocks();
    let has_own = blocks.iter().any(is_thought);
    let has_calls = call_ids(message).next().is_some();
    if has_own && memory.is_forgotten() {
        report.ignore(FIELD);
    } else if has_own {
        let own = own(blocks, memory, profile);
        let is_withheld = |block: &ReasoningBlock<'_>| match block {
            ReasoningBlock::ReasoningText(said) => memory.is_withheld(&said.text),
            ReasoningBlock::RedactedContent(_) => false,
        };
        let is_masked = own.iter().any(|(_, block)| is_withheld(block));
        if !own.is_empty() && !is_masked {
            let turn = memory.turn(at, call_ids(message));
            let preface = turn.and_then(|turn| turn.preface.as_deref()).map(Preface::Words);
            return PastThoughts { placed: own, past: Past::Whole, is_restored: false, preface };
        }
        if own.is_empty() {
            report.ignore(FIELD);
        }
    }
    let turn = memory.turn(at, call_ids(message));
    let answer = PastAnswer {
        turn,
        placed_by: None,
        sent: |_: &mut Report| SentField { field: FIELD, entries: Vec::new() },
    };
    let Replayed { steps, past, preface, .. } = replay(answer, memory, profile, report);
    let past = if has_calls { past } else { Past::Whole };
    PastThoughts { placed: placed(steps, blocks), past, is_restored: true, preface }
}

/// Returns whether a block is past reasoning.
pub(in crate::messages) fn is_thought(block: &Block<'_>) -> bool {
    matches!(block.kind, BlockKind::Thinking { .. } | BlockKind::RedactedThinking { .. })
}

/// The client's blocks that the model accepts, in their places.
fn own<'a>(
    blocks: &'a [Block<'a>],
    memory: &Memory<'a>,
    profile: &Profile,
) -> VecDeque<(usize, ReasoningBlock<'a>)> {
    let taken = |(index, block): (usize, &'a Block<'a>)| {
        let thought = match &block.kind {
            BlockKind::Thinking { thinking, signature } => {
                let text = Cow::Borrowed(thinking.as_str());
                match signature.as_deref().filter(|text| !text.is_empty()) {
                    None => SentThought::Text { text, signature: None },
                    Some(signature) => signed((text, signature), memory, profile)?,
                }
            }
            BlockKind::RedactedThinking { data } => {
                SentThought::Redacted(Cow::Borrowed(sealed::opened(data, profile)?))
            }
            _ => return None,
        };
        Some((index, thought.taken(profile.replay)?))
    };
    blocks.iter().enumerate().filter_map(taken).collect()
}

/// Reasoning with a signature: the model's own, or a capsule that holds the reasoning of a model without
/// signatures.
fn signed<'a>(
    (text, signature): (Cow<'a, str>, &'a str),
    memory: &Memory<'a>,
    profile: &Profile,
) -> Option<SentThought<'a>> {
    if signature.starts_with(CAPSULE_PREFIX) {
        let received = memory.opened(signature)?;
        return if memory.accepts(&received, profile) { received.thought } else { None };
    }
    // Signed reasoning is another maker's where the model takes unsigned only.
    let is_own = profile.replay != Replay::Plain;
    is_own.then_some(SentThought::Text { text, signature: Some(Cow::Borrowed(signature)) })
}

/// Restored reasoning before the block that followed it: a call is known by its id, a text by its order.
fn placed<'a>(
    steps: Vec<ReplayStep<'a>>,
    blocks: &[Block<'_>],
) -> VecDeque<(usize, ReasoningBlock<'a>)> {
    let mut placed = VecDeque::new();
    let mut waiting = Vec::new();
    let mut next = 0;
    for step in steps {
        let is_it = |block: &Block<'_>| match (&step, &block.kind) {
            (ReplayStep::Call(Some(id)), BlockKind::ToolUse { id: known, .. }) => known == id,
            (ReplayStep::Call(None), BlockKind::ToolUse { .. })
            | (ReplayStep::Text(_), BlockKind::Text { .. }) => true,
            _ => false,
        };
        let found = blocks.iter().skip(next).position(is_it).map(|ahead| next + ahead);
        if let ReplayStep::Reasoning(block) = step {
            waiting.push(block);
            continue;
        }
        if let Some(found) = found {
            placed.extend(waiting.drain(..).map(|block| (found, block)));
            next = found + 1;
        }
    }
    // Without a known place it stands before what is left of the message.
    placed.extend(waiting.into_iter().map(|block| (next, block)));
    placed
}
