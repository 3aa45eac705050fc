//! The body of a native answer as it is relayed: the pieces that have arrived together are one piece, so that a burst of
//! events is one write to the client. None is held back for another.

use std::vec::IntoIter;

use bedrock::{Failure, UpstreamResponse};
use bytes::{Bytes, BytesMut};
use futures_util::FutureExt as _;
use tokio::time::Instant;

use crate::sse::stream::{BURST, WRITE};

type Arrived = Result<Option<Bytes>, Failure>;

/// The pieces of a body, the first of which were read when its answer began.
pub(super) struct RelayedBody {
    first: IntoIter<Bytes>,
    answer: UpstreamResponse,
    /// The end that was met behind a piece.
    end: Option<Arrived>,
    last: Instant,
}

impl RelayedBody {
    pub(super) fn new(first: Vec<Bytes>, answer: UpstreamResponse) -> Self {
        Self { first: first.into_iter(), answer, end: None, last: Instant::now() - BURST }
    }

    /// The next piece, or `None` at the end. A dropped future loses nothing.
    ///
    /// # Errors
    /// The body broke off.
    pub(super) async fn next(&mut self) -> Arrived {
        if let Some(piece) = self.first.next() {
            return Ok(Some(piece));
        }
        if let Some(end) = self.end.take() {
            return end;
        }
        let is_of_burst = self.last.elapsed() < BURST;
        let Some(piece) = self.answer.chunk().await? else { return Ok(None) };
        let piece = if is_of_burst { self.joined(piece) } else { piece };
        self.last = Instant::now();
        Ok(Some(piece))
    }

    /// A piece and those that have arrived behind it.
    fn joined(&mut self, piece: Bytes) -> Bytes {
        let Some(second) = self.arrived() else { return piece };
        let mut whole = BytesMut::with_capacity(WRITE);
        whole.extend_from_slice(&piece);
        whole.extend_from_slice(&second);
        while whole.len() < WRITE
            && let Some(more) = self.arrived()
        {
            whole.extend_from_slice(&more);
        }
        whole.freeze()
    }

    /// A piece that has arrived already; an end is kept for the next call.
    fn arrived(&mut self) -> Option<Bytes> {
        match self.answer.chunk().now_or_never()? {
            Ok(Some(piece)) => Some(piece),
            end => {
                self.end = Some(end);
                None
            }
        }
    }
}
