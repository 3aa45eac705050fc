//! A client with a number of kept connections, each of which sends the same request again and again. It prints
//! one line of JSON: how many were answered, in which time, and percentiles of the waits in microseconds.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::Outcome;
use crate::args::Args;
use crate::http::Connection;

/// The longest wait for one answer: a load must end.
const LIMIT: Duration = Duration::from_secs(60);

/// Waits of all connections.
#[derive(Default)]
struct Waits {
    whole: Vec<u64>,
    /// To the first bytes of a body.
    first: Vec<u64>,
    /// Between the chunks of one body.
    between: Vec<u64>,
    failed: usize,
    bytes: usize,
}

/// Sends `--requests` requests over `--connections` connections to `--port`.
pub async fn run(args: &Args) -> Outcome {
    let port: u16 = args.required("port")?.parse()?;
    let connections: usize = args.one("connections", 16)?;
    let requests: usize = args.one("requests", 1000)?;
    let request = Rc::new(request(args, port)?);
    let waits = Rc::new(RefCell::new(Waits::default()));
    let began = Instant::now();
    let mut tasks = Vec::new();
    for at in 0..connections {
        let count = requests / connections + usize::from(at < requests % connections);
        let (request, waits) = (Rc::clone(&request), Rc::clone(&waits));
        tasks.push(tokio::task::spawn_local(async move {
            if let Err(error) = connection(port, &request, count, &waits).await {
                eprintln!("a connection failed: {error}");
                waits.borrow_mut().failed += 1;
            }
        }));
    }
    for task in tasks {
        task.await?;
    }
    let seconds = began.elapsed().as_secs_f64();
    let Waits { mut whole, mut first, mut between, failed, bytes } = waits.take();
    println!(
        "{}",
        json!({
            "answered": whole.len(), "failed": failed, "seconds": seconds, "bytes": bytes,
            "whole": percentiles(&mut whole),
            "first": percentiles(&mut first),
            "between": percentiles(&mut between),
        })
    );
    Ok(())
}

fn request(args: &Args, port: u16) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    let body = match args.required("body") {
        Ok(path) => std::fs::read(path)?,
        Err(_) => Vec::new(),
    };
    let path = args.required("path")?;
    let mut text = format!("POST {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n");
    for header in args.all("header") {
        text += header;
        text += "\r\n";
    }
    text += &format!("content-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
    Ok([text.as_bytes(), &body].concat())
}

async fn connection(
    port: u16,
    request: &[u8],
    count: usize,
    waits: &RefCell<Waits>,
) -> Result<(), Box<dyn std::error::Error>> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.set_nodelay(true)?;
    let mut connection = Connection::new(stream);
    for _ in 0..count {
        timeout(LIMIT, call(&mut connection, request, waits)).await??;
    }
    Ok(())
}

async fn call(
    connection: &mut Connection,
    request: &[u8],
    waits: &RefCell<Waits>,
) -> Result<(), Box<dyn std::error::Error>> {
    let began = Instant::now();
    connection.stream.write_all(request).await?;
    let head = connection.head().await?.ok_or("the connection ended before an answer")?;
    let status = head.start().nth(1).unwrap_or_default().to_owned();
    let mut last = None;
    let mut got = |bytes: usize| {
        let now = Instant::now();
        let mut waits = waits.borrow_mut();
        waits.bytes += bytes;
        match last.replace(now) {
            None => waits.first.push(micros(now - began)),
            Some(last) => waits.between.push(micros(now - last)),
        }
    };
    if head.is_chunked() {
        loop {
            let chunk = connection.chunk().await?;
            if chunk.is_empty() {
                break;
            }
            got(chunk.len());
        }
    } else {
        let length = head.length().ok_or("an answer without a length")?;
        got(connection.exactly(length).await?.len());
    }
    let mut waits = waits.borrow_mut();
    match status.as_str() {
        "200" => waits.whole.push(micros(began.elapsed())),
        _ => waits.failed += 1,
    }
    Ok(())
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn percentiles(values: &mut [u64]) -> Value {
    values.sort_unstable();
    let at = |share: usize| {
        values.get((values.len() * share / 1000).min(values.len().saturating_sub(1)))
    };
    json!({ "p50": at(500), "p90": at(900), "p99": at(990), "max": values.last() })
}
