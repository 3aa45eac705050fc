//! Streams with an upstream that the test itself controls, byte by byte: data is passed on at once, no data
//! is fetched ahead of the reader, and a long answer needs no more memory than a short one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use emulator::frames::event;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;

use super::rig::{PATIENCE, Rig};

const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/vnd.amazon.eventstream\r\n\
                    x-amzn-requestid: played\r\nconnection: close\r\n\r\n";

fn request() -> Value {
    json!({ "model": "us.amazon.nova-lite-v1:0", "stream": true,
            "messages": [{ "role": "user", "content": "x" }] })
}

fn delta(text: &str) -> Vec<u8> {
    let payload = json!({ "contentBlockIndex": 0, "delta": { "text": text }, "p": "abc" });
    event("contentBlockDelta", payload.to_string().as_bytes()).to_vec()
}

pub(crate) fn start() -> Vec<u8> {
    event("messageStart", br#"{"role":"assistant"}"#).to_vec()
}

fn end() -> Vec<u8> {
    let usage = br#"{"usage":{"inputTokens":1,"outputTokens":2,"totalTokens":3}}"#;
    [
        event("contentBlockStop", br#"{"contentBlockIndex":0}"#),
        event("messageStop", br#"{"stopReason":"end_turn"}"#),
        event("metadata", usage),
    ]
    .concat()
}

/// An upstream that waits for its call, and a gateway in front of it.
pub(crate) async fn listen(yaml: &str) -> (TcpListener, Rig) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let rig = Rig::before_url(&format!("http://{}", listener.local_addr().unwrap()), yaml).await;
    (listener, rig)
}

/// Accepts the call, reads all of it, and begins to answer.
pub(crate) async fn take(listener: &TcpListener) -> TcpStream {
    let (mut socket, _) = timeout(PATIENCE, listener.accept()).await.unwrap().unwrap();
    socket.set_nodelay(true).unwrap();
    let (mut seen, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        let read = timeout(PATIENCE, socket.read(&mut piece)).await.unwrap().unwrap();
        assert_ne!(read, 0, "the gateway hung up before it had asked");
        seen.extend_from_slice(&piece[..read]);
        let text = String::from_utf8_lossy(&seen);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().unwrap())
        });
        if length.is_some_and(|length: usize| body.len() >= length) {
            break;
        }
    }
    socket.write_all(HEAD.as_bytes()).await.unwrap();
    socket
}

pub(crate) async fn more(body: &mut Incoming) -> String {
    let frame = timeout(PATIENCE, body.frame()).await.expect("a frame in time");
    let data = frame.expect("more of the stream").unwrap().into_data().unwrap();
    String::from_utf8(data.to_vec()).unwrap()
}

#[actix_rt::test]
async fn each_delta_is_with_the_client_before_the_next_is_sent() {
    let (listener, rig) = listen("").await;
    let asked = request();
    let (mut upstream, (status, headers, mut body)) = tokio::join!(
        async {
            let mut upstream = take(&listener).await;
            upstream.write_all(&start()).await.unwrap();
            upstream
        },
        rig.chat_open(&asked)
    );
    assert_eq!((status, headers["x-amzn-requestid"].to_str().unwrap()), (200, "played"));
    let mut text = String::new();
    for number in 0..40 {
        let word = format!("word {number};");
        upstream.write_all(&delta(&word)).await.unwrap();
        // The upstream sends no more until this has arrived.
        while !text.contains(&word) {
            text.push_str(&more(&mut body).await);
        }
        let events = text.matches("data: ").count();
        assert!(events > number && text.ends_with("\n\n"), "whole events, one for each delta");
    }
    // The end does not wait for the upstream to close either.
    upstream.write_all(&end()).await.unwrap();
    while !text.ends_with("data: [DONE]\n\n") {
        text.push_str(&more(&mut body).await);
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn several_choices_end_although_their_connections_linger() {
    let (listener, rig) = listen("").await;
    let mut asked = request();
    asked["n"] = json!(2);
    let (mut upstreams, (status, _, mut body)) = tokio::join!(
        async {
            let mut upstreams = Vec::new();
            for _ in 0..2 {
                let mut upstream = take(&listener).await;
                upstream.write_all(&start()).await.unwrap();
                upstreams.push(upstream);
            }
            upstreams
        },
        rig.chat_open(&asked)
    );
    assert_eq!(status, 200);
    for upstream in &mut upstreams {
        upstream.write_all(&delta("said")).await.unwrap();
        upstream.write_all(&end()).await.unwrap();
    }
    let mut text = String::new();
    while !text.ends_with("data: [DONE]\n\n") {
        text.push_str(&more(&mut body).await);
    }
    assert_eq!((text.matches("said").count(), text.matches("error").count()), (2, 0), "{text}");
    // The upstreams stayed open to the end.
    drop(upstreams);
    rig.stop().await;
}

/// Most bytes in two pairs of sockets, with buffers as large as Linux lets them grow.
const SOCKETS: u64 = 24 * 1024 * 1024;

#[actix_rt::test]
async fn the_upstream_is_not_read_ahead_of_the_client() {
    const DELTAS: u64 = 1000;
    let (listener, rig) = listen("").await;
    let word = "granite ".repeat(8 * 1024);
    let frame = delta(&word);
    let length = frame.len() as u64;
    assert!(DELTAS * length > 2 * SOCKETS, "too little to tell");
    let sent = Arc::new(AtomicU64::new(0));
    let upstream = actix_rt::spawn({
        let sent = Arc::clone(&sent);
        async move {
            let mut socket = take(&listener).await;
            socket.write_all(&start()).await.unwrap();
            for _ in 0..DELTAS {
                socket.write_all(&frame).await.unwrap();
                sent.fetch_add(length, Ordering::SeqCst);
            }
            socket.write_all(&end()).await.unwrap();
        }
    });
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(64 * 1024).unwrap();
    let mut client = socket.connect(rig.address).await.unwrap();
    let asked = request().to_string();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        asked.len()
    );
    client.write_all(format!("{head}{asked}").as_bytes()).await.unwrap();
    // The client does not read until the upstream stops making progress.
    let mut before = u64::MAX;
    let deadline = std::time::Instant::now() + PATIENCE;
    while before != sent.load(Ordering::SeqCst) || before == 0 {
        assert!(std::time::Instant::now() < deadline, "it goes on and on: {before}");
        before = sent.load(Ordering::SeqCst);
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    }
    // Then it reads, and the upstream is never further ahead than the socket buffers allow.
    let (mut read, mut tail, mut piece) = (0_u64, Vec::new(), vec![0; 256 * 1024]);
    loop {
        let ahead = sent.load(Ordering::SeqCst).saturating_sub(read);
        assert!(ahead <= SOCKETS, "{ahead} bytes were fetched and not delivered");
        let got = timeout(PATIENCE, client.read(&mut piece)).await.unwrap().unwrap();
        if got == 0 {
            break;
        }
        read += got as u64;
        tail.extend_from_slice(&piece[..got]);
        tail.drain(..tail.len().saturating_sub(64));
    }
    assert!(String::from_utf8_lossy(&tail).contains("data: [DONE]\n\n"), "all of it came");
    assert!(read > DELTAS * word.len() as u64);
    upstream.await.unwrap();
    println!("sent before the client read anything: {before} bytes");
    rig.stop().await;
}

/// Resident memory of this process, in KiB.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

#[actix_rt::test]
async fn a_hundred_thousand_deltas_leave_memory_flat() {
    const DELTAS: usize = 100_000;
    /// Baseline of the measurement, when all buffers have reached their size.
    const WARM: usize = 10_000;
    let (listener, rig) = listen("").await;
    let upstream = actix_rt::spawn(async move {
        let mut socket = take(&listener).await;
        socket.write_all(&start()).await.unwrap();
        let hundred = delta("stone ").repeat(100);
        for _ in 0..DELTAS / 100 {
            socket.write_all(&hundred).await.unwrap();
        }
        socket.write_all(&end()).await.unwrap();
    });
    let (status, _, mut body) = rig.chat_open(&request()).await;
    assert_eq!(status, 200);
    let (mut deltas, mut tail, mut warm) = (0, String::new(), None);
    while let Some(frame) = timeout(PATIENCE, body.frame()).await.expect("a frame in time") {
        let data = frame.unwrap().into_data().unwrap();
        let text = std::str::from_utf8(&data).unwrap();
        tail.push_str(text);
        deltas += tail.matches("stone ").count();
        // A frame may end within a word. Complete words are counted; the rest waits.
        let counted = tail.rfind("stone ").map_or(0, |at| at + "stone ".len());
        tail.drain(..counted);
        if deltas >= WARM && warm.is_none() {
            warm = resident();
        }
    }
    assert!(tail.ends_with("data: [DONE]\n\n"), "{tail}");
    assert_eq!(deltas, DELTAS, "a chunk for each");
    upstream.await.unwrap();
    match (warm, resident()) {
        (Some(warm), Some(after)) => {
            println!("resident: {warm} KiB after {WARM} deltas, {after} KiB after {DELTAS}");
            assert!(after < warm + 8 * 1024, "{warm} KiB became {after} KiB");
        }
        _ => println!("NOTE: memory NOT measured: there is no /proc/self/status"),
    }
    rig.stop().await;
}
