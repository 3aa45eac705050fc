//! A Bedrock that answers at once, from canned bytes, so that what stands before it is all that takes time.
//! `--pace MS` waits between the events of a stream; without it a stream is one burst.

use std::io::Result;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

use crate::Outcome;
use crate::args::Args;
use crate::canned::{Answer, Canned};
use crate::http::Connection;

const COMMON: &str = "x-amzn-requestid: 11111111-2222-3333-4444-555555555555\r\n";

struct Settings {
    canned: Canned,
    pace: Option<Duration>,
}

/// Serves until it is killed, and prints its port.
pub async fn run(args: &Args) -> Outcome {
    let pace = match args.one("pace", 0_u64)? {
        0 => None,
        milliseconds => Some(Duration::from_millis(milliseconds)),
    };
    let canned = Canned::new(args.one("deltas", 64)?);
    let settings = Rc::new(Settings { canned, pace });
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    println!("{}", listener.local_addr()?.port());
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let settings = Rc::clone(&settings);
        // A client that leaves is no failure.
        tokio::task::spawn_local(async move { serve(stream, &settings).await.unwrap_or_default() });
    }
}

async fn serve(stream: TcpStream, settings: &Settings) -> Result<()> {
    let mut connection = Connection::new(stream);
    while let Some(head) = connection.head().await? {
        let body = connection.exactly(head.length().unwrap_or(0)).await?;
        let path = head.start().nth(1).unwrap_or_default().to_owned();
        match settings.canned.answer(&path, &body) {
            Answer::Whole(answer) => whole(&mut connection, "200 OK", &answer).await?,
            Answer::Unknown => whole(&mut connection, "404 Not Found", b"{}").await?,
            Answer::Events(events) => stream_of(&mut connection, events, settings.pace).await?,
        }
    }
    Ok(())
}

async fn whole(connection: &mut Connection, status: &str, body: &[u8]) -> Result<()> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\n{COMMON}content-length: {length}\r\n\r\n"
    );
    connection.stream.write_all(&[head.as_bytes(), body].concat()).await
}

async fn stream_of(
    connection: &mut Connection,
    events: &[Vec<u8>],
    pace: Option<Duration>,
) -> Result<()> {
    let mut out = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/vnd.amazon.eventstream\r\n{COMMON}transfer-encoding: chunked\r\n\r\n"
    )
    .into_bytes();
    for event in events {
        out.extend_from_slice(format!("{:x}\r\n", event.len()).as_bytes());
        out.extend_from_slice(event);
        out.extend_from_slice(b"\r\n");
        if let Some(pace) = pace {
            connection.stream.write_all(&out).await?;
            out.clear();
            sleep(pace).await;
        }
    }
    out.extend_from_slice(b"0\r\n\r\n");
    connection.stream.write_all(&out).await
}
