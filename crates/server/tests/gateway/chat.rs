//! Successful requests and answers.

use http::Method;
use http_body_util::BodyExt;
use serde_json::{Value, json};

use super::rig::{PATIENCE, Rig, events, with};

const MODEL: &str = "us.amazon.nova-lite-v1:0";

fn ask(text: &str) -> Value {
    json!({ "model": MODEL, "messages": [{ "role": "user", "content": text }] })
}

fn content(events: &[Value]) -> String {
    events.iter().filter_map(|event| event["choices"][0]["delta"]["content"].as_str()).collect()
}

#[actix_rt::test]
async fn a_stream_equals_the_unary_answer() {
    let rig = Rig::start("").await;
    let whole = rig.chat(&ask("Good morning")).await;
    assert_eq!(whole.status, 200);
    assert_eq!(whole.header("content-type"), Some("application/json"));
    let whole_json = whole.json();
    let options = json!({ "stream": true, "stream_options": { "include_usage": true } });
    let stream = rig.chat(&with(ask("Good morning"), &options)).await;
    assert!(stream.header("content-type").unwrap().starts_with("text/event-stream"));
    let (events, done) = stream.events();
    assert!(done);
    assert_eq!(content(&events), whole_json["choices"][0]["message"]["content"].as_str().unwrap());
    assert_eq!(events[0]["choices"][0]["delta"], json!({ "role": "assistant", "content": "" }));
    let (usage, rest) = events.split_last().unwrap();
    assert_eq!(usage["choices"], json!([]));
    assert_eq!(usage["usage"], whole_json["usage"]);
    assert_eq!(rest.last().unwrap()["choices"][0]["finish_reason"], "stop");
    for event in &events {
        assert_eq!((&event["id"], &event["created"]), (&events[0]["id"], &events[0]["created"]));
        assert_eq!(event["object"], "chat.completion.chunk");
        assert_eq!(event["model"], MODEL);
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn deltas_arrive_while_the_model_still_generates() {
    let rig = Rig::start("").await;
    // The emulator stalls after four events: any text was sent before the end.
    let request = json!({ "model": "emulator.stall-4", "stream": true, "messages": [{ "role": "user", "content": "one two three four five" }] });
    let (status, _, mut body) = rig.chat_open(&request).await;
    assert_eq!(status, 200);
    let mut text = String::new();
    while content(&events(text.rsplit_once("\n\n").map_or("", |(whole, _)| whole)).0).is_empty() {
        let frame = tokio::time::timeout(PATIENCE, body.frame()).await.expect("a delta in time");
        text.push_str(std::str::from_utf8(frame.unwrap().unwrap().data_ref().unwrap()).unwrap());
    }
    drop(body);
    rig.stop().await;
}

#[actix_rt::test]
async fn ignored_fields_are_named() {
    let rig = Rig::start("").await;
    let answer = rig
        .chat(&with(ask("Hi"), &json!({ "seed": 1, "logit_bias": { "1": 2 }, "zeal": 9 })))
        .await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("x-outcrop-ignored"), Some("logit_bias, zeal, seed"));
    assert!(answer.header("x-amzn-requestid").is_some());
    assert!(answer.header("x-request-id").unwrap().starts_with("req_"));
    assert_eq!(rig.chat(&ask("Hi")).await.header("x-outcrop-ignored"), None);
    rig.stop().await;
}

#[actix_rt::test]
async fn images_reach_the_model_as_they_were_sent() {
    const PNG: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
    let rig = Rig::start("").await;
    let url = format!("data:image/png;base64,{PNG}");
    let request = json!({ "model": MODEL, "messages": [{ "role": "user", "content": [
        { "type": "text", "text": "What is this?" },
        { "type": "image_url", "image_url": { "url": url } },
    ] }] });
    let answer = rig.chat(&request).await;
    assert_eq!(answer.status, 200, "{:?}", answer.json());
    let calls = rig.emulator.journal().calls();
    assert_eq!(calls[0].body["messages"][0]["content"][1]["image"]["source"]["bytes"], PNG);
    rig.stop().await;
}

#[actix_rt::test]
async fn reasoning_is_separated_unary_and_streamed() {
    let rig = Rig::start("").await;
    let request = json!({
        "model": "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
        "max_tokens": 4096,
        "messages": [{ "role": "user", "content": "Think about granite" }],
        "additional_model_request_fields": { "thinking": { "type": "enabled", "budget_tokens": 1024 } },
    });
    let whole = rig.chat(&request).await.json();
    let message = &whole["choices"][0]["message"];
    let reasoning = message["reasoning_content"].as_str().unwrap();
    assert!(!reasoning.is_empty() && !message["content"].as_str().unwrap().contains(reasoning));
    let (events, done) = rig.chat(&with(request, &json!({ "stream": true }))).await.events();
    assert!(done);
    let streamed: String = events
        .iter()
        .filter_map(|event| event["choices"][0]["delta"]["reasoning_content"].as_str())
        .collect();
    assert_eq!(streamed, reasoning);
    assert_eq!(content(&events), message["content"].as_str().unwrap());
    rig.stop().await;
}

#[actix_rt::test]
async fn odd_conversations_are_repaired_for_bedrock() {
    let rig = Rig::start("").await;
    for messages in [
        json!([{ "role": "assistant", "content": "Welcome" }, { "role": "user", "content": "Hi" }]),
        json!([{ "role": "user", "content": "a" }, { "role": "user", "content": "b" }]),
        json!([{ "role": "user", "content": "" }]),
        json!([{ "role": "system", "content": "Be brief" }]),
        json!([{ "role": "user", "content": "a" }, { "role": "assistant", "content": null }, { "role": "user", "content": [] }]),
        json!([{ "role": "user", "content": "a" }, { "role": "developer", "content": "French" }, { "role": "user", "content": "b" }]),
        json!([{ "role": "user", "content": "a" }, { "role": "tool", "tool_call_id": "x", "content": "lost" }]),
    ] {
        let answer = rig.chat(&json!({ "model": MODEL, "messages": messages })).await;
        assert_eq!(answer.status, 200, "{messages}: {:?}", answer.json());
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn health_probes_and_unknown_paths_are_answered() {
    let rig = Rig::start("").await;
    for path in ["/livez", "/readyz", "/health/liveliness", "/health/readiness"] {
        assert_eq!(rig.send(Method::GET, path, "".into()).await.status, 200, "{path}");
    }
    let lost = rig.send(Method::POST, "/v1/nothing", "{}".into()).await;
    assert_eq!((lost.status, &lost.json()["error"]["code"]), (404, &json!("unknown_url")));
    assert!(lost.header("x-request-id").is_some());
    let wrong = rig.send(Method::GET, "/v1/chat/completions", "".into()).await;
    assert_eq!(
        (wrong.status, &wrong.json()["error"]["code"]),
        (405, &json!("method_not_supported"))
    );
    rig.stop().await;
}

#[actix_rt::test]
async fn every_generation_gets_the_parameters_it_accepts() {
    let rig = Rig::start("").await;
    let mut ignored = Vec::new();
    for model in [
        "us.anthropic.claude-opus-5-5",
        "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
        "us.xai.grok-4.7",
        MODEL,
    ] {
        let parameters = json!({ "model": model, "temperature": 0, "top_p": 0.9, "stop": ["END", "\n"], "max_tokens": 15 });
        let answer = rig.chat(&with(ask("Hi"), &parameters)).await;
        assert_eq!(answer.status, 200, "{model}: {:?}", answer.json());
        ignored.push(answer.header("x-outcrop-ignored").unwrap_or_default().to_owned());
    }
    assert_eq!(
        ignored,
        ["stop, temperature, top_p", "stop, top_p", "max_tokens, stop, temperature, top_p", ""]
    );
    rig.stop().await;
}
