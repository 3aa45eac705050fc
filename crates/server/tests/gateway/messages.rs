//! Messages through the gateway, on both roads: Converse for models of other providers, InvokeModel with
//! Anthropic's body for Claude. Streams have the events that Anthropic's clients need, and a stream that
//! breaks ends in an error event and never as if it were complete.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use emulator::{Fault, Step};
use http::Method;
use serde_json::{Value, json};

use super::rig::{Received, Rig};

mod endings;
mod guarded;
mod parties;
mod retries;
mod roads;
mod sessions;
mod sources;

const NOVA: &str = "us.amazon.nova-lite-v1:0";
/// The emulator refuses a tool turn of this model without its signed reasoning.
const CLAUDE: &str = "us.anthropic.claude-sonnet-4-5-20250929-v1:0";

impl Rig {
    pub(super) async fn message(&self, request: &Value) -> Received {
        self.message_with(&[], request).await
    }

    pub(super) async fn message_with(&self, headers: &[(&str, &str)], request: &Value) -> Received {
        let body = request.to_string().into();
        self.send_with(headers, Method::POST, "/v1/messages", body).await
    }
}

/// The data of a stream's events. Every event has the name of its type, as clients need.
pub(super) fn events(received: &Received) -> Vec<Value> {
    assert_eq!(received.status, 200, "{}", String::from_utf8_lossy(&received.body));
    let text = std::str::from_utf8(&received.body).unwrap();
    assert!(!text.contains("[DONE]"), "{text}");
    let event = |event: &str| {
        let (name, data) = event.split_once('\n').unwrap();
        let data: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!(name.strip_prefix("event: "), data["type"].as_str(), "{event}");
        data
    };
    text.split_terminator("\n\n").filter(|event| !event.starts_with(':')).map(event).collect()
}

/// The message that a client makes of a stream. Blocks come one after another, each is ended, and the
/// message begins with its usage and ends with its reason and its end.
pub(super) fn accumulated(events: &[Value]) -> Value {
    let mut events = events.iter().filter(|event| event["type"] != "ping");
    let start = events.next().unwrap();
    assert_eq!(start["type"], "message_start");
    let mut message = start["message"].clone();
    assert!(
        message["usage"]["input_tokens"].is_u64() && message["usage"]["output_tokens"].is_u64()
    );
    assert_eq!((&message["content"], &message["stop_reason"]), (&json!([]), &Value::Null));
    let mut blocks: Vec<Value> = Vec::new();
    let mut open: Option<(Value, String)> = None;
    for event in events.by_ref() {
        match event["type"].as_str().unwrap() {
            "content_block_start" => {
                assert!(open.is_none(), "a block begins in another: {event}");
                assert_eq!(event["index"], blocks.len());
                open = Some((event["content_block"].clone(), String::new()));
            }
            "content_block_delta" => {
                let (block, input) = open.as_mut().expect("a delta of no block");
                assert_eq!(event["index"], blocks.len());
                let delta = &event["delta"];
                let (member, piece) = match delta["type"].as_str().unwrap() {
                    "text_delta" => ("text", &delta["text"]),
                    "thinking_delta" => ("thinking", &delta["thinking"]),
                    "signature_delta" => ("signature", &delta["signature"]),
                    "citations_delta" => {
                        if !block["citations"].is_array() {
                            block["citations"] = json!([]);
                        }
                        block["citations"].as_array_mut().unwrap().push(delta["citation"].clone());
                        continue;
                    }
                    "input_json_delta" => {
                        input.push_str(delta["partial_json"].as_str().unwrap());
                        continue;
                    }
                    other => panic!("{other}"),
                };
                let whole =
                    format!("{}{}", block[member].as_str().unwrap_or(""), piece.as_str().unwrap());
                block[member] = whole.into();
            }
            "content_block_stop" => {
                let (mut block, input) = open.take().expect("an end of no block");
                assert_eq!(event["index"], blocks.len());
                if block["type"] == "tool_use" && !input.is_empty() {
                    block["input"] = serde_json::from_str(&input).unwrap();
                }
                blocks.push(block);
            }
            "message_delta" => {
                assert!(open.is_none());
                for member in ["stop_reason", "stop_sequence"] {
                    message[member] = event["delta"][member].clone();
                }
                let usage = event["usage"].as_object().unwrap().clone();
                message["usage"].as_object_mut().unwrap().extend(usage);
                break;
            }
            other => panic!("{other}"),
        }
    }
    assert_eq!(events.next().unwrap()["type"], "message_stop");
    assert!(events.next().is_none());
    message["content"] = blocks.into();
    message
}

/// The message of a whole answer or of a stream.
pub(super) fn message(received: &Received) -> Value {
    if received.header("content-type") == Some("application/json") {
        assert_eq!(received.status, 200, "{}", String::from_utf8_lossy(&received.body));
        return received.json();
    }
    accumulated(&events(received))
}

pub(super) fn text_of(message: &Value) -> String {
    let blocks = message["content"].as_array().unwrap().iter();
    blocks.filter_map(|block| block["text"].as_str()).collect()
}

fn weather() -> Value {
    json!([{ "name": "weather", "description": "Reports the weather of a city", "input_schema":
        { "type": "object", "properties": { "city": { "type": "string" } }, "required": ["city"] } }])
}

pub(super) fn asking(model: &str, more: &Value) -> Value {
    let mut request = json!({ "model": model, "max_tokens": 4000,
        "messages": [{ "role": "user", "content": "one two three" }] });
    request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    request
}

#[actix_rt::test]
async fn a_stream_accumulates_to_the_whole_answer() {
    for model in [NOVA, CLAUDE] {
        let rig = Rig::start("").await;
        for path in
            ["/v1/messages", "/messages", "/anthropic/v1/messages", "/v1/messages?beta=true"]
        {
            let request = asking(model, &json!({})).to_string();
            let whole = rig.send(Method::POST, path, request.into()).await;
            let id = whole.header("request-id").unwrap();
            assert!(id.starts_with("req_") && whole.header("x-request-id") == Some(id));
            let whole = message(&whole);
            assert_eq!((&whole["type"], &whole["role"]), (&json!("message"), &json!("assistant")));
            assert_eq!(
                (&whole["model"], &whole["stop_reason"]),
                (&json!(model), &json!("end_turn"))
            );
            assert!(
                whole["usage"]["output_tokens"].as_u64() > Some(0)
                    && whole.get("outcrop").is_none()
            );
            let streamed = message(&rig.message(&asking(model, &json!({ "stream": true }))).await);
            assert_eq!(text_of(&streamed), text_of(&whole));
            for count in ["input_tokens", "output_tokens"] {
                assert_eq!(streamed["usage"][count], whole["usage"][count], "{model}");
            }
        }
        rig.stop().await;
    }
}

#[actix_rt::test]
async fn the_road_is_that_of_the_models_row() {
    let rig = Rig::start("").await;
    for (model, stream, operation) in [
        (NOVA, false, "converse"),
        (NOVA, true, "converse-stream"),
        (CLAUDE, false, "invoke"),
        (CLAUDE, true, "invoke-with-response-stream"),
    ] {
        let before = rig.emulator.journal().calls().len();
        rig.message(&asking(model, &json!({ "stream": stream }))).await;
        let calls = rig.emulator.journal().calls();
        assert!(calls[before].path.ends_with(&format!("/{operation}")), "{}", calls[before].path);
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn thinking_survives_tool_turns_however_it_comes_back() {
    for model in [NOVA, "us.amazon.nova-2-lite-v1:0", CLAUDE] {
        for (stream, with_thinking) in [(false, true), (false, false), (true, true), (true, false)]
        {
            let rig = Rig::start("").await;
            let more = json!({ "tools": weather(), "stream": stream,
                "thinking": { "type": "enabled", "budget_tokens": 1024 } });
            let mut turns =
                vec![json!({ "role": "user", "content": "The weather in Oslo, please." })];
            let mut request = asking(model, &more);
            request["messages"] = json!(turns);
            let first = message(&rig.message(&request).await);
            assert_eq!(first["stop_reason"], "tool_use", "{model} {first}");
            let blocks = first["content"].as_array().unwrap();
            let kept: Vec<Value> = blocks
                .iter()
                .filter(|block| with_thinking || block["type"] != "thinking")
                .cloned()
                .collect();
            turns.push(json!({ "role": "assistant", "content": kept }));
            let results: Vec<Value> = blocks
                .iter()
                .filter(|block| block["type"] == "tool_use")
                .map(|call| json!({ "type": "tool_result", "tool_use_id": call["id"], "content": "fair" }))
                .collect();
            turns.push(json!({ "role": "user", "content": results }));
            request["messages"] = json!(turns);
            let answer = rig.message(&request).await;
            assert_eq!(answer.header("x-outcrop-thinking"), None, "{model} {with_thinking}");
            assert!(text_of(&message(&answer)).contains("fair"), "{model} {with_thinking}");
            rig.stop().await;
        }
    }
}

#[actix_rt::test]
async fn a_stream_that_breaks_ends_in_an_error_event() {
    for (model, kind) in [
        ("emulator.exception-3", "api_error"),
        ("emulator.cut-3", "api_error"),
        ("emulator.stream-throttle-3", "rate_limit_error"),
    ] {
        let rig = Rig::start("").await;
        let all = events(&rig.message(&asking(model, &json!({ "stream": true }))).await);
        let last = all.last().unwrap();
        assert_eq!(
            (&last["type"], &last["error"]["type"]),
            (&json!("error"), &json!(kind)),
            "{model}"
        );
        assert_eq!(all[0]["type"], "message_start");
        assert!(all.iter().all(|event| event["type"] != "message_stop"), "{model}");
        rig.stop().await;
    }
    let throttled = Fault::Exception {
        after: 3,
        kind: "throttlingException".to_owned(),
        message: "Too many tokens.".to_owned(),
    };
    for (fault, kind) in [(Fault::Cut(3), "api_error"), (throttled, "rate_limit_error")] {
        let rig = Rig::start("").await;
        rig.emulator.script().push(Step::Fault(fault));
        let all = events(&rig.message(&asking(CLAUDE, &json!({ "stream": true }))).await);
        let last = all.last().unwrap();
        assert_eq!((&last["type"], &last["error"]["type"]), (&json!("error"), &json!(kind)));
        assert_eq!(all[0]["type"], "message_start");
        assert!(all.iter().all(|event| event["type"] != "message_stop"));
        rig.stop().await;
    }
}

#[actix_rt::test]
async fn errors_are_anthropics() {
    let rig = Rig::start("").await;
    let long = "word ".repeat(300_000);
    for (request, status, kind, told) in [
        (
            json!({ "model": NOVA, "messages": [{ "role": "user", "content": "x" }] }),
            400,
            "invalid_request_error",
            "max_tokens: Field required",
        ),
        (asking(NOVA, &json!({ "max_tokens": 0 })), 400, "invalid_request_error", "max_tokens: "),
        (asking(CLAUDE, &json!({ "max_tokens": 0 })), 400, "invalid_request_error", "max_tokens: "),
        (
            asking(CLAUDE, &json!({ "temperature": "x" })),
            400,
            "invalid_request_error",
            "temperature: ",
        ),
        (asking("no.such-model-v1:0", &json!({})), 404, "not_found_error", "model: "),
        (
            asking(CLAUDE, &json!({ "messages": [{ "role": "user", "content": long }] })),
            400,
            "invalid_request_error",
            "prompt is too long: ",
        ),
        (asking("emulator.throttle", &json!({})), 429, "rate_limit_error", ""),
        (asking("emulator.error-503", &json!({})), 529, "overloaded_error", ""),
    ] {
        let refused = rig.message(&request).await;
        let error = refused.json();
        let told_text = error["error"]["message"].as_str().unwrap_or("").to_owned();
        assert_eq!(
            (refused.status, &error["type"], &error["error"]["type"]),
            (status, &json!("error"), &json!(kind)),
            "{told} {error}"
        );
        assert!(told_text.starts_with(told), "{told_text}");
        assert_eq!(refused.header("request-id"), error["request_id"].as_str());
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn tokens_are_counted_on_both_roads() {
    let rig = Rig::start("").await;
    let request = |model| {
        json!({ "model": model, "system": "Be brief.", "tools": weather(),
        "messages": [{ "role": "user", "content": "The weather in Oslo, please." }] })
    };
    for model in [NOVA, CLAUDE] {
        for path in ["/v1/messages/count_tokens", "/anthropic/v1/messages/count_tokens?beta=true"] {
            let counted = rig.send(Method::POST, path, request(model).to_string().into()).await;
            assert_eq!(counted.status, 200, "{}", counted.json());
            let members: Vec<String> =
                counted.json().as_object().unwrap().keys().cloned().collect();
            assert_eq!(members, ["input_tokens"]);
            assert!(counted.json()["input_tokens"].as_u64() > Some(5));
            let is_estimate = counted.header("x-outcrop-estimate") == Some("true");
            assert_eq!(is_estimate, model == NOVA);
        }
    }
    let calls = rig.emulator.journal().calls();
    let of_claude = calls.iter().find(|call| call.path.contains("claude")).unwrap();
    let body = of_claude.body["input"]["invokeModel"]["body"].as_str().unwrap();
    let body: Value = serde_json::from_slice(&STANDARD.decode(body).unwrap()).unwrap();
    assert_eq!(body["anthropic_version"], "bedrock-2023-05-31");
    assert!(body["max_tokens"].is_u64() && body.get("model").is_none());
    rig.stop().await;
}

#[actix_rt::test]
async fn models_are_listed_in_anthropics_shape_for_its_clients() {
    let rig = Rig::start("").await;
    let version = [("anthropic-version", "2023-06-01")];
    let get = async |path: &str| rig.send_with(&version, Method::GET, path, "".into()).await.json();
    let list = get("/v1/models?limit=2").await;
    assert_eq!((list["data"].as_array().unwrap().len(), &list["has_more"]), (2, &json!(true)));
    let (first, last) = (&list["data"][0], &list["data"][1]);
    assert_eq!((&list["first_id"], &list["last_id"]), (&first["id"], &last["id"]));
    let next = get(&format!("/v1/models?limit=2&after_id={}", last["id"].as_str().unwrap())).await;
    assert_ne!(next["data"][0], *last);
    let back = get(&format!("/v1/models?limit=1&before_id={}", last["id"].as_str().unwrap())).await;
    assert_eq!((&back["data"][0], &back["has_more"]), (first, &json!(false)));
    let one = get("/v1/models/anthropic.claude-sonnet-4-5-20250929-v1:0").await;
    assert_eq!(
        (&one["type"], &one["display_name"]),
        (&json!("model"), &json!("Claude Sonnet 4.5"))
    );
    assert_eq!(one["created_at"], "2025-09-29T00:00:00Z");
    let members = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(members(&one), ["type", "id", "display_name", "created_at"]);
    assert_eq!(members(&list), ["data", "has_more", "first_id", "last_id"]);
    assert_eq!(get("/v1/models/none").await["error"]["type"], "not_found_error");
    let ours = rig.send(Method::GET, "/v1/models", "".into()).await.json();
    assert_eq!(ours["object"], "list");
    rig.stop().await;
}
