//! A server made of raw bytes: it records requests and answers as the test scripts, so that every cut,
//! stall and disconnect is exact. It ends with its owner.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// Longer than anything takes here, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(600);

/// One request as received.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: String,
    /// Path and query, byte for byte.
    pub(crate) target: String,
    /// Lower-case names, in order.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// Number of the connection, counted from 0.
    pub(crate) connection: usize,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// The server's reaction to a request, in order. After the last step it reads the next request.
pub(crate) enum Step {
    Send(Vec<u8>),
    /// Stays silent until the client disconnects.
    Stall,
    /// Waits, then continues.
    Pause(Duration),
    Close,
    /// Closes as soon as the next request begins to arrive, without reading it: a reset.
    CloseOnNextRequest,
}

type Script = dyn Fn(usize, &Seen) -> Vec<Step> + Send + Sync;

pub(crate) struct Recorder {
    /// `http://127.0.0.1:PORT`
    pub(crate) url: String,
    state: Arc<State>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct State {
    seen: Mutex<Vec<Seen>>,
    departures: AtomicUsize,
    closed_unread: AtomicUsize,
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Recorder {
    /// Serves on a free port; the script gets the number of the request, counted from 0.
    pub(crate) async fn start(
        script: impl Fn(usize, &Seen) -> Vec<Step> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(State::default());
        let script: Arc<Script> = Arc::new(script);
        let task = tokio::spawn({
            let state = Arc::clone(&state);
            async move {
                let mut connections = JoinSet::new();
                for number in 0.. {
                    let Ok((stream, _)) = listener.accept().await else { return };
                    stream.set_nodelay(true).unwrap();
                    let (state, script) = (Arc::clone(&state), Arc::clone(&script));
                    connections.spawn(async move {
                        if serve(&stream, number, &state, &*script).await == End::Departed {
                            state.departures.fetch_add(1, Ordering::SeqCst);
                        }
                    });
                }
            }
        });
        Self { url, state, task }
    }

    /// Answers every request with the same bytes.
    pub(crate) async fn answering(bytes: Vec<u8>) -> Self {
        Self::start(move |_, _| vec![Step::Send(bytes.clone())]).await
    }

    /// Requests so far.
    pub(crate) fn count(&self) -> usize {
        self.state.seen.lock().unwrap().len()
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.state.seen.lock().unwrap().clone()
    }

    pub(crate) fn take_only(&self) -> Seen {
        let mut seen = std::mem::take(&mut *self.state.seen.lock().unwrap());
        assert_eq!(seen.len(), 1, "one request expected");
        seen.remove(0)
    }

    /// Waits until this many clients have disconnected during an answer.
    pub(crate) async fn departures(&self, count: usize) {
        let start = Instant::now();
        while self.state.departures.load(Ordering::SeqCst) < count {
            assert!(start.elapsed() < PATIENCE, "the server saw no hang-up");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Connections closed by [`Step::CloseOnNextRequest`] when a request arrived on them.
    pub(crate) fn closed_unread(&self) -> usize {
        self.state.closed_unread.load(Ordering::SeqCst)
    }

    pub(crate) async fn requests(&self, count: usize) {
        let start = Instant::now();
        while self.count() < count {
            assert!(start.elapsed() < PATIENCE, "the server saw no request");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

#[derive(PartialEq)]
enum End {
    /// The client disconnected during an answer.
    Departed,
    Regular,
}

async fn serve(stream: &TcpStream, connection: usize, state: &State, script: &Script) -> End {
    let mut buffer = Vec::new();
    loop {
        let Some(request) = read_request(stream, &mut buffer, connection).await else {
            return End::Regular;
        };
        let number = {
            let mut seen = state.seen.lock().unwrap();
            seen.push(request.clone());
            seen.len() - 1
        };
        for step in script(number, &request) {
            match step {
                Step::Send(bytes) => {
                    if !write_all(stream, &bytes).await {
                        return End::Departed;
                    }
                }
                Step::Pause(time) => tokio::time::sleep(time).await,
                Step::Close => return End::Regular,
                Step::CloseOnNextRequest => {
                    // Peeks without reading: readiness may be left over from the last request.
                    if stream.peek(&mut [0]).await.is_ok_and(|bytes| bytes > 0) {
                        state.closed_unread.fetch_add(1, Ordering::SeqCst);
                    }
                    return End::Regular;
                }
                Step::Stall => {
                    while read_some(stream, &mut buffer).await {}
                    return End::Departed;
                }
            }
        }
    }
}

async fn read_request(stream: &TcpStream, buffer: &mut Vec<u8>, connection: usize) -> Option<Seen> {
    let head_end = loop {
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        if !read_some(stream, buffer).await {
            return None;
        }
    };
    let head = String::from_utf8(buffer[..head_end].to_vec()).unwrap();
    let mut lines = head.trim_end().split("\r\n");
    let mut start = lines.next().unwrap().split(' ');
    let (method, target) = (start.next().unwrap().to_owned(), start.next().unwrap().to_owned());
    let headers: Vec<_> = lines
        .map(|line| line.split_once(':').unwrap())
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length = length.map_or(0, |(_, value)| value.parse::<usize>().unwrap());
    while buffer.len() < head_end + length {
        if !read_some(stream, buffer).await {
            return None;
        }
    }
    let body = buffer[head_end..head_end + length].to_vec();
    buffer.drain(..head_end + length);
    Some(Seen { method, target, headers, body, connection })
}

async fn read_some(stream: &TcpStream, buffer: &mut Vec<u8>) -> bool {
    let mut chunk = [0; 16 * 1024];
    loop {
        if stream.readable().await.is_err() {
            return false;
        }
        match stream.try_read(&mut chunk) {
            Ok(0) => return false,
            Ok(count) => {
                buffer.extend_from_slice(&chunk[..count]);
                return true;
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => return false,
        }
    }
}

async fn write_all(stream: &TcpStream, mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() {
        if stream.writable().await.is_err() {
            return false;
        }
        match stream.try_write(bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => return false,
        }
    }
    true
}

/// A complete response with a length.
pub(crate) fn answer(status: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let length = body.len().to_string();
    let mut out = head(status, &[headers, &[("content-length", &length)]].concat());
    out.extend_from_slice(body);
    out
}

/// A plain JSON success.
pub(crate) fn json(body: &str) -> Vec<u8> {
    answer("200 OK", &[("content-type", "application/json")], body.as_bytes())
}

/// An error as Bedrock sends it.
pub(crate) fn refusal(status: &str, exception: &str, message: &str) -> Vec<u8> {
    let kind = format!("{exception}:http://internal.amazon.com/coral/com.amazon.bedrock/");
    let body = serde_json::json!({ "message": message }).to_string();
    let headers = [
        ("content-type", "application/json"),
        ("x-amzn-errortype", kind.as_str()),
        ("x-amzn-requestid", "11111111-2222-3333-4444-555555555555"),
    ];
    answer(status, &headers, body.as_bytes())
}

/// Only the head of a response.
pub(crate) fn head(status: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    let mut out = format!("HTTP/1.1 {status}\r\n");
    for (name, value) in headers {
        out += &format!("{name}: {value}\r\n");
    }
    (out + "\r\n").into_bytes()
}

/// Head of an event stream in chunked encoding.
pub(crate) fn stream_head() -> Vec<u8> {
    let kind = ("content-type", "application/vnd.amazon.eventstream");
    head("200 OK", &[kind, ("transfer-encoding", "chunked"), ("x-amzn-requestid", "stream-1")])
}

/// One chunk of a chunked body; an empty one ends it.
pub(crate) fn chunk(bytes: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

/// One event frame as Bedrock writes it.
pub(crate) fn event(name: &str, payload: &str) -> Vec<u8> {
    let header = |name: &str, value: &str| {
        Header::new(name.to_owned(), HeaderValue::String(value.to_owned().into()))
    };
    let message = Message::new(payload.as_bytes().to_vec())
        .add_header(header(":event-type", name))
        .add_header(header(":content-type", "application/json"))
        .add_header(header(":message-type", "event"));
    let mut out = Vec::new();
    write_message_to(&message, &mut out).unwrap();
    out
}
