//! A complete answer in the model's own form: it passes as it came, but for the model's name, which is
//! the caller's, and Bedrock's members, which move into `outcrop`.

use std::sync::Arc;

use schema::anthropic::messages::native::{InvocationMetrics, NativeAnswer, NativeBlock};
use schema::anthropic::object::RawObject;
use serde::de::Error as _;
use serde_json::value::to_raw_value;

use super::bedrock_members::BedrockMembers;
use super::stream::native::token_usage;
use super::{MessagesAnswer, MessagesReply};
use crate::Stamp;
use crate::dialect::{Answered, NativeAnswered};
use crate::reasoning::{Passage, ReasoningItem, SavedTurn, Step, Turn};
use crate::spent::{BilledTier, Spent};

/// Reads an answer, and names the caller's model in it.
///
/// # Errors
/// It is no message.
pub(super) fn answered(
    body: &[u8],
    reply: &MessagesReply,
    stamp: &Stamp,
) -> Result<NativeAnswered<MessagesAnswer>, serde_json::Error> {
    let read: NativeAnswer<'_> = serde_json::from_slice(body)?;
    if read.kind.as_deref() != Some("message") {
        return Err(serde_json::Error::custom("the answer is no message"));
    }
    let mut message: RawObject<'_> = serde_json::from_slice(body)?;
    message.set("model", to_raw_value(&stamp.model)?);
    let mut members = BedrockMembers::default();
    members.take(&mut message)?;
    members.end(&mut message)?;
    if let Some(outcrop) = members.outcrop(None)? {
        message.set("outcrop", outcrop);
    }
    let is_whole = read.stop_reason.as_deref() == Some("end_turn") && !members.intervened();
    let texts = read.content.iter().filter_map(|block| block.text.as_deref());
    let checked = (is_whole && reply.reply.wanted.is_some()).then(|| texts.collect::<String>());
    let answer = MessagesAnswer::native(message.to_raw()?, checked);
    let usage = token_usage(read.usage, InvocationMetrics::default());
    let thought = read.usage.output_tokens_details.and_then(|details| details.thinking_tokens);
    let spent = Spent::new(Some(usage), thought, BilledTier::default());
    let answered = Answered { answer, saved: saved(&read.content, reply), invoked_model: None };
    Ok(NativeAnswered { answered, spent })
}

/// The turn to save, if it has calls.
fn saved(blocks: &[NativeBlock<'_>], reply: &MessagesReply) -> Option<SavedTurn> {
    if !reply.reply.keeps_turns() {
        return None;
    }
    let step = |block: &NativeBlock<'_>| match (&*block.kind, &block.id, &block.data) {
        ("text", ..) => Some(Step::Text(Passage::of(block.text.as_deref().unwrap_or_default()))),
        ("thinking", ..) => {
            let text = block.thinking.as_deref().unwrap_or_default().to_owned();
            let signature = block.signature.as_deref().map(ToOwned::to_owned);
            Some(Step::Reasoning(ReasoningItem::Text { text, signature }))
        }
        ("redacted_thinking", _, Some(data)) => {
            Some(Step::Reasoning(ReasoningItem::Redacted(data.to_string())))
        }
        ("tool_use", Some(id), _) => Some(Step::Call(id.to_string())),
        _ => None,
    };
    let steps: Vec<Step> = blocks.iter().filter_map(step).collect();
    let calls: Vec<String> = steps
        .iter()
        .filter_map(|step| match step {
            Step::Call(id) => Some(id.clone()),
            Step::Text(_) | Step::Reasoning(_) => None,
        })
        .collect();
    let turn = Turn { steps, placed: true, origin: reply.reply.origin, preface: None };
    (!calls.is_empty()).then(|| SavedTurn { calls, turn: Arc::new(turn) })
}
