//! The task behind the handle: it opens, lends and settles in batches, in the order of its queue.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::time::Instant;

use crate::ledger::intents::Segment;
use crate::ledger::slices::{self, Slice, SliceAmounts, Slices};
use crate::ledger::{Closing, OpenOutcome, Opening};
use crate::store::{Store, StoreError};

/// A request to the writer.
pub(super) enum Entry {
    Open(Box<Opening>, oneshot::Sender<Result<OpenOutcome, StoreError>>),
    /// Settlements wait, for this long at most.
    Settlements(Duration),
    /// As many wait as a transaction takes.
    Full,
    /// Slices to borrow for the calls to come.
    Lend(Vec<Slice>),
    /// Room of slices that no call will take.
    GiveBack(SliceAmounts),
    /// Answers when all entries before it are committed.
    Flush(oneshot::Sender<()>),
}

/// Settlements that wait for others, so that they share a transaction and the writer wakes once for all.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    pub(super) closings: Vec<Closing>,
    pub(super) held: Vec<Held>,
    /// The shortest time that the writer was told.
    pub(super) after: Option<Duration>,
}

/// Kept until a settlement is committed.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) _permit: OwnedSemaphorePermit,
    pub(super) _intent: Option<Arc<Segment>>,
}

/// Writes what the handle queues.
pub(super) struct Writer {
    pub(super) store: Arc<dyn Store>,
    pub(super) away: Arc<AtomicBool>,
    /// The time in milliseconds at which the first of the calls ended that are being settled; 0 if none are.
    pub(super) unsettled: Arc<AtomicI64>,
    pub(super) waiting: Arc<Mutex<Waiting>>,
    pub(super) slices: Arc<Slices>,
    /// Most rows of a transaction.
    pub(super) batch: usize,
}

impl Writer {
    pub(super) async fn run(self, mut entries: mpsc::UnboundedReceiver<Entry>) {
        let mut taken = Vec::with_capacity(self.batch);
        // The time at which the settlements that wait are written.
        let mut due: Option<Instant> = None;
        loop {
            let received = entries.recv_many(&mut taken, self.batch);
            let count = match due {
                None => received.await,
                Some(at) => match tokio::time::timeout_at(at, received).await {
                    Ok(count) => count,
                    Err(_) => {
                        due = None;
                        self.settle().await;
                        continue;
                    }
                },
            };
            let (mut opens, mut answers, mut flushes) = (Vec::new(), Vec::new(), Vec::new());
            let (mut wanted, mut returned) = (Vec::new(), Vec::new());
            let mut are_due = count == 0;
            for entry in taken.drain(..) {
                match entry {
                    Entry::Open(call, answer) => {
                        opens.push(*call);
                        answers.push(answer);
                    }
                    Entry::Settlements(after) => {
                        let at = Instant::now() + after;
                        due = Some(due.map_or(at, |due| due.min(at)));
                    }
                    Entry::Full => are_due = true,
                    Entry::Lend(slices) => wanted.extend(slices),
                    Entry::GiveBack(amounts) => returned.extend(amounts),
                    Entry::Flush(done) => {
                        are_due = true;
                        flushes.push(done);
                    }
                }
            }
            if are_due {
                due = None;
                self.settle().await;
            }
            if count == 0 {
                return;
            }
            if !opens.is_empty() {
                self.open(opens, answers).await;
            }
            self.lend(wanted, returned).await;
            for done in flushes {
                // The one that waited may have left.
                let _ = done.send(());
            }
        }
    }

    /// Opens calls. Those that a budget refuses are tried again after the settlements that wait and the slices held here,
    /// which give back what they had reserved.
    async fn open(
        &self,
        opens: Vec<Opening>,
        answers: Vec<oneshot::Sender<Result<OpenOutcome, StoreError>>>,
    ) {
        let mut outcomes = self.store.open(opens.clone()).await;
        let refused = |outcome: &OpenOutcome| matches!(outcome, OpenOutcome::Refused { .. });
        if let Ok(first) = &mut outcomes
            && first.iter().any(refused)
        {
            let (places, again): (Vec<_>, Vec<_>) = opens
                .into_iter()
                .enumerate()
                .filter(|(at, _)| first.get(*at).is_some_and(refused))
                .unzip();
            if self.makes_room(&again).await
                && let Ok(second) = self.store.open(again).await
            {
                for (at, outcome) in places.into_iter().zip(second) {
                    first[at] = outcome;
                }
            }
        }
        self.away.store(outcomes.is_err(), Ordering::Release);
        answer_all(outcomes, answers);
    }

    /// Settles and gives back what this process holds of the budgets of calls; false if it holds nothing.
    async fn makes_room(&self, calls: &[Opening]) -> bool {
        let settles = !self.waiting().closings.is_empty();
        if settles {
            self.settle().await;
        }
        let charges = calls.iter().flat_map(|call| &call.charges);
        let amounts = self.slices.withdraw(charges.map(|charge| &charge.counter));
        let holds = !amounts.is_empty();
        self.lend(Vec::new(), amounts).await;
        settles || holds
    }

    /// Borrows slices, and gives back room of others. What fails here ends with the leases of slices.
    async fn lend(&self, wanted: Vec<Slice>, mut returned: SliceAmounts) {
        if !wanted.is_empty() {
            match self.store.lend(wanted.clone()).await {
                Ok(states) => {
                    let lent = wanted.into_iter().zip(states);
                    let lent = lent.filter_map(|(slice, state)| state.map(|state| (slice, state)));
                    returned.extend(self.slices.add(lent.collect()));
                }
                Err(error) => log::warn!("no slices of budgets are lent: {error}"),
            }
        }
        slices::give_back(&*self.store, returned).await;
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Settles until it is done: rows are never dropped. New calls wait for permits meanwhile.
    async fn settle(&self) {
        let Waiting { closings, held: _held, after: _ } = std::mem::take(&mut *self.waiting());
        let closings: Arc<[_]> = closings.into();
        let first = closings.iter().map(|closing: &Closing| closing.at.millis()).min();
        self.unsettled.store(first.unwrap_or(0), Ordering::Release);
        let mut wait = Duration::from_millis(50);
        while !closings.is_empty() {
            let closed = self.store.close(Arc::clone(&closings)).await;
            self.away.store(closed.is_err(), Ordering::Release);
            match closed {
                Ok(_) => {
                    self.unsettled.store(0, Ordering::Release);
                    self.slices.settled(&closings);
                    return;
                }
                Err(error) => {
                    log::warn!("{} settlements wait for the store: {error}", closings.len());
                }
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(Duration::from_secs(2));
        }
    }
}

fn answer_all(
    outcomes: Result<Vec<OpenOutcome>, StoreError>,
    answers: Vec<oneshot::Sender<Result<OpenOutcome, StoreError>>>,
) {
    match outcomes {
        Ok(outcomes) => {
            for (outcome, answer) in outcomes.into_iter().zip(answers) {
                // A caller that left has dropped its call, which voids the row.
                let _ = answer.send(Ok(outcome));
            }
        }
        Err(error) => {
            log::warn!("reservations were not written: {error}");
            for answer in answers {
                let _ = answer.send(Err(error.clone()));
            }
        }
    }
}
