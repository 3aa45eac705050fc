//! A client of WebSockets that sees every frame, with no code of the gateway's.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::rig::PATIENCE;

const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;
/// First bit of a frame that ends its message.
const LAST: u8 = 0x80;
const MASKED: u8 = 0x80;
const MASK: [u8; 4] = [1, 2, 3, 4];

/// A frame of the gateway: its kind and its payload.
pub(crate) type Frame = (u8, Vec<u8>);

pub(crate) struct Socket {
    io: TcpStream,
    /// Bytes that are no whole frame yet.
    read: Vec<u8>,
}

/// The answer to a request for a WebSocket: its head, and what follows.
pub(crate) struct Opening {
    pub(crate) head: String,
    pub(crate) socket: Socket,
}

impl Opening {
    pub(crate) fn status(&self) -> u16 {
        self.head.split(' ').nth(1).unwrap().parse().unwrap()
    }

    /// The body of a refusal, whose connection stays open.
    pub(crate) async fn refusal(mut self) -> Value {
        let (_, length) = self.head.split_once("content-length: ").unwrap();
        let length: usize = length.split("\r\n").next().unwrap().parse().unwrap();
        while self.socket.read.len() < length {
            self.socket.more().await.unwrap();
        }
        serde_json::from_slice(&self.socket.read[..length]).unwrap()
    }
}

/// Requests a WebSocket.
pub(crate) async fn open(address: SocketAddr, path: &str, headers: &[(&str, &str)]) -> Opening {
    let mut request = format!(
        "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    );
    for (name, value) in headers {
        request += &format!("{name}: {value}\r\n");
    }
    let mut io = TcpStream::connect(address).await.unwrap();
    io.write_all((request + "\r\n").as_bytes()).await.unwrap();
    let mut socket = Socket { io, read: Vec::new() };
    loop {
        let text = String::from_utf8_lossy(&socket.read).into_owned();
        if let Some((head, _)) = text.split_once("\r\n\r\n") {
            socket.read.drain(..head.len() + 4);
            return Opening { head: head.to_ascii_lowercase(), socket };
        }
        socket.more().await.unwrap();
    }
}

impl Socket {
    /// An open WebSocket.
    pub(crate) async fn new(address: SocketAddr, headers: &[(&str, &str)]) -> Self {
        let opening = open(address, "/v1/responses", headers).await;
        assert_eq!(opening.status(), 101, "{}", opening.head);
        // Of the key above, by RFC 6455.
        assert!(opening.head.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="));
        opening.socket
    }

    pub(crate) async fn send(&mut self, message: &Value) {
        self.frame(LAST | TEXT, message.to_string().as_bytes()).await;
    }

    pub(crate) async fn send_kind(&mut self, kind: u8, payload: &[u8]) {
        self.frame(LAST | kind, payload).await;
    }

    /// Sends a message in several frames.
    pub(crate) async fn send_pieces(&mut self, pieces: &[&[u8]]) {
        for (at, piece) in pieces.iter().enumerate() {
            let kind = if at == 0 { TEXT } else { 0 };
            let last = if at + 1 == pieces.len() { LAST } else { 0 };
            self.frame(last | kind, piece).await;
        }
    }

    /// Announces a text of `length` bytes and sends `payload` as its beginning.
    pub(crate) async fn send_beginning(&mut self, length: usize, payload: &[u8]) {
        let mut frame = head(LAST | TEXT, length);
        frame.extend(payload);
        let _ = self.io.write_all(&frame).await;
    }

    async fn frame(&mut self, first: u8, payload: &[u8]) {
        let mut frame = head(first, payload.len());
        frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        // The gateway may have closed the connection.
        let _ = self.io.write_all(&frame).await;
    }

    /// The next frame; `None` after the last.
    pub(crate) async fn next_frame(&mut self) -> Option<Frame> {
        loop {
            if let Some((frame, length)) = parsed(&self.read) {
                self.read.drain(..length);
                return Some(frame);
            }
            self.more().await?;
        }
    }

    /// The next event; pings are left out.
    pub(crate) async fn event(&mut self) -> Value {
        loop {
            match self.next_frame().await {
                Some((TEXT, payload)) => return serde_json::from_slice(&payload).unwrap(),
                Some((PING, _)) => {}
                other => panic!("no event: {other:?}"),
            }
        }
    }

    /// The events of one response, up to its last.
    pub(crate) async fn response(&mut self) -> Vec<Value> {
        let mut events = Vec::new();
        loop {
            let event = self.event().await;
            let kind = event["type"].as_str().unwrap().to_owned();
            events.push(event);
            let ends = ["response.completed", "response.incomplete", "response.failed", "error"];
            if ends.contains(&kind.as_str()) {
                return events;
            }
        }
    }

    /// The code and text with which the gateway closes the connection, after events that are left out.
    pub(crate) async fn closed(mut self) -> (u16, String) {
        loop {
            match self.next_frame().await {
                Some((CLOSE, payload)) => {
                    let (code, text) = payload.split_at(2);
                    let code = u16::from_be_bytes(code.try_into().unwrap());
                    return (code, String::from_utf8(text.to_vec()).unwrap());
                }
                Some(_) => {}
                None => panic!("closed without a frame"),
            }
        }
    }

    async fn more(&mut self) -> Option<()> {
        let read = timeout(PATIENCE, self.io.read_buf(&mut self.read)).await.unwrap();
        (read.unwrap_or(0) > 0).then_some(())
    }
}

/// The head of a frame, with the mask.
fn head(first: u8, length: usize) -> Vec<u8> {
    let mut frame = vec![first];
    match length {
        length @ 0..126 => frame.push(MASKED | u8::try_from(length).unwrap()),
        length @ 126..65_536 => {
            frame.push(MASKED | 126);
            frame.extend(u16::try_from(length).unwrap().to_be_bytes());
        }
        length => {
            frame.push(MASKED | 127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.extend(MASK);
    frame
}

/// The first frame and its length with its head, if it is whole.
fn parsed(bytes: &[u8]) -> Option<(Frame, usize)> {
    let (&first, &second) = (bytes.first()?, bytes.get(1)?);
    assert_eq!(first & LAST, LAST, "the gateway sends whole messages");
    assert_eq!(second & MASKED, 0, "a server masks no frames");
    let (length, head) = match second {
        126 => (usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().unwrap())), 4),
        127 => {
            let length = u64::from_be_bytes(bytes.get(2..10)?.try_into().unwrap());
            (usize::try_from(length).unwrap(), 10)
        }
        length => (usize::from(length), 2),
    };
    let payload = bytes.get(head..head + length)?.to_vec();
    Some(((first & 15, payload), head + length))
}
