//! Repeats one translation, for a counter of instructions: `instructions CASE TIMES`. Without arguments it prints the
//! cases.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, missing_docs)]

use std::hint::black_box;

use bytes::BytesMut;
use schema::converse::event::StreamEvent;
use schema::converse::response::ConverseResponse;
use schema::openai::chat::ChatRequest;
use translate::Profile;
use translate::answer_stream::AnswerStream;
use translate::chat::{ChatStream, answer, question};
use translate::profile::CachePoints;

mod workloads;

use workloads::{PAYLOAD, long_conversation, picture, reply, response, stamp, ten_messages};

const CASES: [&str; 5] = ["request", "long-request", "image-request", "response", "event"];

fn translated(body: &str, profile: &Profile, times: usize) {
    for _ in 0..times {
        let request: ChatRequest<'_> = serde_json::from_slice(black_box(body.as_bytes())).unwrap();
        let question = question(&request, profile).unwrap();
        black_box(serde_json::to_vec(&question.body).unwrap());
    }
}

fn answers(times: usize) {
    let (body, reply) = (response(), reply(&ten_messages()));
    for _ in 0..times {
        let response: ConverseResponse<'_> =
            serde_json::from_slice(black_box(body.as_bytes())).unwrap();
        black_box(serde_json::to_vec(&answer(&response, &reply, stamp())).unwrap());
    }
}

fn events(times: usize) {
    let mut chat = ChatStream::new(reply(&ten_messages()), stamp());
    let mut out = BytesMut::with_capacity(4096);
    for _ in 0..times {
        out.clear();
        let event = StreamEvent::parse("contentBlockDelta", black_box(PAYLOAD)).unwrap();
        chat.push(&event, &mut out).unwrap();
        black_box(out.len());
    }
}

fn main() {
    // Cargo adds an argument of its own to benchmarks.
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let Some(case) = arguments.next() else { return println!("{}", CASES.join(" ")) };
    let times = arguments.next().and_then(|times| times.parse().ok()).unwrap_or(1);
    let plain = Profile::default();
    let cached = Profile { cache_points: CachePoints::Everywhere, ..Profile::default() };
    match case.as_str() {
        "request" => translated(&ten_messages(), &plain, times),
        "long-request" => translated(&long_conversation(), &cached, times),
        "image-request" => translated(&picture(), &plain, times),
        "response" => answers(times),
        "event" => events(times),
        other => panic!("no case {other}"),
    }
}
