//! Streams, folded from their pieces as clients do. A stream that fails has no end besides its error.

use serde_json::{Value, json};

use super::super::rig::Received;
use super::super::{messages, responses};
use super::{
    End, Told, end_of_response, list, of_message, of_response, parsed, text, usage_of_chat,
};

/// Chunks, and the error that ends a stream of chunks; `[DONE]` follows only a good end.
fn chunks(received: &Received) -> (Vec<Value>, Option<String>) {
    let (mut chunks, done) = received.events();
    let failed = chunks.last().filter(|last| last["error"].is_object());
    let failed = failed.map(|last| {
        assert!(!text(&last["error"]["message"]).is_empty(), "{last}");
        text(&last["error"]["code"]).to_owned()
    });
    assert_eq!(done, failed.is_none(), "{chunks:?}");
    if failed.is_some() {
        chunks.pop();
        let ends = |chunk: &Value| {
            list(&chunk["choices"]).any(|choice| !choice["finish_reason"].is_null())
        };
        assert!(!chunks.iter().any(ends), "a reason to finish before the error: {chunks:?}");
    }
    (chunks, failed)
}

/// The end of a stream of chunks; a good one has exactly one reason.
fn end_of_chunks(chunks: &[Value], failed: Option<String>) -> End {
    if let Some(code) = failed {
        return End::Failed(code);
    }
    let choices = chunks.iter().flat_map(|chunk| list(&chunk["choices"]));
    let reasons: Vec<&str> =
        choices.filter_map(|choice| choice["finish_reason"].as_str()).collect();
    let [reason] = reasons[..] else { panic!("{reasons:?}") };
    End::Good(reason.to_owned())
}

pub(super) fn chat(received: &Received) -> Told {
    let (chunks, failed) = chunks(received);
    let mut told = Told::default();
    let mut calls: Vec<(String, String, String)> = Vec::new();
    for chunk in &chunks {
        let delta = &chunk["choices"][0]["delta"];
        told.text += text(&delta["content"]);
        told.reasoning += text(&delta["reasoning_content"]);
        for call in list(&delta["tool_calls"]) {
            let index = usize::try_from(call["index"].as_u64().unwrap()).unwrap();
            calls.resize(calls.len().max(index + 1), Default::default());
            calls[index].0 += text(&call["id"]);
            calls[index].1 += text(&call["function"]["name"]);
            calls[index].2 += text(&call["function"]["arguments"]);
        }
        if chunk["usage"].is_object() {
            told.usage = usage_of_chat(&chunk["usage"]);
        }
    }
    told.end = end_of_chunks(&chunks, failed);
    // The arguments of a call in a stream that failed may be cut.
    if matches!(told.end, End::Good(_)) {
        let calls = calls.into_iter();
        told.calls = calls.map(|(id, name, said)| (id, name, parsed(&said))).collect();
    }
    told
}

pub(super) fn completions(received: &Received) -> Told {
    let (chunks, failed) = chunks(received);
    let mut told = Told::default();
    for chunk in &chunks {
        list(&chunk["choices"]).for_each(|choice| told.text += text(&choice["text"]));
        if chunk["usage"].is_object() {
            told.usage = usage_of_chat(&chunk["usage"]);
        }
    }
    told.end = end_of_chunks(&chunks, failed);
    told
}

/// The pieces of a responses stream. A good end repeats them as a whole, which must be the same.
pub(super) fn responses(received: &Received) -> Told {
    let events = responses::events(received);
    let mut told = Told::default();
    let mut arguments: Vec<String> = Vec::new();
    for (name, data) in &events {
        match name.as_str() {
            "response.output_text.delta" => told.text += text(&data["delta"]),
            "response.reasoning_summary_text.delta" => told.reasoning += text(&data["delta"]),
            "response.output_item.added" if data["item"]["type"] == "function_call" => {
                let item = &data["item"];
                told.calls.push((
                    text(&item["call_id"]).to_owned(),
                    text(&item["name"]).to_owned(),
                    Value::Null,
                ));
                arguments.push(String::new());
            }
            "response.function_call_arguments.delta" => {
                *arguments.last_mut().unwrap() += text(&data["delta"]);
            }
            _ => {}
        }
    }
    let ends = ["response.completed", "response.incomplete", "response.failed", "error"];
    let ends: Vec<&str> =
        events.iter().map(|(name, _)| name.as_str()).filter(|name| ends.contains(name)).collect();
    let (last, data) = events.last().unwrap();
    assert_eq!(ends, [last], "one end, and nothing after it");
    told.end = end_of_response(&data["response"]);
    let status = text(&data["response"]["status"]);
    assert_eq!(last.strip_prefix("response."), Some(status));
    if status == "failed" {
        assert!(!text(&data["response"]["error"]["message"]).is_empty(), "{data}");
        told.calls.clear();
        return told;
    }
    for (call, said) in told.calls.iter_mut().zip(arguments) {
        call.2 = parsed(&said);
    }
    let whole = of_response(&data["response"]);
    told.usage = whole.usage.clone();
    assert_eq!(told, whole, "the last event repeats the stream");
    told
}

pub(super) fn messages(received: &Received) -> Told {
    let events = messages::events(received);
    let last = events.last().unwrap();
    if last["type"] != "error" {
        return of_message(&messages::accumulated(&events));
    }
    assert!(!text(&last["error"]["message"]).is_empty(), "{last}");
    let mut told =
        Told { end: End::Failed(text(&last["error"]["type"]).to_owned()), ..Told::default() };
    for event in &events {
        let kind = &event["type"];
        assert!(
            *kind != "message_stop" && event["delta"]["stop_reason"].is_null(),
            "a good end before the error: {event}"
        );
        if *kind == json!("content_block_delta") {
            told.text += text(&event["delta"]["text"]);
            told.reasoning += text(&event["delta"]["thinking"]);
        }
    }
    told
}
