//! Panics, which the gateway's own code avoids but a dependency may cause. One request fails, with an
//! error that the client can read, and the log and the readiness probe count the panic. Panic messages
//! may quote a caller's text, so only literal messages are logged.

use std::panic::{AssertUnwindSafe, PanicHookInfo, set_hook};
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures_util::{FutureExt, Stream, StreamExt};
use translate::answer_stream::Received;

/// Beginning of a piece that holds no event.
const COMMENT: &[u8] = b":";

/// Panics caught since the process began.
static COUNT: AtomicU64 = AtomicU64::new(0);

/// The work ended in a panic, which has been counted and logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Panicked;

/// Panics caught since the process began.
pub(crate) fn count() -> u64 {
    COUNT.load(Ordering::Relaxed)
}

/// Counts and logs every panic, without text that it may quote. Panics of spawned tasks need no further
/// handling, because the runtime ends the task.
pub(crate) fn log_them() {
    set_hook(Box::new(|info: &PanicHookInfo<'_>| {
        let count = COUNT.fetch_add(1, Ordering::Relaxed) + 1;
        // A formatted message contains values.
        let text = info.payload().downcast_ref::<&'static str>().copied().unwrap_or("(not shown)");
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        log::error!("panic {count} of this process at {place}: {text}");
    }));
}

/// Polls a future to its end or to a panic. After a panic the future's state is dropped and never used
/// again.
///
/// # Errors
/// The future panicked.
pub(crate) async fn caught<F: Future>(work: &str, future: F) -> Result<F::Output, Panicked> {
    AssertUnwindSafe(future).catch_unwind().await.map_err(|_| note(work))
}

/// Polls a task; a panic is only logged and counted.
pub(crate) async fn noted(work: &'static str, future: impl Future<Output = ()>) {
    // The panic was counted already.
    let _ = caught(work, future).await;
}

/// Yields the pieces of a body up to its end or to a panic, after which the piece of `last` follows.
pub(crate) fn told<S, E>(
    pieces: S,
    last: impl Fn(Received<'_>) -> Bytes,
) -> impl Stream<Item = Result<Bytes, E>>
where
    S: Stream<Item = Result<Bytes, E>>,
{
    let mut sent: Option<Bytes> = None;
    AssertUnwindSafe(pieces).catch_unwind().map(move |piece| {
        let piece = piece.unwrap_or_else(|_| {
            note("the body of an answer");
            Ok(last(sent.as_deref().map_or(Received::Head, Received::Events)))
        });
        if let Ok(piece) = &piece
            && (sent.is_none() || !piece.starts_with(COMMENT))
        {
            sent = Some(piece.clone());
        }
        piece
    })
}

/// Logs the work that ended in a panic which was caught elsewhere.
pub(crate) fn note(work: &str) -> Panicked {
    log::error!("{work} ended in a panic");
    Panicked
}

#[cfg(test)]
mod tests;
