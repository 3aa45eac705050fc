//! Calls that models write into their text: the complete answer, its stream for any cut, and its
//! replay are equal, and no token is shown.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "support/fold.rs"]
mod fold;
#[path = "support/wire.rs"]
mod wire;

use fold::Folded;
use proptest::prelude::*;
use schema::converse::response::ConverseResponse;
use schema::openai::chat::ChatRequest;
use serde_json::{Value, json};
use translate::chat::{answer, question};
use translate::profile::CallSyntax;
use translate::{Profile, Reply, Stamp};

fn stamp() -> Stamp {
    Stamp { id: "chatcmpl-1".into(), created: 1, model: "m".into() }
}

fn reply(call_syntax: CallSyntax, format: &str, one_call: bool) -> Reply {
    let body = json!({
        "model": "m",
        "messages": [{ "role": "user", "content": "x" }],
        "stream_options": { "include_usage": true },
        "parallel_tool_calls": !one_call,
        "response_format": { "type": format, "json_schema": { "schema": { "type": "object" } } },
        "tools": [
            { "type": "function", "function": { "name": "find" } },
            { "type": "custom", "custom": { "name": "free" } },
        ],
    })
    .to_string();
    let request: ChatRequest<'_> = serde_json::from_str(&body).unwrap();
    question(&request, &Profile { call_syntax, ..Profile::default() }).unwrap().reply
}

#[derive(Debug, Clone)]
enum Block {
    Text(String),
    Reasoning(String),
    Call(Value),
}

fn words() -> impl Strategy<Value = String> {
    let whole = |name: &str, input: &str| {
        format!(
            "<|tool_call_begin|>functions.{name}:0<|tool_call_argument_begin|>{input}<|tool_call_end|>"
        )
    };
    let words = [
        "<|tool_calls_section_begin|>",
        "<|tool_calls_section_end|>",
        "<|tool_call_begin|>",
        "<|tool_call_argument_begin|>",
        "<|tool_call_end|>",
        &whole("find", r#"{"place":"Å"}"#),
        &whole("free", r#"{"input":"a\nb"}"#),
        &whole("other", "{}"),
        &whole("structured_answer", r#"{"a":1}"#),
        "<|start|>assistant<|channel|>commentary to=functions.find<|message|>{}<|call|>",
        "<|channel|>analysis<|message|>",
        "<|channel|>final<|message|>",
        "<|end|>",
        "{\"a\":1}",
        "<",
        "é",
        " \n",
        "a",
    ]
    .map(str::to_owned);
    prop::collection::vec(prop::sample::select(words.to_vec()), 0..6)
        .prop_map(|words| words.concat())
}

fn block() -> impl Strategy<Value = Block> {
    prop_oneof![
        words().prop_map(Block::Text),
        words().prop_map(Block::Reasoning),
        prop::sample::select(vec![json!({ "place": "Å" }), json!({})]).prop_map(Block::Call),
    ]
}

fn whole(blocks: &[Block]) -> String {
    let content = blocks.iter().enumerate().map(|(at, block)| match block {
        Block::Text(text) => json!({ "text": text }),
        Block::Reasoning(text) => {
            json!({ "reasoningContent": { "reasoningText": { "text": text } } })
        }
        Block::Call(input) => {
            json!({ "toolUse": { "toolUseId": format!("t{at}"), "name": "find", "input": input } })
        }
    });
    json!({
        "output": { "message": { "role": "assistant", "content": content.collect::<Vec<_>>() } },
        "stopReason": "end_turn",
        "usage": { "inputTokens": 1, "outputTokens": 2, "totalTokens": 3 },
    })
    .to_string()
}

/// The same as a stream, with each text cut after every `step` characters.
fn streamed(blocks: &[Block], step: usize) -> Vec<(&'static str, String)> {
    let mut events = vec![("messageStart", json!({ "role": "assistant" }).to_string())];
    for (index, block) in blocks.iter().enumerate() {
        let pieces = |text: &str| -> Vec<String> {
            text.chars().collect::<Vec<_>>().chunks(step).map(|cut| cut.iter().collect()).collect()
        };
        let deltas: Vec<Value> = match block {
            Block::Text(text) => pieces(text).iter().map(|text| json!({ "text": text })).collect(),
            Block::Reasoning(text) => pieces(text)
                .iter()
                .map(|text| json!({ "reasoningContent": { "text": text } }))
                .collect(),
            Block::Call(input) => {
                let tool = json!({ "toolUseId": format!("t{index}"), "name": "find" });
                let start = json!({ "contentBlockIndex": index, "start": { "toolUse": tool } });
                events.push(("contentBlockStart", start.to_string()));
                pieces(&input.to_string())
                    .iter()
                    .map(|input| json!({ "toolUse": { "input": input } }))
                    .collect()
            }
        };
        for delta in deltas {
            let delta = json!({ "contentBlockIndex": index, "delta": delta });
            events.push(("contentBlockDelta", delta.to_string()));
        }
        events.push(("contentBlockStop", json!({ "contentBlockIndex": index }).to_string()));
    }
    events.push(("messageStop", json!({ "stopReason": "end_turn" }).to_string()));
    let usage = json!({ "inputTokens": 1, "outputTokens": 2, "totalTokens": 3 });
    events.push(("metadata", json!({ "usage": usage }).to_string()));
    events
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_stream_the_replay_and_the_complete_answer_are_equal(
        blocks in prop::collection::vec(block(), 0..5),
        step in prop::sample::select(vec![1, 3, 7, 1000]),
        format in prop::sample::select(vec!["text", "json_object", "json_schema"]),
        syntax in prop::sample::select(vec![CallSyntax::Sections, CallSyntax::Channels]),
        one_call in any::<bool>(),
    ) {
        let reply = reply(syntax, format, one_call);
        let text = whole(&blocks);
        let response: ConverseResponse<'_> = serde_json::from_str(&text).unwrap();
        let whole = Folded::of_answer(&answer(&response, &reply, stamp()));
        let streamed = Folded::of_events(reply.clone(), stamp(), &streamed(&blocks, step)).unwrap();
        prop_assert_eq!(&streamed, &whole);
        let replayed = Folded::of_replay(reply, stamp(), response).unwrap();
        prop_assert_eq!(&replayed, &whole);
        let tokens: &[&str] = match syntax {
            CallSyntax::Sections => &["<|tool_call"],
            _ => &["<|start|>", "<|channel|>", "<|message|>", "<|call|>"],
        };
        for token in tokens {
            prop_assert!(!whole.content.contains(token), "{:?}", whole);
            prop_assert!(!whole.reasoning.contains(token), "{:?}", whole);
        }
        let mut ids: Vec<_> = whole.calls.iter().map(|(id, ..)| id).collect();
        ids.sort();
        ids.dedup();
        prop_assert_eq!(ids.len(), whole.calls.len());
    }
}
