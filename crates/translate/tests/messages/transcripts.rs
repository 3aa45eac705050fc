//! Golden streams and bodies of the API, event for event, on both ways to a model: in the model's own
//! body they pass as they are, and from Converse the same is made of what Bedrock says.

use bytes::BytesMut;
use schema::converse::event::StreamEvent;
use schema::converse::response::ConverseResponse;
use serde_json::{Value, json};
use translate::Stamp;
use translate::answer_stream::{AnswerStream, StreamFailure};
use translate::dialect::Dialect;
use translate::messages::{Messages, MessagesError, MessagesReply};

use crate::golden;
use crate::{native, reply_on_converse, with_native};

/// A request that calls the tools of the golden streams.
fn request() -> Value {
    json!({ "model": "m", "max_tokens": 99, "messages": [{ "role": "user", "content": "x" }],
        "tools": [{ "name": "get_weather", "input_schema": { "type": "object" } }] })
}

/// The stamp that a golden answer shows.
fn stamp(message: &Value) -> Stamp {
    let text = |member: &str| message[member].as_str().unwrap().to_owned();
    Stamp { id: text("id"), created: 1, model: text("model") }
}

/// Ends a stream: cleanly, or with the failure that the golden one ends with.
fn ended(
    mut stream: <Messages as Dialect>::Stream,
    mut out: BytesMut,
    wanted: &[Value],
) -> Vec<Value> {
    let last = wanted.last().unwrap();
    if last["type"] == "error" {
        assert!(stream.close(&mut out).is_err(), "the answer is cut off");
        let message = last["error"]["message"].as_str().unwrap();
        let (status, kind, code) = (502, "server_error", Some("upstream_truncated"));
        let failure =
            StreamFailure { status, kind, code, param: None, message, retry_after_ms: None };
        stream.fail(&failure, &mut out).unwrap();
    } else {
        stream.close(&mut out).unwrap();
        let spent = stream.spent();
        stream.finish(spent, &mut out).unwrap();
    }
    golden::data(std::str::from_utf8(&out).unwrap())
}

#[test]
fn golden_streams_pass_on_in_the_models_own_form() {
    let streams = golden::streams("messages_");
    for (name, text) in &streams {
        let wanted = golden::data(text);
        let reply = with_native(&request(), &native(), |question| question.reply);
        let mut stream = Messages::stream(reply, stamp(&wanted[0]["message"]), 0);
        let mut out = BytesMut::new();
        for event in wanted.iter().filter(|event| event["type"] != "error") {
            let mut event = event.clone();
            match event["type"].as_str().unwrap() {
                "message_start" => event["message"]["model"] = json!("claude-internal"),
                "message_stop" => {
                    event["amazon-bedrock-invocationMetrics"] = json!({ "inputTokenCount": 1 });
                }
                _ => {}
            }
            stream.push_native(event.to_string().as_bytes(), &mut out).unwrap();
        }
        assert_eq!(ended(stream, out, &wanted), wanted, "{name}");
    }
    assert!(streams.is_empty() || streams.len() >= 7, "the golden streams are not all there");
}

#[test]
fn golden_streams_are_met_event_for_event_from_converse() {
    let streams = golden::streams("messages_");
    for (name, text) in &streams {
        let wanted = golden::data(text);
        let stamp = stamp(&wanted[0]["message"]);
        let mut stream = Messages::stream(reply_on_converse(&request()), stamp, 0);
        let mut out = BytesMut::new();
        for (event, payload) in converse(&wanted) {
            let payload = payload.to_string();
            let event = StreamEvent::parse(event, payload.as_bytes()).unwrap();
            stream.push(&event, &mut out).unwrap();
        }
        let ours = comparable(ended(stream, out, &wanted));
        let wanted = comparable(wanted);
        for (our, their) in ours.iter().zip(&wanted) {
            assert_eq!(our, their, "{name}");
        }
        assert_eq!(ours.len(), wanted.len(), "{name}");
    }
    assert!(streams.is_empty() || streams.len() >= 7, "the golden streams are not all there");
}

/// Events without what may differ: pings come at any time, pieces without text are not sent, and
/// Converse counts tokens only at the end.
fn comparable(events: Vec<Value>) -> Vec<Value> {
    let is_compared =
        |event: &Value| event["type"] != "ping" && event["delta"]["partial_json"] != "";
    let mut events: Vec<Value> = events.into_iter().filter(is_compared).collect();
    let usage = events[0]["message"]["usage"].take();
    for count in ["input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"] {
        assert!(usage[count].is_u64(), "clients read {count} at the start");
    }
    assert!(usage["output_tokens"].is_u64());
    events
}

/// Bedrock's events for what a stream says.
fn converse(wanted: &[Value]) -> Vec<(&'static str, Value)> {
    let mut events = Vec::new();
    for event in wanted {
        let at = &event["index"];
        let (block, delta) = (&event["content_block"], &event["delta"]);
        let mut piece = |delta: Value| {
            events.push(("contentBlockDelta", json!({ "contentBlockIndex": at, "delta": delta })));
        };
        match (event["type"].as_str().unwrap(), delta["type"].as_str()) {
            ("message_start", _) => events.push(("messageStart", json!({ "role": "assistant" }))),
            ("content_block_start", _) if block["type"] == "tool_use" => {
                let tool = json!({ "toolUseId": block["id"], "name": block["name"] });
                let start = json!({ "contentBlockIndex": at, "start": { "toolUse": tool } });
                events.push(("contentBlockStart", start));
            }
            (_, Some("text_delta")) => piece(json!({ "text": delta["text"] })),
            (_, Some("thinking_delta")) => {
                piece(json!({ "reasoningContent": { "text": delta["thinking"] } }));
            }
            (_, Some("signature_delta")) => {
                piece(json!({ "reasoningContent": { "signature": delta["signature"] } }));
            }
            (_, Some("input_json_delta")) => {
                piece(json!({ "toolUse": { "input": delta["partial_json"] } }));
            }
            (_, Some("citations_delta")) => piece(json!({ "citation": cited(&delta["citation"]) })),
            ("content_block_stop", _) => {
                events.push(("contentBlockStop", json!({ "contentBlockIndex": at })));
            }
            ("message_delta", _) => {
                let stop = json!({ "stopReason": delta["stop_reason"],
                    "additionalModelResponseFields": fields(&event["usage"]) });
                events.push(("messageStop", stop));
                events.push(("metadata", json!({ "usage": usage(&event["usage"]) })));
            }
            _ => {}
        }
    }
    events
}

fn cited(citation: &Value) -> Value {
    let place = json!({ "documentIndex": citation["document_index"],
        "start": citation["start_char_index"], "end": citation["end_char_index"] });
    json!({ "title": citation["document_title"],
        "sourceContent": [{ "text": citation["cited_text"] }],
        "location": { "documentChar": place } })
}

/// The model's own fields, in which its count of reasoning comes.
fn fields(usage: &Value) -> Value {
    match usage.get("output_tokens_details") {
        Some(details) => json!({ "usage": { "output_tokens_details": details } }),
        None => Value::Null,
    }
}

fn usage(usage: &Value) -> Value {
    let count = |member: &str| usage[member].as_u64().unwrap();
    let (input, output) = (count("input_tokens"), count("output_tokens"));
    let mut told = json!({ "inputTokens": input, "outputTokens": output,
        "totalTokens": input + output,
        "cacheReadInputTokens": count("cache_read_input_tokens"),
        "cacheWriteInputTokens": count("cache_creation_input_tokens") });
    if let Some(writes) = usage.get("cache_creation") {
        told["cacheDetails"] = json!([
            { "ttl": "5m", "inputTokens": writes["ephemeral_5m_input_tokens"] },
            { "ttl": "1h", "inputTokens": writes["ephemeral_1h_input_tokens"] },
        ]);
    }
    told
}

#[test]
fn the_golden_message_is_met_member_for_member() {
    let Some(folder) = golden::folder() else { return };
    let text = std::fs::read_to_string(folder.join("messages_whole.json")).unwrap();
    let wanted: Value = serde_json::from_str(&text).unwrap();
    let answer = Messages::native_answer(
        text.replace("us.anthropic.claude", "claude").as_bytes(),
        &with_native(&request(), &native(), |question| question.reply),
        stamp(&wanted),
    );
    let own = serde_json::to_value(answer.unwrap().answered.answer).unwrap();
    assert_eq!(own, wanted, "in the model's own form");

    let content: Vec<Value> = wanted["content"].as_array().unwrap().iter().map(block).collect();
    let response = json!({ "output": { "message": { "role": "assistant", "content": content } },
        "stopReason": wanted["stop_reason"], "usage": usage(&wanted["usage"]) })
    .to_string();
    let response: ConverseResponse<'_> = serde_json::from_str(&response).unwrap();
    let reply: MessagesReply = reply_on_converse(&request());
    let ours = Messages::answer(&response, &reply, stamp(&wanted)).answer;
    assert_eq!(serde_json::to_value(ours).unwrap(), wanted, "from Converse");
}

fn block(block: &Value) -> Value {
    match block["type"].as_str().unwrap() {
        "thinking" => json!({ "reasoningContent": { "reasoningText":
            { "text": block["thinking"], "signature": block["signature"] } } }),
        "text" => json!({ "text": block["text"] }),
        _ => json!({ "toolUse": { "toolUseId": block["id"], "name": block["name"],
            "input": block["input"] } }),
    }
}

#[test]
fn the_golden_error_of_a_long_prompt_is_met() {
    let Some(folder) = golden::folder() else { return };
    let text = std::fs::read_to_string(folder.join("messages_error_too_long.json")).unwrap();
    let wanted: Value = serde_json::from_str(&text).unwrap();
    let message = format!("Bedrock says: {}", wanted["error"]["message"].as_str().unwrap());
    let failure = StreamFailure {
        status: 400,
        kind: "invalid_request_error",
        code: Some("context_length_exceeded"),
        param: Some("messages"),
        message: &message,
        retry_after_ms: None,
    };
    let error = MessagesError::of(&failure);
    assert_eq!(error.status, 400);
    let ours = serde_json::to_value(error.envelope(wanted["request_id"].as_str())).unwrap();
    assert_eq!(ours, wanted);
}

#[test]
fn a_model_without_signatures_has_its_reasoning_in_the_same_events() {
    let reply = reply_on_converse(&request());
    let stamp = Stamp { id: "msg_1".into(), created: 1, model: "m".into() };
    let mut stream = Messages::stream(reply, stamp, 0);
    let mut out = BytesMut::new();
    for (name, payload) in [
        ("messageStart", json!({ "role": "assistant" })),
        (
            "contentBlockDelta",
            json!({ "contentBlockIndex": 0, "delta": { "reasoningContent": { "text": "hm" } } }),
        ),
        ("contentBlockStop", json!({ "contentBlockIndex": 0 })),
        ("contentBlockDelta", json!({ "contentBlockIndex": 1, "delta": { "text": "a" } })),
        ("contentBlockStop", json!({ "contentBlockIndex": 1 })),
        ("contentBlockDelta", json!({ "contentBlockIndex": 2, "delta": { "text": "b" } })),
        ("contentBlockStop", json!({ "contentBlockIndex": 2 })),
        ("messageStop", json!({ "stopReason": "end_turn" })),
    ] {
        let payload = payload.to_string();
        let event = StreamEvent::parse(name, payload.as_bytes()).unwrap();
        stream.push(&event, &mut out).unwrap();
    }
    stream.close(&mut out).unwrap();
    stream.finish(stream.spent(), &mut out).unwrap();
    let events = golden::data(std::str::from_utf8(&out).unwrap());
    let kinds: Vec<&str> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    let block = ["content_block_start", "content_block_delta", "content_block_stop"];
    let all = [
        &["message_start", "ping"],
        &block[..],
        &block,
        &block,
        &["message_delta", "message_stop"],
    ];
    assert_eq!(kinds, all.concat(), "blocks of Bedrock are blocks of the client");
}
