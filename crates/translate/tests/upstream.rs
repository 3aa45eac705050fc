//! Calls on other surfaces than Converse: `fixtures/upstream/question/*.json` hold a Converse request and the API,
//! `fixtures/upstream/answer/*.json` a complete answer of the API, `fixtures/upstream/stream/*.json` its events.
//! The recorded answers of bedrock-mantle are read too, and any stream says what the whole answer says.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs
)]

use bytes::BytesMut;
use schema::converse::response::ConverseResponse;
use schema::openai::chat::ChatRequest;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use translate::answer_stream::{AnswerStream, NativeEventError};
use translate::chat::{ChatStream, answer, question};
use translate::profile::{Replay, SurfaceApi};
use translate::upstream::{self, UpstreamCall, UpstreamDelivery, UpstreamError, UpstreamEvents};
use translate::{Profile, Reply, Stamp};

#[path = "support/case.rs"]
mod case;
#[macro_use]
#[path = "support/snapshots.rs"]
mod snapshots;

#[derive(Deserialize)]
struct Case<'a> {
    api: SurfaceApi,
    #[serde(default)]
    replay: Option<Replay>,
    #[serde(default)]
    streams: bool,
    #[serde(borrow)]
    converse: Option<&'a RawValue>,
    #[serde(borrow)]
    answer: Option<&'a RawValue>,
    #[serde(borrow, default)]
    events: Vec<&'a RawValue>,
}

fn reply() -> Reply {
    let request: ChatRequest<'_> = serde_json::from_str(
        r#"{"model":"m","messages":[{"role":"user","content":"Hi"}],"stream_options":{"include_usage":true}}"#,
    )
    .unwrap();
    let profile = Profile { replay: Replay::Redacted, ..Profile::default() };
    question(&request, &profile).unwrap().reply
}

fn stamp() -> Stamp {
    Stamp { id: "chatcmpl-1".into(), created: 1, model: "m".into() }
}

/// The chat's answer to a complete answer upstream.
fn whole(body: &str, api: SurfaceApi) -> Result<Value, UpstreamError> {
    let converse = upstream::answer(body.as_bytes(), api)?;
    let converse: ConverseResponse<'_> = serde_json::from_slice(&converse)?;
    Ok(serde_json::to_value(answer(&converse, &reply(), stamp()))?)
}

/// The chat's events for events upstream, or the failure in their midst.
fn streamed(events: &[&str], api: SurfaceApi) -> Result<Vec<Value>, NativeEventError> {
    let (mut upstream, mut out) = (UpstreamEvents::new(api, |_| None), BytesMut::new());
    let mut chat = ChatStream::new(reply(), stamp());
    for event in events {
        upstream.push(event.as_bytes(), &mut chat, &mut out)?;
    }
    assert!(chat.is_complete(), "the answer is complete");
    chat.close(&mut out).unwrap();
    chat.finish(chat.spent(), &mut out).unwrap();
    let text = String::from_utf8(out.to_vec()).unwrap();
    let data = text.split("\n\n").filter_map(|event| event.strip_prefix("data: "));
    Ok(data
        .filter(|data| *data != "[DONE]")
        .map(|data| serde_json::from_str(data).unwrap())
        .collect())
}

/// The message, its reason and usage of a stream, as a client adds them up.
fn folded(chunks: &[Value]) -> Value {
    let (mut content, mut reasoning) = (String::new(), String::new());
    let (mut calls, mut finish, mut usage) = (Vec::<Value>::new(), Value::Null, Value::Null);
    for chunk in chunks {
        if chunk["usage"].is_object() {
            usage = chunk["usage"].clone();
        }
        let Some(choice) = chunk["choices"].get(0) else { continue };
        let delta = &choice["delta"];
        content.push_str(delta["content"].as_str().unwrap_or_default());
        reasoning.push_str(delta["reasoning_content"].as_str().unwrap_or_default());
        for call in delta["tool_calls"].as_array().into_iter().flatten() {
            let at = usize::try_from(call["index"].as_u64().unwrap()).unwrap();
            if at == calls.len() {
                calls.push(
                    json!({ "id": call["id"], "name": call["function"]["name"], "arguments": "" }),
                );
            }
            let piece = call["function"]["arguments"].as_str().unwrap_or_default();
            let so_far = calls[at]["arguments"].as_str().unwrap().to_owned();
            calls[at]["arguments"] = (so_far + piece).into();
        }
        if choice["finish_reason"].is_string() {
            finish = choice["finish_reason"].clone();
        }
    }
    json!({ "content": content, "reasoning": reasoning, "calls": calls, "finish": finish, "usage": usage })
}

/// The same of a complete answer.
fn summed(answer: &Value) -> Value {
    let choice = &answer["choices"][0];
    let message = &choice["message"];
    let calls = message["tool_calls"].as_array().into_iter().flatten().map(|call| {
        json!({ "id": call["id"], "name": call["function"]["name"], "arguments": call["function"]["arguments"] })
    });
    json!({
        "content": message["content"].as_str().unwrap_or_default(),
        "reasoning": message["reasoning_content"].as_str().unwrap_or_default(),
        "calls": calls.collect::<Vec<_>>(),
        "finish": choice["finish_reason"],
        "usage": answer["usage"],
    })
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap()
}

#[test]
fn requests() {
    assert_fixtures!("fixtures/upstream/question/*.json", |text: &str| {
        let case: Case<'_> = serde_json::from_str(text).unwrap();
        let profile =
            Profile { replay: case.replay.unwrap_or(Replay::Never), ..Profile::default() };
        let delivery =
            if case.streams { UpstreamDelivery::Events } else { UpstreamDelivery::Whole };
        let call = UpstreamCall::new(case.api, "maker.model", delivery, &profile);
        match upstream::question(case.converse.unwrap().get().as_bytes(), &call) {
            Ok(body) => pretty(&serde_json::from_slice(&body).unwrap()),
            Err(error) => format!("{error:?}"),
        }
    });
}

#[test]
fn answers() {
    assert_fixtures!("fixtures/upstream/answer/*.json", |text: &str| {
        let case: Case<'_> = serde_json::from_str(text).unwrap();
        match whole(case.answer.unwrap().get(), case.api) {
            Ok(answer) => pretty(&answer),
            Err(error) => format!("{error:?}"),
        }
    });
}

#[test]
fn streams() {
    assert_fixtures!("fixtures/upstream/stream/*.json", |text: &str| {
        let case: Case<'_> = serde_json::from_str(text).unwrap();
        // The end mark stands as text between the events.
        let events: Vec<&str> = case
            .events
            .iter()
            .map(|event| if event.get() == "\"[DONE]\"" { "[DONE]" } else { event.get() })
            .collect();
        match streamed(&events, case.api) {
            Ok(chunks) => {
                let folded = folded(&chunks);
                if let Some(answer) = case.answer {
                    assert_eq!(folded, summed(&whole(answer.get(), case.api).unwrap()));
                }
                let lines: Vec<String> = chunks.iter().map(ToString::to_string).collect();
                format!("{}\n{}", lines.join("\n"), pretty(&folded))
            }
            Err(error) => format!("{error:?}"),
        }
    });
}

#[test]
fn recorded_answers_of_mantle_are_read() {
    let Some(folder) = std::env::var_os("OUTCROP_RECORDINGS") else {
        assert!(std::env::var_os("CI").is_none(), "OUTCROP_RECORDINGS is needed");
        eprintln!("NOTE: recordings NOT read: OUTCROP_RECORDINGS is not set");
        return;
    };
    let path = std::path::Path::new(&folder).join("mantle.jsonl");
    let lines = std::fs::read_to_string(path).unwrap();
    let (mut wholes, mut streams, mut ids) = (0, 0, Vec::new());
    for line in lines.lines() {
        let record: Value = serde_json::from_str(line).unwrap();
        let api = match record["path"].as_str().unwrap().ends_with("/responses") {
            true => SurfaceApi::Responses,
            false => SurfaceApi::Chat,
        };
        let folded = match record["response_text"].as_str() {
            None => {
                wholes += 1;
                let body = record["response"].to_string();
                let answer = summed(&whole(&body, api).unwrap());
                let usage = &record["response"]["usage"];
                let told = usage.get("input_tokens").or(usage.get("prompt_tokens"));
                assert_eq!(answer["usage"]["prompt_tokens"], *told.unwrap());
                answer
            }
            Some(text) => {
                streams += 1;
                let data: Vec<&str> =
                    text.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
                let chunks = streamed(&data, api).unwrap();
                let last: Value = serde_json::from_str(data.last().unwrap()).unwrap();
                let unary = summed(&whole(&last["response"].to_string(), api).unwrap());
                let folded = folded(&chunks);
                assert_eq!(folded, unary, "{}", record["id"]);
                folded
            }
        };
        let said = folded["content"].as_str().unwrap();
        let calls = folded["calls"].as_array().unwrap();
        assert!(!said.is_empty() || !calls.is_empty(), "{}", record["id"]);
        ids.extend(calls.iter().map(|call| call["id"].as_str().unwrap().to_owned()));
    }
    assert_eq!((wholes, streams), (7, 2));
    let different: std::collections::BTreeSet<&String> = ids.iter().collect();
    assert_eq!(
        different.len(),
        ids.len(),
        "an upstream that counts from 0 gives no id twice: {ids:?}"
    );
}
