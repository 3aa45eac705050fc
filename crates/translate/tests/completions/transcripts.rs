//! The golden stream of the API, chunk for chunk, from what Bedrock says.

use bytes::BytesMut;
use schema::converse::event::StreamEvent;
use serde_json::{Value, json};
use translate::Stamp;
use translate::answer_stream::AnswerStream;
use translate::completions::Completions;
use translate::dialect::Dialect;

use crate::{golden, reply};

#[test]
fn golden_streams_are_met_chunk_for_chunk() {
    for (name, text) in golden::streams("completions_") {
        let wanted = golden::data(&text);
        let first = &wanted[0];
        let text_of = |member: &str| first[member].as_str().unwrap().to_owned();
        let created = u32::try_from(first["created"].as_u64().unwrap()).unwrap();
        let stamp = Stamp { id: text_of("id"), created, model: text_of("model") };
        let request = json!({ "model": "m", "prompt": "Granite is", "stream": true,
            "stream_options": { "include_usage": true } });
        let mut stream = Completions::stream(reply(&request), stamp, 0);
        let mut out = BytesMut::new();
        for (event, payload) in converse(&wanted) {
            let payload = payload.to_string();
            let event = StreamEvent::parse(event, payload.as_bytes()).unwrap();
            stream.push(&event, &mut out).unwrap();
        }
        stream.close(&mut out).unwrap();
        stream.finish(stream.spent(), &mut out).unwrap();
        let out = std::str::from_utf8(&out).unwrap();
        assert!(out.ends_with("data: [DONE]\n\n"), "{name}");
        assert_eq!(golden::data(out), wanted, "{name}");
    }
}

/// Bedrock's events for what a stream says.
fn converse(wanted: &[Value]) -> Vec<(&'static str, Value)> {
    let mut events = vec![("messageStart", json!({ "role": "assistant" }))];
    for chunk in wanted {
        let choice = &chunk["choices"][0];
        if let Some(text) = choice["text"].as_str().filter(|text| !text.is_empty()) {
            let piece = json!({ "contentBlockIndex": 0, "delta": { "text": text } });
            events.push(("contentBlockDelta", piece));
        }
        if choice["finish_reason"].is_string() {
            events.push(("contentBlockStop", json!({ "contentBlockIndex": 0 })));
            events.push(("messageStop", json!({ "stopReason": "end_turn" })));
        }
        if chunk["usage"].is_object() {
            let usage = &chunk["usage"];
            let usage = json!({ "inputTokens": usage["prompt_tokens"],
                "outputTokens": usage["completion_tokens"], "totalTokens": usage["total_tokens"] });
            events.push(("metadata", json!({ "usage": usage })));
        }
    }
    events
}
