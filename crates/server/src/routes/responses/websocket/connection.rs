//! One WebSocket from its opening to its end. Responses are made one after another; meanwhile messages of the client
//! wait, and its pings are answered.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::web::Data;
use actix_ws::{
    AggregatedMessage, AggregatedMessageStream, CloseCode, CloseReason, ProtocolError, Session,
};
use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use tokio::time::{Instant, sleep_until, timeout};
use translate::Invalid;

use super::bounded::UnreadBytes;
use super::events::EventText;
use super::message::{Create, Message};
use super::turn::{self, TurnStep, refused};
use crate::cutoff::Cut;
use crate::error::GatewayError;
use crate::reasoning_store::ConnectionResponses;
use crate::request::context::{RequestContext, RequestId};
use crate::state::Worker;

/// Longest life of a connection; clients open another one then.
const LONGEST: Duration = Duration::from_secs(60 * 60);
/// Longest silence of a client, which answers pings.
const SILENCE: Duration = Duration::from_secs(120);
/// Most messages that wait for the responses before them.
const WAITING: usize = 16;
/// For the last message to a client.
const PARTING: Duration = Duration::from_secs(1);

/// A WebSocket.
pub(super) struct Connection {
    worker: Data<Worker>,
    http: HttpRequest,
    session: Session,
    messages: AggregatedMessageStream,
    unread: UnreadBytes,
    kept: Arc<ConnectionResponses>,
    /// Messages whose turn is still to come, and their bytes.
    waiting: VecDeque<Bytes>,
    waiting_bytes: usize,
    opened: Instant,
    /// The last sign of life of the client.
    heard: Instant,
    /// The last message to the client.
    sent: Instant,
    /// Triggers when the process ends at once.
    cut: Cut,
}

/// The reason for which a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// The client has closed it, or is gone.
    Left,
    /// The gateway is being stopped.
    Stopping,
    /// It has lived as long as a connection may.
    Old,
    /// The client's key is no longer valid.
    Denied,
    /// A message is too large, or too many wait.
    TooMuch,
    /// A message is no text.
    NoText,
    /// The client breaks the protocol.
    Protocol,
    /// An answer was broken off.
    BrokenOff,
}

type Open<T = ()> = Result<T, Ending>;

impl Connection {
    pub(super) fn new(
        (worker, http): (Data<Worker>, HttpRequest),
        session: Session,
        (messages, unread): (AggregatedMessageStream, UnreadBytes),
        kept: Arc<ConnectionResponses>,
    ) -> Self {
        let (cut, now) = (worker.shared.cutoff.watch(), Instant::now());
        Self {
            worker,
            http,
            session,
            messages,
            unread,
            kept,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            opened: now,
            heard: now,
            sent: now,
            cut,
        }
    }

    /// Serves the connection to its end.
    pub(super) async fn run(mut self, mut context: RequestContext) {
        let ending = match self.serve().await {
            Ok(never) => match never {},
            Err(ending) => ending,
        };
        log::debug!("{} WebSocket ends: {ending:?}", context.id());
        if let Some(reason) = ending.reason() {
            // A client that does not read is not waited for.
            let _ = timeout(PARTING, self.session.close(Some(reason))).await;
        }
        context.switched_protocols();
    }

    async fn serve(&mut self) -> Open<std::convert::Infallible> {
        loop {
            if self.worker.shared.closing.notified().now_or_never().is_some() {
                return Err(Ending::Stopping);
            }
            if self.opened.elapsed() >= LONGEST {
                self.refuse(&too_old()).await?;
                return Err(Ending::Old);
            }
            match self.waiting.pop_front() {
                Some(message) => {
                    self.waiting_bytes -= message.len();
                    self.turn(&message).await?;
                }
                None => self.wait().await?,
            }
        }
    }

    /// Waits for something to do.
    async fn wait(&mut self) -> Open {
        let wake = self.wake().min(self.opened + LONGEST);
        let closing = &self.worker.shared.closing;
        tokio::select! {
            received = self.messages.recv() => self.take(received).await,
            ended = self.cut.or(sleep_until(wake)) => match ended {
                Some(()) => self.look_after().await,
                None => Err(Ending::Stopping),
            },
            () = closing.notified() => Err(Ending::Stopping),
        }
    }

    /// Responds to a message.
    async fn turn(&mut self, message: &[u8]) -> Open {
        let create = match Message::read(message) {
            Ok(Message::Create(create)) => create,
            Ok(Message::Note) => return Ok(()),
            Err(error) => return self.refuse(&error).await,
        };
        let previous = create.previous.clone();
        if self.answer(create).await? == Answered::Failed
            && let Some(previous) = previous
        {
            // What a failed request has left of the conversation is not known.
            self.kept.forget(&previous);
        }
        Ok(())
    }

    /// Sends the events of a response.
    async fn answer(&mut self, create: Create) -> Open<Answered> {
        let call = (self.worker.clone(), self.http.clone());
        let mut steps = pin!(turn::steps(call, Arc::clone(&self.kept), create));
        let mut answered = Answered::Whole;
        loop {
            let wake = self.wake();
            tokio::select! {
                step = steps.next() => match step {
                    Some(TurnStep::Event(event)) => {
                        if event.is_failure {
                            answered = Answered::Failed;
                        }
                        self.send(event).await?;
                    }
                    Some(TurnStep::Denied(event)) => {
                        self.send(event).await?;
                        return Err(Ending::Denied);
                    }
                    Some(TurnStep::BrokenOff) => return Err(Ending::BrokenOff),
                    None => return Ok(answered),
                },
                received = self.messages.recv() => self.take(received).await?,
                () = sleep_until(wake) => self.look_after().await?,
            }
        }
    }

    /// Takes what the client sent.
    async fn take(&mut self, received: Option<Result<AggregatedMessage, ProtocolError>>) -> Open {
        let message = match received {
            None => return Err(Ending::Left),
            Some(Ok(message)) => message,
            Some(Err(error)) => return Err(self.broken(&error).await),
        };
        self.heard = Instant::now();
        self.unread.reset();
        let message = match message {
            AggregatedMessage::Text(text) => text.into_bytes(),
            AggregatedMessage::Binary(bytes) => bytes,
            AggregatedMessage::Ping(bytes) => {
                return self.session.pong(&bytes).await.map_err(|_| Ending::Left);
            }
            AggregatedMessage::Pong(_) => return Ok(()),
            AggregatedMessage::Close(_) => {
                // The client's own reason is not an answer to it.
                let close = self.session.clone().close(None);
                let _ = timeout(PARTING, close).await;
                return Err(Ending::Left);
            }
        };
        self.waiting_bytes += message.len();
        self.waiting.push_back(message);
        if self.waiting.len() > WAITING || self.waiting_bytes > 2 * self.most() {
            self.refuse(&too_many()).await?;
            return Err(Ending::TooMuch);
        }
        Ok(())
    }

    /// The ending of a connection whose messages cannot be read.
    async fn broken(&mut self, error: &ProtocolError) -> Ending {
        log::debug!("WebSocket: {error}");
        let ending = match error {
            ProtocolError::Overflow => Ending::TooMuch,
            ProtocolError::Io(error) if error.kind() == std::io::ErrorKind::InvalidData => {
                Ending::NoText
            }
            // So a message of several frames is refused.
            ProtocolError::Io(error) if error.kind() == std::io::ErrorKind::Other => {
                Ending::TooMuch
            }
            ProtocolError::Io(_) => Ending::Left,
            _ => Ending::Protocol,
        };
        if ending == Ending::TooMuch {
            // The connection ends anyway.
            let _ = self.refuse(&too_large(self.most())).await;
        }
        ending
    }

    /// Largest message, in bytes.
    fn most(&self) -> usize {
        self.worker.now().config.body.max_mib.bytes()
    }

    /// The time at which the connection needs care.
    fn wake(&self) -> Instant {
        let ping = self.sent + self.worker.now().config.timeouts.keep_alive;
        ping.min(self.heard + SILENCE)
    }

    /// Pings a client after a silence, for the proxies in between, and gives up one that does not answer.
    async fn look_after(&mut self) -> Open {
        if self.heard.elapsed() >= SILENCE {
            return Err(Ending::Left);
        }
        if self.sent.elapsed() >= self.worker.now().config.timeouts.keep_alive {
            self.sent = Instant::now();
            let stall = self.worker.now().config.timeouts.write_stall;
            let ping = timeout(stall, self.session.ping(b"")).await;
            return ping.ok().and_then(Result::ok).ok_or(Ending::Left);
        }
        Ok(())
    }

    async fn refuse(&mut self, error: &GatewayError) -> Open {
        let event = refused(error, &RequestId::new()).await;
        self.send(event).await
    }

    /// Sends an event; a client that does not read in time is given up.
    async fn send(&mut self, event: EventText) -> Open {
        let stall = self.worker.now().config.timeouts.write_stall;
        let sent = timeout(stall, self.session.text(event.text)).await;
        self.sent = Instant::now();
        sent.ok().and_then(Result::ok).ok_or(Ending::Left)
    }
}

/// The end of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answered {
    Whole,
    Failed,
}

impl Ending {
    /// The closing code and text; none where the client is gone.
    fn reason(self) -> Option<CloseReason> {
        let (code, text) = match self {
            Self::Left => return None,
            Self::Stopping => (CloseCode::Away, "the gateway is being stopped"),
            Self::Old => (CloseCode::Normal, "the connection is 60 minutes old"),
            Self::Denied => (CloseCode::Policy, "the key is not valid"),
            Self::TooMuch => (CloseCode::Size, "the messages are too large or too many"),
            Self::NoText => (CloseCode::Invalid, "a text message is not UTF-8"),
            Self::Protocol => (CloseCode::Protocol, "the frames break the protocol"),
            Self::BrokenOff => (CloseCode::Error, "the answer was broken off"),
        };
        Some((code, text).into())
    }
}

fn too_old() -> GatewayError {
    coded(
        "websocket_connection_limit_reached",
        "The connection is 60 minutes old: open another one.",
    )
}

fn too_many() -> GatewayError {
    let text = "Too many messages wait on this connection: send one when the response before it has ended.";
    coded("websocket_too_many_messages", text)
}

fn too_large(most: usize) -> GatewayError {
    coded("request_too_large", format!("A message may have {most} bytes at most."))
}

fn coded(code: &'static str, message: impl Into<std::borrow::Cow<'static, str>>) -> GatewayError {
    let mut invalid = Invalid::value("", message).with_code(code);
    invalid.param = None;
    invalid.into()
}
