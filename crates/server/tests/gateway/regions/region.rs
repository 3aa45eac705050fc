//! A Bedrock region made of raw bytes, whose behaviour a test changes while it runs, and clients of a
//! gateway with several such regions.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use emulator::frames;
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};

use crate::recorder::{Recorder, Seen, Step, answer, chunk, json as whole, stream_head};
use crate::rig::{PATIENCE, Received, Rig};

/// Behaviour of a region.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mood {
    Well,
    /// Successful, but late.
    Slow(Duration),
    /// Status, exception and message; seconds of Retry-After.
    Refusing(u16, &'static str, &'static str, Option<&'static str>),
    /// An error page that is not from Bedrock.
    Page(u16),
    /// An error of Bedrock whose body breaks off.
    CutRefusal(u16, &'static str),
    /// Reads the request and disconnects.
    HangingUp,
    /// Reads the request and stays silent.
    Silent,
    /// A stream that stalls after this many events.
    Hanging(usize),
    /// A stream that breaks in this way after this many events; a unary response ends half-way.
    Broken(usize, Break),
    /// Answers, and resets the connection when it is used again.
    Stale,
    /// An answer blocked by a guardrail.
    Guarded,
}

/// Break of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Break {
    Cut,
    /// The chunked body ends, but not the stream in it.
    End,
    Exception(&'static str),
    /// The same, followed by the proper end of the body.
    Told(&'static str),
    ErrorFrame,
    Corrupt,
    Oversized,
    HalfFrame,
}

pub(super) const THROTTLING: Mood = Mood::Refusing(
    429,
    "ThrottlingException",
    "Too many requests, please wait before trying again.",
    None,
);
pub(super) const FAILING: Mood =
    Mood::Refusing(500, "InternalServerException", "An unexpected error occurred.", None);

pub(super) struct Region {
    /// Region name, such as us-east-1.
    pub(super) name: &'static str,
    recorder: Recorder,
    mood: Arc<Mutex<Mood>>,
    /// Requests until the last `take`.
    counted: Mutex<usize>,
}

impl Region {
    pub(super) async fn start(name: &'static str) -> Self {
        let mood = Arc::new(Mutex::new(Mood::Well));
        let recorder = Recorder::start({
            let mood = Arc::clone(&mood);
            move |_, seen| steps(*mood.lock().unwrap(), seen)
        })
        .await;
        Self { name, recorder, mood, counted: Mutex::new(0) }
    }

    pub(super) fn is(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    /// Requests since the last call of this method.
    pub(super) fn take(&self) -> usize {
        let all = self.recorder.count();
        all - std::mem::replace(&mut *self.counted.lock().unwrap(), all)
    }

    /// Requests since the last `take`, without resetting the count.
    pub(super) fn reached_so_far(&self) -> usize {
        self.recorder.count() - *self.counted.lock().unwrap()
    }

    /// Waits until this many requests have arrived since the last `take`.
    pub(super) async fn reached(&self, count: usize) {
        let before = *self.counted.lock().unwrap();
        self.recorder.requests(before + count).await;
    }

    /// Waits until this many clients in total have disconnected during an answer.
    pub(super) async fn left(&self, count: usize) {
        self.recorder.departures(count).await;
    }

    /// Connections that were closed when they were used again.
    pub(super) fn closed_unread(&self) -> usize {
        self.recorder.closed_unread()
    }

    pub(super) fn url(&self) -> &str {
        &self.recorder.url
    }

    /// This region as a target in YAML.
    pub(super) fn target(&self) -> String {
        target(self.name, self.url())
    }

    /// The same with further keys.
    pub(super) fn target_with(&self, more: &str) -> String {
        self.target().replacen('{', &format!("{{ {more},"), 1)
    }
}

pub(super) fn target(region: &str, url: &str) -> String {
    format!(
        "{{ model: amazon.nova-lite-v1:0, region: {region}, endpoint_url: '{url}', access_key_id: AKID, secret_access_key: secret }}"
    )
}

/// Three regions, as most tests need.
pub(super) async fn three() -> [Region; 3] {
    [
        Region::start("us-east-1").await,
        Region::start("us-east-2").await,
        Region::start("us-west-2").await,
    ]
}

/// A gateway whose name `all` has these targets, with further keys of the name in YAML.
pub(super) async fn before(targets: &[String], keys: &str) -> Rig {
    Rig::start(&format!("models:\n{}", group("all", targets, keys))).await
}

/// The same with this many workers, which share the health of the targets.
pub(super) async fn before_with(workers: usize, targets: &[String], keys: &str) -> Rig {
    Rig::start_with(workers, &format!("models:\n{}", group("all", targets, keys))).await
}

/// Worker counts for tests that must pass with any.
pub(super) const WORKERS: [usize; 2] = [1, 4];

/// One name of `models:`.
pub(super) fn group(name: &str, targets: &[String], keys: &str) -> String {
    let comma = if keys.is_empty() { "" } else { ", " };
    format!("  {name}: {{ targets: [{}]{comma}{keys} }}\n", targets.join(", "))
}

pub(super) fn targets(regions: &[Region]) -> Vec<String> {
    regions.iter().map(Region::target).collect()
}

/// Resets the request counts.
pub(super) fn forget(regions: &[Region]) {
    for region in regions {
        region.take();
    }
}

/// A question with a unique number.
pub(super) fn question(name: &str, number: usize) -> Value {
    json!({ "model": name, "messages": [{ "role": "user", "content": format!("{number}?") }] })
}

/// Sends `count` questions, `at_once` at a time.
pub(super) async fn ask_many(rig: &Rig, name: &str, count: usize, at_once: usize) -> Vec<Received> {
    stream::iter(0..count)
        .map(|number| async move { rig.chat(&question(name, number)).await })
        .buffer_unordered(at_once)
        .collect()
        .await
}

pub(super) async fn ask_one(rig: &Rig, name: &str) -> Received {
    rig.chat(&question(name, 0)).await
}

/// Number of answers by status.
pub(super) fn statuses(answers: &[Received]) -> BTreeMap<u16, usize> {
    let mut counts = BTreeMap::new();
    for answer in answers {
        *counts.entry(answer.status).or_default() += 1;
    }
    counts
}

/// Asks until an answer is as wanted.
pub(super) async fn ask_until(rig: &Rig, name: &str, wanted: impl Fn(&Received) -> bool) {
    let start = Instant::now();
    while !wanted(&ask_one(rig, name).await) {
        assert!(start.elapsed() < PATIENCE, "never answered as wanted");
    }
}

pub(super) fn region_of(answer: &Received) -> &str {
    answer.header("x-outcrop-region").unwrap_or_else(|| panic!("{:?}", answer.headers))
}

pub(super) fn attempts(answer: &Received) -> usize {
    answer.header("x-outcrop-attempts").unwrap().parse().unwrap()
}

fn steps(mood: Mood, seen: &Seen) -> Vec<Step> {
    let is_stream = seen.target.ends_with("-stream");
    let well = || {
        vec![Step::Send(match () {
            () if is_stream => stream(&events()),
            () if seen.target.ends_with("/count-tokens") => whole(r#"{"inputTokens":7}"#),
            () => whole(&text("end_turn")),
        })]
    };
    match mood {
        Mood::Well => well(),
        Mood::Slow(late) => std::iter::once(Step::Pause(late)).chain(well()).collect(),
        Mood::Refusing(status, exception, message, retry_after) => {
            vec![Step::Send(refusing(status, exception, message, retry_after))]
        }
        Mood::Page(status) => {
            let kind = ("content-type", "text/html");
            vec![Step::Send(answer(&format!("{status} No"), &[kind], b"<html>No.</html>"))]
        }
        Mood::CutRefusal(status, exception) => {
            let bytes = refusing(status, exception, "No.", None);
            vec![Step::Send(bytes[..bytes.len() - 5].to_vec()), Step::Close]
        }
        Mood::HangingUp => vec![Step::Close],
        Mood::Silent => vec![Step::Stall],
        Mood::Hanging(after) => {
            let chunks = events()[..after].iter().flat_map(|event| chunk(event)).collect();
            vec![Step::Send([stream_head(), chunks].concat()), Step::Stall]
        }
        Mood::Broken(after, how) if is_stream => broken(after, how),
        Mood::Broken(..) => {
            let bytes = whole(&text("end_turn"));
            vec![Step::Send(bytes[..bytes.len() - 10].to_vec()), Step::Close]
        }
        Mood::Stale => well().into_iter().chain([Step::CloseOnNextRequest]).collect(),
        Mood::Guarded => vec![Step::Send(whole(&text("guardrail_intervened")))],
    }
}

fn refusing(status: u16, exception: &str, message: &str, retry_after: Option<&str>) -> Vec<u8> {
    let mut headers = vec![("content-type", "application/json"), ("x-amzn-errortype", exception)];
    headers.extend(retry_after.map(|seconds| ("retry-after", seconds)));
    answer(&format!("{status} No"), &headers, json!({ "message": message }).to_string().as_bytes())
}

fn text(stop: &str) -> String {
    json!({
        "output": { "message": { "role": "assistant", "content": [{ "text": "Granite" }] } },
        "stopReason": stop,
        "usage": { "inputTokens": 5, "outputTokens": 2, "totalTokens": 7 },
        "metrics": { "latencyMs": 1 },
    })
    .to_string()
}

fn events() -> Vec<Vec<u8>> {
    let delta = |text: &str| json!({ "contentBlockIndex": 0, "delta": { "text": text } });
    [
        ("messageStart", json!({ "role": "assistant" })),
        ("contentBlockDelta", delta("Gra")),
        ("contentBlockDelta", delta("nite")),
        ("contentBlockStop", json!({ "contentBlockIndex": 0 })),
        ("messageStop", json!({ "stopReason": "end_turn" })),
        (
            "metadata",
            json!({ "usage": { "inputTokens": 5, "outputTokens": 2, "totalTokens": 7 }, "metrics": { "latencyMs": 1 } }),
        ),
    ]
    .iter()
    .map(|(name, payload)| frames::event(name, payload.to_string().as_bytes()).to_vec())
    .collect()
}

fn stream(events: &[Vec<u8>]) -> Vec<u8> {
    let chunks = events.iter().flat_map(|event| chunk(event)).collect();
    [stream_head(), chunks, chunk(b"")].concat()
}

fn broken(after: usize, how: Break) -> Vec<Step> {
    let events = events();
    let next = bytes::Bytes::from(events[after].clone());
    let chunks: Vec<u8> = events[..after].iter().flat_map(|event| chunk(event)).collect();
    let last = match how {
        Break::Cut => Vec::new(),
        Break::End => chunk(b""),
        Break::Exception(name) => chunk(&frames::exception(name, "No.")),
        Break::Told(name) => [chunk(&frames::exception(name, "No.")), chunk(b"")].concat(),
        Break::ErrorFrame => chunk(&frames::error("InternalFailure", "No.")),
        Break::Corrupt => chunk(&frames::corrupted(&next)),
        Break::Oversized => chunk(&frames::oversized(&next)),
        Break::HalfFrame => chunk(&next[..next.len() / 2]),
    };
    vec![Step::Send([stream_head(), chunks, last].concat()), Step::Close]
}

/// A server that accepts no connections: its queue is full and is never emptied.
pub(super) struct BlackHole {
    pub(super) url: String,
    /// The listener and the connections in its queue.
    _held: (tokio::net::TcpListener, Vec<tokio::net::TcpStream>),
}

impl BlackHole {
    pub(super) async fn open() -> Self {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let mut waiting = Vec::new();
        let connect = || {
            let connecting = tokio::net::TcpStream::connect(address);
            tokio::time::timeout(Duration::from_millis(300), connecting)
        };
        // Until a connection is no longer accepted.
        while let Ok(stream) = connect().await {
            waiting.push(stream.unwrap());
        }
        Self { url: format!("http://{address}"), _held: (listener, waiting) }
    }
}

/// An address without a listener.
pub(super) fn nobody() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}
