//! Panics, which the gateway's own code does not intend but a dependency may: one request fails, as a failure
//! that the client can read, and the log and the readiness probe count it. Messages of panics may quote what a
//! caller sent, so that only those that are literals are logged.

use std::panic::{AssertUnwindSafe, PanicHookInfo, set_hook};
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures_util::{FutureExt, Stream, StreamExt};

/// Since the process began.
static COUNT: AtomicU64 = AtomicU64::new(0);

/// The work ended in a panic, which has been counted and logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Panicked;

/// Panics caught since the process began.
pub(crate) fn count() -> u64 {
    COUNT.load(Ordering::Relaxed)
}

/// Has panics told by the log, without what they may quote.
pub(crate) fn log_them() {
    set_hook(Box::new(|info: &PanicHookInfo<'_>| {
        // A formatted message holds values.
        let text = info.payload().downcast_ref::<&'static str>().copied().unwrap_or("(not shown)");
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        log::error!("panic at {place}: {text}");
    }));
}

/// Polls a future to its end, or to its panic. What it holds is dropped then, and never used again.
///
/// # Errors
/// It panicked.
pub(crate) async fn caught<F: Future>(work: &str, future: F) -> Result<F::Output, Panicked> {
    AssertUnwindSafe(future).catch_unwind().await.map_err(|_| note(work))
}

/// The same for a task, which is only logged and counted.
pub(crate) async fn noted(work: &'static str, future: impl Future<Output = ()>) {
    // Its count is all that is left of it.
    let _ = caught(work, future).await;
}

/// Pieces of a body up to its end, or to a panic: then `last` is the last of them.
pub(crate) fn told<S, E>(pieces: S, last: Bytes) -> impl Stream<Item = Result<Bytes, E>>
where
    S: Stream<Item = Result<Bytes, E>>,
{
    AssertUnwindSafe(pieces).catch_unwind().map(move |piece| {
        piece.unwrap_or_else(|_| {
            note("the body of an answer");
            Ok(last.clone())
        })
    })
}

/// Counts and logs a panic that was caught elsewhere.
pub(crate) fn note(work: &str) -> Panicked {
    let count = COUNT.fetch_add(1, Ordering::Relaxed) + 1;
    log::error!("{work} ended in a panic, the process's panic number {count}");
    Panicked
}

#[cfg(test)]
mod tests;
