//! Cost of one translation: `cargo bench -p translate`.
#![allow(clippy::unwrap_used, missing_docs)]

use std::hint::black_box;

use bytes::BytesMut;
use criterion::{Criterion, criterion_group, criterion_main};
use schema::converse::event::StreamEvent;
use schema::converse::response::ConverseResponse;
use schema::openai::chat::ChatRequest;
use serde_json::{Value, json};

use translate::answer_stream::AnswerStream;
use translate::chat::{ChatStream, answer, question};
use translate::profile::CachePoints;
use translate::{Profile, Reply, Stamp};

#[path = "../tests/support/picture.rs"]
mod picture;

use picture::picture;

fn ten_messages() -> String {
    let paragraph = "The outcrop is where bedrock meets the surface. ".repeat(8);
    let mut messages = vec![json!({ "role": "system", "content": "Answer briefly." })];
    for turn in 0..3 {
        let (id, text) = (format!("call_{turn}"), format!("{paragraph}\nTurn {turn}"));
        messages.push(json!({ "role": "user", "content": text }));
        messages.push(json!({ "role": "assistant", "content": null, "tool_calls": [
            { "id": id, "type": "function", "function": { "name": "lookup", "arguments": "{\"q\": \"granite\"}" } }
        ] }));
        messages.push(json!({ "role": "tool", "tool_call_id": id, "content": paragraph }));
    }
    let schema =
        json!({ "type": "object", "properties": { "q": { "type": "string" } }, "required": ["q"] });
    let tool = json!({ "type": "function", "function": { "name": "lookup", "description": "Looks up", "parameters": schema } });
    json!({ "model": "m", "messages": messages, "tools": [tool], "temperature": 0.5, "max_tokens": 500 })
        .to_string()
}

/// An agent's conversation of about 100,000 tokens (400,000 bytes), without cache marks.
fn long_conversation() -> String {
    let mut request: Value = serde_json::from_str(&ten_messages()).unwrap();
    let result = "The outcrop is where bedrock meets the surface.\n".repeat(85);
    let messages = request["messages"].as_array_mut().unwrap();
    for turn in 0..100 {
        let id = format!("call_long_{turn}");
        messages.push(json!({ "role": "assistant", "content": null, "tool_calls": [
            { "id": id, "type": "function", "function": { "name": "lookup", "arguments": "{\"q\": \"granite\"}" } }
        ] }));
        messages.push(json!({ "role": "tool", "tool_call_id": id, "content": result }));
    }
    request.to_string()
}

fn stamp() -> Stamp {
    Stamp { id: "chatcmpl-0123456789abcdef".into(), created: 1_790_000_000, model: "m".into() }
}

fn reply(body: &str) -> Reply {
    let request: ChatRequest<'_> = serde_json::from_str(body).unwrap();
    question(&request, &Profile::default()).unwrap().reply
}

fn benches(c: &mut Criterion) {
    let body = ten_messages();
    c.bench_function("request of 10 messages, bytes to bytes", |b| {
        b.iter(|| {
            let request: ChatRequest<'_> =
                serde_json::from_slice(black_box(body.as_bytes())).unwrap();
            let question = question(&request, &Profile::default()).unwrap();
            serde_json::to_vec(&question.body).unwrap()
        });
    });

    let long = long_conversation();
    assert!(long.len() > 400_000);
    let cached = Profile { cache_points: CachePoints::Everywhere, ..Profile::default() };
    c.bench_function("request of 100,000 tokens with cache points, bytes to bytes", |b| {
        b.iter(|| {
            let request: ChatRequest<'_> =
                serde_json::from_slice(black_box(long.as_bytes())).unwrap();
            let question = question(&request, &cached).unwrap();
            serde_json::to_vec(&question.body).unwrap()
        });
    });

    let picture = picture();
    c.bench_function("request with an image of 1 MB, bytes to bytes", |b| {
        b.iter(|| {
            let request: ChatRequest<'_> =
                serde_json::from_slice(black_box(picture.as_bytes())).unwrap();
            let question = question(&request, &Profile::default()).unwrap();
            let mut sent = Vec::with_capacity(picture.len() + 4096);
            serde_json::to_writer(&mut sent, &question.body).unwrap();
            sent
        });
    });

    let text: Value = "Granite is an igneous rock. ".repeat(20).into();
    let response = json!({
        "metrics": { "latencyMs": 900 },
        "output": { "message": { "content": [{ "text": text }], "role": "assistant" } },
        "stopReason": "end_turn",
        "usage": { "inputTokens": 900, "outputTokens": 120, "totalTokens": 1020 },
    })
    .to_string();
    let reply = reply(&body);
    c.bench_function("response, bytes to bytes", |b| {
        b.iter(|| {
            let response: ConverseResponse<'_> =
                serde_json::from_slice(black_box(response.as_bytes())).unwrap();
            serde_json::to_vec(&answer(&response, &reply, stamp())).unwrap()
        });
    });

    let payload =
        br#"{"contentBlockIndex":0,"delta":{"text":" igneous"},"p":"abcdefghijklmnopqrstu"}"#;
    let mut chat = ChatStream::new(reply.clone(), stamp());
    let mut out = BytesMut::with_capacity(4096);
    c.bench_function("one stream event, payload to SSE", |b| {
        b.iter(|| {
            out.clear();
            let event = StreamEvent::parse("contentBlockDelta", black_box(payload)).unwrap();
            chat.push(&event, &mut out).unwrap();
            out.len()
        });
    });
}

criterion_group!(translation, benches);
criterion_main!(translation);
