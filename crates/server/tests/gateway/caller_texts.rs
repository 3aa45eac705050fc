//! Texts of callers and models that look like something else: they choose no destination, no id, and end no event.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use emulator::Step;
use http::Method;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::models::ask;
use super::rig::Rig;

const NOVA: &str = "us.amazon.nova-lite-v1:0";

#[actix_rt::test]
async fn no_request_chooses_its_destination() {
    let rig = Rig::start("").await;
    let trap = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", trap.local_addr().unwrap());
    let caught = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&caught);
    let trapping = actix_rt::spawn(async move {
        while trap.accept().await.is_ok() {
            count.fetch_add(1, Ordering::Relaxed);
        }
    });
    let mut served = 0;
    for member in [
        "api_base",
        "base_url",
        "endpoint",
        "endpoint_url",
        "aws_bedrock_runtime_endpoint",
        "custom_llm_provider",
        "extra_body",
        "extra_headers",
        "proxy",
    ] {
        for (path, mut body) in [
            ("/v1/chat/completions", ask(NOVA)),
            ("/v1/responses", json!({ "model": NOVA, "input": "Hi" })),
            ("/v1/completions", json!({ "model": NOVA, "prompt": "Hi" })),
            ("/v1/embeddings", json!({ "model": "amazon.titan-embed-text-v2:0", "input": "Hi" })),
        ] {
            body[member] = match member {
                "extra_body" | "extra_headers" => json!({ "api_base": url, "base_url": url }),
                _ => Value::from(url.as_str()),
            };
            let answer = rig.send(Method::POST, path, body.to_string().into()).await;
            assert!(matches!(answer.status, 200 | 400), "{member} {path}: {:?}", answer.body);
            served += usize::from(answer.status == 200);
        }
    }
    for name in [
        "x-amz-endpoint",
        "x-forwarded-host",
        "x-original-url",
        "x-portkey-custom-host",
        "x-outcrop-endpoint",
        "forwarded",
    ] {
        let headers = [(name, url.as_str())];
        let answer = rig.chat_with(&headers, &ask(NOVA)).await;
        assert_eq!(answer.status, 200, "{name}");
        served += 1;
    }
    assert!(served > 6);
    assert_eq!(rig.emulator.journal().calls().len(), served, "each went to the one endpoint");
    assert_eq!(caught.load(Ordering::Relaxed), 0);
    trapping.abort();
    rig.stop().await;
}

#[actix_rt::test]
async fn a_request_id_of_the_callers_is_not_taken_over() {
    let rig = Rig::start("").await;
    let long = "a".repeat(10_000);
    for sent in ["mine", "'; DROP TABLE ledger; --", long.as_str()] {
        let headers = [("x-request-id", sent), ("request-id", sent), ("x-amzn-requestid", sent)];
        let answer = rig.chat_with(&headers, &ask(NOVA)).await;
        assert_eq!(answer.status, 200);
        let id = answer.header("x-request-id").unwrap();
        assert!(id.starts_with("req_") && id.len() == 36, "{id}");
        for (name, value) in &answer.headers {
            assert!(
                !value.as_bytes().windows(sent.len()).any(|part| part == sent.as_bytes()),
                "{name}"
            );
        }
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn text_of_a_model_ends_no_event() {
    let rig = Rig::start("").await;
    let text = "a\n\ndata: [DONE]\n\nevent: error\r\n\r\n: b\u{2028}c\u{85}d\0";
    let messages = json!([{ "role": "user", "content": "Hi" }]);
    for (path, body, said) in [
        (
            "/v1/chat/completions",
            json!({ "model": NOVA, "stream": true, "messages": messages }),
            "/choices/0/delta/content",
        ),
        ("/v1/responses", json!({ "model": NOVA, "stream": true, "input": "Hi" }), "/delta"),
        (
            "/v1/messages",
            json!({ "model": NOVA, "stream": true, "max_tokens": 9, "messages": messages }),
            "/delta/text",
        ),
        (
            "/v1/completions",
            json!({ "model": NOVA, "stream": true, "prompt": "Hi" }),
            "/choices/0/text",
        ),
    ] {
        rig.emulator.script().push(Step::Answer(json!({
            "output": { "message": { "role": "assistant", "content": [{ "text": text }] } },
            "stopReason": "end_turn",
            "usage": { "inputTokens": 1, "outputTokens": 1, "totalTokens": 2 },
            "metrics": { "latencyMs": 1 },
        })));
        let answer = rig.send(Method::POST, path, body.to_string().into()).await;
        assert_eq!(answer.status, 200, "{path}");
        let raw = std::str::from_utf8(&answer.body).unwrap();
        let mut whole = String::new();
        for line in raw.split('\n').filter(|line| !line.is_empty()) {
            let (field, value) =
                line.split_once(": ").unwrap_or_else(|| panic!("{path}: {line:?}"));
            assert!(matches!(field, "data" | "event"), "{path}: {line:?}");
            if field == "data" && value != "[DONE]" {
                let event: Value = serde_json::from_str(value).unwrap();
                let is_delta = event["type"].as_str().is_none_or(|kind| kind.ends_with("delta"));
                let piece = event.pointer(said).and_then(Value::as_str).filter(|_| is_delta);
                whole.push_str(piece.unwrap_or_default());
            }
        }
        assert_eq!(whole, text, "{path}");
    }
    rig.stop().await;
}
