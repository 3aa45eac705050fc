//! Answers whose client has left. Bedrock bills a call in full once it has accepted it, so that reading on costs no more
//! and tells exactly what the call cost; ending it frees its connection and leaves an estimate.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::timeout;

use crate::panic_guard;
use crate::request::PendingResponse;

/// Longest time for which an answer is read after its client has left.
pub(crate) const LONGEST: Duration = Duration::from_secs(60);

/// The treatment of answers whose client has left.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum OnDisconnect {
    /// Whole answers are awaited, streams are ended.
    #[default]
    Auto,
    /// All are ended.
    Cancel,
    /// All are read to their end.
    Drain,
}

/// Forms of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AnswerForm {
    Whole,
    Stream,
}

impl OnDisconnect {
    /// Whether such an answer is read on.
    pub(crate) fn drains(self, form: AnswerForm) -> bool {
        match self {
            Self::Auto => form == AnswerForm::Whole,
            Self::Cancel => false,
            Self::Drain => true,
        }
    }
}

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
        let Some(answer) = self.answer.take().filter(|_| self.head.is_drained()) else { return };
        actix_rt::spawn(panic_guard::noted("an answer without a client", async move {
            // Dropping it ends the call, whose row is then an estimate.
            let _ = timeout(LONGEST, answer).await;
        }));
    }
}
