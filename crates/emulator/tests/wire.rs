//! The HTTP interface as any client sees it: headers, bodies, refusals, the emulator's own endpoints.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "support/clients.rs"]
mod support;

use std::{
    io::Read as _,
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use emulator::{Delivery, Fault, Options, Step};
use serde_json::{Value, json};
use support::{get, journalled, open, post, send, start, start_with};

const NOVA: &str = "/model/us.amazon.nova-lite-v1%3A0/converse";
const BEARER: [(&str, &str); 1] = [("Authorization", "Bearer key")];

fn hello() -> Value {
    json!({"messages": [{"role": "user", "content": [{"text": "hello"}]}]})
}

#[tokio::test]
async fn answers_are_written_as_the_service_writes_them() {
    let emulator = start().await;
    let addr = emulator.addr();
    let answer = post(addr, NOVA, &hello());
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("x-amzn-requestid").unwrap().len(), 36);
    let text = String::from_utf8(answer.body.clone()).unwrap();
    assert!(text.starts_with(r#"{"metrics":{"latencyMs":"#), "keys in alphabetical order: {text}");
    let keys: Vec<String> = answer.json()["usage"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(keys, ["inputTokens", "outputTokens", "serverToolUsage", "totalTokens"]);
    let again = post(addr, "/model/us.amazon.nova-lite-v1:0/converse", &hello());
    assert_eq!(
        again.body, answer.body,
        "the same request has the same answer, however its id is sent"
    );

    let refused = post(addr, "/model/nope/converse", &hello());
    assert_eq!(
        (refused.status, refused.message().as_str()),
        (400, "The provided model identifier is invalid.")
    );
    let kind = "ValidationException:http://internal.amazon.com/coral/com.amazon.bedrock/";
    assert_eq!(refused.header("x-amzn-errortype"), Some(kind));
    assert_eq!(refused.json().as_object().unwrap().len(), 1, "nothing but the message");

    let lost = post(addr, "/model/us.amazon.nova-lite-v1:0/convert", &hello());
    assert_eq!(lost.status, 404);
    assert!(lost.header("x-amzn-errortype").unwrap().starts_with("UnknownOperationException"));

    let stream = post(addr, "/model/us.amazon.nova-lite-v1:0/converse-stream", &hello());
    assert_eq!(stream.header("content-type"), Some("application/vnd.amazon.eventstream"));
    assert_eq!(&stream.body[12..24], b"\x0b:event-type");
    emulator.stop().await;
}

#[tokio::test]
async fn callers_must_authenticate() {
    let emulator =
        start_with(Options { bearer_key: Some("right".into()), ..Options::default() }).await;
    let date = "20200101T000000Z";
    let signed = |scope: &str, names: &str| {
        format!(
            "AWS4-HMAC-SHA256 Credential=AK/20200101/us-east-1/{scope}/aws4_request, SignedHeaders={names}, Signature={}",
            "a".repeat(64)
        )
    };
    let table: [(Option<String>, &str); 9] = [
        (None, "MissingAuthenticationTokenException"),
        (Some("Bearer wrong".into()), "AccessDeniedException"),
        (Some("Bearer ".into()), "IncompleteSignatureException"),
        (Some("Basic dTpw".into()), "IncompleteSignatureException"),
        (Some("AWS4-HMAC-SHA256 Credential=AK".into()), "IncompleteSignatureException"),
        (Some(signed("s3", "host;x-amz-date")), "InvalidSignatureException"),
        (Some(signed("bedrock", "x-amz-date")), "InvalidSignatureException"),
        (Some(signed("bedrock", "host")), "InvalidSignatureException"),
        (Some(signed("bedrock", "host;x-amz-date")), "InvalidSignatureException"),
    ];
    for (authorization, kind) in table {
        let mut headers = vec![("X-Amz-Date", date)];
        headers.extend(authorization.as_deref().map(|value| ("Authorization", value)));
        let answer = send(emulator.addr(), "POST", NOVA, &headers, hello().to_string().as_bytes());
        assert_eq!(answer.status, 403, "{authorization:?}");
        let found = answer.header("x-amzn-errortype").unwrap();
        assert!(found.starts_with(kind), "{authorization:?}: {found}");
        if kind == "InvalidSignatureException"
            && authorization.unwrap().contains("bedrock/aws4_request, SignedHeaders=host;x")
        {
            assert!(
                answer
                    .message()
                    .starts_with("Signature expired: 20200101T000000Z is now earlier than")
            );
        }
    }
    let right = [("Authorization", "Bearer right")];
    assert_eq!(
        send(emulator.addr(), "POST", NOVA, &right, hello().to_string().as_bytes()).status,
        200
    );
    emulator.stop().await;
}

/// Requests that must be refused: model, body, and part of the message. Each line of `refused.jsonl` is a
/// test; only requests too long for a line are written here.
fn refused() -> Vec<(String, Value, String)> {
    let text = |row: &Value, key: &str| row[key].as_str().expect("a string").to_owned();
    let rows = include_str!("refused.jsonl").lines().map(|line| {
        let row: Value = serde_json::from_str(line).expect("a row");
        (text(&row, "model"), row["body"].clone(), text(&row, "refused"))
    });
    let long = |words: usize| json!({"messages": [{"role": "user", "content": [{"text": "word ".repeat(words)}]}]});
    let claude = "us.anthropic.claude-sonnet-4-5-20250929-v1:0".to_owned();
    let llama = "meta.llama3-8b-instruct-v1:0".to_owned();
    let nova = "us.amazon.nova-micro-v1:0".to_owned();
    rows.chain([
        (claude, long(200_000), "prompt is too long:".to_owned()),
        (llama, long(9_000), "Input is too long for requested model".to_owned()),
        (nova, long(120_000), "Input Tokens Exceeded".to_owned()),
    ])
    .collect()
}

#[tokio::test]
async fn refusals_have_bedrocks_messages() {
    let emulator = start().await;
    for (model, body, expected) in refused() {
        for operation in ["converse", "converse-stream"] {
            let answer = post(emulator.addr(), &format!("/model/{model}/{operation}"), &body);
            assert!((400..404).contains(&answer.status), "{model} {expected}: {answer:?}");
            assert!(
                answer.message().contains(&expected),
                "{model}: {} instead of {expected}",
                answer.message()
            );
        }
    }
    let stream = post(
        emulator.addr(),
        "/model/us.meta.llama3-3-70b-instruct-v1:0/converse-stream",
        &json!({"messages": hello()["messages"], "toolConfig": {"tools": [{"toolSpec": {"name": "f", "inputSchema": {"json": {"type": "object"}}}}]}}),
    );
    assert!(stream.message().contains("tool use in streaming mode"));
    let json = send(emulator.addr(), "POST", NOVA, &BEARER, b"{not json");
    assert!(json.status == 400 && json.message().starts_with("Malformed input request"));
    emulator.stop().await;
}

#[tokio::test]
async fn the_journal_distinguishes_finished_and_abandoned_answers() {
    let emulator = start().await;
    let addr = emulator.addr();
    post(addr, NOVA, &hello());
    let call = journalled(&emulator, |call| call.delivery == Delivery::Complete).await;
    assert_eq!(call.operation, "converse");
    assert_eq!(call.path, NOVA);
    assert_eq!(call.model_id.as_deref(), Some("us.amazon.nova-lite-v1:0"));
    assert_eq!(call.headers["authorization"], "Bearer", "only the scheme");
    assert_eq!((call.status, &call.body), (Some(200), &hello()));

    // Streams that stall in the middle and before the first byte, whose clients disconnect.
    for path in ["/model/emulator.stall-2/converse-stream", "/model/emulator.silent/converse"] {
        emulator.journal().clear();
        let mut socket = open(addr, "POST", path, &BEARER, hello().to_string().as_bytes());
        if path.contains("stall") {
            let mut first = [0_u8; 64];
            socket.read_exact(&mut first).expect("the head");
        }
        let call = journalled(&emulator, |call| call.path == path).await;
        assert_eq!(call.delivery, Delivery::Open);
        drop(socket);
        let call = journalled(&emulator, |call| call.delivery != Delivery::Open).await;
        assert_eq!(call.delivery, Delivery::ClientGone, "{path}");
        assert!(call.ended_ms >= Some(call.received_ms));
    }

    emulator.journal().clear();
    post(addr, "/model/emulator.cut-1/converse-stream", &hello());
    let call = journalled(&emulator, |call| call.delivery != Delivery::Open).await;
    assert_eq!(call.delivery, Delivery::Broken);
    emulator.stop().await;
}

#[tokio::test]
async fn slow_answers_are_slow_and_resets_are_resets() {
    let emulator = start().await;
    let addr = emulator.addr();
    let before = Instant::now();
    assert_eq!(post(addr, "/model/emulator.slow-300/converse", &hello()).status, 200);
    assert!(before.elapsed() >= Duration::from_millis(300));
    for operation in ["converse", "converse-stream"] {
        let path = format!("/model/emulator.reset-0/{operation}");
        let mut socket = open(addr, "POST", &path, &BEARER, hello().to_string().as_bytes());
        let mut bytes = Vec::new();
        let error = socket.read_to_end(&mut bytes).expect_err("a reset");
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{operation}");
        assert!(bytes.starts_with(b"HTTP/1.1 200"), "it begins well");
    }
    // Half a body, then a clean end: shorter than announced.
    let path = "/model/emulator.cut-1/converse";
    let mut socket = open(addr, "POST", path, &BEARER, hello().to_string().as_bytes());
    let mut bytes = Vec::new();
    socket.read_to_end(&mut bytes).expect("a clean end");
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let announced = head
        .to_lowercase()
        .split_once("content-length: ")
        .unwrap()
        .1
        .lines()
        .next()
        .unwrap()
        .parse::<usize>()
        .unwrap();
    assert_eq!(body.len(), announced / 2);
    let big = post(addr, "/model/emulator.oversized-0/converse-stream", &hello());
    assert_eq!(big.body[..4], 0xffff_fff0_u32.to_be_bytes());
    emulator.stop().await;
}

#[tokio::test]
async fn scripts_and_journal_work_over_http() {
    let emulator = start().await;
    let addr = emulator.addr();
    let steps = json!([
        {"error": {"status": 429, "type": "ThrottlingException", "message": "Too many requests", "headers": {"Retry-After": "3"}}},
        {"model": "amazon.nova-lite-v1:0", "fault": {"cut": 2}},
        {"bytes": STANDARD.encode(emulator::frames::event("messageStart", br#"{"role":"assistant"}"#))},
        {"events": [{"messageStart": {"role": "assistant"}}, {"somethingNew": {"a": 1}}]},
    ]);
    let answer = send(addr, "POST", "/_emulator/script", &[], steps.to_string().as_bytes());
    assert_eq!((answer.status, answer.json()["waiting"].as_u64()), (200, Some(4)));
    let throttled = post(addr, NOVA, &hello());
    assert_eq!((throttled.status, throttled.header("retry-after")), (429, Some("3")));
    let stream = "/model/us.amazon.nova-lite-v1:0/converse-stream";
    let cut = post(addr, stream, &hello()).body.len();
    assert!(cut > 200, "two frames came");
    assert_eq!(
        post(addr, stream, &hello()).body,
        emulator::frames::event("messageStart", br#"{"role":"assistant"}"#)
    );
    let unknown = String::from_utf8_lossy(&post(addr, stream, &hello()).body).into_owned();
    assert!(unknown.contains("somethingNew") && !unknown.contains("messageStop"));
    assert!(emulator.script().is_empty());

    let calls = get(addr, "/_emulator/calls").json();
    assert_eq!(calls.as_array().unwrap().len(), 4);
    assert_eq!(calls[1]["delivery"], "broken");
    assert_eq!(send(addr, "DELETE", "/_emulator/calls", &[], b"").status, 204);
    assert_eq!(get(addr, "/_emulator/calls").json(), json!([]));
    let wrong = send(addr, "POST", "/_emulator/script", &[], br#"{"explode": true}"#);
    assert_eq!(wrong.status, 400);
    emulator.stop().await;
}

#[tokio::test]
async fn stopping_frees_the_port_even_under_a_stalled_stream() {
    let emulator = start().await;
    let addr = emulator.addr();
    emulator.script().push(Step::Fault(Fault::Stall(1)));
    let path = "/model/us.amazon.nova-lite-v1:0/converse-stream";
    let mut socket = open(addr, "POST", path, &BEARER, hello().to_string().as_bytes());
    let mut first = [0_u8; 64];
    socket.read_exact(&mut first).expect("the head");
    emulator.stop().await;
    assert!(std::net::TcpListener::bind(addr).is_ok(), "the port is free");
}

#[test]
fn it_starts_inside_an_actix_system_and_outside_of_any() {
    let serves = async || {
        let emulator = start().await;
        assert_eq!(post(emulator.addr(), NOVA, &hello()).status, 200);
        let (addr, handle) = (emulator.addr(), emulator.handle());
        emulator.stop().await;
        handle.stop(false).await;
        assert!(std::net::TcpStream::connect(addr).is_err(), "nobody listens any more");
    };
    actix_rt::System::new().block_on(serves());
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(serves());
}

#[tokio::test]
async fn the_journal_forgets_the_oldest_calls() {
    let emulator = start_with(Options { journal_size: 3, ..Options::default() }).await;
    for _ in 0..5 {
        post(emulator.addr(), NOVA, &hello());
    }
    let numbers: Vec<u64> = emulator.journal().calls().iter().map(|call| call.number).collect();
    assert_eq!(numbers, [3, 4, 5]);
    emulator.stop().await;
}
