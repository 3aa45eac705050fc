//! The response to a call: its headers, and a body that is read whole, in chunks, or as event-stream
//! frames, within the idle and total limits. Dropping it closes the connection unless it was read to its
//! end.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use tokio::time::{Instant, timeout_at};

use super::connect::chain;
use super::error::{AWS_REQUEST_ID, Failure, Phase, ProtocolError, header_text};
use super::frames::{Frame, FrameDecoder, FrameKind};
use super::sse::SseDecoder;

const EVENT_STREAM: &str = "application/vnd.amazon.eventstream";
const SERVER_SENT_EVENTS: &str = "text/event-stream";
/// Name of the events of a stream of server-sent events, whose data names them.
pub const SSE_EVENT: &str = "sse";

/// A successful response (2xx) whose body has not been read yet.
#[derive(Debug)]
pub struct UpstreamResponse {
    /// Always a 2xx.
    pub status: StatusCode,
    /// Response headers as received.
    pub headers: HeaderMap,
    /// AWS's id of the call.
    pub request_id: Option<String>,
    body: Incoming,
    idle: Duration,
    deadline: Instant,
}

impl UpstreamResponse {
    pub(super) fn new(
        response: http::Response<Incoming>,
        idle: Duration,
        deadline: Instant,
    ) -> Self {
        let (head, body) = response.into_parts();
        let request_id = header_text(&head.headers, AWS_REQUEST_ID);
        Self { status: head.status, headers: head.headers, request_id, body, idle, deadline }
    }

    /// Limits the time for the rest of the body.
    pub(super) fn hurry(&mut self, limit: Duration) {
        self.deadline = self.deadline.min(Instant::now() + limit);
    }

    /// The next chunk of the body as received; `None` at its declared end.
    ///
    /// # Errors
    /// [`Failure::Truncated`] if the connection closes first, [`Failure::Timeout`] after silence.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Failure> {
        loop {
            let idle_end = Instant::now() + self.idle;
            let limit = idle_end.min(self.deadline);
            match timeout_at(limit, self.body.frame()).await {
                Err(_) if limit == self.deadline => return Err(Failure::Timeout(Phase::Total)),
                Err(_) => return Err(Failure::Timeout(Phase::Idle)),
                Ok(None) => return Ok(None),
                Ok(Some(Err(error))) => return Err(Failure::Truncated(chain(&error))),
                Ok(Some(Ok(frame))) => {
                    if let Ok(data) = frame.into_data()
                        && !data.is_empty()
                    {
                        return Ok(Some(data));
                    }
                }
            }
        }
    }

    /// The whole body, at most `limit` bytes.
    ///
    /// # Errors
    /// As [`UpstreamResponse::chunk`], and [`ProtocolError::TooLarge`].
    pub async fn bytes(mut self, limit: usize) -> Result<Bytes, Failure> {
        self.refuse_encoding()?;
        self.collect(limit).await
    }

    pub(super) async fn collect(&mut self, limit: usize) -> Result<Bytes, Failure> {
        let too_large = || Failure::from(ProtocolError::TooLarge(limit));
        if self.body.size_hint().lower() > limit as u64 {
            return Err(too_large());
        }
        let Some(first) = self.chunk().await? else { return Ok(Bytes::new()) };
        // Most responses are a single chunk, which needs no copy.
        let Some(second) = self.chunk().await? else {
            return if first.len() > limit { Err(too_large()) } else { Ok(first) };
        };
        let mut all = BytesMut::from(first);
        let mut next = Some(second);
        while let Some(chunk) = next {
            all.extend_from_slice(&chunk);
            if all.len() > limit {
                return Err(too_large());
            }
            next = self.chunk().await?;
        }
        Ok(all.freeze())
    }

    /// Reads the body as event-stream frames.
    ///
    /// # Errors
    /// [`ProtocolError::ContentType`] if the response is not declared to be an event stream.
    pub fn events(self) -> Result<EventStream, Failure> {
        self.stream(EVENT_STREAM, Decoder::Frames(FrameDecoder::new()))
    }

    /// Reads the body as server-sent events: each is a frame named [`SSE_EVENT`] with the event's data.
    ///
    /// # Errors
    /// [`ProtocolError::ContentType`] if the response is not declared to be such a stream.
    pub fn server_sent_events(self) -> Result<EventStream, Failure> {
        self.stream(SERVER_SENT_EVENTS, Decoder::ServerSent(SseDecoder::new()))
    }

    fn stream(mut self, expected: &'static str, decoder: Decoder) -> Result<EventStream, Failure> {
        self.refuse_encoding()?;
        self.expect(expected)?;
        // Values as received are parts of the buffer of 8 KiB that the head was read into, and would keep it as long as
        // the stream is open.
        for value in self.headers.values_mut() {
            if let Ok(own) = HeaderValue::from_bytes(value.as_bytes()) {
                *value = own;
            }
        }
        Ok(EventStream { answer: self, decoder })
    }

    fn expect(&self, expected: &'static str) -> Result<(), Failure> {
        let found = self.headers.get(CONTENT_TYPE);
        if found.is_some_and(|found| is_of_type(found, expected)) {
            return Ok(());
        }
        let found = found.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        Err(ProtocolError::ContentType { expected, found: found.unwrap_or_default() }.into())
    }

    /// The request asked for no encoding, so none can be decoded.
    fn refuse_encoding(&self) -> Result<(), Failure> {
        match self.headers.get(CONTENT_ENCODING) {
            Some(encoding) if encoding != "identity" => Err(ProtocolError::ContentType {
                expected: "a body without content-encoding",
                found: String::from_utf8_lossy(encoding.as_bytes()).into_owned(),
            }
            .into()),
            _ => Ok(()),
        }
    }
}

fn is_of_type(value: &HeaderValue, expected: &str) -> bool {
    let kind = value.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
    kind.trim_ascii().eq_ignore_ascii_case(expected.as_bytes())
}

/// The events of a streamed response: verified frames, or server-sent events as frames.
#[derive(Debug)]
pub struct EventStream {
    answer: UpstreamResponse,
    decoder: Decoder,
}

#[derive(Debug)]
enum Decoder {
    Frames(FrameDecoder),
    ServerSent(SseDecoder),
    /// The end of a stream of server-sent events.
    Ended,
}

impl Decoder {
    fn next(&mut self) -> Result<Option<Frame>, Failure> {
        match self {
            Self::Frames(decoder) => Ok(decoder.next()?),
            Self::ServerSent(decoder) => {
                let data = decoder.next().map_err(|error| malformed(&error))?;
                Ok(data.map(server_sent))
            }
            Self::Ended => Ok(None),
        }
    }

    fn push(&mut self, chunk: Bytes) {
        match self {
            Self::Frames(decoder) => decoder.push(chunk),
            Self::ServerSent(decoder) => decoder.push(&chunk),
            Self::Ended => {}
        }
    }

    fn finish(&mut self) -> Result<Option<Frame>, Failure> {
        match self {
            Self::Frames(decoder) => {
                decoder.finish()?;
                Ok(None)
            }
            Self::ServerSent(decoder) => {
                let last = decoder.finish().map(server_sent);
                *self = Self::Ended;
                Ok(last)
            }
            Self::Ended => Ok(None),
        }
    }
}

fn server_sent(payload: Bytes) -> Frame {
    Frame { kind: FrameKind::Event(SSE_EVENT.into()), payload }
}

fn malformed(error: &impl std::fmt::Display) -> Failure {
    ProtocolError::Malformed(error.to_string()).into()
}

impl EventStream {
    /// The next frame; `None` at the end of the body. The reader decides whether the *answer* is complete:
    /// a message without its stop event is not.
    ///
    /// # Errors
    /// As [`UpstreamResponse::chunk`], and [`Failure::Frame`] for invalid or incomplete frames.
    pub async fn next(&mut self) -> Result<Option<Frame>, Failure> {
        loop {
            if let Some(frame) = self.decoder.next()? {
                return Ok(Some(frame));
            }
            match self.answer.chunk().await? {
                Some(chunk) => self.decoder.push(chunk),
                None => return self.decoder.finish(),
            }
        }
    }

    /// AWS's id of the call.
    pub fn request_id(&self) -> Option<&str> {
        self.answer.request_id.as_deref()
    }

    /// Response headers as received.
    pub fn headers(&self) -> &HeaderMap {
        &self.answer.headers
    }
}
