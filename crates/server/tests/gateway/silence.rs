//! Keep-alive comments for a client that waits for a stream: sent after a while, whatever the model sends
//! meanwhile, before and after the answer has begun.

use std::time::Duration;

use emulator::frames::event;
use emulator::{Delivery, Fault, Step};
use futures_util::future::join_all;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::time::{sleep, timeout};

use super::relay::Relay;
use super::rig::{PATIENCE, Rig, events};
use super::streams::{listen, more, start, take};

const NOVA: &str = "us.amazon.nova-lite-v1:0";
/// Its calls are unary if tools are declared.
const LLAMA: &str = "us.meta.llama3-3-70b-instruct-v1:0";
const COMMENT: &str = ": keep-alive\n\n";
const HASTY: &str = "timeouts: { keep_alive: 0.1 }\n";
/// The same in front of a silent model, which is waited for much longer than for the first comment.
const GIVING_UP: &str = "timeouts: { first_byte: 3, first_byte_stream: 3, keep_alive: 0.1 }\n";

fn ask(model: &str, stream: bool) -> Value {
    json!({ "model": model, "stream": stream, "messages": [{ "role": "user", "content": "one two three" }] })
}

/// Number of comments, and the text of the answer.
fn comments_and_text(answer: &str) -> (usize, String) {
    let (events, done) = events(answer);
    assert!(done, "{answer}");
    let said = events.iter().filter_map(|event| event["choices"][0]["delta"]["content"].as_str());
    (answer.matches(COMMENT).count(), said.collect())
}

/// Sends a request; returns the body of its stream.
async fn opened(rig: &Rig, request: &Value) -> Incoming {
    let (status, headers, body) = rig.chat_open(request).await;
    assert_eq!(status, 200);
    assert_eq!(headers["content-type"], "text/event-stream; charset=utf-8");
    assert!(headers.contains_key("x-request-id"));
    body
}

/// Reads until `count` comments have come, whenever that is.
async fn read_comments(body: &mut Incoming, count: usize) -> String {
    let mut text = String::new();
    while text.matches(COMMENT).count() < count {
        text.push_str(&more(body).await);
    }
    text
}

/// The rest of a stream.
async fn rest(body: Incoming) -> String {
    let rest = timeout(PATIENCE, body.collect()).await.unwrap().unwrap().to_bytes();
    String::from_utf8(rest.to_vec()).unwrap()
}

/// Sends a request through a closed relay and opens it after `count` comments; returns the whole stream.
async fn behind(relay: &Relay, rig: &Rig, request: &Value, count: usize) -> String {
    relay.close();
    let mut body = opened(rig, request).await;
    let text = read_comments(&mut body, count).await;
    relay.open();
    text + &rest(body).await
}

#[actix_rt::test]
async fn hidden_reasoning_does_not_replace_keep_alive_comments() {
    let (listener, rig) = listen(HASTY).await;
    let block = |name: &str, delta: Value| event(name, delta.to_string().as_bytes()).to_vec();
    let thought = block(
        "contentBlockDelta",
        json!({ "contentBlockIndex": 0, "delta": { "reasoningContent": { "text": "hm" } } }),
    );
    let answer = [
        block("contentBlockStop", json!({ "contentBlockIndex": 0 })),
        block(
            "contentBlockDelta",
            json!({ "contentBlockIndex": 1, "delta": { "text": "granite" } }),
        ),
        block("contentBlockStop", json!({ "contentBlockIndex": 1 })),
        block("messageStop", json!({ "stopReason": "end_turn" })),
    ]
    .concat();
    for n in [1, 2] {
        let mut request = ask(NOVA, true);
        request["n"] = json!(n);
        request["reasoning"] = json!({ "exclude": true });
        let upstreams = async {
            let mut upstreams = Vec::new();
            for _ in 0..n {
                let mut upstream = take(&listener).await;
                upstream.write_all(&start()).await.unwrap();
                upstreams.push(upstream);
            }
            upstreams
        };
        let (mut upstreams, mut body) = tokio::join!(upstreams, opened(&rig, &request));
        // The models go on reasoning, without a pause as long as `keep_alive`, until the comments have come.
        let reasoning = async {
            loop {
                for upstream in &mut upstreams {
                    upstream.write_all(&thought).await.unwrap();
                }
                sleep(Duration::from_millis(10)).await;
            }
        };
        let text = tokio::select! {
            text = read_comments(&mut body, 4) => text,
            () = reasoning => unreachable!(),
        };
        for upstream in &mut upstreams {
            upstream.write_all(&answer).await.unwrap();
        }
        drop(upstreams);
        let (comments, text) = comments_and_text(&(text + &rest(body).await));
        assert!(comments >= 4, "n={n}: {comments}");
        assert_eq!(text, "granite".repeat(n), "n={n}");
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn a_stream_that_does_not_begin_is_kept_open() {
    let (rig, relay) = Relay::start(HASTY).await;
    for (model, n) in [(NOVA, 1), (NOVA, 2), (LLAMA, 1), (LLAMA, 2)] {
        let mut request = ask(model, true);
        request["n"] = json!(n);
        if model == LLAMA {
            let function =
                json!({ "name": "f", "parameters": { "type": "object", "properties": {} } });
            request["tools"] = json!([{ "type": "function", "function": function }]);
            request["tool_choice"] = json!("none");
        }
        let (_, text) = comments_and_text(&behind(&relay, &rig, &request, 2).await);
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
    let (rig, relay) = Relay::start(&format!("{HASTY}models: {{ around: {around} }}\n")).await;
    let (_, text) = comments_and_text(&behind(&relay, &rig, &ask("around", true), 2).await);
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
    let rig = Rig::start("timeouts: { first_byte: 0.8, keep_alive: 0.1 }\n").await;
    let answer = rig.chat(&ask("emulator.silent", false)).await;
    assert_eq!((answer.status, answer.header("content-type")), (504, Some("application/json")));
    rig.stop().await;
}

#[actix_rt::test]
async fn a_failure_after_the_headers_is_an_event() {
    let rig = Rig::start(GIVING_UP).await;
    let requests = [1, 2].map(|n| {
        let mut request = ask("emulator.silent", true);
        request["n"] = json!(n);
        request
    });
    for answer in join_all(requests.iter().map(|request| rig.chat(request))).await {
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
    let (rig, relay) = Relay::start(HASTY).await;
    rig.emulator.script().push(Step::Error {
        status: 503,
        kind: "ServiceUnavailableException".to_owned(),
        message: "no".to_owned(),
        headers: [("Retry-After".to_owned(), "1".to_owned())].into(),
    });
    let (_, text) = comments_and_text(&behind(&relay, &rig, &ask(NOVA, true), 3).await);
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

/// The SDK gives up a call whose body brings nothing for five seconds, unless that is switched off.
#[actix_rt::test]
async fn a_silence_above_the_grace_of_the_sdk_passes() {
    let (rig, relay) = Relay::start("").await;
    let (whole, stream) = (ask(NOVA, false), ask(NOVA, true));
    let moderation = json!({ "input": "granite" }).to_string();
    let opened = async {
        sleep(Duration::from_secs(7)).await;
        relay.open();
    };
    let (whole, stream, moderated, ()) = tokio::join!(
        rig.chat(&whole),
        rig.chat(&stream),
        rig.send(http::Method::POST, "/v1/moderations", moderation.into()),
        opened
    );
    assert_eq!((whole.status, stream.status, moderated.status), (200, 200, 200));
    assert!(stream.events().1);
    assert_eq!(rig.emulator.journal().calls().len(), 3, "each was made once");
    rig.stop().await;
}
