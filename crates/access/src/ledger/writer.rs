//! The one task that writes the ledger. It takes what has queued while the last transaction was committed, so that a
//! batch costs a commit and a lone call waits for none but its own.
//!
//! The queue is bounded by permits: a call takes one before it is opened and gives it back when its settlement is
//! committed. So settlements always find room, and a store that stands still holds back new calls, not memory.

mod task;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;

use self::task::{Entry, Held, Waiting, Writer};
use super::intents::{IntentLog, Segment};
use super::reaper::Reaper;
use super::roller;
use super::slices::{Slices, Taken};
use super::{CallOutcome, CallState, Closing, CounterKey, CounterState, OpenOutcome, Opening};
use crate::store::Store;
use crate::{Clock, Nanodollars, UtcTime};

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
    /// The longest time that settlements wait for others; a twentieth of it where a reservation in the store ends with
    /// them, which other processes may need.
    pub settle_after: Duration,
    /// Folder for intents: calls under no budget, or in slices of budgets, are written there before they are made, instead
    /// of to the store. Absent writes all to the store, as replicas on several hosts must.
    pub intents: Option<PathBuf>,
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
            settle_after: Duration::from_secs(1),
            intents: None,
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

/// The handle of the writer. When the last one is dropped the queue is written and the tasks end.
#[derive(Debug)]
pub struct LedgerWriter {
    queue: mpsc::UnboundedSender<Entry>,
    waiting: Arc<Mutex<Waiting>>,
    room: Arc<Semaphore>,
    options: LedgerOptions,
    intents: Option<Arc<IntentLog>>,
    slices: Arc<Slices>,
    live: Arc<Mutex<HashMap<String, UtcTime>>>,
    /// Whether the last access to the store failed: calls that pass without it need not wait for it then.
    away: Arc<AtomicBool>,
    unsettled: Arc<AtomicI64>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

/// A call whose row is written. It is closed exactly once: by [`OpenedCall::close`], or as voided when it is dropped.
#[derive(Debug)]
pub struct OpenedCall {
    call: Arc<Opening>,
    states: Vec<Option<CounterState>>,
    clock: Clock,
    queue: mpsc::UnboundedSender<Entry>,
    waiting: Arc<Mutex<Waiting>>,
    batch: usize,
    settle_after: Duration,
    slices: Arc<Slices>,
    live: Arc<Mutex<HashMap<String, UtcTime>>>,
    permit: Option<OwnedSemaphorePermit>,
    intent: Option<Arc<Segment>>,
}

impl LedgerWriter {
    /// Starts the writer, the reaper and the maker of rollups on the present tokio runtime.
    pub fn start(store: Arc<dyn Store>, clock: Clock, options: LedgerOptions) -> Self {
        let (queue, entries) = mpsc::unbounded_channel();
        let room = Arc::new(Semaphore::new(options.most_calls.clamp(1, Semaphore::MAX_PERMITS)));
        let live = Arc::new(Mutex::new(HashMap::new()));
        let away = Arc::new(AtomicBool::new(false));
        let unsettled = Arc::<AtomicI64>::default();
        let waiting = Arc::<Mutex<Waiting>>::default();
        let slices = Arc::<Slices>::default();
        let writer = Writer {
            store: Arc::clone(&store),
            away: Arc::clone(&away),
            unsettled: Arc::clone(&unsettled),
            waiting: Arc::clone(&waiting),
            slices: Arc::clone(&slices),
            batch: options.batch.max(1),
        };
        let writer = tokio::spawn(writer.run(entries));
        let intents = options.intents.clone().and_then(|folder| {
            let started = IntentLog::start(folder.clone());
            let warn =
                |error| log::warn!("no intents are written in {}: {error}", folder.display());
            started.map_err(warn).ok().map(Arc::new)
        });
        let roller = tokio::spawn(roller::run(Arc::clone(&store), clock.clone()));
        let reaper = Reaper {
            store,
            clock,
            options: options.clone(),
            live: Arc::clone(&live),
            slices: Arc::clone(&slices),
            intents: intents.clone(),
        };
        let reaper = tokio::spawn(reaper.run());
        let tasks = Mutex::new(vec![writer, reaper, roller]);
        Self { queue, waiting, room, options, intents, slices, live, away, unsettled, tasks }
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
        let now = clock.now();
        call.lease_until = now.plus(self.options.lease);
        let (intent, states) = self.intent(&mut call, now).unzip();
        let is_written = intent.is_some();
        let mut opened = OpenedCall {
            call: Arc::new(call),
            states: states.unwrap_or_default(),
            clock: clock.clone(),
            queue: self.queue.clone(),
            waiting: Arc::clone(&self.waiting),
            batch: self.options.batch.max(1),
            settle_after: self.options.settle_after / if is_written { 1 } else { 20 },
            slices: Arc::clone(&self.slices),
            live: Arc::clone(&self.live),
            permit: Some(permit),
            intent,
        };
        if is_written {
            return Ok(opened);
        }
        self.live().insert(opened.call.id.clone(), opened.call.lease_until);
        if self.options.fail_mode == FailMode::Open && self.away.load(Ordering::Acquire) {
            return Ok(opened);
        }
        let (answer, answered) = oneshot::channel();
        let sent = self.queue.send(Entry::Open(Box::new((*opened.call).clone()), answer));
        let told = match sent {
            Ok(()) => tokio::time::timeout(waited, answered).await,
            Err(_) => return Err(opened.forget("the ledger has stopped")),
        };
        match (told, self.options.fail_mode) {
            (Ok(Ok(Ok(OpenOutcome::Granted(states)))), _) => {
                opened.states = states.into_iter().map(Some).collect();
                Ok(opened)
            }
            (Ok(Ok(Ok(OpenOutcome::Refused { charge, state }))), _) => {
                opened.forget("refused");
                Err(OpenRefusal::Budget { charge, state })
            }
            // The row may come to be all the same: settling it later is right in both cases.
            (_, FailMode::Open) => {
                self.away.store(true, Ordering::Release);
                Ok(opened)
            }
            (Ok(Ok(Err(error))), FailMode::Closed) => Err(opened.forget(&error.to_string())),
            // It may still be granted: dropping `opened` voids it then.
            (_, FailMode::Closed) => {
                Err(OpenRefusal::Unavailable("the store did not answer in time".to_owned()))
            }
        }
    }

    /// Writes a call as an intent, if the store need not be asked for it: all its budgets have room in slices, or it has
    /// none. The known states of its counters come with it.
    fn intent(
        &self,
        call: &mut Opening,
        now: UtcTime,
    ) -> Option<(Arc<Segment>, Vec<Option<CounterState>>)> {
        let intents = self.intents.as_ref()?;
        let Taken { states, wanted } = self.slices.take(call, now);
        if !wanted.is_empty() {
            // Without a writer no call is settled either, and the next one that asks it is refused.
            let _ = self.queue.send(Entry::Lend(wanted));
        }
        let states = states?;
        match intents.write(call) {
            Ok(segment) => Some((segment, states)),
            Err(error) => {
                log::warn!("an intent is not written, and the store is asked: {error}");
                self.slices.put_back(call);
                None
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

    /// Room of a counter that this process holds and no call has taken.
    pub(crate) fn held(&self, counter: &CounterKey) -> Nanodollars {
        self.slices.left(counter)
    }

    /// Whether the last access to the store failed.
    pub(crate) fn is_away(&self) -> bool {
        self.away.load(Ordering::Acquire)
    }

    /// The time at which the first of the calls ended that the store has not taken yet; absent if it has taken all, but for
    /// those that have just ended.
    pub(crate) fn unsettled_since(&self) -> Option<UtcTime> {
        let millis = self.unsettled.load(Ordering::Acquire);
        (millis != 0).then(|| UtcTime::from_millis(millis))
    }

    /// Calls between their reservation and their committed settlement.
    pub fn calls_under_way(&self) -> usize {
        self.options.most_calls.saturating_sub(self.room.available_permits())
    }

    /// Writes the queue and stops the tasks.
    pub async fn stop(&self) {
        // The writer ended where this fails; the leases of slices run out then.
        let _ = self.queue.send(Entry::GiveBack(self.slices.all()));
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
        // The writer, the first, ends by itself when the last call has closed; the others never would.
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        tasks.iter().skip(1).for_each(JoinHandle::abort);
    }
}

impl OpenedCall {
    /// The call.
    pub fn call(&self) -> &Arc<Opening> {
        &self.call
    }

    /// The states of its counters with this reservation, in the order of its charges, where they are known. Empty where it
    /// passed without one.
    pub fn states(&self) -> &[Option<CounterState>] {
        &self.states
    }

    /// Settles the call.
    pub fn close(mut self, state: CallState, outcome: CallOutcome) {
        self.send(state, outcome);
    }

    fn send(&mut self, state: CallState, outcome: CallOutcome) {
        let Some(permit) = self.permit.take() else { return };
        let held = Held { _permit: permit, _intent: self.intent.take() };
        self.live.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.call.id);
        self.slices.call_ends(&self.call);
        let closing =
            Closing { call: Arc::clone(&self.call), at: self.clock.now(), state, outcome };
        let entry = {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.closings.push(closing);
            waiting.held.push(held);
            let is_sooner = waiting.after.is_none_or(|after| self.settle_after < after);
            if waiting.closings.len() == self.batch {
                Some(Entry::Full)
            } else if is_sooner {
                waiting.after = Some(self.settle_after);
                Some(Entry::Settlements(self.settle_after))
            } else {
                None
            }
        };
        let sent = entry.map_or(Ok(()), |entry| self.queue.send(entry));
        if sent.is_err() {
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
        if self.permit.is_none() {
            return;
        }
        let outcome = CallOutcome {
            model: self.call.model_asked.clone(),
            cost: None,
            error_code: Some("not_made".to_owned()),
            ..CallOutcome::default()
        };
        self.send(CallState::Voided, outcome);
    }
}
