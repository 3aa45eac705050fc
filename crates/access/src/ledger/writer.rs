//! The one task that writes the ledger. It takes what has queued while the last transaction was committed, so that a
//! batch costs a commit and a lone call waits for none but its own.
//!
//! The queue is bounded by permits: a call takes one before it is opened and gives it back when its settlement is
//! committed. So settlements always find room, and a store that stands still holds back new calls, not memory.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;

use super::{CallOutcome, CallState, Closing, CounterState, OpenOutcome, Opening};
use crate::store::{Store, StoreError};
use crate::{Clock, UtcTime};

/// The treatment of calls while the store cannot be reached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum FailMode {
    /// They are refused.
    #[default]
    Closed,
    /// They pass without a reservation; their rows are written when the store is back.
    Open,
}

/// Settings of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerOptions {
    /// The treatment of calls while the store cannot be reached.
    pub fail_mode: FailMode,
    /// Most calls between reservation and committed settlement.
    pub most_calls: usize,
    /// Most rows of a transaction.
    pub batch: usize,
    /// The longest wait for a reservation.
    pub patience: Duration,
    /// The lease of a call, renewed while its process lives.
    pub lease: Duration,
    /// The time between two searches for dead calls, and between renewals.
    pub reap_every: Duration,
    /// The age at which rows are removed; absent keeps them. Aggregates stay.
    pub retention: Option<Duration>,
}

impl Default for LedgerOptions {
    fn default() -> Self {
        Self {
            fail_mode: FailMode::Closed,
            most_calls: 16_384,
            batch: 256,
            patience: Duration::from_secs(2),
            lease: Duration::from_secs(60),
            reap_every: Duration::from_secs(5),
            retention: Some(Duration::from_hours(90 * 24)),
        }
    }
}

/// The reasons for which a call is not opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenRefusal {
    /// A budget has no room.
    #[error("the budget of charge {charge} has no room")]
    Budget {
        /// The position of the charge.
        charge: usize,
        /// The state of its counter.
        state: CounterState,
    },
    /// The store cannot be reached, or does not keep up.
    #[error("the ledger cannot be written: {0}")]
    Unavailable(String),
}

enum Entry {
    Open(Box<Opening>, oneshot::Sender<Result<OpenOutcome, StoreError>>),
    Close(Box<Closing>, OwnedSemaphorePermit),
    /// Answers when all entries before it are committed.
    Flush(oneshot::Sender<()>),
}

/// The handle of the writer. When the last one is dropped the queue is written and the tasks end.
#[derive(Debug)]
pub struct LedgerWriter {
    queue: mpsc::UnboundedSender<Entry>,
    room: Arc<Semaphore>,
    options: LedgerOptions,
    live: Arc<Mutex<HashMap<String, UtcTime>>>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

/// A call whose row is written. It is closed exactly once: by [`OpenedCall::close`], or as voided when it is dropped.
#[derive(Debug)]
pub struct OpenedCall {
    call: Arc<Opening>,
    states: Vec<CounterState>,
    clock: Clock,
    queue: mpsc::UnboundedSender<Entry>,
    live: Arc<Mutex<HashMap<String, UtcTime>>>,
    permit: Option<OwnedSemaphorePermit>,
}

impl LedgerWriter {
    /// Starts the writer and the reaper on the present tokio runtime.
    pub fn start(store: Arc<dyn Store>, clock: Clock, options: LedgerOptions) -> Self {
        let (queue, entries) = mpsc::unbounded_channel();
        let room = Arc::new(Semaphore::new(options.most_calls.clamp(1, Semaphore::MAX_PERMITS)));
        let live = Arc::new(Mutex::new(HashMap::new()));
        let writer = tokio::spawn(write(Arc::clone(&store), entries, options.batch.max(1)));
        let reaper = Reaper { store, clock, options: options.clone(), live: Arc::clone(&live) };
        let reaper = tokio::spawn(reaper.run());
        Self { queue, room, options, live, tasks: Mutex::new(vec![writer, reaper]) }
    }

    /// Writes a call's row and reserves its estimate; returns when both are durable.
    ///
    /// # Errors
    /// A budget has no room; or the store does not answer in time and calls are to be refused then.
    pub async fn open(&self, mut call: Opening, clock: &Clock) -> Result<OpenedCall, OpenRefusal> {
        let waited = Duration::from_millis(1).max(self.options.patience);
        let permit = tokio::time::timeout(waited, Arc::clone(&self.room).acquire_owned()).await;
        let Ok(Ok(permit)) = permit else {
            return Err(OpenRefusal::Unavailable("too many calls wait for the store".to_owned()));
        };
        call.lease_until = clock.now().plus(self.options.lease);
        self.live().insert(call.id.clone(), call.lease_until);
        let mut opened = OpenedCall {
            call: Arc::new(call),
            states: Vec::new(),
            clock: clock.clone(),
            queue: self.queue.clone(),
            live: Arc::clone(&self.live),
            permit: Some(permit),
        };
        let (answer, answered) = oneshot::channel();
        let sent = self.queue.send(Entry::Open(Box::new((*opened.call).clone()), answer));
        let told = match sent {
            Ok(()) => tokio::time::timeout(waited, answered).await,
            Err(_) => return Err(opened.forget("the ledger has stopped")),
        };
        match (told, self.options.fail_mode) {
            (Ok(Ok(Ok(OpenOutcome::Granted(states)))), _) => {
                opened.states = states;
                Ok(opened)
            }
            (Ok(Ok(Ok(OpenOutcome::Refused { charge, state }))), _) => {
                opened.forget("refused");
                Err(OpenRefusal::Budget { charge, state })
            }
            // The row may come to be all the same: settling it later is right in both cases.
            (_, FailMode::Open) => Ok(opened),
            (Ok(Ok(Err(error))), FailMode::Closed) => Err(opened.forget(&error.to_string())),
            // It may still be granted: dropping `opened` voids it then.
            (_, FailMode::Closed) => {
                Err(OpenRefusal::Unavailable("the store did not answer in time".to_owned()))
            }
        }
    }

    /// Waits until all settlements so far are committed.
    pub async fn flush(&self) {
        let (done, all_done) = oneshot::channel();
        if self.queue.send(Entry::Flush(done)).is_ok() {
            // The writer ended where this fails; it had written all.
            let _ = all_done.await;
        }
    }

    /// Calls between their reservation and their committed settlement.
    pub fn calls_under_way(&self) -> usize {
        self.options.most_calls.saturating_sub(self.room.available_permits())
    }

    /// Writes the queue and stops the tasks.
    pub async fn stop(&self) {
        self.flush().await;
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        for task in tasks {
            task.abort();
        }
    }

    fn live(&self) -> std::sync::MutexGuard<'_, HashMap<String, UtcTime>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for LedgerWriter {
    fn drop(&mut self) {
        // The writer ends by itself when the last call has closed; the reaper never would.
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        if let Some(reaper) = tasks.last() {
            reaper.abort();
        }
    }
}

impl OpenedCall {
    /// The call.
    pub fn call(&self) -> &Arc<Opening> {
        &self.call
    }

    /// The states of its counters with this reservation, in the order of its charges. Empty where it passed without
    /// one.
    pub fn states(&self) -> &[CounterState] {
        &self.states
    }

    /// Settles the call.
    pub fn close(mut self, state: CallState, outcome: CallOutcome) {
        self.send(state, outcome);
    }

    fn send(&mut self, state: CallState, outcome: CallOutcome) {
        let Some(permit) = self.permit.take() else { return };
        self.live.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.call.id);
        let closing =
            Closing { call: Arc::clone(&self.call), at: self.clock.now(), state, outcome };
        if self.queue.send(Entry::Close(Box::new(closing), permit)).is_err() {
            log::error!("the ledger has stopped: the call {} stays for its reaper", self.call.id);
        }
    }

    /// Ends a call that has no row.
    fn forget(&mut self, cause: &str) -> OpenRefusal {
        self.live.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.call.id);
        self.permit = None;
        OpenRefusal::Unavailable(cause.to_owned())
    }
}

impl Drop for OpenedCall {
    fn drop(&mut self) {
        let outcome = CallOutcome {
            model: self.call.model_asked.clone(),
            cost: None,
            error_code: Some("not_made".to_owned()),
            ..CallOutcome::default()
        };
        self.send(CallState::Voided, outcome);
    }
}

async fn write(store: Arc<dyn Store>, mut entries: mpsc::UnboundedReceiver<Entry>, batch: usize) {
    let mut taken = Vec::with_capacity(batch);
    while entries.recv_many(&mut taken, batch).await > 0 {
        let (mut opens, mut answers) = (Vec::new(), Vec::new());
        let (mut closings, mut permits, mut flushes) = (Vec::new(), Vec::new(), Vec::new());
        for entry in taken.drain(..) {
            match entry {
                Entry::Open(call, answer) => {
                    opens.push(*call);
                    answers.push(answer);
                }
                Entry::Close(closing, permit) => {
                    closings.push(*closing);
                    permits.push(permit);
                }
                Entry::Flush(done) => flushes.push(done),
            }
        }
        if !opens.is_empty() {
            answer_all(store.open(opens).await, answers);
        }
        settle(&*store, closings).await;
        drop(permits);
        for done in flushes {
            // The one that waited may have left.
            let _ = done.send(());
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

/// Settles until it is done: rows are never dropped. New calls wait for permits meanwhile.
async fn settle(store: &dyn Store, closings: Vec<Closing>) {
    let mut wait = Duration::from_millis(50);
    while !closings.is_empty() {
        match store.close(closings.clone()).await {
            Ok(_) => return,
            Err(error) => log::warn!("{} settlements wait for the store: {error}", closings.len()),
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(Duration::from_secs(2));
    }
}

struct Reaper {
    store: Arc<dyn Store>,
    clock: Clock,
    options: LedgerOptions,
    live: Arc<Mutex<HashMap<String, UtcTime>>>,
}

impl Reaper {
    async fn run(self) {
        let mut ticks =
            tokio::time::interval(self.options.reap_every.max(Duration::from_millis(10)));
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if let Err(error) = self.round().await {
                log::warn!("leases were not renewed or reaped: {error}");
            }
        }
    }

    async fn round(&self) -> Result<(), StoreError> {
        let now = self.clock.now();
        let soon = now.plus(self.options.lease / 2);
        let until = now.plus(self.options.lease);
        let ids: Vec<String> = {
            let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
            let due = live.iter_mut().filter(|(_, lease)| **lease < soon);
            due.map(|(id, lease)| {
                *lease = until;
                id.clone()
            })
            .collect()
        };
        if !ids.is_empty() {
            self.store.renew(ids, until).await?;
        }
        let dead = self.store.overdue(now, 200).await?;
        if !dead.is_empty() {
            log::warn!("{} calls of dead processes are settled by their estimates", dead.len());
            self.store
                .close(dead.into_iter().map(|call| Closing::of_dead(call, now)).collect())
                .await?;
        }
        if let Some(age) = self.options.retention {
            let age = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
            let before = UtcTime::from_millis(now.millis().saturating_sub(age));
            self.store.prune(before, 2000).await?;
        }
        Ok(())
    }
}
