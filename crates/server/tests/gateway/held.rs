//! How long one request keeps a worker from its others: the largest are sent one after the other, while another
//! client of the same worker asks for `/livez` all the time. `cargo nextest run --release -p outcrop --test
//! gateway held -- --no-capture` prints what a release takes.

use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Method;

use super::rig::Rig;
use super::shapes::SHAPES;

/// Bytes of each request: as many as are taken, or as few as a build without optimisations can bear.
const BYTES: usize = if cfg!(debug_assertions) { 1_500_000 } else { 24_500_000 };
/// The longest that another client may wait. Generous: tests share their processors with others.
const LIMIT: Duration =
    if cfg!(debug_assertions) { Duration::from_secs(1) } else { Duration::from_millis(250) };

const ANSWER: &str = r#"{"output":{"message":{"role":"assistant","content":[{"text":"ok"}]}},"stopReason":"end_turn","usage":{"inputTokens":1,"outputTokens":1,"totalTokens":2},"metrics":{"latencyMs":1}}"#;

/// A server that takes any call and answers it with the same few words. Its threads are its own: what it takes to
/// read a call holds up nothing that is measured.
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

/// The length of the body that follows a head.
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

/// The longest time that `/livez` took, until it is told to stop.
fn heartbeat(gateway: SocketAddr, stop: &AtomicBool) -> Duration {
    let mut stream = TcpStream::connect(gateway).unwrap();
    stream.set_nodelay(true).unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut longest = Duration::ZERO;
    while !stop.load(Ordering::Relaxed) {
        let asked = Instant::now();
        stream.write_all(b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
        let length = head(&mut reader).unwrap();
        std::io::copy(&mut (&mut reader).take(length), &mut std::io::sink()).unwrap();
        longest = longest.max(asked.elapsed());
        thread::sleep(Duration::from_millis(2));
    }
    longest
}

/// Sends one request, and says how it was answered, how long that took, and how long others waited.
async fn held(
    rig: &Rig,
    path: &str,
    headers: &[(&str, &str)],
    body: String,
) -> (u16, Duration, Duration) {
    let stop = Arc::new(AtomicBool::new(false));
    let (gateway, told) = (rig.address, Arc::clone(&stop));
    let beating = thread::spawn(move || heartbeat(gateway, &told));
    let started = Instant::now();
    let received = rig.send_with(headers, Method::POST, path, Bytes::from(body)).await;
    let took = started.elapsed();
    stop.store(true, Ordering::Relaxed);
    (received.status, took, beating.join().unwrap())
}

/// A request: its name, its path, its headers and its body.
type Asked<'a> = (String, &'a str, &'a [(&'a str, &'a str)], String);

#[actix_rt::test]
async fn the_largest_requests_do_not_hold_a_worker() {
    let rig = Rig::before_url(&format!("http://{}", upstream())).await;
    let chat = "/v1/chat/completions";
    let mut asked: Vec<Asked<'_>> = Vec::new();
    for shape in SHAPES {
        asked.push((shape.name.to_owned(), chat, &[], (shape.of)(BYTES)));
    }
    let text = SHAPES.iter().find(|shape| shape.name == "text parts").unwrap();
    let dry: &[(&str, &str)] = &[("x-outcrop-dry-run", "true")];
    asked.push(("dry run".to_owned(), chat, dry, (text.of)(BYTES)));
    asked.push(("count".to_owned(), "/v1/chat/completions/input_tokens", &[], (text.of)(BYTES)));
    let tokens = vec!["15339"; BYTES / 6].join(",");
    let embeddings = format!(r#"{{"model":"amazon.titan-embed-text-v2:0","input":[{tokens}]}}"#);
    asked.push(("embeddings of tokens".to_owned(), "/v1/embeddings", &[], embeddings));
    let name = format!(r#"{{"model":"bedrock/aa{}-1/x","messages":[]}}"#, "-b".repeat(BYTES / 2));
    asked.push(("a model's name".to_owned(), chat, &[], name));
    let blocks = vec![r#"{"text":"a \u0073\u0033 location"}"#; BYTES / 36].join(",");
    let native = format!(r#"{{"messages":[{{"role":"user","content":[{blocks}]}}]}}"#);
    asked.push(("native".to_owned(), "/bedrock/model/amazon.nova-lite-v1:0/converse", &[], native));
    for (name, path, headers, body) in asked {
        let length = body.len();
        let (status, took, longest) = held(&rig, path, headers, body).await;
        println!("{name}: {length} bytes, {status} after {took:?}, others waited {longest:?}");
        // The upstream has one answer, which is none to every question.
        assert!(matches!(status, 200 | 400 | 502), "{name}: {status}");
        assert!(longest < LIMIT, "{name} held the worker for {longest:?}");
    }
    rig.stop().await;
}
