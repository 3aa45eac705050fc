//! Text completions against snapshots: `fixtures/completions/*.json` holds a request (and, where needed,
//! a profile) and, where the answer matters, Converse's response. An answer that is streamed in any
//! pieces has the same text as the complete one.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::disallowed_methods,
    missing_docs
)]

use bytes::BytesMut;
use proptest::prelude::*;
use request_case::Case;
use schema::converse::event::StreamEvent;
use schema::converse::response::ConverseResponse;
use schema::openai::completions::CompletionRequest;
use serde_json::{Value, json};
use translate::answer_stream::{AnswerStream, StreamError, Truncated, replay};
use translate::completions::{CompletionReply, Completions};
use translate::dialect::{Dialect, QuestionInput};
use translate::token_arrays::UnknownToken;
use translate::{Profile, S3Access, Stamp};

#[path = "support/case.rs"]
mod case;
#[path = "support/golden.rs"]
mod golden;
#[path = "support/request_case.rs"]
mod request_case;
#[path = "completions/transcripts.rs"]
mod transcripts;
#[macro_use]
#[path = "support/snapshots.rs"]
mod snapshots;

fn stamp() -> Stamp {
    Stamp { id: "cmpl-1".into(), created: 1, model: "m".into() }
}

/// Token ids stand for themselves.
fn text_of(tokens: &[u32]) -> Result<String, UnknownToken> {
    Ok(tokens.iter().map(|token| format!("{token} ")).collect())
}

#[test]
fn completions() {
    assert_fixtures!("fixtures/completions/*.json", |text: &str| {
        let case: Case<'_> = serde_json::from_str(text).unwrap();
        let request: CompletionRequest<'_> = match serde_json::from_str(case.request.get()) {
            Ok(request) => request,
            Err(error) => return format!("{error}"),
        };
        let count = Completions::head(&request).questions.count;
        let shown = (0..count).map(|index| shown(&request, &case, index));
        shown.collect::<Vec<_>>().join("\n")
    });
}

fn shown(request: &CompletionRequest<'_>, case: &Case<'_>, index: usize) -> String {
    let stores = S3Access::default();
    let input = QuestionInput { stores: &stores, restored: None, index, betas: &[], text_of };
    let question = match Completions::question(request, &case.profile, &input) {
        Ok(question) => question,
        Err(invalid) => return format!("{invalid:#?}"),
    };
    let ignored = question.report.ignored();
    let body = serde_json::to_string_pretty(&question.body).unwrap();
    let mut shown = format!("ignored: {ignored:?}\n{body}");
    if let Some(response) = case.response {
        let response = response.get();
        let whole: ConverseResponse<'_> = serde_json::from_str(response).unwrap();
        let answer = Completions::answer(&whole, &question.reply, stamp()).answer;
        shown.push_str(&format!("\n{}", serde_json::to_string_pretty(&answer).unwrap()));
        shown.push_str(&format!("\n{}", replayed(whole, question.reply)));
    }
    shown
}

/// The events of a complete response.
fn replayed(response: ConverseResponse<'_>, reply: CompletionReply) -> String {
    let mut stream = Completions::stream(reply, stamp(), 0);
    let mut out = BytesMut::new();
    replay(response, &mut stream, &mut out).unwrap();
    stream.close(&mut out).unwrap();
    stream.finish(stream.spent(), &mut out).unwrap();
    String::from_utf8(out.to_vec()).unwrap()
}

fn reply(request: &Value) -> CompletionReply {
    let text = request.to_string();
    let request: CompletionRequest<'_> = serde_json::from_str(&text).unwrap();
    let stores = S3Access::default();
    let input = QuestionInput { stores: &stores, restored: None, index: 0, betas: &[], text_of };
    Completions::question(&request, &Profile::default(), &input).unwrap().reply
}

/// The text and the last finish reason of streamed events.
fn folded(out: &[u8]) -> (String, Value) {
    let text = std::str::from_utf8(out).unwrap();
    let (mut folded, mut reason) = (String::new(), Value::Null);
    for event in text.split_terminator("\n\n").filter(|event| *event != "data: [DONE]") {
        let chunk: Value = serde_json::from_str(event.strip_prefix("data: ").unwrap()).unwrap();
        for choice in chunk["choices"].as_array().unwrap() {
            assert!(reason.is_null(), "{chunk} comes after the finish reason");
            folded.push_str(choice["text"].as_str().unwrap());
            reason = choice["finish_reason"].clone();
        }
    }
    (folded, reason)
}

/// Parts of fences, tags and the text behind the hole, cut anywhere.
fn pieces() -> impl Strategy<Value = Vec<String>> {
    let parts =
        ["```", "``", "rust", "\n", "}", "\n}\n", "return", " x", "ä", "<think>", "</think>", "  "];
    prop::collection::vec(prop::sample::select(parts.map(str::to_owned).to_vec()), 0..10)
}

proptest! {
    #[test]
    fn the_folded_stream_is_the_complete_answer(
        pieces in pieces(),
        suffix in prop::option::of(prop::sample::select(vec!["\n}\n", "return x", "x"])),
        echo in any::<bool>(),
    ) {
        let request = json!({ "model": "m", "prompt": "fn a() {", "suffix": suffix, "echo": echo });
        let reply = reply(&request);
        let response = json!({
            "output": { "message": { "role": "assistant", "content": [{ "text": pieces.concat() }] } },
            "stopReason": "end_turn",
            "usage": { "inputTokens": 1, "outputTokens": 1, "totalTokens": 2 },
        })
        .to_string();
        let whole: ConverseResponse<'_> = serde_json::from_str(&response).unwrap();
        let whole = Completions::answer(&whole, &reply, stamp()).answer;

        let mut events = vec![("messageStart", json!({ "role": "assistant" }))];
        events.extend(pieces.iter().map(|piece| {
            ("contentBlockDelta", json!({ "contentBlockIndex": 0, "delta": { "text": piece } }))
        }));
        events.push(("contentBlockStop", json!({ "contentBlockIndex": 0 })));
        events.push(("messageStop", json!({ "stopReason": "end_turn" })));
        events.push(("metadata", json!({ "usage": { "inputTokens": 1, "outputTokens": 1, "totalTokens": 2 }, "metrics": { "latencyMs": 1 } })));
        let mut stream = Completions::stream(reply, stamp(), 0);
        let mut out = BytesMut::new();
        for (name, payload) in &events {
            let payload = payload.to_string();
            let event = StreamEvent::parse(name, payload.as_bytes()).unwrap();
            stream.push(&event, &mut out).unwrap();
        }
        prop_assert!(stream.is_complete());
        stream.close(&mut out).unwrap();
        stream.finish(stream.spent(), &mut out).unwrap();
        prop_assert_eq!(folded(&out), (whole.choices[0].text.clone(), json!("stop")));
    }
}

#[test]
fn a_stream_that_breaks_off_is_no_answer() {
    let mut stream =
        Completions::stream(reply(&json!({ "model": "m", "prompt": "a" })), stamp(), 0);
    let mut out = BytesMut::new();
    let event = json!({ "contentBlockIndex": 0, "delta": { "text": "b" } }).to_string();
    let event = StreamEvent::parse("contentBlockDelta", event.as_bytes()).unwrap();
    stream.push(&event, &mut out).unwrap();
    assert!(matches!(stream.close(&mut out), Err(StreamError::Truncated(Truncated))));
    assert_eq!(folded(&out), ("b".to_owned(), Value::Null));
}
