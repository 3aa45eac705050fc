//! A region of Bedrock made of raw bytes, whose mood a test changes while it runs, and clients that call a
//! gateway before several of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use emulator::frames;
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};

use crate::recorder::{Recorder, Seen, Step, answer, chunk, json as whole, stream_head};
use crate::rig::{PATIENCE, Received, Rig};

/// How a region answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mood {
    Well,
    /// Well, but late.
    Slow(Duration),
    /// Status, exception and message; seconds of Retry-After.
    Refusing(u16, &'static str, &'static str, Option<&'static str>),
    /// With a page that is no error of Bedrock's.
    Page(u16),
    /// With an error of Bedrock's whose body breaks off.
    CutRefusal(u16, &'static str),
    /// Reads the question and hangs up.
    HangingUp,
    /// Reads the question and says nothing.
    Silent,
    /// A stream that says nothing more after this many events.
    Hanging(usize),
    /// A stream that ends so after this many events; a whole answer ends half-way.
    Broken(usize, Break),
    /// Answers, and resets the connection when it is used again.
    Stale,
    /// What a guardrail leaves of an answer.
    Guarded,
}

/// How a stream breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Break {
    Cut,
    /// Its chunked body ends, the stream in it does not.
    End,
    Exception(&'static str),
    /// The same, and then the proper end of the body.
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
    /// Such as us-east-1.
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

    /// Requests since the last time somebody asked.
    pub(super) fn take(&self) -> usize {
        let all = self.recorder.count();
        all - std::mem::replace(&mut *self.counted.lock().unwrap(), all)
    }

    /// Requests since the last `take`, which go on being counted.
    pub(super) fn reached_so_far(&self) -> usize {
        self.recorder.count() - *self.counted.lock().unwrap()
    }

    /// Waits until that many requests have come since the last `take`.
    pub(super) async fn reached(&self, count: usize) {
        let before = *self.counted.lock().unwrap();
        self.recorder.requests(before + count).await;
    }

    /// Waits until that many clients in all have hung up on an answer.
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

    /// Which target this is for the gateway, as YAML.
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

/// Three regions, which most tests need.
pub(super) async fn three() -> [Region; 3] {
    [
        Region::start("us-east-1").await,
        Region::start("us-east-2").await,
        Region::start("us-west-2").await,
    ]
}

/// A gateway whose name `all` stands for these targets, with further keys of the name in YAML.
pub(super) async fn before(targets: &[String], keys: &str) -> Rig {
    Rig::start(&format!("models:\n{}", group("all", targets, keys))).await
}

/// The same with so many workers, which share what they know of the targets.
pub(super) async fn before_with(workers: usize, targets: &[String], keys: &str) -> Rig {
    Rig::start_with(workers, &format!("models:\n{}", group("all", targets, keys))).await
}

/// How many workers gateways have where it should make no difference.
pub(super) const WORKERS: [usize; 2] = [1, 4];

/// One name of `models:`.
pub(super) fn group(name: &str, targets: &[String], keys: &str) -> String {
    let comma = if keys.is_empty() { "" } else { ", " };
    format!("  {name}: {{ targets: [{}]{comma}{keys} }}\n", targets.join(", "))
}

pub(super) fn targets(regions: &[Region]) -> Vec<String> {
    regions.iter().map(Region::target).collect()
}

/// Begins to count anew.
pub(super) fn forget(regions: &[Region]) {
    for region in regions {
        region.take();
    }
}

/// A question that is like no other.
pub(super) fn question(name: &str, number: usize) -> Value {
    json!({ "model": name, "messages": [{ "role": "user", "content": format!("{number}?") }] })
}

/// Asks so many questions, so many at a time.
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

/// How many answers had each status.
pub(super) fn statuses(answers: &[Received]) -> BTreeMap<u16, usize> {
    let mut counts = BTreeMap::new();
    for answer in answers {
        *counts.entry(answer.status).or_default() += 1;
    }
    counts
}

/// Asks until an answer is as wanted.
pub(super) async fn ask_until(
    rig: &Rig,
    name: &str,
    wanted: impl Fn(&Received) -> bool,
) -> Duration {
    let start = Instant::now();
    loop {
        if wanted(&ask_one(rig, name).await) {
            return start.elapsed();
        }
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

/// A server that lets nobody in: its queue is full, and it never empties it.
pub(super) struct BlackHole {
    pub(super) url: String,
    /// The listener and those that wait before it.
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
        // Until one is not let in any more.
        while let Ok(stream) = connect().await {
            waiting.push(stream.unwrap());
        }
        Self { url: format!("http://{address}"), _held: (listener, waiting) }
    }
}

/// An address that nobody listens at.
pub(super) fn nobody() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}
