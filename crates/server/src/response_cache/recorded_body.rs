//! The body of a stream that is kept as it is sent. Only a stream that the request ended as complete is kept.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use bytes::{Bytes, BytesMut};
use translate::sse::KEEP_ALIVE;

use super::LARGEST;

/// A body with a copy of what it has sent.
pub(crate) struct RecordedBody<F> {
    body: BoxBody,
    /// Empty once there is too much of it.
    copy: Option<BytesMut>,
    /// Takes the copy at the end.
    keep: Option<F>,
}

impl<F: FnOnce(Bytes)> RecordedBody<F> {
    /// The body; `keep` takes its bytes when all were sent.
    pub(crate) fn of(body: BoxBody, keep: F) -> Self {
        Self { body, copy: Some(BytesMut::new()), keep: Some(keep) }
    }

    fn sent(&mut self, piece: &Bytes) {
        let Some(copy) = &mut self.copy else { return };
        if copy.len() + piece.len() > LARGEST {
            self.copy = None;
        } else if piece != KEEP_ALIVE {
            copy.extend_from_slice(piece);
        }
    }
}

impl<F: FnOnce(Bytes) + Unpin + 'static> MessageBody for RecordedBody<F> {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let this = self.get_mut();
        let next = ready!(Pin::new(&mut this.body).poll_next(cx));
        match &next {
            Some(Ok(piece)) => this.sent(piece),
            Some(Err(_)) => this.copy = None,
            None => {
                if let (Some(copy), Some(keep)) = (this.copy.take(), this.keep.take()) {
                    keep(copy.freeze());
                }
            }
        }
        Poll::Ready(next)
    }
}
