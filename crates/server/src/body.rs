//! Request bodies, read under limits. actix has neither a time limit for bodies nor a way to avoid a
//! copy if the body is a single chunk.

use std::cell::Cell;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::error::PayloadError;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, HeaderMap};
use actix_web::web::Payload;
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::time::{Instant, timeout, timeout_at};

use crate::byte_size::Mib;

/// Longest unwanted body that is read, in bytes, and the time for it.
const SHORT: usize = 64 * 1024;
const SOON: Duration = Duration::from_millis(500);
/// Time for the parser to pass on a body that is already here.
const AT_ONCE: Duration = Duration::from_millis(2);

/// Limits on the size and duration of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BodyLimits {
    /// Largest size.
    pub(crate) max_mib: Mib,
    /// Longest silence between two pieces.
    pub(crate) idle: Duration,
    /// Time from the request's headers to the last byte.
    pub(crate) total: Duration,
    /// Fewest bytes a second on average, once `idle` has passed; 0 for no limit.
    pub(crate) min_rate: u32,
}

impl Default for BodyLimits {
    fn default() -> Self {
        let (idle, total) = (Duration::from_secs(15), Duration::from_secs(120));
        Self { max_mib: Mib::new(26), idle, total, min_rate: 1024 }
    }
}

impl BodyLimits {
    /// Whether so many bytes in this time are too few. A body that sends a byte now and then is never idle.
    fn trickles(&self, received: usize, elapsed: Duration) -> bool {
        let due = u128::from(self.min_rate) * elapsed.as_millis() / 1000;
        elapsed > self.idle && (received as u128) < due
    }
}

/// The source of a request's body.
pub(crate) enum BodySource {
    /// It is read from the connection.
    Payload(Payload),
    /// It came as one message of a WebSocket.
    Message(Bytes),
}

impl BodySource {
    /// The rest of the request on its connection, if it is part of one.
    pub(crate) fn payload(&mut self) -> Option<&mut Payload> {
        match self {
            Self::Payload(payload) => Some(payload),
            Self::Message(_) => None,
        }
    }
}

impl From<Payload> for BodySource {
    fn from(payload: Payload) -> Self {
        Self::Payload(payload)
    }
}

/// The reason why a body could not be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum BodyError {
    /// Larger than the limit, in bytes.
    #[error("the body is larger than {0} bytes")]
    TooLarge(usize),
    /// The client stopped sending.
    #[error("the body did not arrive in time")]
    TooSlow,
    /// It ended early, or its framing is broken.
    #[error("the body is incomplete or badly framed")]
    Broken,
    /// Compressed, which is not supported.
    #[error("the body is encoded as {0}; send it uncompressed")]
    Encoded(String),
}

/// A body that was not read to its end, with the unread rest.
#[derive(thiserror::Error)]
#[error("{error}")]
pub(crate) struct Unread {
    /// The reason.
    pub(crate) error: BodyError,
    rest: Cell<Option<Payload>>,
}

impl fmt::Debug for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl Unread {
    /// A body whose rest is left to its reader.
    pub(crate) fn of(error: BodyError) -> Self {
        Self { error, rest: Cell::new(None) }
    }

    /// Attaches the rest of the body to the response. While it is held, actix closes the connection
    /// after the response; once dropped, actix would read and discard a chunked body for as long as it
    /// is sent.
    pub(crate) fn close_after(&self, response: HttpResponse) -> HttpResponse {
        let rest = self.rest.take();
        response.map_body(|_, body| BoxBody::new(Closing { body, _rest: rest }))
    }
}

/// The response to a request whose body is not read to its end: the connection is closed after it.
pub(crate) fn close_after(response: HttpResponse, rest: Payload) -> HttpResponse {
    response.map_body(|_, body| BoxBody::new(Closing { body, _rest: Some(rest) }))
}

struct Closing {
    body: BoxBody,
    _rest: Option<Payload>,
}

impl MessageBody for Closing {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        self.body.as_pin_mut().poll_next(cx)
    }
}

/// Reads a complete body. A body of a single chunk is not copied.
///
/// # Errors
/// A limit was reached, or the client broke the framing.
pub(crate) async fn read(
    headers: &HeaderMap,
    mut payload: Payload,
    limits: BodyLimits,
) -> Result<Bytes, Unread> {
    match read_all(headers, &mut payload, limits).await {
        Ok(body) => Ok(body),
        Err(error @ BodyError::Encoded(_)) if skim(&mut payload).await => {
            Err(Unread { error, rest: Cell::new(None) })
        }
        Err(error) => Err(Unread { error, rest: Cell::new(Some(payload)) }),
    }
}

/// Reads an unwanted body if it is short and arrives soon; returns whether that was all of it. An
/// unread rest closes the connection, together with the requests sent after it.
pub(crate) async fn skim(payload: &mut Payload) -> bool {
    skim_within(payload, SOON).await
}

/// The same for a body that has arrived with its head: the refusal does not wait.
pub(crate) async fn skim_at_once(payload: &mut Payload) -> bool {
    skim_within(payload, AT_ONCE).await
}

async fn skim_within(payload: &mut Payload, limit: Duration) -> bool {
    let mut left = SHORT;
    let all = async {
        while let Some(piece) = payload.next().await {
            left = piece.ok().and_then(|piece| left.checked_sub(piece.len()))?;
        }
        Some(())
    };
    timeout(limit, all).await.is_ok_and(|all| all.is_some())
}

/// A body that is used while it arrives, and never held whole.
pub(crate) struct BodyPieces<'p> {
    payload: &'p mut Payload,
    limits: BodyLimits,
    /// Largest size, in bytes.
    longest: usize,
    received: usize,
    started: Instant,
}

impl<'p> BodyPieces<'p> {
    /// The pieces of a body of at most `longest` bytes. Of the limits, those on time between pieces and on the rate apply:
    /// a long body may take long.
    ///
    /// # Errors
    /// Its head announces too much, or an encoding.
    pub(crate) fn new(
        headers: &HeaderMap,
        payload: &'p mut Payload,
        limits: BodyLimits,
        longest: usize,
    ) -> Result<Self, Unread> {
        let refused = Unread::of;
        refuse_encoding(headers).map_err(refused)?;
        if announced_length(headers).is_some_and(|length| length > longest) {
            return Err(refused(BodyError::TooLarge(longest)));
        }
        Ok(Self { payload, limits, longest, received: 0, started: Instant::now() })
    }

    /// The next piece; absent at the end.
    ///
    /// # Errors
    /// A limit was reached, or the client broke the framing.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Unread> {
        let refused = Unread::of;
        let next = timeout(self.limits.idle, self.payload.next()).await;
        let Some(piece) = next.map_err(|_| refused(BodyError::TooSlow))? else { return Ok(None) };
        let piece = piece.map_err(|error| refused(broken(&error)))?;
        self.received += piece.len();
        if self.received > self.longest {
            return Err(refused(BodyError::TooLarge(self.longest)));
        }
        if self.limits.trickles(self.received, self.started.elapsed()) {
            return Err(refused(BodyError::TooSlow));
        }
        Ok(Some(piece))
    }
}

fn refuse_encoding(headers: &HeaderMap) -> Result<(), BodyError> {
    match headers.get(CONTENT_ENCODING) {
        Some(encoding) if encoding.as_bytes() != b"identity" => {
            Err(BodyError::Encoded(String::from_utf8_lossy(encoding.as_bytes()).into_owned()))
        }
        Some(_) | None => Ok(()),
    }
}

async fn read_all(
    headers: &HeaderMap,
    payload: &mut Payload,
    limits: BodyLimits,
) -> Result<Bytes, BodyError> {
    refuse_encoding(headers)?;
    let announced = announced_length(headers);
    if announced.is_some_and(|length| length > limits.max_mib.bytes()) {
        return Err(BodyError::TooLarge(limits.max_mib.bytes()));
    }
    let started = Instant::now();
    let deadline = started + limits.total;
    let mut next = async || {
        let piece = timeout_at(deadline, timeout(limits.idle, payload.next())).await;
        piece.ok().and_then(Result::ok).ok_or(BodyError::TooSlow)
    };
    let Some(first) = next().await? else { return Ok(Bytes::new()) };
    let first = first.map_err(|error| broken(&error))?;
    if announced == Some(first.len()) {
        return within(first, limits.max_mib.bytes());
    }
    let mut body = Vec::new();
    grow(&mut body, within(first, limits.max_mib.bytes())?.as_ref(), announced);
    while let Some(piece) = next().await? {
        let piece = piece.map_err(|error| broken(&error))?;
        let received = body.len() + piece.len();
        if received > limits.max_mib.bytes() {
            return Err(BodyError::TooLarge(limits.max_mib.bytes()));
        }
        if limits.trickles(received, started.elapsed()) {
            return Err(BodyError::TooSlow);
        }
        grow(&mut body, &piece, announced);
    }
    Ok(body.into())
}

/// Adds a chunk. Memory grows with the bytes received and not with the announced length: at most to
/// twice the present size, and never beyond the bytes to come.
fn grow(body: &mut Vec<u8>, piece: &[u8], announced: Option<usize>) {
    let needed = body.len() + piece.len();
    if needed > body.capacity() {
        let room = (2 * needed).min(announced.unwrap_or(usize::MAX)).max(needed);
        body.reserve_exact(room - body.len());
    }
    body.extend_from_slice(piece);
}

fn within(piece: Bytes, size: usize) -> Result<Bytes, BodyError> {
    if piece.len() > size { Err(BodyError::TooLarge(size)) } else { Ok(piece) }
}

fn announced_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn broken(error: &PayloadError) -> BodyError {
    log::debug!("request body: {error}");
    BodyError::Broken
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_has_a_lowest_rate_once_the_idle_time_has_passed() {
        let limits = BodyLimits { idle: Duration::from_secs(2), ..BodyLimits::default() };
        assert!(!limits.trickles(0, Duration::from_secs(2)), "within the idle time");
        assert!(limits.trickles(3 * 1024 - 1, Duration::from_secs(3)));
        assert!(!limits.trickles(3 * 1024, Duration::from_secs(3)));
        let none = BodyLimits { min_rate: 0, ..limits };
        assert!(!none.trickles(0, Duration::from_secs(100)));
    }

    #[test]
    fn memory_grows_with_the_bytes_received() {
        let announced = 25 * 1024 * 1024;
        let mut body = Vec::new();
        grow(&mut body, b"{", Some(announced));
        assert!(body.capacity() < 1024, "{}", body.capacity());
        let piece = vec![b' '; 64 * 1024];
        while body.len() + piece.len() <= announced {
            grow(&mut body, &piece, Some(announced));
            assert!(body.capacity() <= 2 * body.len());
        }
        let rest = vec![b' '; announced - body.len()];
        grow(&mut body, &rest, Some(announced));
        assert_eq!((body.len(), body.capacity()), (announced, announced));
    }
}
