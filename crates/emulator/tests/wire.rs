//! The HTTP surface as any client sees it: headers, bodies, refusals, the emulator's own endpoints.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

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

fn turn(role: &str, content: Value) -> Value {
    json!({"role": role, "content": content})
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
async fn callers_must_say_who_they_are() {
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

/// Requests that must be refused: model, body, and part of the message.
fn refused() -> Vec<(&'static str, Value, &'static str)> {
    let (nova, claude, llama) = (
        "us.amazon.nova-lite-v1:0",
        "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
        "us.meta.llama3-3-70b-instruct-v1:0",
    );
    let with = |messages: Value, more: Value| {
        let mut body = json!({"messages": messages});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let say = |text: &str| turn("user", json!([{"text": text}]));
    let plain = |more: Value| with(json!([say("hi")]), more);
    let tool = |name: &str, more: Value| {
        let mut spec = json!({"name": name, "inputSchema": {"json": {"type": "object"}}});
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"toolConfig": {"tools": [{"toolSpec": spec}]}})
    };
    let call = |id: &str| {
        turn("assistant", json!([{"toolUse": {"toolUseId": id, "name": "f", "input": {}}}]))
    };
    let result = |id: &str| json!({"toolResult": {"toolUseId": id, "content": [{"text": "42"}]}});
    let image = |format: &str, bytes: &[u8]| json!({"image": {"format": format, "source": {"bytes": STANDARD.encode(bytes)}}});
    let document = |name: &str| json!({"document": {"format": "txt", "name": name, "source": {"bytes": "aGk="}}});
    let png = b"\x89PNG\r\n\x1a\n0000000000000000";
    vec![
        (nova, plain(json!({"surprise": 1})), "#: extraneous key [surprise] is not permitted"),
        (
            nova,
            with(json!([{"role": "user"}]), json!({})),
            "#/messages/0: required key [content] not found",
        ),
        (nova, with(json!("hi"), json!({})), "#/messages: expected type: JSONArray, found: String"),
        (
            nova,
            with(json!([turn("user", json!([{"text": 1}]))]), json!({})),
            "#/messages/0/content/0/text: expected type: String, found: Integer",
        ),
        (nova, json!({}), "must contain at least one message"),
        (
            nova,
            with(json!([turn("user", json!([]))]), json!({})),
            "The content field in the Message object at messages.0 is empty",
        ),
        (
            nova,
            with(json!([say(" \n")]), json!({})),
            "The text field in the ContentBlock object at messages.0.content.0 is blank",
        ),
        (
            nova,
            with(json!([say("a"), say("b")]), json!({})),
            "A conversation must alternate between user and assistant roles",
        ),
        (
            nova,
            with(json!([turn("assistant", json!([{"text": "a"}])), say("b")]), json!({})),
            "A conversation must start with a user message",
        ),
        (
            nova,
            with(json!([say("a"), turn("assistant", json!([{"text": "b"}]))]), json!({})),
            "A conversation must end with a user message",
        ),
        (
            "us.anthropic.claude-sonnet-5",
            with(json!([say("a"), turn("assistant", json!([{"text": "b"}]))]), json!({})),
            "does not support assistant message prefill",
        ),
        (
            nova,
            with(json!([turn("robot", json!([{"text": "a"}]))]), json!({})),
            "enum value set: [user,assistant,system]",
        ),
        (
            nova,
            plain(json!({"inferenceConfig": {"temperature": 1.5}})),
            "'inferenceConfig.temperature' failed to satisfy constraint: Member must have value less than or equal to 1",
        ),
        (
            nova,
            plain(json!({"inferenceConfig": {"topP": -0.1}})),
            "Member must have value greater than or equal to 0",
        ),
        (nova, plain(json!({"inferenceConfig": {"maxTokens": 0}})), "'inferenceConfig.maxTokens'"),
        (
            nova,
            plain(json!({"inferenceConfig": {"maxTokens": 999_999}})),
            "exceeds the model limit of 10000",
        ),
        (
            nova,
            plain(json!({"inferenceConfig": {"stopSequences": [""]}})),
            "stopSequences.1.member",
        ),
        (
            claude,
            plain(json!({"inferenceConfig": {"stopSequences": [" "]}})),
            "each stop sequence must contain non-whitespace",
        ),
        (
            claude,
            plain(json!({"inferenceConfig": {"temperature": 0.5, "topP": 0.5}})),
            "cannot both be specified",
        ),
        (
            "us.anthropic.claude-opus-5",
            plain(json!({"inferenceConfig": {"temperature": 0.5}})),
            "`temperature` is deprecated for this model",
        ),
        (
            "us.anthropic.claude-opus-5",
            plain(
                json!({"additionalModelRequestFields": {"thinking": {"type": "enabled", "budget_tokens": 2000}}}),
            ),
            "thinking.type.enabled",
        ),
        (
            claude,
            plain(
                json!({"additionalModelRequestFields": {"thinking": {"type": "enabled", "budget_tokens": 10}}}),
            ),
            "greater than or equal to 1024",
        ),
        (
            claude,
            plain(
                json!({"inferenceConfig": {"maxTokens": 2000}, "additionalModelRequestFields": {"thinking": {"type": "enabled", "budget_tokens": 2000}}}),
            ),
            "`max_tokens` must be greater than",
        ),
        (
            "global.openai.gpt-6-sol",
            plain(json!({"inferenceConfig": {"maxTokens": 5}})),
            "Expected a value >= 16",
        ),
        (
            "global.xai.grok-4.7",
            plain(json!({"inferenceConfig": {"stopSequences": ["x"]}})),
            "doesn't support the stopSequences field",
        ),
        (
            nova,
            with(json!([turn("user", json!([image("jpeg", png)]))]), json!({})),
            "appears to be a image/png image",
        ),
        (
            nova,
            with(
                json!([turn("user", json!([image("png", b"nothing like an image at all")]))]),
                json!({}),
            ),
            "Could not process image",
        ),
        (
            nova,
            with(
                json!([turn(
                    "user",
                    json!([{"image": {"format": "png", "source": {"bytes": "%%%"}}}])
                )]),
                json!({}),
            ),
            "not valid base64",
        ),
        (
            nova,
            with(
                json!([turn(
                    "user",
                    json!([{"image": {"format": "bmp", "source": {"bytes": "aGk="}}}])
                )]),
                json!({}),
            ),
            "enum value set: [png,jpeg,gif,webp]",
        ),
        (
            claude,
            with(
                json!([say("a"), turn("assistant", json!([image("png", png)])), say("b")]),
                json!({}),
            ),
            "only supported in a message with the user role",
        ),
        (
            "us.amazon.nova-micro-v1:0",
            with(json!([turn("user", json!([image("png", png)]))]), json!({})),
            "doesn't support the image content block",
        ),
        (
            claude,
            with(
                json!([turn(
                    "user",
                    json!([{"video": {"format": "mp4", "source": {"bytes": "aGk="}}}, {"text": "a"}])
                )]),
                json!({}),
            ),
            "doesn't support the video content block",
        ),
        (
            claude,
            with(
                json!([turn(
                    "user",
                    json!([{"image": {"format": "png", "source": {"s3Location": {"uri": "s3://b/k"}}}}])
                )]),
                json!({}),
            ),
            "doesn't support the s3Uri field",
        ),
        (
            nova,
            with(json!([turn("user", json!([document("notes")]))]), json!({})),
            "must also have a text block",
        ),
        (
            nova,
            with(json!([turn("user", json!([document("no_tes.txt"), {"text": "a"}]))]), json!({})),
            "The document name can only contain",
        ),
        (
            nova,
            plain(json!({"toolConfig": {"tools": []}})),
            "'toolConfig.tools' failed to satisfy constraint",
        ),
        (
            nova,
            plain(tool("bad name", json!({}))),
            "Member must satisfy regular expression pattern: [a-zA-Z0-9_-]+",
        ),
        (nova, plain(tool(&"x".repeat(65), json!({}))), "less than or equal to 64"),
        (nova, plain(tool("f", json!({"description": ""}))), "toolSpec.description"),
        (
            nova,
            plain(tool("f", json!({"inputSchema": {"json": {"type": "string"}}}))),
            "must be one of the following: object",
        ),
        (
            llama,
            plain(
                json!({"toolConfig": {"tools": [{"toolSpec": {"name": "f", "inputSchema": {"json": {"type": "object"}}}}], "toolChoice": {"any": {}}}}),
            ),
            "doesn't support the toolConfig.toolChoice.any field",
        ),
        (
            nova,
            with(json!([say("a"), call("t1"), turn("user", json!([result("t1")]))]), json!({})),
            "The toolConfig field must be defined",
        ),
        (
            nova,
            with(json!([say("a"), call("t1"), say("b")]), tool("f", json!({}))),
            "Expected toolResult blocks at messages.2.content for the following Ids: t1",
        ),
        (
            nova,
            with(json!([turn("user", json!([result("t1")]))]), tool("f", json!({}))),
            "exceeds the number of toolUse blocks of previous turn",
        ),
        (
            nova,
            with(
                json!([say("a"), call("bad id!"), turn("user", json!([result("bad id!")]))]),
                tool("f", json!({})),
            ),
            "toolUseId' failed to satisfy constraint",
        ),
        (
            llama,
            with(
                json!([
                    say("a"),
                    call("t1"),
                    turn("user", json!([result("t1"), {"text": "and?"}]))
                ]),
                tool("f", json!({})),
            ),
            "cannot be provided in the same turn",
        ),
        (
            "mistral.mistral-7b-instruct-v0:2",
            plain(tool("f", json!({}))),
            "doesn't support tool use",
        ),
        (
            "mistral.mistral-7b-instruct-v0:2",
            plain(json!({"system": [{"text": "s"}]})),
            "doesn't support system messages",
        ),
        (
            llama,
            plain(json!({"system": [{"text": "s"}, {"cachePoint": {"type": "default"}}]})),
            "did not allow prompt caching",
        ),
        (
            claude,
            with(
                json!([
                    say("a"),
                    turn(
                        "assistant",
                        json!([{"reasoningContent": {"reasoningText": {"text": "t"}}}, {"text": "b"}])
                    ),
                    say("c")
                ]),
                json!({}),
            ),
            "signature: Field required",
        ),
        (
            nova,
            with(
                json!([
                    say("a"),
                    turn(
                        "assistant",
                        json!([{"reasoningContent": {"reasoningText": {"text": "t", "signature": "s"}}}, {"text": "b"}])
                    ),
                    say("c")
                ]),
                json!({}),
            ),
            "reasoningText.signature",
        ),
        (
            "meta.llama3-8b-instruct-v1:0",
            with(json!([say(&"word ".repeat(9_000))]), json!({})),
            "Input is too long for requested model",
        ),
        (claude, with(json!([say(&"word ".repeat(200_000))]), json!({})), "prompt is too long:"),
        (claude, plain(json!({"requestMetadata": {"a": "*"}})), "requestMetadata.a"),
        ("amazon.titan-embed-text-v2:0", plain(json!({})), "doesn't support the Converse API"),
        (
            "anthropic.claude-sonnet-5",
            plain(json!({})),
            "on-demand throughput isn\u{2019}t supported",
        ),
    ]
}

#[tokio::test]
async fn what_bedrock_refuses_is_refused_in_its_words() {
    let emulator = start().await;
    for (model, body, expected) in refused() {
        for operation in ["converse", "converse-stream"] {
            let answer = post(emulator.addr(), &format!("/model/{model}/{operation}"), &body);
            assert!((400..404).contains(&answer.status), "{model} {expected}: {answer:?}");
            assert!(
                answer.message().contains(expected),
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
async fn the_journal_tells_a_finished_answer_from_an_abandoned_one() {
    let emulator = start().await;
    let addr = emulator.addr();
    post(addr, NOVA, &hello());
    let call = journalled(&emulator, |call| call.delivery == Delivery::Complete).await;
    assert_eq!(call.operation, "converse");
    assert_eq!(call.path, NOVA);
    assert_eq!(call.model_id.as_deref(), Some("us.amazon.nova-lite-v1:0"));
    assert_eq!(call.headers["authorization"], "Bearer", "only the scheme");
    assert_eq!((call.status, &call.body), (Some(200), &hello()));

    // Streams that stall in the middle and before the first byte, and their clients leave.
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
