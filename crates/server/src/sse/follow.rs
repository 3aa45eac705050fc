//! Streams of a response that is made, or was made, in the background: its events so far, then those to come.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpResponse;
use async_stream::stream;
use bytes::Bytes;
use futures_util::Stream;
use tokio::time::timeout;
use translate::sse;

use super::stream::event_stream;
use crate::reasoning_store::{Job, LoggedEvents};

/// The response that carries a job's events from a sequence number on.
pub(crate) fn respond(job: Arc<Job>, next: usize, keep_alive: Duration) -> HttpResponse {
    event_stream().streaming(events(job, next, keep_alive))
}

/// The response that carries the events of a stream that is over.
pub(crate) fn replay(logged: &LoggedEvents) -> HttpResponse {
    let mut all: Vec<&[u8]> = logged.events.iter().map(|event| &**event).collect();
    all.push(sse::DONE);
    event_stream().body(all.concat())
}

/// A client that reads slowly delays its own events alone. One that falls behind what is kept gets no end, so that
/// it asks again from where it is.
fn events(
    job: Arc<Job>,
    mut next: usize,
    keep_alive: Duration,
) -> impl Stream<Item = Result<Bytes, Infallible>> {
    stream! {
        let mut changes = job.changes();
        loop {
            changes.borrow_and_update();
            let Some(LoggedEvents { events, next: after, is_over }) = job.events_from(next) else {
                return;
            };
            next = after;
            match events.as_slice() {
                [] => {}
                [one] => yield Ok(one.clone()),
                several => yield Ok(Bytes::from(several.concat())),
            }
            if is_over {
                yield Ok(Bytes::from_static(sse::DONE));
                return;
            }
            match timeout(keep_alive, changes.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return,
                Err(_) => yield Ok(Bytes::from_static(sse::KEEP_ALIVE)),
            }
        }
    }
}
