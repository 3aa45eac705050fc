//! Plays an answer to the client: sends, waits and interruptions in order. Every answer goes through here,
//! so the journal can record whether it arrived.

use std::{collections::BTreeMap, io, os::fd::OwnedFd, time::Duration};

use actix_web::{
    HttpResponse,
    body::{BodyStream, SizedStream},
    http::{
        StatusCode,
        header::{HeaderName, HeaderValue},
    },
};
use bytes::Bytes;
use serde_json::Value;

use crate::{
    journal::{Delivery, Ticket},
    json,
};

/// Long enough for the connection to write the sent bytes before it is interrupted.
const FLUSH: Duration = Duration::from_millis(20);

/// One step of an answer's body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    Send(Bytes),
    Wait(Duration),
    /// Sends no more bytes and keeps the connection open.
    Stall,
    /// Abort the connection so that the peer sees a reset.
    Reset,
    /// Close the connection although more bytes were announced.
    Close,
    /// End here although more was meant to come.
    Cut,
}

/// A complete answer before it is played.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    /// Played before the status line is sent.
    pub(crate) before: Vec<Act>,
    pub(crate) body: Vec<Act>,
    /// Reasoning blocks of the request that the model did not read, for the journal.
    pub(crate) dropped: Vec<String>,
    framing: Framing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    /// The announced length, which a fault may leave unfulfilled.
    Sized(u64),
    Chunked,
}

/// A second handle on the client's socket, to reset it with.
pub(crate) struct Connection(pub(crate) OwnedFd);

impl Reply {
    /// A JSON document with its keys in the service's order.
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::bytes(status, "application/json", json::bytes(body).into())
    }

    pub(crate) fn bytes(status: u16, content_type: &str, body: Bytes) -> Self {
        Self {
            status,
            headers: vec![("Content-Type".into(), content_type.into())],
            before: Vec::new(),
            dropped: Vec::new(),
            framing: Framing::Sized(u64::try_from(body.len()).unwrap_or(u64::MAX)),
            body: vec![Act::Send(body)],
        }
    }

    /// JSON text unchanged, with further headers.
    pub(crate) fn text(body: String, headers: BTreeMap<String, String>) -> Self {
        let mut reply = Self::bytes(200, "application/json", body.into());
        reply.headers.extend(headers);
        reply
    }

    /// An event stream made of `body`.
    pub(crate) fn stream(body: Vec<Act>) -> Self {
        Self {
            status: 200,
            headers: vec![("Content-Type".into(), "application/vnd.amazon.eventstream".into())],
            before: Vec::new(),
            body,
            dropped: Vec::new(),
            framing: Framing::Chunked,
        }
    }

    pub(crate) fn with_header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// The answer to a request whose reasoning blocks `thoughts` were not read.
    pub(crate) fn without(mut self, thoughts: Vec<String>) -> Self {
        self.dropped = thoughts;
        self
    }

    pub(crate) fn is_stream(&self) -> bool {
        self.framing == Framing::Chunked
    }
}

/// Plays `reply`; the body of the returned response continues it.
pub(crate) async fn perform(
    reply: Reply,
    ticket: Ticket,
    connection: Option<OwnedFd>,
) -> HttpResponse {
    for act in &reply.before {
        match act {
            Act::Wait(delay) => tokio::time::sleep(*delay).await,
            Act::Stall | Act::Reset | Act::Close | Act::Cut => std::future::pending().await,
            Act::Send(_) => {}
        }
    }
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if !reply.dropped.is_empty() {
        ticket.dropped(reply.dropped);
    }
    ticket.status(status.as_u16());
    let mut response = HttpResponse::build(status);
    for (name, value) in &reply.headers {
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value))
        {
            response.append_header((name, value));
        }
    }
    let body = Box::pin(play(reply.body, ticket, connection));
    match reply.framing {
        Framing::Sized(length) => response.body(SizedStream::new(length, body)),
        Framing::Chunked => response.body(BodyStream::new(body)),
    }
}

fn play(
    acts: Vec<Act>,
    ticket: Ticket,
    connection: Option<OwnedFd>,
) -> impl futures_util::Stream<Item = Result<Bytes, io::Error>> {
    async_stream::stream! {
        let mut ticket = Some(ticket);
        for act in acts {
            match act {
                Act::Send(bytes) => yield Ok(bytes),
                Act::Wait(delay) => tokio::time::sleep(delay).await,
                Act::Stall => std::future::pending::<()>().await,
                Act::Cut => {
                    finish(&mut ticket, Delivery::Broken);
                    return;
                }
                broken @ (Act::Reset | Act::Close) => {
                    tokio::time::sleep(FLUSH).await;
                    finish(&mut ticket, Delivery::Broken);
                    if let (Act::Reset, Some(socket)) = (broken, &connection) {
                        // Closing without lingering sends a reset instead of an end.
                        let _ = socket2::SockRef::from(socket).set_linger(Some(Duration::ZERO));
                    }
                    yield Err(io::Error::from(io::ErrorKind::ConnectionReset));
                    return;
                }
            }
        }
        finish(&mut ticket, Delivery::Complete);
    }
}

fn finish(ticket: &mut Option<Ticket>, delivery: Delivery) {
    if let Some(ticket) = ticket.take() {
        ticket.finish(delivery);
    }
}
