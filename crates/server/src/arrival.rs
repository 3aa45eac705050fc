//! Takes what has arrived already, without waiting for more: the pieces of a burst are then one write.

use std::future::poll_fn;
use std::task::{Context, Poll};

/// The result of `poll` if there is one already. Other tasks run once in between, because one of them may have read
/// more from the connection than it has passed on.
pub(crate) async fn arrived<T>(mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> Option<T> {
    let mut yielded = false;
    poll_fn(|cx| match poll(cx) {
        Poll::Ready(ready) => Poll::Ready(Some(ready)),
        Poll::Pending if yielded => Poll::Ready(None),
        Poll::Pending => {
            yielded = true;
            cx.waker().wake_by_ref();
            Poll::Pending
        }
    })
    .await
}
