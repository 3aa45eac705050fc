//! A limit on the bytes of a message that is not complete. actix reads a frame to its end before it refuses its length.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_web::dev::Payload as AnyPayload;
use actix_web::error::PayloadError;
use actix_web::web::Payload;
use actix_web::{FromRequest, HttpRequest};
use bytes::Bytes;
use futures_util::Stream;

use crate::error::GatewayError;

/// Bytes of frames beside their text: heads, and what arrives with the next message.
const ROOM: usize = 128 * 1024;

/// Bytes that have arrived since the last complete message.
#[derive(Debug, Clone, Default)]
pub(super) struct UnreadBytes(Rc<Cell<usize>>);

impl UnreadBytes {
    /// Begins to count anew, because a message is complete.
    pub(super) fn reset(&self) {
        self.0.set(0);
    }
}

struct Bounded {
    payload: Payload,
    unread: UnreadBytes,
    most: usize,
}

impl Stream for Bounded {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = Pin::new(&mut self.payload).poll_next(cx);
        if let Poll::Ready(Some(Ok(piece))) = &polled {
            let all = self.unread.0.get() + piece.len();
            self.unread.0.set(all);
            if all > self.most + ROOM {
                return Poll::Ready(Some(Err(PayloadError::Overflow)));
            }
        }
        polled
    }
}

/// The bytes of a connection, which end in an error where a message is longer than `most`.
pub(super) async fn bounded(
    http: &HttpRequest,
    payload: Payload,
    (unread, most): (UnreadBytes, usize),
) -> Result<Payload, GatewayError> {
    let payload: Pin<Box<dyn Stream<Item = Result<Bytes, PayloadError>>>> =
        Box::pin(Bounded { payload, unread, most });
    let mut payload = AnyPayload::Stream { payload };
    let taken = Payload::from_request(http, &mut payload).await;
    taken.map_err(|error| GatewayError::Internal(error.to_string()))
}
