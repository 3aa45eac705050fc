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
use super::frames::{Frame, FrameDecoder};

const EVENT_STREAM: &str = "application/vnd.amazon.eventstream";

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
        self.refuse_encoding()?;
        let found = self.headers.get(CONTENT_TYPE);
        if !found.is_some_and(is_event_stream) {
            let found = found.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
            return Err(ProtocolError::ContentType {
                expected: EVENT_STREAM,
                found: found.unwrap_or_default(),
            }
            .into());
        }
        Ok(EventStream { answer: self, decoder: FrameDecoder::new() })
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

fn is_event_stream(value: &HeaderValue) -> bool {
    let kind = value.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
    kind.trim_ascii().eq_ignore_ascii_case(EVENT_STREAM.as_bytes())
}

/// The frames of a streamed response, each verified.
#[derive(Debug)]
pub struct EventStream {
    answer: UpstreamResponse,
    decoder: FrameDecoder,
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
                None => {
                    self.decoder.finish()?;
                    return Ok(None);
                }
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
