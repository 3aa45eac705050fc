//! One stream: a request to the application, and its answer as fast as the client takes it. A stream that the
//! client resets ends the request, wherever it is.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_http::body::{BoxBody, MessageBody};
use actix_http::{Request, Response};
use actix_service::Service;
use actix_web::Error;
use actix_web::dev::ServiceResponse;
use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::StatusCode;
use tokio::time::timeout;

use super::message;
use crate::state::Shared;

/// How a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// With its answer, or with as much of it as there was.
    Answered,
    /// The client reset it before.
    GivenUp,
}

/// Answers a request.
pub(super) async fn answer<A, B>(
    request: http::Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    peer: Option<SocketAddr>,
    app: Rc<A>,
    shared: Arc<Shared>,
) -> Ending
where
    A: Service<Request, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody + 'static,
{
    if message::waits_for_leave(&request) {
        let mut leave = http::Response::new(());
        *leave.status_mut() = StatusCode::CONTINUE;
        // Where it cannot be sent, neither can the answer.
        let _ = respond.send_informational(leave);
    }
    let is_head = request.method() == http::Method::HEAD;
    let request = message::request(request, peer);
    let response: Response<BoxBody> = tokio::select! {
        biased;
        _ = poll_fn(|cx| respond.poll_reset(cx)) => return Ending::GivenUp,
        answered = async { app.call(request).await } => match answered {
            Ok(response) => response.map_into_boxed_body().into(),
            Err(error) => error.into(),
        },
    };
    let (response, body) = response.into_parts();
    let size = message::size(response.status(), body.size());
    let head = message::head(response.head(), size);
    let is_whole = is_head || size.is_eof();
    match respond.send_response(head, is_whole) {
        Ok(_) if is_whole => Ending::Answered,
        Ok(stream) => {
            // Of the time the answer began: a reload does not change it.
            let stall = shared.now().config.timeouts.write_stall;
            drop(shared);
            UpstreamResponse { stream, stall, left: message::length(size) }.send(body).await
        }
        Err(error) => {
            log::debug!("HTTP/2 stream: {error}");
            Ending::GivenUp
        }
    }
}

/// An answer on its way.
struct UpstreamResponse {
    stream: SendStream<Bytes>,
    /// For the client to take what there is.
    stall: Duration,
    /// Bytes still to come, where that is known.
    left: Option<u64>,
}

impl UpstreamResponse {
    async fn send(mut self, body: BoxBody) -> Ending {
        let mut body = pin!(body);
        loop {
            let piece = tokio::select! {
                biased;
                _ = poll_fn(|cx| self.stream.poll_reset(cx)) => return Ending::GivenUp,
                piece = poll_fn(|cx| body.as_mut().poll_next(cx)) => piece,
            };
            match piece {
                Some(Ok(piece)) => match self.piece(piece).await {
                    Some(true) => return Ending::Answered,
                    Some(false) => {}
                    None => return Ending::GivenUp,
                },
                Some(Err(error)) => {
                    log::debug!("HTTP/2 stream: {error}");
                    self.stream.send_reset(Reason::INTERNAL_ERROR);
                    return Ending::Answered;
                }
                None => {
                    // An error means that the client has gone.
                    let _ = self.stream.send_data(Bytes::new(), true);
                    return Ending::Answered;
                }
            }
        }
    }

    /// Sends one piece; tells whether it was the last. `None`: the client does not take it.
    async fn piece(&mut self, mut piece: Bytes) -> Option<bool> {
        while !piece.is_empty() {
            let room = self.room(piece.len()).await?;
            let part = piece.split_to(room.min(piece.len()));
            self.left = self.left.map(|left| left.saturating_sub(part.len() as u64));
            let is_last = piece.is_empty() && self.left == Some(0);
            self.stream.send_data(part, is_last).ok()?;
            if is_last {
                return Some(true);
            }
        }
        Some(false)
    }

    /// Waits until the client takes some of so many bytes.
    async fn room(&mut self, wanted: usize) -> Option<usize> {
        self.stream.reserve_capacity(wanted);
        loop {
            let room = self.stream.capacity();
            if room > 0 {
                return Some(room);
            }
            match timeout(self.stall, poll_fn(|cx| self.stream.poll_capacity(cx))).await {
                Ok(Some(Ok(_))) => {}
                Ok(Some(Err(_)) | None) => return None,
                Err(_) => {
                    self.stream.send_reset(Reason::CANCEL);
                    return None;
                }
            }
        }
    }
}
