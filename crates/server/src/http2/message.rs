//! Heads and bodies between h2's types and actix's, which rest on different versions of the `http` crate. A
//! request looks as if it had come by HTTP/1.1: a path as its target, and the name it calls in `Host`.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::SystemTime;

use actix_http::body::BodySize;
use actix_http::error::PayloadError;
use actix_http::header::{
    CONTENT_LENGTH, DATE, HOST, HeaderMap, HeaderName, HeaderValue, HttpDate,
};
use actix_http::{Payload, Request, ResponseHead, StatusCode, Uri};
use bytes::Bytes;
use futures_util::Stream;
use h2::RecvStream;
use http::header::EXPECT;

/// Headers of a connection, which HTTP/2 does not have.
const OF_CONNECTIONS: [&str; 5] =
    ["connection", "transfer-encoding", "upgrade", "keep-alive", "proxy-connection"];

/// Whether the client sends the body only when told to.
pub(super) fn waits_for_leave(request: &http::Request<RecvStream>) -> bool {
    let expect = request.headers().get(EXPECT);
    expect.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
        && !request.body().is_end_stream()
}

/// The request as the application takes it.
pub(super) fn request(request: http::Request<RecvStream>, peer: Option<SocketAddr>) -> Request {
    let (parts, body) = request.into_parts();
    let payload = if body.is_end_stream() {
        Payload::None
    } else {
        Payload::Stream { payload: Box::pin(Body(body)) as _ }
    };
    let mut request = Request::with_payload(payload);
    let head = request.head_mut();
    head.headers = headers(&parts.headers);
    let named = parts.uri.authority().map(http::uri::Authority::as_str);
    let is_told = head.headers.get(HOST).map(|host| host.to_str().ok() == named);
    if let (None, Some(Ok(name))) = (is_told, named.map(HeaderValue::from_str)) {
        head.headers.insert(HOST, name);
    }
    // Where `Host` names another, both are kept, and judged.
    let whole = parts.uri.to_string();
    let target = match parts.uri.path_and_query() {
        Some(target) if is_told != Some(false) => target.as_str(),
        _ => &whole,
    };
    head.uri = target.parse().unwrap_or_else(|_| Uri::from_static("/"));
    if let Ok(method) = parts.method.as_str().parse() {
        head.method = method;
    }
    head.version = actix_http::Version::HTTP_2;
    head.peer_addr = peer;
    request
}

fn headers(from: &http::HeaderMap) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(from.len() + 1);
    for (name, value) in from {
        let name = HeaderName::from_bytes(name.as_str().as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value.as_bytes())) {
            headers.append(name, value);
        }
    }
    headers
}

/// The size of a body, where the status allows one.
pub(super) fn size(status: StatusCode, size: BodySize) -> BodySize {
    match status {
        StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED => BodySize::None,
        _ => size,
    }
}

/// Bytes of a body, where that is known.
pub(super) fn length(size: BodySize) -> Option<u64> {
    match size {
        BodySize::Sized(length) => Some(length),
        BodySize::None | BodySize::Stream => None,
    }
}

/// The head of a response as the client takes it.
pub(super) fn head(from: &ResponseHead, size: BodySize) -> http::Response<()> {
    let mut response = http::Response::new(());
    if let Ok(status) = http::StatusCode::from_u16(from.status.as_u16()) {
        *response.status_mut() = status;
    }
    let headers = response.headers_mut();
    let length = length(size);
    for (name, value) in from.headers() {
        if OF_CONNECTIONS.contains(&name.as_str()) || (name == CONTENT_LENGTH && length.is_some()) {
            continue;
        }
        let name = http::HeaderName::from_bytes(name.as_str().as_bytes());
        if let (Ok(name), Ok(value)) = (name, http::HeaderValue::from_bytes(value.as_bytes())) {
            headers.append(name, value);
        }
    }
    if let Some(length) = length {
        headers.insert(http::header::CONTENT_LENGTH, length.into());
    }
    if !from.headers().contains_key(DATE)
        && let Ok(now) = HttpDate::from(SystemTime::now()).to_string().parse()
    {
        headers.insert(http::header::DATE, now);
    }
    response
}

/// The body of a request. What has been read makes room for more.
struct Body(RecvStream);

impl Stream for Body {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let piece = match ready!(self.0.poll_data(cx)) {
            None => return Poll::Ready(None),
            Some(Ok(piece)) => piece,
            Some(Err(error)) => return Poll::Ready(Some(Err(broken(error)))),
        };
        // It fails where the stream has ended, which the next read tells.
        let _ = self.0.flow_control().release_capacity(piece.len());
        Poll::Ready(Some(Ok(piece)))
    }
}

fn broken(error: h2::Error) -> PayloadError {
    PayloadError::Incomplete(Some(
        error.into_io().unwrap_or_else(|| {
            io::Error::new(io::ErrorKind::UnexpectedEof, "the stream was reset")
        }),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(status: StatusCode, headers: &[(&'static str, &'static str)]) -> ResponseHead {
        let mut head = ResponseHead::new(status);
        for (name, value) in headers {
            head.headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        head
    }

    #[test]
    fn a_response_keeps_its_headers_but_those_of_connections() {
        let from = response(
            StatusCode::BAD_REQUEST,
            &[
                ("x-a", "1"),
                ("x-a", "2"),
                ("connection", "close"),
                ("transfer-encoding", "chunked"),
                ("keep-alive", "5"),
                ("content-length", "99"),
            ],
        );
        let head = head(&from, BodySize::Sized(7));
        assert_eq!(head.status().as_u16(), 400);
        assert_eq!(head.headers().get_all("x-a").iter().collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(head.headers()["content-length"], "7");
        assert!(head.headers().contains_key("date"));
        assert_eq!(head.headers().len(), 4, "{head:?}");
    }

    #[test]
    fn some_statuses_have_no_body() {
        assert_eq!(size(StatusCode::NO_CONTENT, BodySize::Stream), BodySize::None);
        assert_eq!(size(StatusCode::OK, BodySize::Stream), BodySize::Stream);
    }
}
