//! Sends an answer to a client that may stop reading. actix polls a body only while the client reads, so time limits
//! inside a body would stop with the client. A task beside each body gives the answer up if the client does not read a
//! piece in time; it wakes once in that time, not with every piece.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_rt::task::JoinHandle;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout};

use crate::disconnect;
use crate::panic_guard;

/// The answer was not sent completely, so the connection must not be closed normally.
#[derive(Debug, thiserror::Error)]
#[error("the answer was broken off")]
pub(crate) struct BrokenOff;

/// A body with a time limit for its reader. Dropping it ends the upstream call.
pub(crate) struct WriteTimeoutBody<S: 'static> {
    answer: Rc<Answer<S>>,
    watch: JoinHandle<()>,
    left: AfterClient,
    /// Whether the last piece has had its turn to be written before the answer is broken off.
    is_written: bool,
}

/// What a body and the task beside it share.
struct Answer<S> {
    /// `None` when the answer is over or given up.
    pieces: RefCell<Option<Pin<Box<S>>>>,
    is_whole: Cell<bool>,
    /// The time at which a piece was handed out, until the client's connection asks for the next one.
    unread_since: Cell<Option<Instant>>,
    client_left: Notify,
}

/// The fate of an answer whose client has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AfterClient {
    /// It ends, and with it the upstream call.
    End,
    /// It is read on for a while.
    Drain,
}

impl<S> Answer<S> {
    /// Waits until a piece was unread for this long, or the client has left.
    async fn is_given_up(&self, stall: Duration) {
        loop {
            let began = self.unread_since.get().unwrap_or_else(Instant::now);
            tokio::select! {
                () = sleep_until(began + stall) => {}
                () = self.client_left.notified() => return,
            }
            if self.unread_since.get().is_some_and(|since| since.elapsed() >= stall) {
                return;
            }
        }
    }

    fn take(&self) -> Option<Pin<Box<S>>> {
        self.pieces.borrow_mut().take()
    }
}

impl<S, E> WriteTimeoutBody<S>
where
    S: Stream<Item = Result<Bytes, E>> + 'static,
{
    /// Sends `pieces`. A piece that the client does not read within `stall` ends the answer, and so does an error.
    pub(crate) fn of(pieces: S, stall: Duration, left: AfterClient) -> Self {
        let answer = Rc::new(Answer {
            pieces: RefCell::new(Some(Box::pin(pieces))),
            is_whole: Cell::new(false),
            unread_since: Cell::new(None),
            client_left: Notify::new(),
        });
        let watched = Rc::clone(&answer);
        let watch = actix_rt::spawn(panic_guard::noted("the body of an answer", async move {
            watched.is_given_up(stall).await;
            let pieces = watched.take();
            if left == AfterClient::Drain
                && let Some(mut pieces) = pieces
            {
                let rest = async { while pieces.next().await.is_some() {} };
                // Dropping the pieces ends the call, whose row is then an estimate.
                let _ = timeout(disconnect::LONGEST, rest).await;
            }
        }));
        Self { answer, watch, left, is_written: false }
    }

    /// The next piece; `None` after an error, a panic, or when the answer was given up.
    fn poll_piece(&self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        self.answer.unread_since.set(None);
        let mut pieces = self.answer.pieces.borrow_mut();
        let Some(open) = pieces.as_mut() else { return Poll::Ready(None) };
        // After a panic the pieces are dropped and never polled again.
        let polled = catch_unwind(AssertUnwindSafe(|| open.as_mut().poll_next(cx)));
        match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(Some(Ok(piece)))) => {
                self.answer.unread_since.set(Some(Instant::now()));
                return Poll::Ready(Some(piece));
            }
            Ok(Poll::Ready(None)) => self.answer.is_whole.set(true),
            Ok(Poll::Ready(Some(Err(_)))) => {}
            Err(_) => {
                panic_guard::note("the body of an answer");
            }
        }
        *pieces = None;
        Poll::Ready(None)
    }
}

impl<S, E> Stream for WriteTimeoutBody<S>
where
    S: Stream<Item = Result<Bytes, E>> + 'static,
{
    type Item = Result<Bytes, BrokenOff>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match self.poll_piece(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Some(piece)) => Poll::Ready(Some(Ok(piece))),
            Poll::Ready(None) if self.answer.is_whole.get() => Poll::Ready(None),
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

impl<S: 'static> Drop for WriteTimeoutBody<S> {
    fn drop(&mut self) {
        if self.left == AfterClient::Drain {
            self.answer.client_left.notify_one();
            return;
        }
        self.watch.abort();
        drop(self.answer.take());
    }
}
