//! Calls that hold parts of buckets in Redis, and the task that settles those that have ended and renews the leases of
//! the others.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use super::link::Link;
use super::scripts::{Leases, micros};
use crate::limit::Taken;

/// Ended calls that wait for the task; more are not settled.
const QUEUE: usize = 16_384;
/// Calls that are settled or renewed together: Redis does nothing else meanwhile, about 40 µs for each.
const BATCH: usize = 64;
/// The time between two attempts to settle.
const AGAIN: Duration = Duration::from_millis(50);

/// A call and the names of its buckets.
#[derive(Debug)]
pub(super) struct SharedCall {
    pub(super) id: String,
    /// The name of its record.
    pub(super) record: String,
    pub(super) buckets: Vec<SharedBucket>,
}

/// A bucket, and the part of it that a call takes.
#[derive(Debug)]
pub(super) struct SharedBucket {
    pub(super) name: String,
    pub(super) taken: Taken,
}

/// Calls under way, and the way to the task.
#[derive(Debug)]
pub(super) struct SharedCalls {
    queue: mpsc::Sender<Entry>,
    live: Mutex<HashMap<String, Arc<SharedCall>>>,
    is_full: AtomicBool,
}

/// A call's parts of buckets in Redis. Dropping it ends the call there, without waiting for it.
#[derive(Debug)]
pub(crate) struct SharedHold {
    calls: Arc<SharedCalls>,
    call: Arc<SharedCall>,
    /// Charges at the end, in microseconds; none where Redis holds nothing of the call.
    at_end: Option<Vec<i64>>,
    is_corrected: bool,
}

#[derive(Debug)]
enum Entry {
    Ended {
        call: Arc<SharedCall>,
        more: Vec<i64>,
        at: Instant,
    },
    /// Answers when all entries before it are settled.
    Flush(oneshot::Sender<()>),
}

/// The task's part.
pub(super) struct Settler {
    link: Arc<Link>,
    calls: Arc<SharedCalls>,
    entries: mpsc::Receiver<Entry>,
    /// The time between two renewals.
    renew_every: Duration,
    /// The time after which an ended call has no record to be settled by.
    patience: Duration,
}

impl SharedCalls {
    /// Waits until the calls that have ended are settled, for so long at most.
    pub(super) async fn flush(&self, longest: Duration) {
        let flushed = async {
            let (done, is_done) = oneshot::channel();
            if self.queue.send(Entry::Flush(done)).await.is_ok() {
                // The task has ended where this fails.
                let _ = is_done.await;
            }
        };
        if timeout(longest, flushed).await.is_err() {
            log::debug!("calls that have ended keep their rates in Redis until their leases end");
        }
    }

    fn ended(&self, call: &Arc<SharedCall>, more: Vec<i64>) {
        self.live().remove(&call.id);
        let entry = Entry::Ended { call: Arc::clone(call), more, at: Instant::now() };
        match self.queue.try_send(entry) {
            Ok(()) => self.is_full.store(false, Ordering::Relaxed),
            Err(mpsc::error::TrySendError::Closed(_)) => {}
            Err(mpsc::error::TrySendError::Full(_)) => {
                if !self.is_full.swap(true, Ordering::Relaxed) {
                    log::warn!(
                        "too many calls wait to be settled in Redis: their estimates count until they decay"
                    );
                }
            }
        }
    }

    fn live(&self) -> MutexGuard<'_, HashMap<String, Arc<SharedCall>>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SharedHold {
    /// A hold of a call that Redis is about to be asked for. Dropped now, it undoes what may have been done.
    pub(super) fn asked(calls: &Arc<SharedCalls>, call: SharedCall) -> Self {
        let mut hold = Self {
            calls: Arc::clone(calls),
            call: Arc::new(call),
            at_end: None,
            is_corrected: false,
        };
        hold.at_end = Some(hold.charges(Taken::when_not_made));
        hold
    }

    pub(super) fn call(&self) -> &SharedCall {
        &self.call
    }

    /// Redis took the call.
    pub(super) fn granted(&mut self) {
        self.at_end = Some(vec![0; self.call.buckets.len()]);
        self.calls.live().insert(self.call.id.clone(), Arc::clone(&self.call));
    }

    /// Redis did not take the call.
    pub(super) fn refused(mut self) {
        self.at_end = None;
    }

    /// Corrects the buckets at the end of the call, once.
    pub(in crate::limit) fn correct(&mut self, more: impl Fn(&Taken) -> i128) {
        if !std::mem::replace(&mut self.is_corrected, true) {
            self.at_end = Some(self.charges(more));
        }
    }

    fn charges(&self, more: impl Fn(&Taken) -> i128) -> Vec<i64> {
        let buckets = self.call.buckets.iter();
        buckets.map(|bucket| micros(&bucket.taken, more(&bucket.taken))).collect()
    }
}

impl Drop for SharedHold {
    fn drop(&mut self) {
        if let Some(more) = self.at_end.take() {
            self.calls.ended(&self.call, more);
        }
    }
}

impl Settler {
    /// A settler, and the calls that it settles.
    pub(super) fn of(link: Arc<Link>) -> (Self, Arc<SharedCalls>) {
        let (queue, entries) = mpsc::channel(QUEUE);
        let (live, is_full) = (Mutex::default(), AtomicBool::new(false));
        let calls = Arc::new(SharedCalls { queue, live, is_full });
        let Leases { place, record } = link.scripts().leases();
        let renew_every = place / 3;
        let of_calls = Arc::clone(&calls);
        (Self { link, calls: of_calls, entries, renew_every, patience: record }, calls)
    }

    /// Settles and renews, until it is dropped.
    pub(super) async fn run(mut self) {
        let mut renewals = interval(self.renew_every.max(Duration::from_millis(1)));
        renewals.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let link = Arc::clone(&self.link);
        let (mut entries, mut number) = (Vec::with_capacity(BATCH), 0);
        loop {
            tokio::select! {
                taken = self.entries.recv_many(&mut entries, BATCH) => {
                    if taken == 0 {
                        return;
                    }
                    self.settle(&mut entries).await;
                }
                _ = renewals.tick() => self.renew().await,
                // A server that was away may have lost the places of calls.
                next = link.next(number) => {
                    number = next;
                    self.renew().await;
                }
            }
        }
    }

    /// Settles until it is done, or too late.
    async fn settle(&self, entries: &mut Vec<Entry>) {
        loop {
            let is_due = |entry: &Entry| match entry {
                Entry::Ended { at, .. } => at.elapsed() < self.patience,
                Entry::Flush(_) => true,
            };
            entries.retain(is_due);
            let ends = entries.iter().filter_map(|entry| match entry {
                Entry::Ended { call, more, at: _ } => Some(self.link.scripts().end(call, more)),
                Entry::Flush(_) => None,
            });
            let ends: Vec<_> = ends.collect();
            if ends.is_empty() || self.link.run(&ends).await {
                break;
            }
            sleep(AGAIN).await;
        }
        for entry in entries.drain(..) {
            if let Entry::Flush(done) = entry {
                // The one that waited may have left.
                let _ = done.send(());
            }
        }
    }

    /// Renews the leases of all calls under way. What fails is tried again at the next time.
    async fn renew(&self) {
        let live: Vec<_> = self.calls.live().values().cloned().collect();
        for batch in live.chunks(BATCH) {
            let scripts = self.link.scripts();
            let renewals: Vec<_> = batch.iter().map(|call| scripts.renew(call)).collect();
            if !self.link.run(&renewals).await {
                return;
            }
        }
    }
}
