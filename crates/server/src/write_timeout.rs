//! Sends an answer to a client that may stop reading. actix polls a body only while the client reads,
//! so time limits inside a body would stop with the client. Here a separate task drives the answer, one
//! piece ahead, and gives it up if the client does not read that piece in time.

use std::cell::Cell;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_rt::task::JoinHandle;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::disconnect;
use crate::panic_guard;

/// The answer was not sent completely, so the connection must not be closed normally.
#[derive(Debug, thiserror::Error)]
#[error("the answer was broken off")]
pub(crate) struct BrokenOff;

/// A body whose pieces a task produces. Dropping the body ends the task, and with it the upstream call.
pub(crate) struct WriteTimeoutBody {
    pieces: mpsc::Receiver<Bytes>,
    whole: Rc<Cell<bool>>,
    task: JoinHandle<()>,
    left: AfterClient,
    /// Whether the last piece has had its turn to be written before the answer is broken off.
    is_written: bool,
}

/// The fate of an answer whose client has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AfterClient {
    /// It ends, and with it the upstream call.
    End,
    /// It is read on for a while.
    Drain,
}

impl WriteTimeoutBody {
    /// Drives `pieces`. A piece that the client does not read within `stall` ends the answer, and so
    /// does an error.
    pub(crate) fn of<E: 'static>(
        pieces: impl Stream<Item = Result<Bytes, E>> + 'static,
        stall: Duration,
        left: AfterClient,
    ) -> Self {
        let (sender, receiver) = mpsc::channel(1);
        let whole = Rc::new(Cell::new(false));
        let done = Rc::clone(&whole);
        let task = actix_rt::spawn(panic_guard::noted("the body of an answer", async move {
            let mut pieces = pin!(pieces);
            while let Some(piece) = pieces.next().await {
                let Ok(piece) = piece else { return };
                if sender.send_timeout(piece, stall).await.is_ok() {
                    continue;
                }
                if left == AfterClient::Drain {
                    let rest = async { while pieces.next().await.is_some() {} };
                    // Dropping the pieces ends the call, whose row is then an estimate.
                    let _ = timeout(disconnect::LONGEST, rest).await;
                }
                return;
            }
            done.set(true);
        }));
        Self { pieces: receiver, whole, task, left, is_written: false }
    }
}

impl Stream for WriteTimeoutBody {
    type Item = Result<Bytes, BrokenOff>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match self.pieces.poll_recv(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Some(piece)) => Poll::Ready(Some(Ok(piece))),
            Poll::Ready(None) if self.whole.get() => Poll::Ready(None),
            // actix drops what it has not written when a body fails.
            Poll::Ready(None) if !self.is_written => {
                self.is_written = true;
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Poll::Ready(None) => Poll::Ready(Some(Err(BrokenOff))),
        }
    }
}

impl Drop for WriteTimeoutBody {
    fn drop(&mut self) {
        if self.left == AfterClient::Drain {
            // The task notices with the next piece that the client has left.
            return;
        }
        self.task.abort();
    }
}
