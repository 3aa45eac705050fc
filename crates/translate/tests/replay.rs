//! Past reasoning sent back: a repeated turn equals the answered turn, block for block, from the
//! store by its calls or from the client's `reasoning_details`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "support/turn.rs"]
mod turn;
#[path = "support/wire.rs"]
mod wire;

use std::sync::Arc;

use proptest::prelude::*;
use schema::openai::chat::ChatRequest;
use serde_json::{Value, json};
use translate::chat::{origin, question_with};
use translate::profile::{Replay, Thinking};
use translate::reasoning::{Origin, ReasoningItem, RestoredReasoning, Turn};
use translate::report::LostReasoning;
use translate::{Profile, S3Access, Stamp};
use turn::{Client, answered, reply, results, sent, written};

const HERE: Origin = Origin { model: 1, account: 10 };

fn signed() -> Profile {
    Profile { thinking: Thinking::Adaptive, replay: Replay::Signed, ..Profile::default() }
}

fn bound() -> Profile {
    Profile { thoughts_bound: true, ..signed() }
}

fn stamp() -> Stamp {
    Stamp { id: "chatcmpl-1".into(), created: 1, model: "m".into() }
}

/// A block of an answer.
#[derive(Debug, Clone)]
enum Block {
    Reasoning(String),
    Redacted,
    Text(String),
    Call,
}

/// The blocks in Converse's form; calls and reasoning are numbered consecutively.
fn content(blocks: &[Block], from: usize) -> Vec<Value> {
    let block = |(at, block): (usize, &Block)| match block {
        Block::Reasoning(text) => {
            json!({ "reasoningContent": { "reasoningText": { "text": text, "signature": format!("sig{at}") } } })
        }
        Block::Redacted => {
            json!({ "reasoningContent": { "redactedContent": format!("c2VhbGVk{at:04}") } })
        }
        Block::Text(text) => json!({ "text": text }),
        Block::Call => {
            json!({ "toolUse": { "toolUseId": format!("call{}", from + at), "name": "look", "input": { "at": at } } })
        }
    };
    blocks.iter().enumerate().map(block).collect()
}

fn block() -> impl Strategy<Value = Block> {
    let text = "[ a-z\u{e4}\u{1f5ff}\n]{0,4}[a-z\u{df}][ \n]{0,2}";
    prop_oneof![
        3 => text.prop_map(Block::Reasoning),
        1 => Just(Block::Redacted),
        2 => text.prop_map(Block::Text),
        1 => "[ \n]{1,2}".prop_map(Block::Text),
        3 => Just(Block::Call),
    ]
}

/// The blocks of an answered turn that may be sent: Bedrock refuses blank text.
fn sendable(content: &[Value], client: Client) -> Vec<Value> {
    let is_blank =
        |block: &Value| block["text"].as_str().is_some_and(|text| text.trim().is_empty());
    let mut blocks: Vec<Value> = content.iter().filter(|block| !is_blank(block)).cloned().collect();
    let texts: Vec<usize> =
        (0..blocks.len()).filter(|at| blocks[*at]["text"].is_string()).collect();
    if let (Client::Plain, Some(first), Some(last)) = (client, texts.first(), texts.last()) {
        let trimmed = blocks[*first]["text"].as_str().unwrap().trim_start().to_owned();
        blocks[*first]["text"] = trimmed.into();
        let trimmed = blocks[*last]["text"].as_str().unwrap().trim_end().to_owned();
        blocks[*last]["text"] = trimmed.into();
    }
    blocks
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn a_turn_is_sent_back_as_it_was_answered(
        turns in prop::collection::vec(prop::collection::vec(block(), 1..8), 1..4),
        streamed in any::<bool>(),
        by_details in any::<bool>(),
        client in prop::sample::select(vec![Client::Faithful, Client::Plain, Client::Parts]),
        is_bound in any::<bool>(),
    ) {
        let profile = if is_bound { bound() } else { signed() };
        let mut messages = vec![json!({ "role": "user", "content": "Look." })];
        let (mut memory, mut expected) = (Vec::new(), Vec::new());
        for (number, blocks) in turns.iter().enumerate() {
            let mut blocks = blocks.clone();
            // Each turn ends with calls, because the store finds a turn by its calls.
            if !blocks.iter().any(|block| matches!(block, Block::Call)) {
                blocks.push(Block::Call);
            }
            let content = content(&blocks, number * 100);
            let body = json!({ "model": "m", "messages": [{ "role": "user", "content": "x" }] });
            let (message, kept) = answered(&content, reply(&profile, &body), streamed);
            memory.extend(kept);
            messages.push(written(&message, client, by_details));
            messages.extend(results(&message));
            expected.push(sendable(&content, client));
        }
        if by_details {
            memory.clear();
        }
        let has_thoughts = |turn: &Vec<Value>| turn.iter().any(|block| block["reasoningContent"].is_object());
        let (sent, lost, _) = sent(&messages, &profile, &memory, HERE);
        for (sent, expected) in sent.iter().zip(&expected) {
            // Without reasoning there are no details: text and calls stand in their usual order.
            if has_thoughts(expected) || !by_details {
                prop_assert_eq!(sent, expected);
            } else {
                prop_assert_eq!(sent.len(), expected.len().min(sent.len()));
            }
        }
        prop_assert_eq!(sent.len(), expected.len());
        if !by_details {
            prop_assert_eq!(lost, None);
        }
    }
}

/// The names of the blocks of a turn.
fn names(turn: &[Value]) -> String {
    let name = |block: &Value| {
        if let Some(text) = block["text"].as_str() {
            return format!("X:{text}");
        }
        if block["toolUse"].is_object() {
            return "T".to_owned();
        }
        let text = &block["reasoningContent"]["reasoningText"]["text"];
        text.as_str().map_or_else(|| "S".to_owned(), |text| format!("R:{text}"))
    };
    turn.iter().map(name).collect::<Vec<_>>().join(" ")
}

fn two_thoughts() -> Vec<Block> {
    let thought = |text: &str| Block::Reasoning(text.to_owned());
    vec![thought("one"), Block::Call, thought("two"), Block::Call]
}

/// A turn with two reasoning blocks and two calls, made by the model and account `HERE`.
fn conversation(profile: &Profile, with_details: bool) -> (Vec<Value>, Vec<(String, Arc<Turn>)>) {
    let body = json!({ "model": "m", "messages": [{ "role": "user", "content": "x" }] });
    let (message, memory) = answered(&content(&two_thoughts(), 0), reply(profile, &body), false);
    let mut messages = vec![json!({ "role": "user", "content": "Look." })];
    messages.push(written(&message, Client::Faithful, with_details));
    messages.extend(results(&message));
    (messages, memory)
}

#[test]
fn reasoning_goes_to_no_other_model_and_bound_reasoning_to_no_other_account() {
    let model = Origin { model: 2, ..HERE };
    let account = Origin { account: 20, ..HERE };
    for with_details in [false, true] {
        for (profile, target, goes) in [
            (signed(), HERE, true),
            (signed(), model, false),
            (signed(), account, true),
            (bound(), HERE, true),
            (bound(), model, false),
            (bound(), account, false),
        ] {
            let (messages, memory) = conversation(&profile, with_details);
            let memory = if with_details { Vec::new() } else { memory };
            let (turns, lost, _) = sent(&messages, &profile, &memory, target);
            let expected = if goes { "R:one T R:two T" } else { "T T" };
            assert_eq!(names(&turns[0]), expected, "{with_details} {target:?}");
            assert_eq!(lost.is_none(), goes, "{with_details} {target:?}: the loss is told");
        }
    }
}

#[test]
fn the_origin_of_the_last_reasoning_comes_from_the_store_or_the_client() {
    let read = |messages: &[Value], memory: &[(String, Arc<Turn>)]| {
        let body = json!({ "model": "m", "messages": messages }).to_string();
        let request: ChatRequest<'_> = serde_json::from_str(&body).unwrap();
        let mut recalled = RestoredReasoning::default();
        memory.iter().for_each(|(call, turn)| recalled.add(call, Arc::clone(turn)));
        origin(&request, Some(&recalled))
    };
    let (messages, memory) = conversation(&bound(), false);
    assert_eq!((read(&messages, &memory), read(&messages, &[])), (Some(HERE), None));
    let (messages, _) = conversation(&bound(), true);
    assert_eq!(read(&messages, &[]), Some(HERE));
    assert_eq!(read(&messages[..1], &[]), None);
}

#[test]
fn a_second_attempt_sends_no_reasoning() {
    for with_details in [false, true] {
        let (messages, memory) = conversation(&bound(), with_details);
        let body = json!({ "model": "m", "messages": messages }).to_string();
        let request: ChatRequest<'_> = serde_json::from_str(&body).unwrap();
        let mut recalled = RestoredReasoning::default();
        memory.iter().for_each(|(call, turn)| recalled.add(call, Arc::clone(turn)));
        recalled.forget();
        let question =
            question_with(&request, &bound(), &S3Access::default(), Some(&recalled)).unwrap();
        assert_eq!(question.report.lost_thoughts(), Some(LostReasoning::Dropped));
        let text = serde_json::to_string(&question.body).unwrap();
        assert!(!text.contains("reasoningContent"), "{text}");
    }
}

/// The content before the reasoning of the first answered turn.
fn before_the_thought(body: &Value) -> Value {
    let mut before = vec![body["toolConfig"]["tools"].clone(), body["system"].clone()];
    for turn in body["messages"].as_array().unwrap() {
        if turn["role"] == "assistant" {
            break;
        }
        before.push(turn.clone());
    }
    before.into()
}

#[test]
fn added_text_does_not_change_the_prefix_of_reasoning() {
    let plain = Value::Null;
    let object = json!({ "type": "json_object" });
    let schema = json!({ "type": "json_schema", "json_schema": { "name": "n", "schema": { "type": "object" } } });
    let tool = json!([{ "type": "function", "function": { "name": "look", "parameters": { "type": "object" } } }]);
    let blocks = [Block::Reasoning("one".to_owned()), Block::Call];
    for with_details in [false, true] {
        for (then, now) in [
            (&plain, &object),
            (&plain, &schema),
            (&object, &object),
            (&schema, &schema),
            (&object, &plain),
            (&object, &schema),
        ] {
            let ask = |messages: &[Value], format: &Value| json!({ "model": "m", "messages": messages, "response_format": format, "tools": tool });
            let translated = |body: &Value, memory: &[(String, Arc<Turn>)]| {
                let text = body.to_string();
                let request: ChatRequest<'_> = serde_json::from_str(&text).unwrap();
                let mut recalled = RestoredReasoning::default();
                memory.iter().for_each(|(call, turn)| recalled.add(call, Arc::clone(turn)));
                recalled.is_for(HERE);
                let question =
                    question_with(&request, &bound(), &S3Access::default(), Some(&recalled))
                        .unwrap();
                (serde_json::to_value(&question.body).unwrap(), question.reply)
            };
            let mut messages = vec![
                json!({ "role": "system", "content": "Be brief." }),
                json!({ "role": "user", "content": "Look." }),
            ];
            let (first, reply) = translated(&ask(&messages, then), &[]);
            assert_eq!(first["system"].as_array().unwrap().len(), 1, "{first}");
            let (message, memory) = answered(&content(&blocks, 0), reply, false);
            messages.push(written(&message, Client::Faithful, with_details));
            messages.extend(results(&message));
            let memory = if with_details { Vec::new() } else { memory };
            let (second, reply) = translated(&ask(&messages, now), &memory);
            let is_restored = second.to_string().contains("reasoningContent");
            // A client that sends only a hash of the gateway's text cannot have another text
            // restored.
            let is_known = !with_details || then == now || then.is_null();
            assert_eq!(is_restored, is_known, "{with_details} {then} {now}");
            if is_restored {
                assert_eq!(before_the_thought(&second), before_the_thought(&first), "{then} {now}");
            }
            let words = second.to_string().matches("and nothing else").count();
            let expected = usize::from(!now.is_null())
                + usize::from(is_restored && then != now && !then.is_null());
            assert_eq!(words, expected, "{with_details} {then} {now}");
            // The turn after that stands after both.
            let (message, more) = answered(&content(&blocks, 50), reply, true);
            messages.push(written(&message, Client::Faithful, with_details));
            messages.extend(results(&message));
            let memory = if with_details { Vec::new() } else { [memory, more].concat() };
            let (third, _) = translated(&ask(&messages, now), &memory);
            let (second, third) = (&second["messages"], &third["messages"]);
            let length = second.as_array().unwrap().len();
            assert_eq!(
                third.as_array().unwrap()[..length],
                second.as_array().unwrap()[..],
                "{then} {now}"
            );
        }
    }
}

#[test]
fn redacted_reasoning_is_sent_back_alone_and_readable_reasoning_never() {
    let profile = Profile {
        thinking: Thinking::NestedEffort,
        replay: Replay::Redacted,
        ..Profile::default()
    };
    let blocks = [
        Block::Reasoning("a summary".to_owned()),
        Block::Redacted,
        Block::Call,
        Block::Redacted,
        Block::Call,
    ];
    for streamed in [false, true] {
        for with_details in [false, true] {
            let body = json!({ "model": "m", "messages": [{ "role": "user", "content": "x" }] });
            let (message, memory) =
                answered(&content(&blocks, 0), reply(&profile, &body), streamed);
            let mut messages = vec![json!({ "role": "user", "content": "Look." })];
            messages.push(written(&message, Client::Faithful, with_details));
            messages.extend(results(&message));
            let memory = if with_details { Vec::new() } else { memory };
            let (turns, lost, _) = sent(&messages, &profile, &memory, HERE);
            assert_eq!((names(&turns[0]).as_str(), lost), ("S T S T", None));
            let elsewhere = Origin { model: 2, ..HERE };
            let (turns, lost, _) = sent(&messages, &profile, &memory, elsewhere);
            assert_eq!(names(&turns[0]), "T T");
            assert_eq!(lost, Some(LostReasoning::Forgotten));
        }
    }
}

#[test]
fn turns_saved_by_an_older_version_are_restored_where_unambiguous() {
    let thought =
        |text: &str| ReasoningItem::Text { text: text.to_owned(), signature: Some("s".to_owned()) };
    let turn = |texts: &[&str]| Arc::new(Turn::of_thoughts(texts.iter().map(|text| thought(text))));
    let call = |id: &str| json!({ "id": id, "type": "function", "function": { "name": "look", "arguments": "{}" } });
    let messages = |calls: &[&str]| {
        let calls: Vec<Value> = calls.iter().map(|id| call(id)).collect();
        let message = json!({ "role": "assistant", "content": null, "tool_calls": calls });
        let mut all = vec![json!({ "role": "user", "content": "Look." }), message.clone()];
        all.extend(results(&message));
        all
    };
    let sent = |calls: &[&str], texts: &[&str]| {
        let memory = [(calls[calls.len() - 1].to_owned(), turn(texts))];
        let (turns, lost, _) = sent(&messages(calls), &signed(), &memory, HERE);
        (names(&turns[0]), lost.is_some())
    };
    assert_eq!(sent(&["a", "b"], &["one"]), ("R:one T T".to_owned(), false));
    assert_eq!(sent(&["a"], &["one", "two"]), ("R:one R:two T".to_owned(), false));
    assert_eq!(sent(&["a", "b"], &["one", "two"]), ("T T".to_owned(), false));
}

#[test]
fn ids_that_a_model_restarts_belong_to_the_last_turn() {
    let (_, memory) = conversation(&signed(), false);
    let call = json!({ "id": "call1", "type": "function", "function": { "name": "look", "arguments": "{}" } });
    let again = json!({ "id": "call3", "type": "function", "function": { "name": "look", "arguments": "{}" } });
    let message = json!({ "role": "assistant", "content": null, "tool_calls": [call, again] });
    let mut messages = Vec::new();
    for _ in 0..2 {
        messages.push(json!({ "role": "user", "content": "Look." }));
        messages.push(message.clone());
        messages.extend(results(&message));
    }
    let (turns, ..) = sent(&messages, &signed(), &memory, HERE);
    assert_eq!((names(&turns[0]).as_str(), names(&turns[1]).as_str()), ("T T", "R:one T R:two T"));
}
