//! Cost of one translation: `cargo bench -p translate`.
#![allow(clippy::unwrap_used, missing_docs)]

use std::hint::black_box;

use bytes::BytesMut;
use criterion::{Criterion, criterion_group, criterion_main};
use schema::converse::event::StreamEvent;
use schema::converse::response::ConverseResponse;
use schema::openai::chat::ChatRequest;

use translate::Profile;
use translate::answer_stream::AnswerStream;
use translate::chat::{ChatStream, answer, question};
use translate::profile::CachePoints;

mod workloads;

use workloads::{PAYLOAD, long_conversation, picture, reply, response, stamp, ten_messages};

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

    let response = response();
    let reply = reply(&body);
    c.bench_function("response, bytes to bytes", |b| {
        b.iter(|| {
            let response: ConverseResponse<'_> =
                serde_json::from_slice(black_box(response.as_bytes())).unwrap();
            serde_json::to_vec(&answer(&response, &reply, stamp())).unwrap()
        });
    });

    let mut chat = ChatStream::new(reply.clone(), stamp());
    let mut out = BytesMut::with_capacity(4096);
    c.bench_function("one stream event, payload to SSE", |b| {
        b.iter(|| {
            out.clear();
            let event = StreamEvent::parse("contentBlockDelta", black_box(PAYLOAD)).unwrap();
            chat.push(&event, &mut out).unwrap();
            out.len()
        });
    });
}

criterion_group!(translation, benches);
criterion_main!(translation);
