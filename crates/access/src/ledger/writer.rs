//! The one task that writes the ledger. It takes what has queued while the last transaction was committed, so that a
//! batch costs a commit and a lone call waits for none but its own.
//!
//! The queue is bounded by permits: a call takes one before it is opened and gives it back when its settlement is
//! committed. So settlements always find room, and a store that stands still holds back new calls, not memory.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::intents::{IntentLog, Segment};
use super::reaper::Reaper;
use super::slices::{Slice, SliceAmounts, Slices, Taken};
use super::{CallOutcome, CallState, Closing, CounterKey, CounterState, OpenOutcome, Opening};
use crate::store::{Store, StoreError};
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
    /// The longest time that settlements wait for others.
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
            settle_after: Duration::from_millis(50),
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

enum Entry {
    Open(Box<Opening>, oneshot::Sender<Result<OpenOutcome, StoreError>>),
    /// Settlements wait, and the first of them begins their time.
    Settlements,
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
struct Waiting {
    closings: Vec<Closing>,
    held: Vec<Held>,
}

/// Kept until a settlement is committed.
#[derive(Debug)]
struct Held {
    _permit: OwnedSemaphorePermit,
    _intent: Option<Arc<Segment>>,
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
    slices: Arc<Slices>,
    live: Arc<Mutex<HashMap<String, UtcTime>>>,
    permit: Option<OwnedSemaphorePermit>,
    intent: Option<Arc<Segment>>,
}

impl LedgerWriter {
    /// Starts the writer and the reaper on the present tokio runtime.
    pub fn start(store: Arc<dyn Store>, clock: Clock, options: LedgerOptions) -> Self {
        let (queue, entries) = mpsc::unbounded_channel();
        let room = Arc::new(Semaphore::new(options.most_calls.clamp(1, Semaphore::MAX_PERMITS)));
        let live = Arc::new(Mutex::new(HashMap::new()));
        let away = Arc::new(AtomicBool::new(false));
        let waiting = Arc::<Mutex<Waiting>>::default();
        let slices = Arc::<Slices>::default();
        let writer = Writer {
            store: Arc::clone(&store),
            away: Arc::clone(&away),
            waiting: Arc::clone(&waiting),
            slices: Arc::clone(&slices),
            batch: options.batch.max(1),
            settle_after: options.settle_after,
        };
        let writer = tokio::spawn(writer.run(entries));
        let intents = options.intents.clone().and_then(|folder| {
            let started = IntentLog::start(folder.clone());
            let warn =
                |error| log::warn!("no intents are written in {}: {error}", folder.display());
            started.map_err(warn).ok().map(Arc::new)
        });
        let reaper = Reaper {
            store,
            clock,
            options: options.clone(),
            live: Arc::clone(&live),
            slices: Arc::clone(&slices),
            intents: intents.clone(),
        };
        let reaper = tokio::spawn(reaper.run());
        let tasks = Mutex::new(vec![writer, reaper]);
        Self { queue, waiting, room, options, intents, slices, live, away, tasks }
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
        let states = match self.slices.take(call, now) {
            Taken::All(states) => states,
            Taken::None(wanted) => {
                if !wanted.is_empty() {
                    // Without a writer the call is refused right after this.
                    let _ = self.queue.send(Entry::Lend(wanted));
                }
                return None;
            }
        };
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
        let count = {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.closings.push(closing);
            waiting.held.push(held);
            waiting.closings.len()
        };
        let sent = match count {
            1 => self.queue.send(Entry::Settlements),
            count if count == self.batch => self.queue.send(Entry::Full),
            _ => Ok(()),
        };
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
        let outcome = CallOutcome {
            model: self.call.model_asked.clone(),
            cost: None,
            error_code: Some("not_made".to_owned()),
            ..CallOutcome::default()
        };
        self.send(CallState::Voided, outcome);
    }
}

struct Writer {
    store: Arc<dyn Store>,
    away: Arc<AtomicBool>,
    waiting: Arc<Mutex<Waiting>>,
    slices: Arc<Slices>,
    /// Most rows of a transaction.
    batch: usize,
    settle_after: Duration,
}

impl Writer {
    async fn run(self, mut entries: mpsc::UnboundedReceiver<Entry>) {
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
                    Entry::Settlements => due = Some(Instant::now() + self.settle_after),
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
        if !returned.is_empty()
            && let Err(error) = self.store.give_back(returned).await
        {
            log::warn!("slices of budgets are not given back: {error}");
        }
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Settles until it is done: rows are never dropped. New calls wait for permits meanwhile.
    async fn settle(&self) {
        let Waiting { closings, held: _held } = std::mem::take(&mut *self.waiting());
        let mut wait = Duration::from_millis(50);
        while !closings.is_empty() {
            let closed = self.store.close(closings.clone()).await;
            self.away.store(closed.is_err(), Ordering::Release);
            match closed {
                Ok(_) => {
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
