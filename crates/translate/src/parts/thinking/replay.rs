//! Past thoughts on their way back. Clients send them under four names, most of them without the
//! signature; some families want them exactly as they were, some want none at all.

use std::borrow::Cow;
use std::collections::HashSet;

use schema::converse::message::{ContentBlock, Message, ReasoningBlock, ReasoningText, Role};
use schema::openai::message::Message as ChatMessage;
use schema::openai::reasoning::{SentBlock, SentDetail};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::Past;
use crate::Report;
use crate::profile::{Profile, Replay};
use crate::thoughts::{Recalled, Thought};

/// What an assistant's message brings, and what became of it.
pub(crate) struct Replayed<'a> {
    /// The blocks, which come first in the turn.
    pub(crate) blocks: Vec<ReasoningBlock<'a>>,
    /// Whether the turn is known to have had these thoughts and no others.
    pub(crate) past: Past,
}

/// The thoughts of an assistant's message as the model takes them. What is remembered of its calls
/// is better than what the client sends, which may have lost a piece on the way; but a thought that has lost its
/// signature is none where one is needed.
pub(crate) fn replay<'a>(
    message: &'a ChatMessage<'a>,
    recalled: Option<&'a Recalled>,
    profile: &Profile,
    report: &mut Report,
) -> Replayed<'a> {
    let calls = message.tool_calls.iter().flatten().filter_map(|call| call.id.as_deref());
    let remembered = recalled
        .filter(|_| profile.replay == Replay::Signed)
        .and_then(|recalled| recalled.before(calls))
        .filter(|thoughts| thoughts.iter().all(Thought::is_signed));
    let replayed = match remembered {
        Some(thoughts) => {
            Replayed { blocks: thoughts.iter().map(block).collect(), past: Past::Whole }
        }
        None => sent(message, profile, report),
    };
    let is_withheld = |block: &ReasoningBlock<'_>| match block {
        ReasoningBlock::ReasoningText(said) => {
            recalled.is_some_and(|recalled| recalled.is_withheld(&said.text))
        }
        ReasoningBlock::RedactedContent(_) => false,
    };
    if replayed.blocks.iter().any(is_withheld) {
        return Replayed { blocks: Vec::new(), past: Past::Lost };
    }
    replayed
}

/// A thought that stands among the parts of a message, where the model takes such.
pub(crate) fn of_part<'a>(
    thought: &'a SentBlock<'a>,
    profile: &Profile,
) -> Option<ReasoningBlock<'a>> {
    let SentBlock { kind: _, thinking, signature, data } = thought;
    let text = |text: &'a Option<schema::Str<'a>>| text.as_deref().map(Cow::Borrowed);
    let sent = match text(data) {
        Some(data) => SentThought::Redacted(data),
        None => SentThought::Text {
            text: text(thinking).unwrap_or_default(),
            signature: text(signature),
        },
    };
    sent.taken(profile.replay)
}

/// What the client sends of them.
fn sent<'a>(message: &'a ChatMessage<'a>, profile: &Profile, report: &mut Report) -> Replayed<'a> {
    let sent = Sent::of(message, report);
    let has_sent = !sent.thoughts.is_empty();
    let blocks: Vec<_> =
        sent.thoughts.into_iter().filter_map(|thought| thought.taken(profile.replay)).collect();
    if has_sent && blocks.is_empty() {
        report.ignore(sent.field);
    }
    let past = if blocks.is_empty() { Past::Lost } else { Past::Whole };
    Replayed { blocks, past }
}

/// Whether the turns that are being answered have the thoughts they need. `lost` are the calls, by
/// their sent ids, of turns whose thoughts nobody knows.
pub(crate) fn past(turns: &[Message<'_>], lost: &HashSet<Cow<'_, str>>, profile: &Profile) -> Past {
    if profile.replay != Replay::Signed {
        return Past::Whole;
    }
    let thinks_first = |turn: &Message<'_>| {
        matches!(turn.content.first(), Some(ContentBlock::ReasoningContent(_)))
    };
    let answers = |turn: &Message<'_>| {
        turn.content.iter().any(|block| matches!(block, ContentBlock::ToolResult(_)))
    };
    // A prefill is the beginning of an answer: what it was thought with cannot be added.
    if turns.last().is_some_and(|turn| turn.role == Role::Assistant && !thinks_first(turn)) {
        return Past::Lost;
    }
    let mut first = None;
    for pair in turns.rchunks(2) {
        let [asked, answer] = pair else { break };
        if asked.role != Role::Assistant || !answers(answer) {
            break;
        }
        let calls = asked.content.iter().filter_map(|block| match block {
            ContentBlock::ToolUse(call) => Some(&call.tool_use_id),
            _ => None,
        });
        if !thinks_first(asked) && calls.into_iter().any(|id| lost.contains(id)) {
            return Past::Lost;
        }
        first = Some(asked);
    }
    match first {
        Some(turn) if !thinks_first(turn) => Past::Unthought,
        _ => Past::Whole,
    }
}

fn block(thought: &Thought) -> ReasoningBlock<'_> {
    match thought {
        Thought::Text { text, signature } => ReasoningBlock::ReasoningText(ReasoningText {
            text: Cow::Borrowed(text),
            signature: signature.as_deref().map(Cow::Borrowed),
        }),
        Thought::Redacted(data) => ReasoningBlock::RedactedContent(Cow::Borrowed(data)),
    }
}

/// Thoughts as a client sent them, all from one field.
struct Sent<'a> {
    field: &'static str,
    thoughts: Vec<SentThought<'a>>,
}

enum SentThought<'a> {
    Text { text: Cow<'a, str>, signature: Option<Cow<'a, str>> },
    Redacted(Cow<'a, str>),
}

impl<'a> Sent<'a> {
    /// The richest field that can be read. One is enough: clients repeat the same in all.
    fn of(message: &'a ChatMessage<'a>, report: &mut Report) -> Self {
        let details = read(message.reasoning_details, "messages.reasoning_details", report);
        let blocks = read(message.thinking_blocks, "messages.thinking_blocks", report);
        let signature = read::<schema::Str<'a>>(
            message.reasoning_signature,
            "messages.reasoning_signature",
            report,
        );
        let text = |raw: Option<&'a RawValue>, field, report: &mut Report| {
            let text: Option<schema::Str<'a>> = read(raw, field, report);
            text.map(schema::Str::into_cow)
        };
        let content = text(message.reasoning_content, "messages.reasoning_content", report);
        let plain = text(message.reasoning, "messages.reasoning", report);
        let details: Vec<_> =
            details.into_iter().flat_map(|all: Vec<_>| all).filter_map(of_detail).collect();
        if !details.is_empty() {
            return Self { field: "messages.reasoning_details", thoughts: details };
        }
        let blocks: Vec<_> =
            blocks.into_iter().flat_map(|all: Vec<_>| all).filter_map(of_block).collect();
        if !blocks.is_empty() {
            return Self { field: "messages.thinking_blocks", thoughts: blocks };
        }
        let (field, text) = match content {
            Some(text) => ("messages.reasoning_content", Some(text)),
            None => ("messages.reasoning", plain),
        };
        let signature = signature.map(schema::Str::into_cow);
        let thought = text.map(|text| SentThought::Text { text, signature });
        Self { field, thoughts: thought.into_iter().collect() }
    }
}

impl<'a> SentThought<'a> {
    /// The block, where the model takes such.
    fn taken(self, replay: Replay) -> Option<ReasoningBlock<'a>> {
        match (replay, self) {
            (Replay::Never, _) | (Replay::Plain, Self::Redacted(_)) => None,
            (Replay::Plain, Self::Text { text, .. }) => (!text.trim().is_empty())
                .then_some(ReasoningBlock::ReasoningText(ReasoningText { text, signature: None })),
            (Replay::Signed, Self::Text { text, signature }) => {
                let signature = signature.filter(|signature| !signature.is_empty())?;
                let signature = Some(signature);
                Some(ReasoningBlock::ReasoningText(ReasoningText { text, signature }))
            }
            (Replay::Signed, Self::Redacted(data)) => Some(ReasoningBlock::RedactedContent(data)),
        }
    }
}

fn of_detail(detail: SentDetail<'_>) -> Option<SentThought<'_>> {
    let SentDetail { kind: _, text, signature, summary, data } = detail;
    of_parts(text.or(summary), signature, data)
}

fn of_block(block: SentBlock<'_>) -> Option<SentThought<'_>> {
    let SentBlock { kind: _, thinking, signature, data } = block;
    of_parts(thinking, signature, data)
}

fn of_parts<'a>(
    text: Option<schema::Str<'a>>,
    signature: Option<schema::Str<'a>>,
    data: Option<schema::Str<'a>>,
) -> Option<SentThought<'a>> {
    if let Some(data) = data {
        return Some(SentThought::Redacted(data.into_cow()));
    }
    if text.is_none() && signature.is_none() {
        return None;
    }
    let text = text.map(schema::Str::into_cow).unwrap_or_default();
    Some(SentThought::Text { text, signature: signature.map(schema::Str::into_cow) })
}

/// A member in the shape it should have; in any other it is named, and says nothing.
fn read<'a, T: Deserialize<'a>>(
    raw: Option<&'a RawValue>,
    field: &'static str,
    report: &mut Report,
) -> Option<T> {
    let raw = raw?;
    let read = serde_json::from_str::<Option<T>>(raw.get());
    read.unwrap_or_else(|_| {
        report.ignore(field);
        None
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use schema::openai::chat::ChatRequest;
    use serde_json::{Value, json};

    use super::*;
    use crate::Stores;
    use crate::chat::question_with;
    use crate::profile::Thinking;
    use crate::report::LostThoughts;

    /// How the model is asked to think in a tool turn that is known to have begun without a thought.
    #[track_caller]
    fn asked(thinking: Thinking, wish: (&str, Value)) -> (Value, Option<LostThoughts>) {
        let profile = Profile { thinking, replay: Replay::Signed, ..Profile::default() };
        let mut body = json!({ "model": "m", "messages": [
            { "role": "user", "content": "Look." },
            { "role": "assistant", "tool_calls": [
                { "id": "c1", "type": "function", "function": { "name": "look", "arguments": "{}" } },
            ] },
            { "role": "tool", "tool_call_id": "c1", "content": "Gneiss." },
        ] });
        body[wish.0] = wish.1;
        let body = body.to_string();
        let request: ChatRequest<'_> = serde_json::from_str(&body).unwrap();
        let mut recalled = Recalled::default();
        recalled.add("c1", Arc::new([]));
        let question =
            question_with(&request, &profile, &Stores::default(), Some(&recalled)).unwrap();
        let fields = question.body.additional_model_request_fields;
        (fields.get("thinking").cloned().unwrap_or_default(), question.report.lost_thoughts())
    }

    #[test]
    fn only_a_budget_needs_a_thought_before_the_first_call() {
        let budget = || ("thinking", json!({ "type": "enabled", "budget_tokens": 2000 }));
        let level = || ("reasoning_effort", json!("low"));
        let dropped = (Value::Null, Some(LostThoughts::Dropped));
        let adaptive = (json!({ "type": "adaptive" }), None);
        assert_eq!(asked(Thinking::Budget, level()), dropped);
        assert_eq!(asked(Thinking::Adaptive, level()), adaptive);
        assert_eq!(asked(Thinking::AdaptiveOrBudget, level()), adaptive);
        assert_eq!(asked(Thinking::AdaptiveOrBudget, budget()), dropped);
        let fields = ("additional_model_request_fields", json!({ budget().0: budget().1 }));
        assert_eq!(asked(Thinking::AdaptiveOrBudget, fields), dropped);
    }
}
