//! Keep-alive comments for a client that waits for a stream: sent after a while, whatever the model sends
//! meanwhile, before and after the answer has begun.

use std::time::Duration;

use emulator::{Delivery, Fault, Step};
use http_body_util::BodyExt;
use serde_json::{Value, json};

use super::rig::{Received, Rig};

const NOVA: &str = "us.amazon.nova-lite-v1:0";
/// Its calls are unary if tools are declared.
const LLAMA: &str = "us.meta.llama3-3-70b-instruct-v1:0";
const COMMENT: &str = ": keep-alive\n\n";
const HASTY: &str = "timeouts: { keep_alive: 0.1 }\n";
/// The same in front of a silent model.
const GIVING_UP: &str = "timeouts: { first_byte: 0.8, first_byte_stream: 0.8, keep_alive: 0.1 }\n";

fn ask(model: &str, stream: bool) -> Value {
    json!({ "model": model, "stream": stream, "messages": [{ "role": "user", "content": "one two three" }] })
}

/// Reasoning in this many pieces, then an answer.
fn thinking(pieces: usize) -> Step {
    let piece = json!({ "contentBlockDelta": { "contentBlockIndex": 0, "delta": { "reasoningContent": { "text": "hm" } } } });
    let mut events = vec![json!({ "messageStart": { "role": "assistant" } })];
    events.extend(std::iter::repeat_n(piece, pieces));
    events.extend([
        json!({ "contentBlockStop": { "contentBlockIndex": 0 } }),
        json!({ "contentBlockDelta": { "contentBlockIndex": 1, "delta": { "text": "granite" } } }),
        json!({ "contentBlockStop": { "contentBlockIndex": 1 } }),
        json!({ "messageStop": { "stopReason": "end_turn" } }),
        json!({ "metadata": { "usage": { "inputTokens": 1, "outputTokens": 2, "totalTokens": 3 } } }),
    ]);
    Step::Events(events)
}

/// Number of comments, and the text after them.
fn comments_and_text(answer: &Received) -> (usize, String) {
    let text = String::from_utf8_lossy(&answer.body);
    assert_eq!(answer.status, 200, "{text}");
    assert_eq!(answer.header("content-type"), Some("text/event-stream; charset=utf-8"));
    assert!(answer.header("x-request-id").is_some());
    let (events, done) = answer.events();
    assert!(done, "{text}");
    let said = events.iter().filter_map(|event| event["choices"][0]["delta"]["content"].as_str());
    (text.matches(COMMENT).count(), said.collect())
}

#[actix_rt::test]
async fn hidden_reasoning_does_not_replace_keep_alive_comments() {
    let pace = Duration::from_millis(30);
    let options = emulator::Options { pace, ..emulator::Options::default() };
    let rig = Rig::before(emulator::start(options).await.unwrap(), HASTY).await;
    for n in [1, 2] {
        for _ in 0..n {
            rig.emulator.script().push(thinking(30));
        }
        let mut request = ask(NOVA, true);
        request["n"] = json!(n);
        request["reasoning"] = json!({ "exclude": true });
        let (comments, text) = comments_and_text(&rig.chat(&request).await);
        assert!(comments >= 4, "n={n}: {comments}");
        assert_eq!(text, "granite".repeat(n), "n={n}");
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn a_stream_that_does_not_begin_is_kept_open() {
    let rig = Rig::start(HASTY).await;
    for (model, n) in [(NOVA, 1), (NOVA, 2), (LLAMA, 1), (LLAMA, 2)] {
        for _ in 0..n {
            rig.emulator.script().push(Step::Fault(Fault::Slow(400)));
        }
        let mut request = ask(model, true);
        request["n"] = json!(n);
        if model == LLAMA {
            let function =
                json!({ "name": "f", "parameters": { "type": "object", "properties": {} } });
            request["tools"] = json!([{ "type": "function", "function": function }]);
            request["tool_choice"] = json!("none");
        }
        let (comments, text) = comments_and_text(&rig.chat(&request).await);
        assert!(comments >= 2, "{model} n={n}: {comments}");
        // Several choices arrive interleaved.
        assert_eq!(text.matches("three").count(), n, "{model} n={n}: {text:?}");
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn comments_are_sent_while_a_guardrail_holds_the_answer() {
    let around = format!(
        "{{ model: '{NOVA}', accepts: {{ guardrail: around }}, guardrail: {{ id: gr1, version: 2, mode: mandatory }} }}"
    );
    let rig = Rig::start(&format!("{HASTY}models: {{ around: {around} }}\n")).await;
    rig.emulator.script().push_for(NOVA, Step::Fault(Fault::Slow(400)));
    let (comments, text) = comments_and_text(&rig.chat(&ask("around", true)).await);
    assert!(comments >= 2, "{comments}");
    assert!(text.contains("one two three"), "{text:?}");
    rig.stop().await;
}

#[actix_rt::test]
async fn a_unary_request_waits_for_its_status() {
    let rig = Rig::start(HASTY).await;
    rig.emulator.script().push(Step::Fault(Fault::Slow(250)));
    let answer = rig.chat(&ask(NOVA, false)).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["object"], "chat.completion");
    rig.stop().await;
    let rig = Rig::start(GIVING_UP).await;
    let answer = rig.chat(&ask("emulator.silent", false)).await;
    assert_eq!((answer.status, answer.header("content-type")), (504, Some("application/json")));
    rig.stop().await;
}

#[actix_rt::test]
async fn a_failure_after_the_headers_is_an_event() {
    let rig = Rig::start(GIVING_UP).await;
    for n in [1, 2] {
        let mut request = ask("emulator.silent", true);
        request["n"] = json!(n);
        let answer = rig.chat(&request).await;
        let text = String::from_utf8_lossy(&answer.body);
        assert!(answer.status == 200 && text.starts_with(COMMENT), "{text}");
        let (events, done) = answer.events();
        assert!(!done && events.len() == 1, "{text}");
        assert_eq!(events[0]["error"]["code"], "upstream_timeout", "{text}");
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn a_call_is_retried_after_the_headers_too() {
    let rig = Rig::start(HASTY).await;
    rig.emulator.script().push(Step::Error {
        status: 503,
        kind: "ServiceUnavailableException".to_owned(),
        message: "no".to_owned(),
        headers: [("Retry-After".to_owned(), "1".to_owned())].into(),
    });
    let (comments, text) = comments_and_text(&rig.chat(&ask(NOVA, true)).await);
    assert!(comments > 2, "{comments}");
    assert!(text.contains("one two three"), "{text:?}");
    assert_eq!(rig.emulator.journal().calls().len(), 2);
    rig.stop().await;
}

#[actix_rt::test]
async fn a_client_that_leaves_before_there_is_an_answer_cancels_its_call() {
    let rig = Rig::start(HASTY).await;
    rig.emulator.script().push(Step::Fault(Fault::Silent));
    let (status, _, mut body) = rig.chat_open(&ask(NOVA, true)).await;
    assert_eq!(status, 200);
    let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(first, COMMENT);
    drop(body);
    rig.until(|calls| calls.len() == 1 && calls[0].delivery == Delivery::ClientGone).await;
    rig.stop().await;
}
