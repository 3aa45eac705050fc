//! Time for which one request blocks a worker's other requests: the largest requests are sent one by one,
//! while another client of the same worker polls `/livez`. `cargo nextest run --release -p outcrop --test
//! gateway held -- --no-capture` prints the times of a release build.

use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Method;

use super::cpu_time::Stopwatch;
use super::rig::{Received, Rig};
use super::shapes::SHAPES;

/// Bytes of each request: the maximum accepted, or fewer for a build without optimisations.
const BYTES: usize = if cfg!(debug_assertions) { 1_500_000 } else { 24_500_000 };
/// Longest time that the worker may work on before it answers another client.
const LIMIT: Duration =
    if cfg!(debug_assertions) { Duration::from_secs(1) } else { Duration::from_millis(250) };

const ANSWER: &str = r#"{"output":{"message":{"role":"assistant","content":[{"text":"ok"}]}},"stopReason":"end_turn","usage":{"inputTokens":1,"outputTokens":1,"totalTokens":2},"metrics":{"latencyMs":1}}"#;

/// A server that answers every call with the same short text. It has its own threads: reading a call does
/// not delay the measurement.
fn upstream() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::spawn(move || serve(stream.unwrap()));
        }
    });
    address
}

fn serve(mut stream: TcpStream) {
    let mut reader = BufReader::with_capacity(1 << 20, stream.try_clone().unwrap());
    while let Some(length) = head(&mut reader) {
        if std::io::copy(&mut (&mut reader).take(length), &mut std::io::sink()).is_err() {
            return;
        }
        let (head, length) = ("HTTP/1.1 200 OK\r\ncontent-type: application/json", ANSWER.len());
        if write!(stream, "{head}\r\ncontent-length: {length}\r\n\r\n{ANSWER}").is_err() {
            return;
        }
    }
}

/// The length of the body after a head.
fn head(reader: &mut impl BufRead) -> Option<u64> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        let line = line.trim().to_ascii_lowercase();
        if line.is_empty() {
            return Some(length);
        }
        if let Some(said) = line.strip_prefix("content-length:") {
            length = said.trim().parse().ok()?;
        }
    }
}

/// The most CPU time that workers used while `/livez` waited for its response, until `stop` is set. Unlike
/// the response time it leaves out what else the machine does.
fn heartbeat(gateway: SocketAddr, stop: &AtomicBool) -> Duration {
    let mut stream = TcpStream::connect(gateway).unwrap();
    stream.set_nodelay(true).unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut longest = Duration::ZERO;
    while !stop.load(Ordering::Relaxed) {
        let asked = Stopwatch::of_workers();
        stream.write_all(b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
        let length = head(&mut reader).unwrap();
        std::io::copy(&mut (&mut reader).take(length), &mut std::io::sink()).unwrap();
        longest = longest.max(asked.elapsed());
        thread::sleep(Duration::from_millis(2));
    }
    longest
}

/// One request of the test.
struct Asked {
    name: &'static str,
    path: &'static str,
    headers: &'static [(&'static str, &'static str)],
    body: String,
}

impl Asked {
    fn chat(name: &'static str, body: String) -> Self {
        Self { name, path: "/v1/chat/completions", headers: &[], body }
    }
}

/// Sends one request; returns its response, its duration, and the longest work that others waited for meanwhile.
async fn held(rig: &Rig, asked: Asked) -> (Received, Duration, Duration) {
    let stop = Arc::new(AtomicBool::new(false));
    let (gateway, told) = (rig.address, Arc::clone(&stop));
    let beating = thread::spawn(move || heartbeat(gateway, &told));
    let started = Instant::now();
    let Asked { name: _, path, headers, body } = asked;
    let received = rig.send_with(headers, Method::POST, path, Bytes::from(body)).await;
    let took = started.elapsed();
    stop.store(true, Ordering::Relaxed);
    (received, took, beating.join().unwrap())
}

#[actix_rt::test]
async fn the_largest_requests_do_not_block_a_worker() {
    let rig = Rig::before_url(&format!("http://{}", upstream()), "").await;
    let text = SHAPES.iter().find(|shape| shape.name == "text parts").unwrap();
    let tokens = vec!["15339"; BYTES / 6].join(",");
    let name = "-b".repeat(BYTES / 2);
    let blocks = vec![r#"{"text":"a \u0073\u0033 location"}"#; BYTES / 36].join(",");
    let mut all: Vec<Asked> =
        SHAPES.iter().map(|shape| Asked::chat(shape.name, (shape.of)(BYTES))).collect();
    all.extend([
        Asked {
            headers: &[("x-outcrop-dry-run", "true")],
            ..Asked::chat("dry run", (text.of)(BYTES))
        },
        Asked {
            path: "/v1/chat/completions/input_tokens",
            ..Asked::chat("count", (text.of)(BYTES))
        },
        Asked {
            path: "/v1/embeddings",
            ..Asked::chat(
                "embeddings of tokens",
                format!(r#"{{"model":"amazon.titan-embed-text-v2:0","input":[{tokens}]}}"#),
            )
        },
        Asked {
            path: "/v1/moderations",
            ..Asked::chat("moderations", format!(r#"{{"input":"{}"}}"#, "word ".repeat(BYTES / 5)))
        },
        Asked::chat(
            "a model's name",
            format!(r#"{{"model":"bedrock/aa{name}-1/x","messages":[]}}"#),
        ),
        Asked::chat(
            "a tool's name",
            format!(
                r#"{{"model":"nova-lite","messages":[{{"role":"user","content":"x"}}],"tools":[{{"type":"function","function":{{"name":"f"}}}}],"tool_choice":{{"type":"function","function":{{"name":"f{name}"}}}}}}"#
            ),
        ),
        Asked {
            path: "/bedrock/model/amazon.nova-lite-v1:0/converse",
            ..Asked::chat(
                "native",
                format!(r#"{{"messages":[{{"role":"user","content":[{blocks}]}}]}}"#),
            )
        },
    ]);
    for asked in all {
        let (name, length) = (asked.name, asked.body.len());
        let (received, took, longest) = held(&rig, asked).await;
        let status = received.status;
        println!(
            "{name}: {length} bytes, {status} after {took:?}, others waited for {longest:?} of work"
        );
        // The upstream has a single answer, which does not fit every request.
        assert!(matches!(status, 200 | 400 | 502), "{name}: {status}");
        if name.ends_with("name") {
            let told = received.json();
            let message = told["error"]["message"].as_str().unwrap();
            assert!(status == 400 && received.body.len() < 2_048, "{name}: {message}");
        }
        assert!(longest < LIMIT, "{name} held the worker for {longest:?}");
    }
    rig.stop().await;
}
