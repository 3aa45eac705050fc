//! Futures of answers that go on after their client has left, where the operator wants their cost exact.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::time::timeout;

use crate::disconnect::{IN_BACKGROUND, LONGEST};
use crate::panic_guard;
use crate::request::PendingResponse;

/// A future that goes on after it is dropped, if its request says so by then.
pub(crate) struct Drained<F: Future + 'static> {
    answer: Option<Pin<Box<F>>>,
    head: PendingResponse,
}

impl<F: Future + 'static> Drained<F> {
    pub(crate) fn new(answer: F, head: PendingResponse) -> Self {
        Self { answer: Some(Box::pin(answer)), head }
    }
}

impl<F: Future + 'static> Future for Drained<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let Some(answer) = &mut self.answer else { return Poll::Pending };
        let polled = answer.as_mut().poll(cx);
        if polled.is_ready() {
            self.answer = None;
        }
        polled
    }
}

impl<F: Future + 'static> Drop for Drained<F> {
    fn drop(&mut self) {
        let longest = match self.head.running() {
            Some(_) => IN_BACKGROUND,
            None if self.head.is_drained() => LONGEST,
            None => return,
        };
        let Some(answer) = self.answer.take() else { return };
        actix_rt::spawn(panic_guard::noted("an answer without a client", async move {
            // Dropping it ends the call, whose row is then an estimate.
            let _ = timeout(longest, answer).await;
        }));
    }
}
