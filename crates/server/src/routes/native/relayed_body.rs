//! The body of a native answer as it is relayed: the pieces that have arrived together are one piece, so that a burst of
//! events is one write to the client. None is held back for another.

use std::future::Future as _;
use std::pin::pin;
use std::vec::IntoIter;

use bedrock::{Failure, UpstreamResponse};
use bytes::{Bytes, BytesMut};
use tokio::time::Instant;

use crate::arrival::arrived;
use crate::sse::stream::{BURST, WRITE};

type Arrived = Result<Option<Bytes>, Failure>;

/// The pieces of a body, the first of which were read when its answer began.
pub(super) struct RelayedBody {
    first: IntoIter<Bytes>,
    answer: UpstreamResponse,
    /// Pieces of a burst.
    gathered: BytesMut,
    /// The end that was met behind them.
    end: Option<Arrived>,
    last: Instant,
}

impl RelayedBody {
    pub(super) fn new(first: Vec<Bytes>, answer: UpstreamResponse) -> Self {
        let (first, gathered) = (first.into_iter(), BytesMut::new());
        Self { first, answer, gathered, end: None, last: Instant::now() - BURST }
    }

    /// The next piece, or `None` at the end. What a dropped future had gathered is the next piece.
    ///
    /// # Errors
    /// The body broke off.
    pub(super) async fn next(&mut self) -> Arrived {
        if let Some(piece) = self.first.next() {
            return Ok(Some(piece));
        }
        if self.gathered.is_empty() {
            if let Some(end) = self.end.take() {
                return end;
            }
            let is_of_burst = self.last.elapsed() < BURST;
            let Some(piece) = self.answer.chunk().await? else { return Ok(None) };
            if !is_of_burst || piece.len() >= WRITE {
                self.last = Instant::now();
                return Ok(Some(piece));
            }
            self.gathered.extend_from_slice(&piece);
        }
        while self.gathered.len() < WRITE && self.end.is_none() {
            let mut chunk = pin!(self.answer.chunk());
            match arrived(|cx| chunk.as_mut().poll(cx)).await {
                Some(Ok(Some(piece))) => self.gathered.extend_from_slice(&piece),
                Some(end) => self.end = Some(end),
                None => break,
            }
        }
        self.last = Instant::now();
        Ok(self.gathered())
    }

    /// The pieces that were gathered and not returned yet.
    pub(super) fn gathered(&mut self) -> Option<Bytes> {
        (!self.gathered.is_empty()).then(|| self.gathered.split().freeze())
    }
}
