//! The reasoning of an answer as `reasoning_details`: one complete block at a time, with its position
//! among the other blocks.

use std::borrow::Cow;

use schema::openai::reasoning::{Detail, DetailKind};

use super::Digest;
use crate::Reply;
use crate::answer::turn::{AnswerTurn, Block};
use crate::parts::thinking::place::{Between, ReasoningPlace};
use crate::reasoning::ReasoningItem;

/// The last reasoning block, in the client's form.
pub(super) fn last_detail<'m>(turn: &'m AnswerTurn, reply: &'m Reply) -> Option<Detail<'m>> {
    let is_thought = |block: &Block| matches!(block, Block::Reasoning(_));
    detail(turn, turn.blocks().iter().rposition(is_thought)?, reply)
}

/// The blocks after the last reasoning, in the client's form: an entry without reasoning. `None` for
/// the usual order, one text and then the calls.
pub(super) fn rest_detail<'m>(turn: &AnswerTurn, reply: &'m Reply) -> Option<Detail<'m>> {
    let blocks = turn.blocks();
    let last = blocks.iter().rposition(|block| matches!(block, Block::Reasoning(_)))?;
    let rest = between(blocks.get(last + 1..)?);
    let texts = rest.iter().skip_while(|one| matches!(one, Between::Text(_))).count();
    let is_usual =
        rest.len() - texts <= 1 && rest.iter().rev().take(texts).all(|one| *one == Between::Call);
    if is_usual || !reply.places_thoughts() || turn.is_displaced() {
        return None;
    }
    let thought = DetailKind::Text { text: Cow::Borrowed(""), signature: None };
    let index = thoughts_before(turn, blocks.len());
    let id = ReasoningPlace { between: Some(rest), ..whence(reply) }.word();
    let format = Cow::Borrowed(reply.thoughts.format.as_str());
    Some(Detail { thought, id: Some(id.into()), format, index })
}

/// All reasoning and the blocks after it, in the client's form.
pub(super) fn details(turn: &AnswerTurn, reply: &Reply) -> Vec<Detail<'static>> {
    let all = (0..turn.blocks().len()).filter_map(|at| detail(turn, at, reply));
    all.chain(rest_detail(turn, reply)).map(owned).collect()
}

fn detail<'m>(turn: &'m AnswerTurn, at: usize, reply: &'m Reply) -> Option<Detail<'m>> {
    let blocks = turn.blocks();
    let Some(Block::Reasoning(thought)) = blocks.get(at) else { return None };
    let before = blocks.get(..at)?;
    let from = before.iter().rposition(|block| matches!(block, Block::Reasoning(_)));
    let from = from.map_or(0, |last| last + 1);
    let between = (!turn.is_displaced()).then(|| between(&before[from..]));
    let id = reply.places_thoughts().then(|| ReasoningPlace { between, ..whence(reply) }.word());
    let thought = match thought {
        ReasoningItem::Text { text, signature } => DetailKind::Text {
            text: Cow::Borrowed(text),
            signature: signature.as_deref().map(Cow::Borrowed),
        },
        ReasoningItem::Redacted(data) => DetailKind::Encrypted { data: Cow::Borrowed(data) },
    };
    let format = Cow::Borrowed(reply.thoughts.format.as_str());
    Some(Detail { thought, id: id.map(Cow::Owned), format, index: thoughts_before(turn, at) })
}

fn thoughts_before(turn: &AnswerTurn, at: usize) -> u32 {
    let thoughts = turn.blocks().iter().take(at);
    let count = thoughts.filter(|block| matches!(block, Block::Reasoning(_))).count();
    u32::try_from(count).unwrap_or(u32::MAX)
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
