//! Golden streams of the API, event for event: what each says is put into Bedrock's words, and the answer
//! is compared with it. They stand beside the folder that `OUTCROP_CASES` names.

use std::collections::HashMap;

use bytes::BytesMut;
use schema::converse::event::StreamEvent;
use serde_json::{Value, json};
use translate::Stamp;
use translate::answer_stream::{AnswerStream, StreamFailure};
use translate::dialect::Dialect;
use translate::responses::Responses;

use crate::golden;
use crate::response_asked::reply;
use crate::response_events::read;

/// Streams that this API has and no model on Converse makes: parts of refusals, raw reasoning, and a
/// response that is cancelled.
const OTHERS: [&str; 3] = ["responses_refusal", "responses_reasoning_text", "responses_cancelled"];

#[test]
fn golden_streams_are_met_event_for_event() {
    let streams = golden::streams("responses_");
    let mut met = 0;
    for (name, text) in &streams {
        if OTHERS.contains(&name.as_str()) {
            continue;
        }
        let wanted = golden::data(text);
        // Pieces without text are not sent here.
        let wanted = wanted.into_iter().filter(|data| data["delta"] != "");
        let mut wanted: Vec<Value> = wanted.collect();
        for (number, event) in wanted.iter_mut().enumerate() {
            event["sequence_number"] = number.into();
        }
        let ours: Vec<Value> = answered(&wanted).into_iter().map(|(_, data)| data).collect();
        let (ours, wanted) = (plain(&ours), plain(&wanted));
        for (our, their) in ours.iter().zip(&wanted) {
            assert_eq!(our, their, "{name}");
        }
        assert_eq!(ours.len(), wanted.len(), "{name}");
        met += 1;
    }
    assert!(streams.is_empty() || met >= 9, "the golden streams are not all there");
}

/// The answer to a request like that of a stream, from a model that says the same.
fn answered(wanted: &[Value]) -> Vec<(String, Value)> {
    let started = &wanted[0]["response"];
    let mut request =
        json!({ "model": "m", "input": "x", "include": ["reasoning.encrypted_content"] });
    for member in ["tools", "reasoning", "max_output_tokens"] {
        request[member] = started[member].clone();
    }
    let shows = wanted.iter().any(|event| event["type"] == "response.reasoning_summary_part.added");
    if shows {
        request["reasoning"]["summary"] = json!("auto");
    }
    let stamp = Stamp { id: "resp_1".to_owned(), created: 1, model: "m".to_owned() };
    let mut stream = Responses::stream(reply(&request), stamp, 0);
    let mut out = BytesMut::new();
    let end = &wanted.last().unwrap()["response"];
    for (name, payload) in converse(wanted) {
        let payload = payload.to_string();
        let event = StreamEvent::parse(name, payload.as_bytes()).unwrap();
        stream.push(&event, &mut out).unwrap();
    }
    if end["status"] == "failed" {
        let code = end["error"]["code"].as_str().unwrap();
        let message = end["error"]["message"].as_str().unwrap();
        let (status, retry_after_ms) =
            if code == "rate_limit_exceeded" { (429, Some(1500)) } else { (502, None) };
        let message = message.split(" Please try again in").next().unwrap();
        let (kind, code, param) = ("x", Some(code), None);
        let failure = StreamFailure { status, kind, code, param, message, retry_after_ms };
        stream.fail(&failure, &mut out).unwrap();
        return read(&out);
    }
    stream.close(&mut out).unwrap();
    stream.ends_at(2);
    let spent = stream.spent();
    stream.finish(spent, &mut out).unwrap();
    read(&out)
}

/// Bedrock's events for what a stream says.
fn converse(wanted: &[Value]) -> Vec<(&'static str, Value)> {
    let mut events = vec![("messageStart", json!({ "role": "assistant" }))];
    let mut at = 0;
    for event in wanted {
        let mut delta = |delta: Value| {
            events.push(("contentBlockDelta", json!({ "contentBlockIndex": at, "delta": delta })));
        };
        let item = &event["item"];
        match event["type"].as_str().unwrap() {
            "response.output_text.delta" => delta(json!({ "text": event["delta"] })),
            "response.output_text.annotation.added" => {
                let page = &event["annotation"];
                delta(
                    json!({ "citation": { "title": page["title"], "location": { "web": { "url": page["url"] } } } }),
                );
                events.push(("contentBlockStop", json!({ "contentBlockIndex": at })));
                at += 1;
            }
            "response.reasoning_summary_text.delta" => {
                delta(json!({ "reasoningContent": { "text": event["delta"] } }));
            }
            "response.function_call_arguments.delta" => {
                delta(json!({ "toolUse": { "input": event["delta"] } }));
            }
            "response.custom_tool_call_input.delta" => {
                let text = event["delta"].to_string();
                delta(json!({ "toolUse": { "input": &text[1..text.len() - 1] } }));
            }
            "response.output_item.added" if item["call_id"].is_string() => {
                let start =
                    json!({ "toolUse": { "toolUseId": item["call_id"], "name": item["name"] } });
                events.push((
                    "contentBlockStart",
                    json!({ "contentBlockIndex": at, "start": start }),
                ));
                if item["type"] == "custom_tool_call" {
                    let head = json!({ "toolUse": { "input": "{\"input\":\"" } });
                    events.push((
                        "contentBlockDelta",
                        json!({ "contentBlockIndex": at, "delta": head }),
                    ));
                }
            }
            "response.output_item.done" => {
                match item["type"].as_str().unwrap() {
                    "custom_tool_call" => delta(json!({ "toolUse": { "input": "\"}" } })),
                    "reasoning" => delta(json!({ "reasoningContent": { "signature": "c2ln" } })),
                    _ => {}
                }
                events.push(("contentBlockStop", json!({ "contentBlockIndex": at })));
                at += 1;
            }
            _ => {}
        }
    }
    let end = &wanted.last().unwrap()["response"];
    if end["status"] == "failed" {
        // Without an item the failure comes before the answer.
        if !wanted.iter().any(|event| event["type"] == "response.output_item.added") {
            events.clear();
        }
        return events;
    }
    let stop = match end["incomplete_details"]["reason"].as_str() {
        Some("max_output_tokens") => "max_tokens",
        Some(_) => "content_filtered",
        None => "end_turn",
    };
    events.push(("messageStop", json!({ "stopReason": stop })));
    let usage = &end["usage"];
    let cached = &usage["input_tokens_details"];
    let number = |value: &Value| value.as_u64().unwrap();
    let (read, written) = (number(&cached["cached_tokens"]), number(&cached["cache_write_tokens"]));
    let usage = json!({ "inputTokens": number(&usage["input_tokens"]) - read - written,
        "outputTokens": usage["output_tokens"], "totalTokens": usage["total_tokens"],
        "cacheReadInputTokens": read, "cacheWriteInputTokens": written });
    events.push(("metadata", json!({ "usage": usage })));
    events
}

/// Events without what differs from call to call: ids by their order, times, models, capsules, and
/// citations beside the text.
fn plain(events: &[Value]) -> Vec<Value> {
    let mut ids = HashMap::new();
    events.iter().map(|event| without_chance(event, &mut ids)).collect()
}

fn without_chance(value: &Value, ids: &mut HashMap<String, usize>) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64()),
        Value::Array(all) => all.iter().map(|one| without_chance(one, ids)).collect(),
        Value::Object(members) => members
            .iter()
            .filter(|(name, _)| name.as_str() != "outcrop")
            .map(|(name, value)| {
                let value = match (name.as_str(), value) {
                    ("id" | "item_id", Value::String(id)) => {
                        let next = ids.len();
                        json!(*ids.entry(id.clone()).or_insert(next))
                    }
                    ("created_at" | "completed_at", Value::Number(_)) => json!("time"),
                    ("model" | "encrypted_content", Value::String(_)) => json!(name),
                    // The text that Bedrock's citation covers is its block.
                    ("end_index", _) => json!("place"),
                    // What the request asked for here, and not what the stream shows.
                    ("reasoning", Value::Object(_)) => json!("asked"),
                    // What a model counts as reasoning comes in a field of its own.
                    ("reasoning_tokens", _) => json!("counted"),
                    (_, value) => without_chance(value, ids),
                };
                (name.clone(), value)
            })
            .collect(),
        other => other.clone(),
    }
}
