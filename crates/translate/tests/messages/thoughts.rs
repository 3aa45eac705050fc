//! Reasoning that clients send back with the API's own members: signatures of models that sign, and
//! capsules in their place for models that do not.

use bytes::BytesMut;
use schema::anthropic::messages::MessagesRequest;
use schema::converse::event::StreamEvent;
use schema::converse::response::ConverseResponse;
use serde_json::{Value, json};
use translate::answer_stream::AnswerStream;
use translate::dialect::{Dialect, QuestionInput};
use translate::messages::{Messages, MessagesReply};
use translate::profile::{Replay, Thinking};
use translate::reasoning::RestoredReasoning;
use translate::{Profile, S3Access};

use crate::glass::recalled;
use crate::{golden, native, no_tokens, stamp};

/// A model that takes reasoning back without a signature.
fn plain() -> Profile {
    Profile { thinking: Thinking::Native, replay: Replay::Plain, ..Profile::default() }
}

fn signed() -> Profile {
    Profile { thinking: Thinking::Adaptive, replay: Replay::Signed, ..Profile::default() }
}

/// The body on the profile's way, the fields without effect, and the state for the answer.
fn asked(
    request: &Value,
    profile: &Profile,
    recalled: &RestoredReasoning,
) -> (Value, Vec<String>, MessagesReply) {
    let text = request.to_string();
    let request: MessagesRequest<'_> = serde_json::from_str(&text).unwrap();
    let stores = S3Access::default();
    let restored = Some(recalled);
    let input =
        QuestionInput { stores: &stores, restored, index: 0, betas: &[], text_of: no_tokens };
    let ignored = |report: &translate::Report| {
        report.ignored().iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    match Messages::native_question(&request, profile, &input).unwrap() {
        Some(asked) => {
            let body = serde_json::from_slice(&asked.body).unwrap();
            (body, ignored(&asked.report), asked.reply)
        }
        None => {
            let asked = Messages::question(&request, profile, &input).unwrap();
            let body = serde_json::to_value(&asked.body).unwrap();
            (body, ignored(&asked.report), asked.reply)
        }
    }
}

fn request(display: &str) -> Value {
    json!({ "model": "m", "max_tokens": 99, "thinking": { "type": "adaptive", "display": display },
        "messages": [{ "role": "user", "content": "x" }],
        "tools": [{ "name": "look", "input_schema": { "type": "object" } }] })
}

/// The request of the next turn, by a client that keeps the blocks of the answer as they are.
fn next(display: &str, content: &Value) -> Value {
    let mut request = request(display);
    let turns = request["messages"].as_array_mut().unwrap();
    turns.push(json!({ "role": "assistant", "content": content }));
    turns.push(json!({ "role": "user", "content": [
        { "type": "tool_result", "tool_use_id": "t1", "content": "gneiss" }] }));
    request
}

const THOUGHT: &str = "Where do I look?";

fn whole(reply: &MessagesReply) -> Value {
    let response = json!({ "output": { "message": { "role": "assistant", "content": [
            { "reasoningContent": { "reasoningText": { "text": THOUGHT } } },
            { "toolUse": { "toolUseId": "t1", "name": "look", "input": {} } },
        ] } }, "stopReason": "tool_use",
        "usage": { "inputTokens": 1, "outputTokens": 1, "totalTokens": 2 } })
    .to_string();
    let response: ConverseResponse<'_> = serde_json::from_str(&response).unwrap();
    serde_json::to_value(Messages::answer(&response, reply, stamp()).answer).unwrap()["content"]
        .take()
}

/// The same answer from a stream, put together as clients do.
fn streamed(reply: MessagesReply) -> Value {
    let mut stream = Messages::stream(reply, stamp(), 0);
    let mut out = BytesMut::new();
    let piece = |text: &str| json!({ "contentBlockIndex": 0, "delta": { "reasoningContent": { "text": text } } });
    for (name, payload) in [
        ("messageStart", json!({ "role": "assistant" })),
        ("contentBlockDelta", piece(&THOUGHT[..5])),
        ("contentBlockDelta", piece(&THOUGHT[5..])),
        ("contentBlockStop", json!({ "contentBlockIndex": 0 })),
        (
            "contentBlockStart",
            json!({ "contentBlockIndex": 1, "start": { "toolUse": { "toolUseId": "t1", "name": "look" } } }),
        ),
        ("contentBlockStop", json!({ "contentBlockIndex": 1 })),
        ("messageStop", json!({ "stopReason": "tool_use" })),
    ] {
        let payload = payload.to_string();
        let event = StreamEvent::parse(name, payload.as_bytes()).unwrap();
        stream.push(&event, &mut out).unwrap();
    }
    stream.close(&mut out).unwrap();
    stream.finish(stream.spent(), &mut out).unwrap();
    let mut blocks: Vec<Value> = Vec::new();
    for event in golden::data(std::str::from_utf8(&out).unwrap()) {
        let delta = &event["delta"];
        match (event["type"].as_str().unwrap(), delta["type"].as_str()) {
            ("content_block_start", _) => blocks.push(event["content_block"].clone()),
            (_, Some("thinking_delta")) => {
                let block = blocks.last_mut().unwrap();
                let text = format!(
                    "{}{}",
                    block["thinking"].as_str().unwrap(),
                    delta["thinking"].as_str().unwrap()
                );
                block["thinking"] = text.into();
            }
            (_, Some("signature_delta")) => {
                let block = blocks.last_mut().unwrap();
                assert_eq!(block["signature"], "", "a signature comes once and whole");
                block["signature"] = delta["signature"].clone();
            }
            _ => {}
        }
    }
    blocks.into()
}

#[test]
fn reasoning_without_a_signature_comes_back_in_a_capsule() {
    for (display, shown) in [("summarized", THOUGHT), ("omitted", "")] {
        let (_, ignored, reply) = asked(&request(display), &plain(), &recalled());
        assert!(!ignored.contains(&"thinking.display".to_owned()) || display != "omitted");
        let content = whole(&reply);
        assert_eq!(content[0]["thinking"], shown, "{display}");
        assert!(content[0]["signature"].as_str().unwrap().starts_with("oc1."), "{content}");
        assert_eq!(streamed(reply), content, "{display}");
        let (body, _, _) = asked(&next(display, &content), &plain(), &recalled());
        let thought = &body["messages"][1]["content"][0]["reasoningContent"]["reasoningText"];
        assert_eq!(*thought, json!({ "text": THOUGHT }), "{display}");
    }
}

#[test]
fn a_capsule_goes_to_no_model_that_signs_and_one_that_does_not_open_to_none() {
    let (_, _, reply) = asked(&request("summarized"), &plain(), &recalled());
    let content = whole(&reply);
    let of_another = json!([
        { "type": "thinking", "thinking": THOUGHT, "signature": "oc1.of-another-caller" },
        { "type": "tool_use", "id": "t1", "name": "look", "input": {} },
    ]);
    let claude = Profile { messages: translate::profile::MessagesOperation::Invoke, ..signed() };
    for (profile, content) in [
        (signed(), &content),
        (claude.clone(), &content),
        (signed(), &of_another),
        (claude, &of_another),
        (plain(), &of_another),
    ] {
        let (body, ignored, _) = asked(&next("summarized", content), &profile, &recalled());
        let text = body["messages"].to_string();
        assert!(!text.contains("oc1.") && !text.contains(THOUGHT), "{text}");
        assert!(ignored.contains(&"messages.content.thinking".to_owned()), "{ignored:?}");
    }
}

#[test]
fn reasoning_that_a_model_refused_is_left_out_and_listed_on_both_ways() {
    let content = json!([
        { "type": "thinking", "thinking": THOUGHT, "signature": "c2ln" },
        { "type": "redacted_thinking", "data": "AAAA" },
        { "type": "tool_use", "id": "t1", "name": "look", "input": {} },
    ]);
    let claude = Profile { replay: Replay::Signed, thinking: Thinking::Adaptive, ..native() };
    for profile in [signed(), claude] {
        let (body, ignored, _) = asked(&next("summarized", &content), &profile, &recalled());
        assert!(
            body["messages"].to_string().contains(THOUGHT) && ignored.is_empty(),
            "{ignored:?}"
        );
        let mut forgotten = recalled();
        forgotten.forget();
        let (body, ignored, _) = asked(&next("summarized", &content), &profile, &forgotten);
        let text = body["messages"].to_string();
        assert!(!text.contains(THOUGHT) && !text.contains("AAAA"), "{text}");
        assert!(ignored.contains(&"messages.content.thinking".to_owned()), "{ignored:?}");
    }
}
