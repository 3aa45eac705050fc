//! Every failure of Bedrock that the emulator can produce: before the first byte the client gets an error
//! status, after it an error event and never a clean end.

use emulator::{Delivery, Fault, Step};
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::rig::Rig;

/// Short limits, for models that go silent; others have time, as the machine may be busy.
const HASTY: &str = "timeouts: { first_byte: 0.3, first_byte_stream: 0.3, idle: 0.3 }\n";
/// The same for silence in the middle of an answer, which has to begin before the limit on any machine.
const HASTY_AFTER: &str = "timeouts: { idle: 3 }\n";

/// The limits for an answer that `ends` this way.
fn limits(ends: &'static str, short: &'static str) -> &'static str {
    if ends == "upstream_timeout" { short } else { "" }
}

fn ask(model: &str, stream: bool) -> Value {
    json!({ "model": model, "stream": stream, "messages": [{ "role": "user", "content": "one two three four five six" }] })
}

#[actix_rt::test]
async fn before_the_first_byte_a_failure_is_a_status() {
    for (model, status, code) in [
        ("emulator.throttle", 429, "rate_limit_exceeded"),
        ("emulator.not-ready", 503, "model_not_ready"),
        ("emulator.error-403", 403, "insufficient_permissions"),
        ("emulator.error-408", 504, "model_timeout"),
        ("emulator.error-424", 502, "model_error"),
        ("emulator.error-500", 500, "internal_error"),
        ("emulator.error-503", 503, "server_is_overloaded"),
        ("emulator.proxy-502", 502, "upstream_protocol"),
        ("emulator.silent", 504, "upstream_timeout"),
        ("nobody.knows-this", 404, "model_not_found"),
    ] {
        let rig = Rig::start(limits(code, HASTY)).await;
        for stream in [false, true] {
            let answer = rig.chat(&ask(model, stream)).await;
            let json = answer.json();
            assert_eq!(
                (answer.status, &json["error"]["code"]),
                (status, &json!(code)),
                "{model} {json}"
            );
            assert_eq!(answer.header("content-type"), Some("application/json"), "{model}");
        }
        rig.stop().await;
    }
}

#[actix_rt::test]
async fn a_stream_that_fails_at_once_still_gets_a_status() {
    for (model, status, code) in [
        ("emulator.stream-throttle-0", 429, "rate_limit_exceeded"),
        ("emulator.exception-0", 502, "model_error"),
        ("emulator.cut-0", 502, "upstream_truncated"),
        ("emulator.stall-0", 504, "upstream_timeout"),
        ("emulator.corrupt-0", 502, "upstream_corrupt"),
        ("emulator.oversized-0", 502, "upstream_corrupt"),
        ("emulator.reset-0", 502, "upstream_truncated"),
    ] {
        let rig = Rig::start(limits(code, HASTY)).await;
        let answer = rig.chat(&ask(model, true)).await;
        let json = answer.json();
        assert_eq!(
            (answer.status, &json["error"]["code"]),
            (status, &json!(code)),
            "{model} {json}"
        );
        rig.stop().await;
    }
}

#[actix_rt::test]
async fn after_the_first_byte_a_failure_is_the_last_event() {
    for (kind, code) in [
        ("exception", "model_error"),
        ("stream-throttle", "rate_limit_exceeded"),
        ("error-frame", "internal_error"),
        ("cut", "upstream_truncated"),
        ("reset", "upstream_truncated"),
        ("stall", "upstream_timeout"),
        ("corrupt", "upstream_corrupt"),
        ("oversized", "upstream_corrupt"),
    ] {
        let rig = Rig::start(limits(code, HASTY_AFTER)).await;
        let requests =
            [1, 2, 5].map(|after| (after, ask(&format!("emulator.{kind}-{after}"), true)));
        let answers = join_all(requests.iter().map(|(_, request)| rig.chat(request))).await;
        for ((after, _), answer) in requests.iter().zip(answers) {
            assert_eq!(answer.status, 200, "{kind}");
            let (events, done) = answer.events();
            assert!(!done, "{kind}-{after} ended like a whole answer");
            let error = &events.last().unwrap()["error"];
            assert_eq!(error["code"], json!(code), "{kind}-{after}: {error}");
            for key in ["message", "type", "param", "code"] {
                assert!(error.as_object().unwrap().contains_key(key), "{kind}: {key}");
            }
            assert!(events.iter().all(|event| event["choices"][0]["finish_reason"].is_null()));
        }
        rig.stop().await;
    }
}

#[actix_rt::test]
async fn retry_after_is_passed_to_the_client() {
    let rig = Rig::start("").await;
    let headers = [("Retry-After".to_owned(), "7".to_owned())].into();
    rig.emulator.script().push(Step::Error {
        status: 429,
        kind: "ThrottlingException".to_owned(),
        message: "Too many tokens, please wait before trying again.".to_owned(),
        headers,
    });
    let answer = rig.chat(&ask("us.amazon.nova-lite-v1:0", false)).await;
    assert_eq!((answer.status, answer.header("retry-after")), (429, Some("7")));
    assert!(answer.json()["error"]["message"].as_str().unwrap().contains("Too many tokens"));
    rig.stop().await;
}

fn events(more: &[Value]) -> Step {
    let mut events = vec![
        json!({ "messageStart": { "role": "assistant" } }),
        json!({ "contentBlockDelta": { "contentBlockIndex": 0, "delta": { "text": "granite" } } }),
        json!({ "contentBlockStop": { "contentBlockIndex": 0 } }),
    ];
    events.extend_from_slice(more);
    events.extend([
        json!({ "messageStop": { "stopReason": "end_turn" } }),
        json!({ "metadata": { "usage": { "inputTokens": 1, "outputTokens": 2, "totalTokens": 3 } } }),
    ]);
    Step::Events(events)
}

#[actix_rt::test]
async fn an_unreadable_tool_call_is_an_error_without_a_clean_end() {
    let rig = Rig::start("").await;
    let start =
        |start: Value| json!({ "contentBlockStart": { "contentBlockIndex": 1, "start": start } });
    for (beginning, is_lost) in [
        (json!({ "toolUse": { "toolUseId": 7, "name": "f" } }), true),
        (json!({ "toolUse": "f" }), true),
        // Unknown blocks are no reason to fail.
        (json!({ "hologram": { "of": [] } }), false),
        (json!("hologram"), false),
    ] {
        for n in [1, 2] {
            for _ in 0..n {
                rig.emulator.script().push(events(&[start(beginning.clone())]));
            }
            let mut request = ask("us.amazon.nova-lite-v1:0", true);
            request["n"] = json!(n);
            let (events, done) = rig.chat(&request).await.events();
            assert_eq!(done, !is_lost, "{beginning}: {events:?}");
            let code = &events.last().unwrap()["error"]["code"];
            assert_eq!(code == "upstream_unreadable", is_lost, "{beginning}: {events:?}");
        }
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn a_failure_after_the_complete_answer_keeps_its_end() {
    let rig = Rig::start("").await;
    let Step::Events(whole) = events(&[]) else { panic!() };
    let mut wire = Vec::new();
    for event in &whole {
        let (name, payload) = event.as_object().unwrap().iter().next().unwrap();
        wire.extend_from_slice(&emulator::frames::event(name, payload.to_string().as_bytes()));
    }
    wire.extend_from_slice(&emulator::frames::exception("internalServerException", "late"));
    for n in [1, 2] {
        for _ in 0..n {
            rig.emulator.script().push(Step::Bytes(wire.clone()));
        }
        let mut request = ask("us.amazon.nova-lite-v1:0", true);
        request["n"] = json!(n);
        request["stream_options"] = json!({ "include_usage": true });
        let (events, done) = rig.chat(&request).await.events();
        assert!(done, "{events:?}");
        assert_eq!(events.last().unwrap()["usage"]["total_tokens"], 3 * n);
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn silence_is_filled_with_comments() {
    let rig = Rig::start("timeouts: { idle: 3, keep_alive: 0.1 }\n").await;
    let answer = rig.chat(&ask("emulator.stall-3", true)).await;
    let text = String::from_utf8(answer.body.to_vec()).unwrap();
    assert!(text.contains(": keep-alive\n\n"), "{text}");
    // Keep-alive comments do not extend the idle limit.
    assert_eq!(answer.events().0.last().unwrap()["error"]["code"], "upstream_timeout");
    rig.stop().await;
}

#[actix_rt::test]
async fn a_client_that_leaves_cancels_its_call() {
    let rig = Rig::start("").await;
    let gone = |delivery: &Delivery| *delivery == Delivery::ClientGone;

    let (status, _, body) = rig.chat_open(&ask("emulator.stall-3", true)).await;
    assert_eq!(status, 200);
    drop(body);
    rig.until(|calls| calls.len() == 1 && gone(&calls[0].delivery)).await;

    // Before any answer: the call hangs, and so does the client, until it disconnects.
    rig.emulator.script().push(Step::Fault(Fault::Silent));
    let request = ask("us.amazon.nova-lite-v1:0", false);
    {
        let mut waiting = std::pin::pin!(rig.chat_open(&request));
        tokio::select! {
            _ = waiting.as_mut() => panic!("a silent call was answered"),
            _ = rig.until(|calls| calls.len() == 2) => {}
        }
    }
    rig.until(|calls| gone(&calls[1].delivery)).await;
    rig.stop().await;
}
