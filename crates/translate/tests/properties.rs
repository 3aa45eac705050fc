//! Properties of every conversation and every stream, beyond the fixtures.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "support/fold.rs"]
mod fold;
#[path = "support/wire.rs"]
mod wire;

use bytes::BytesMut;
use fold::Folded;
use proptest::prelude::*;
use schema::converse::event::StreamEvent;
use schema::converse::response::ConverseResponse;
use schema::openai::chat::ChatRequest;
use serde_json::{Value, json};
use translate::answer_stream::AnswerStream;
use translate::chat::{Chat, answer, question};
use translate::dialect::Dialect;
use translate::{Profile, Reply, Stamp};
use wire::Wire;

fn stamp() -> Stamp {
    Stamp { id: "chatcmpl-1".into(), created: 1, model: "m".into() }
}

fn reply() -> Reply {
    reply_to("text")
}

fn reply_to(format: &str) -> Reply {
    let mut body = json!({
        "model": "m",
        "messages": [{ "role": "user", "content": "x" }],
        "stream_options": { "include_usage": true },
        "tools": [
            { "type": "function", "function": { "name": "files.read" } },
            { "type": "function", "function": { "name": "shapes", "parameters": { "oneOf": [] } } },
            { "type": "custom", "custom": { "name": "free" } },
        ],
        "response_format": { "type": format },
    });
    if format == "json_schema" {
        body["response_format"][format] = json!({ "schema": { "type": "object" } });
    }
    let body = body.to_string();
    let request: ChatRequest<'_> = serde_json::from_str(&body).unwrap();
    question(&request, &Profile::default()).unwrap().reply
}

/// A block of an answer, in both forms: complete, and as the pieces of a stream.
#[derive(Debug, Clone)]
enum Block {
    Text(Vec<String>),
    Reasoning(Vec<String>, Option<String>),
    Redacted(String),
    Call { id: String, name: String, pieces: Vec<String>, input: Value },
}

fn pieces() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec("[ -~äß€\n\"\\\\]{0,6}", 0..5)
}

/// Parts of fences and JSON, cut anywhere.
fn fenced() -> impl Strategy<Value = Vec<String>> {
    let parts = ["```", "``", "json", "\n", "{", "\"a\"", ": 1}", " ", "x"].map(str::to_owned);
    prop::collection::vec(prop::sample::select(parts.to_vec()), 0..8)
}

fn block() -> impl Strategy<Value = Block> {
    prop_oneof![
        pieces().prop_map(Block::Text),
        fenced().prop_map(Block::Text),
        (pieces(), prop::option::of("[a-z]{1,4}"))
            .prop_map(|(pieces, signature)| Block::Reasoning(pieces, signature)),
        "[a-z]{1,4}".prop_map(Block::Redacted),
        (
            "[a-z]{1,8}",
            prop_oneof![
                Just("b".to_owned()),
                Just("files_read_059c287d".to_owned()),
                Just("structured_answer".to_owned()),
                Just("shapes".to_owned()),
                Just("free".to_owned()),
            ],
            tool_input(),
            any::<prop::sample::Index>(),
            any::<bool>()
        )
            .prop_map(|(id, name, input, cut, silent)| {
                let text = input.to_string();
                let at = cut.index(text.len());
                let at = (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap();
                let pieces = if silent && text == "{}" {
                    Vec::new()
                } else {
                    vec![String::new(), text[..at].to_owned(), text[at..].to_owned()]
                };
                Block::Call { id, name, pieces, input }
            }),
    ]
}

/// Arguments, including those of free-form tools, of tools with wrapped schemas, and unexpected
/// ones.
fn tool_input() -> impl Strategy<Value = Value> {
    let plain = prop::collection::btree_map("[a-z]{1,3}", any::<i32>(), 0..4);
    prop_oneof![
        plain.clone().prop_map(|members| json!(members)),
        "[ -~äß€😀\n\"\\\\]{0,9}".prop_map(|text| json!({ "input": text })),
        plain.prop_map(|members| json!({ "value": members })),
        "[a\"{}]{0,5}".prop_map(|text| json!({ "value": [text], "more": 1 })),
    ]
}

fn whole(blocks: &[Block], stop: &str) -> String {
    let content: Vec<Value> = blocks
        .iter()
        .map(|block| match block {
            Block::Text(pieces) => json!({ "text": pieces.concat() }),
            Block::Reasoning(pieces, signature) => {
                json!({ "reasoningContent": { "reasoningText": { "text": pieces.concat(), "signature": signature } } })
            }
            Block::Redacted(data) => json!({ "reasoningContent": { "redactedContent": data } }),
            Block::Call { id, name, input, .. } => {
                json!({ "toolUse": { "toolUseId": id, "name": name, "input": input } })
            }
        })
        .collect();
    json!({
        "output": { "message": { "role": "assistant", "content": content } },
        "stopReason": stop,
        "usage": usage(),
    })
    .to_string()
}

fn usage() -> Value {
    json!({ "inputTokens": 5, "outputTokens": 7, "totalTokens": 15, "cacheReadInputTokens": 3 })
}

fn streamed(blocks: &[Block], stop: &str) -> Vec<(&'static str, String)> {
    let mut events = vec![("messageStart", json!({ "role": "assistant", "p": "abc" }).to_string())];
    for (index, block) in blocks.iter().enumerate() {
        let mut delta = |delta: Value| {
            let payload = json!({ "contentBlockIndex": index, "delta": delta, "p": "a" });
            events.push(("contentBlockDelta", payload.to_string()));
        };
        match block {
            Block::Text(pieces) => pieces.iter().for_each(|text| delta(json!({ "text": text }))),
            Block::Redacted(data) => {
                delta(json!({ "reasoningContent": { "redactedContent": data } }));
            }
            Block::Reasoning(pieces, signature) => {
                for text in pieces {
                    delta(json!({ "reasoningContent": { "text": text } }));
                }
                if let Some(signature) = signature {
                    delta(json!({ "reasoningContent": { "signature": signature } }));
                }
            }
            Block::Call { id, name, pieces, .. } => {
                let start = json!({ "toolUse": { "toolUseId": id, "name": name } });
                let payload = json!({ "contentBlockIndex": index, "start": start });
                events.push(("contentBlockStart", payload.to_string()));
                for input in pieces {
                    let delta = json!({ "toolUse": { "input": input } });
                    let payload = json!({ "contentBlockIndex": index, "delta": delta });
                    events.push(("contentBlockDelta", payload.to_string()));
                }
            }
        }
        events.push(("contentBlockStop", json!({ "contentBlockIndex": index }).to_string()));
    }
    events.push(("messageStop", json!({ "stopReason": stop }).to_string()));
    events
        .push(("metadata", json!({ "usage": usage(), "metrics": { "latencyMs": 1 } }).to_string()));
    events
}

fn stop_reason() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "end_turn",
        "tool_use",
        "max_tokens",
        "stop_sequence",
        "guardrail_intervened",
        "content_filtered",
        "malformed_tool_use",
        "model_context_window_exceeded",
        "tomorrow",
    ])
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_combined_stream_equals_the_complete_answer(
        blocks in prop::collection::vec(block(), 0..6),
        stop in stop_reason(),
        format in prop::sample::select(vec!["text", "json_object", "json_schema"]),
    ) {
        let whole = whole(&blocks, stop);
        let response: ConverseResponse<'_> = serde_json::from_str(&whole).unwrap();
        let whole = Folded::of_answer(&answer(&response, &reply_to(format), stamp()));
        let streamed = Folded::of_events(reply_to(format), stamp(), &streamed(&blocks, stop)).unwrap();
        if format == "json_schema" {
            let leaked = whole.calls.iter().any(|(_, name, _)| name == "structured_answer");
            prop_assert!(!leaked, "the client sees a tool that it never declared");
        }
        prop_assert_eq!(&streamed, &whole);
        let replayed = Folded::of_replay(reply_to(format), stamp(), response).unwrap();
        prop_assert_eq!(replayed, whole);
    }

    #[test]
    fn a_stream_and_a_complete_answer_save_the_same_turn(blocks in prop::collection::vec(block(), 0..6)) {
        let body = json!({ "model": "m", "messages": [{ "role": "user", "content": "x" }] }).to_string();
        let request: ChatRequest<'_> = serde_json::from_str(&body).unwrap();
        let profile = Profile {
            thinking: translate::profile::Thinking::Budget,
            replay: translate::profile::Replay::Signed,
            ..Profile::default()
        };
        let reply = question(&request, &profile).unwrap().reply;
        let whole = whole(&blocks, "end_turn");
        let response: ConverseResponse<'_> = serde_json::from_str(&whole).unwrap();
        let kept = Chat::answer(&response, &reply, stamp()).saved;
        let mut chat = translate::chat::ChatStream::new(reply, stamp());
        let (mut calls, mut last) = (Vec::new(), None);
        for (name, payload) in streamed(&blocks, "end_turn") {
            let mut wire = Wire::default();
            let kept = wire.push(&mut chat, name, &payload);
            let mut ids = Vec::new();
            for chunk in wire.chunks() {
                let calls = chunk["choices"][0]["delta"]["tool_calls"].as_array().cloned();
                let calls = calls.unwrap_or_default();
                ids.extend(calls.iter().filter_map(|call| call["id"].as_str().map(ToOwned::to_owned)));
            }
            let new = kept.as_ref().map(|kept| kept.calls.clone()).unwrap_or_default();
            if name == "messageStop" {
                prop_assert!(new.is_empty() || calls.ends_with(&new), "the end belongs to the last call");
            } else {
                prop_assert_eq!(new, ids.clone(), "before they go out");
                calls.extend(ids);
            }
            if let Some(kept) = kept {
                last = Some(kept.turn);
            }
        }
        prop_assert_eq!(kept.map(|kept| (kept.calls, kept.turn)), last.map(|turn| (calls, turn)));
    }

    #[test]
    fn turns_alternate_and_every_call_has_its_result(
        messages in prop::collection::vec(message(), 1..12),
        leading in any::<bool>(),
    ) {
        let body = json!({ "model": "m", "messages": messages }).to_string();
        let request: ChatRequest<'_> = serde_json::from_str(&body).unwrap();
        let profile = Profile { leading_assistant: leading, ..Profile::default() };
        let question = question(&request, &profile).unwrap();
        let sent = serde_json::to_value(&question.body).unwrap();
        well_formed(&sent, leading)?;
    }

    #[test]
    fn no_json_makes_it_panic(body in json_value(), payload in json_value()) {
        let text = json!({ "model": "m", "messages": body }).to_string();
        if let Ok(request) = serde_json::from_str::<ChatRequest<'_>>(&text) {
            let _ = question(&request, &Profile::default());
        }
        let payload = payload.to_string();
        for name in ["messageStart", "contentBlockStart", "contentBlockDelta", "contentBlockStop", "messageStop", "metadata", "x"] {
            if let Ok(event) = StreamEvent::parse(name, payload.as_bytes()) {
                let mut chat = translate::chat::ChatStream::new(reply(), stamp());
                chat.push(&event, &mut BytesMut::new()).unwrap();
            }
        }
        let _ = serde_json::from_str::<ConverseResponse<'_>>(&payload);
    }
}

/// Messages in the unusual orders and forms of real clients; ids come from a small set, so that
/// they collide.
fn message() -> impl Strategy<Value = Value> {
    let text = prop::sample::select(vec!["", " ", "a", "b\n", "\t"]);
    let id = prop::sample::select(vec!["c1", "c2", "c/3", ""]);
    prop_oneof![
        (prop::sample::select(vec!["system", "developer", "user", "assistant"]), text.clone())
            .prop_map(|(role, text)| json!({ "role": role, "content": text })),
        (prop::sample::select(vec!["user", "assistant"]), prop::collection::vec(text.clone(), 0..3))
            .prop_map(|(role, texts)| {
                let parts: Vec<Value> =
                    texts.iter().map(|text| json!({ "type": "text", "text": text })).collect();
                json!({ "role": role, "content": parts })
            }),
        (prop::collection::vec(id.clone(), 1..4), prop::sample::select(vec!["", "{}", "[", "{\"a\":1}"]))
            .prop_map(|(ids, arguments)| {
                let calls: Vec<Value> = ids
                    .iter()
                    .map(|id| json!({ "id": id, "type": "function", "function": { "name": "f.g", "arguments": arguments } }))
                    .collect();
                json!({ "role": "assistant", "content": null, "tool_calls": calls })
            }),
        (id, text).prop_map(|(id, text)| json!({ "role": "tool", "tool_call_id": id, "content": text })),
    ]
}

/// Checks Bedrock's requirements for a conversation.
fn well_formed(sent: &Value, leading: bool) -> Result<(), TestCaseError> {
    let turns = sent["messages"].as_array().unwrap();
    prop_assert!(!turns.is_empty());
    if !leading {
        prop_assert_eq!(&turns[0]["role"], "user");
    }
    let mut open: Vec<String> = Vec::new();
    for (at, turn) in turns.iter().enumerate() {
        if at > 0 {
            prop_assert_ne!(&turn["role"], &turns[at - 1]["role"], "turns {} in {}", at, sent);
        }
        let blocks = turn["content"].as_array().unwrap();
        prop_assert!(!blocks.is_empty());
        for text in blocks.iter().filter_map(|block| block["text"].as_str()) {
            prop_assert!(!text.trim().is_empty(), "blank text in {}", sent);
        }
        let results: Vec<String> = ids(blocks, "toolResult");
        prop_assert_eq!(&results, &open, "results in {}", sent);
        open = ids(blocks, "toolUse");
        let mut unique = open.clone();
        unique.sort();
        unique.dedup();
        prop_assert_eq!(unique.len(), open.len(), "ids twice in {}", sent);
        let declared = sent["toolConfig"]["tools"].as_array();
        prop_assert!(open.is_empty() || declared.is_some_and(|tools| !tools.is_empty()));
    }
    prop_assert!(open.is_empty(), "calls without results in {}", sent);
    Ok(())
}

fn ids(blocks: &[Value], kind: &str) -> Vec<String> {
    blocks
        .iter()
        .filter_map(|block| block[kind]["toolUseId"].as_str().map(ToOwned::to_owned))
        .collect()
}

/// JSON with the names of the wire formats, so that it reaches deep into the code.
fn json_value() -> impl Strategy<Value = Value> {
    let word = prop::sample::select(vec![
        "role",
        "content",
        "type",
        "text",
        "user",
        "assistant",
        "tool",
        "image_url",
        "url",
        "data:image/png;base64,AAAA",
        "tool_calls",
        "id",
        "function",
        "name",
        "arguments",
        "{}",
        "contentBlockIndex",
        "delta",
        "start",
        "toolUse",
        "toolUseId",
        "input",
        "stopReason",
        "end_turn",
        "usage",
        "inputTokens",
        "reasoningContent",
        "output",
        "message",
        "",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        word.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 48, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((word.clone(), inner), 0..6).prop_map(|pairs| {
                Value::Object(
                    pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
                )
            }),
        ]
    })
}
