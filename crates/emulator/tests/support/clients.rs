#![allow(dead_code, unreachable_pub)]
//! A started emulator with clients to test it.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use aws_sdk_bedrockruntime::{
    Client, Config,
    config::{BehaviorVersion, Credentials, Region, retry::RetryConfig},
    types::{ContentBlock, ConversationRole, Message},
};
use emulator::{Call, Options, Running};
use serde_json::Value;

/// Short, since a streaming client only has to see gaps between events.
pub const PACE: Duration = Duration::from_millis(1);

pub async fn start() -> Running {
    start_with(Options::default()).await
}

pub async fn start_with(options: Options) -> Running {
    emulator::start(Options { pace: PACE, ..options }).await.expect("the emulator starts")
}

pub fn client(emulator: &Running) -> Client {
    client_with(emulator, Credentials::new("AKIDEXAMPLE", "secret", None, None, "test"))
}

pub fn client_with(emulator: &Running, credentials: Credentials) -> Client {
    Client::from_conf(
        Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .endpoint_url(emulator.url())
            .credentials_provider(credentials)
            .retry_config(RetryConfig::disabled())
            .build(),
    )
}

pub fn user(text: &str) -> Message {
    message(ConversationRole::User, vec![ContentBlock::Text(text.into())])
}

pub fn message(role: ConversationRole, content: Vec<ContentBlock>) -> Message {
    Message::builder().role(role).set_content(Some(content)).build().expect("a message")
}

/// A response as received from the socket.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, wanted: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers.find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("a JSON body")
    }

    pub fn message(&self) -> String {
        self.json()["message"].as_str().expect("a message").to_owned()
    }
}

/// Sends one request with a bearer key, without any SDK.
pub fn post(addr: SocketAddr, path: &str, body: &Value) -> Answer {
    send(addr, "POST", path, &[("Authorization", "Bearer key")], body.to_string().as_bytes())
}

pub fn get(addr: SocketAddr, path: &str) -> Answer {
    send(addr, "GET", path, &[("Authorization", "Bearer key")], b"")
}

pub fn send(
    addr: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Answer {
    let mut socket = open(addr, method, path, headers, body);
    let mut bytes = Vec::new();
    socket.read_to_end(&mut bytes).expect("an answer");
    parse(&bytes)
}

/// Sends a request and leaves the response unread.
pub fn open(
    addr: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> TcpStream {
    let mut socket = TcpStream::connect(addr).expect("a connection");
    socket.set_read_timeout(Some(Duration::from_secs(600))).expect("a timeout");
    let mut head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\nContent-Length: {}\r\n",
        body.len()
    );
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    socket.write_all(format!("{head}\r\n").as_bytes()).expect("sent");
    socket.write_all(body).expect("sent");
    socket
}

/// Polls the journal until `wanted` finds its call.
pub async fn journalled(emulator: &Running, wanted: impl Fn(&Call) -> bool) -> Call {
    let deadline = Instant::now() + Duration::from_secs(600);
    loop {
        if let Some(call) = emulator.journal().calls().into_iter().find(|call| wanted(call)) {
            return call;
        }
        assert!(Instant::now() < deadline, "no such call: {:#?}", emulator.journal().calls());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn parse(bytes: &[u8]) -> Answer {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").expect("a head");
    let head = std::str::from_utf8(&bytes[..end]).expect("text");
    let mut lines = head.lines();
    let status = lines.next().expect("a status line")[9..12].parse().expect("a status");
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let chunked = headers.iter().any(|(name, value)| {
        name.eq_ignore_ascii_case("transfer-encoding") && value.eq_ignore_ascii_case("chunked")
    });
    let body = &bytes[end + 4..];
    let body = if chunked { dechunk(body) } else { body.to_vec() };
    Answer { status, headers, body }
}

fn dechunk(mut bytes: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(line) = bytes.windows(2).position(|window| window == b"\r\n") {
        let size = std::str::from_utf8(&bytes[..line]).expect("text");
        let size = usize::from_str_radix(size, 16).expect("a size");
        let data = &bytes[line + 2..];
        if size == 0 {
            break;
        }
        body.extend_from_slice(&data[..size]);
        bytes = &data[size + 2..];
    }
    body
}
