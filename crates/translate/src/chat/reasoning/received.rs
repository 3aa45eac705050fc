//! Reasoning that clients send back in chat messages: under four names, or as parts.

use std::borrow::Cow;

use schema::converse::message::ReasoningBlock;
use schema::openai::message::Message as ChatMessage;
use schema::openai::reasoning::{SentBlock, SentDetail};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::parts::thinking::place::ReasoningPlace;
use crate::parts::thinking::received::{ReceivedReasoning, Sent, SentThought};
use crate::parts::thinking::replay::{Memory, PastAnswer, Replayed, replay};
use crate::reasoning::{Origin, RestoredReasoning};
use crate::{Profile, Report};

/// The field with the positions.
const DETAILS: &str = "messages.reasoning_details";

/// The restored turns of these messages.
pub(in crate::chat) fn memory<'a>(
    recalled: Option<&'a RestoredReasoning>,
    messages: &'a [ChatMessage<'a>],
) -> Memory<'a> {
    let messages = messages.iter().enumerate();
    Memory::new(recalled, messages.flat_map(|(at, message)| ids(message).map(move |id| (at, id))))
}

/// The ids of a message's calls.
pub(in crate::chat) fn ids<'a>(message: &'a ChatMessage<'a>) -> impl Iterator<Item = &'a str> {
    message.tool_calls.iter().flatten().filter_map(|call| call.id.as_deref())
}

/// The reasoning of an assistant message in the form that the model accepts.
pub(in crate::chat) fn replayed<'a>(
    at: usize,
    message: &'a ChatMessage<'a>,
    past: &Memory<'a>,
    profile: &Profile,
    report: &mut Report,
) -> Replayed<'a> {
    let answer = PastAnswer {
        turn: past.turn(at, ids(message)),
        placed_by: message.reasoning_details.and(Some(DETAILS)),
        sent: |report: &mut Report| sent(message, report),
    };
    replay(answer, past, profile, report)
}

/// The origin of the last reasoning of a conversation, as far as the store and the client tell.
pub(in crate::chat) fn origin<'a>(
    messages: &'a [ChatMessage<'a>],
    recalled: Option<&'a RestoredReasoning>,
) -> Option<Origin> {
    let past = memory(recalled, messages);
    for (at, message) in messages.iter().enumerate().rev() {
        match past.turn(at, ids(message)) {
            Some(turn) if turn.thoughts().next().is_some() => return turn.origin,
            Some(_) => continue,
            None => {}
        }
        let entries = details(message, &mut Report::default());
        if !entries.is_empty() {
            return entries.into_iter().find_map(|entry| entry.place?.origin);
        }
    }
    None
}

/// The most complete field that can be read. One is enough: clients repeat the same content in
/// all.
fn sent<'a>(message: &'a ChatMessage<'a>, report: &mut Report) -> Sent<'a> {
    let details = details(message, report);
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
    if !details.is_empty() {
        return Sent { field: DETAILS, entries: details };
    }
    let blocks: Vec<_> =
        blocks.into_iter().flat_map(|all: Vec<_>| all).filter_map(of_block).collect();
    if !blocks.is_empty() {
        return Sent { field: "messages.thinking_blocks", entries: blocks };
    }
    let (field, text) = match content {
        Some(text) => ("messages.reasoning_content", Some(text)),
        None => ("messages.reasoning", plain),
    };
    let signature = signature.map(schema::Str::into_cow);
    let thought = text.map(|text| SentThought::Text { text, signature });
    Sent { field, entries: thought.map(received).into_iter().collect() }
}

fn details<'a>(message: &'a ChatMessage<'a>, report: &mut Report) -> Vec<ReceivedReasoning<'a>> {
    let details: Option<Vec<_>> = read(message.reasoning_details, DETAILS, report);
    details.into_iter().flatten().filter_map(of_detail).collect()
}

fn received(thought: SentThought<'_>) -> ReceivedReasoning<'_> {
    ReceivedReasoning { thought: Some(thought), ..ReceivedReasoning::default() }
}

fn of_detail(detail: SentDetail<'_>) -> Option<ReceivedReasoning<'_>> {
    let SentDetail { kind: _, text, signature, summary, data, format, id } = detail;
    let word = |raw: Option<&'_ RawValue>| {
        raw.and_then(|raw| serde_json::from_str::<String>(raw.get()).ok())
    };
    let place = word(id).and_then(|id| ReasoningPlace::read(&id));
    let thought = of_parts(text.or(summary), signature, data);
    // The entry for the blocks after the last reasoning holds no reasoning.
    let is_rest = |thought: &SentThought<'_>| matches!(thought, SentThought::Text { text, signature: None } if text.is_empty());
    let thought = thought.filter(|thought| place.is_none() || !is_rest(thought));
    let is_something = thought.is_some() || place.is_some();
    is_something.then(|| ReceivedReasoning { thought, place, format: word(format).map(Cow::Owned) })
}

fn of_block(block: SentBlock<'_>) -> Option<ReceivedReasoning<'_>> {
    let SentBlock { kind: _, thinking, signature, data } = block;
    of_parts(thinking, signature, data).map(received)
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

/// Reads a member in its expected form; a member in another form is reported and ignored.
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

/// Reasoning among the parts of a message, if the model accepts its kind.
pub(in crate::chat) fn of_part<'a>(
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use schema::openai::chat::ChatRequest;
    use serde_json::{Value, json};

    use super::*;
    use crate::S3Access;
    use crate::chat::question_with;
    use crate::profile::{Replay, Thinking};
    use crate::report::LostReasoning;

    /// The reasoning fields sent in a tool turn that is known to have begun without reasoning.
    #[track_caller]
    fn asked(thinking: Thinking, wish: (&str, Value)) -> (Value, Option<LostReasoning>) {
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
        let mut recalled = RestoredReasoning::default();
        recalled.add("c1", Arc::default());
        let question =
            question_with(&request, &profile, &S3Access::default(), Some(&recalled)).unwrap();
        let fields = question.body.additional_model_request_fields;
        (fields.get("thinking").cloned().unwrap_or_default(), question.report.lost_thoughts())
    }

    #[test]
    fn only_a_budget_needs_reasoning_before_the_first_call() {
        let budget = || ("thinking", json!({ "type": "enabled", "budget_tokens": 2000 }));
        let level = || ("reasoning_effort", json!("low"));
        let dropped = (Value::Null, Some(LostReasoning::Dropped));
        let adaptive = (json!({ "type": "adaptive" }), None);
        assert_eq!(asked(Thinking::Budget, level()), dropped);
        assert_eq!(asked(Thinking::Adaptive, level()), adaptive);
        assert_eq!(asked(Thinking::AdaptiveOrBudget, level()), adaptive);
        assert_eq!(asked(Thinking::AdaptiveOrBudget, budget()), dropped);
        let fields = ("additional_model_request_fields", json!({ budget().0: budget().1 }));
        assert_eq!(asked(Thinking::AdaptiveOrBudget, fields), dropped);
    }
}
