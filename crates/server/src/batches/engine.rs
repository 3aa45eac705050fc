//! The engine: one thread of the process that works on batches, apart from the workers that serve clients. It finds
//! the batches that are open by their markers, takes the leases that are free, and goes through each batch's steps. It also
//! removes files that have expired, most of which batches wrote.

use std::cell::RefCell;
use std::collections::HashSet;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_rt::Arbiter;
use actix_web::web::Data;
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use super::calls::{self, CallProgress};
use super::finish;
use super::jobs;
use super::state::{BatchPhase, BatchState, LineCounts, LineProblem};
use super::store::{BatchStore, KnownBatch, OpenBatch, work_folder};
use super::validate::{self, Sorted, is_of_line};
use super::work::{Halt, HeldBatch, Work, now_ms};
use crate::error::{FileRefusal, GatewayError};
use crate::file_store;
use crate::panic_guard;
use crate::state::{Shared, Worker};

/// Most batches that a process works on at a time.
const AT_ONCE: usize = 8;
/// Time between two looks for batches without a bucket.
const IDLE: Duration = Duration::from_secs(60);
/// Time between two looks for files that have expired.
const SWEEP: Duration = Duration::from_secs(600);
/// Pause after a step that failed, at first; it doubles.
const PAUSE: Duration = Duration::from_secs(1);
const LONG_PAUSE: Duration = Duration::from_secs(300);
/// Objects of a batch's work that are removed at its end.
const LEFT: usize = 1_000_000;

/// The engine of a process; dropping it ends its thread. What it has begun goes on in another process, or after a
/// restart.
#[derive(Debug)]
pub struct BatchEngine(Arbiter);

impl BatchEngine {
    /// Starts the thread.
    pub(crate) fn start(shared: &Arc<Shared>) -> Self {
        let (arbiter, shared) = (Arbiter::new(), Arc::clone(shared));
        arbiter.spawn_fn(move || {
            let worker = Data::new(Worker::new(shared));
            actix_rt::spawn(sweep(worker.clone()));
            actix_rt::spawn(search(worker));
        });
        Self(arbiter)
    }
}

impl Drop for BatchEngine {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// Looks for open batches until the thread ends.
async fn search(worker: Data<Worker>) {
    let holder = Uuid::now_v7().simple().to_string();
    let running: Rc<RefCell<HashSet<String>>> = Rc::default();
    loop {
        let now = worker.now();
        let poll = now.config.batches.poll;
        let pause = match worker.bucket(&now) {
            None => IDLE,
            Some(bucket) => {
                let (worker, store, holder) =
                    (worker.clone(), BatchStore::new(bucket), holder.clone());
                let work = Work { worker, store, holder, poll };
                if let Err(error) = begin(&work, &running).await {
                    log::warn!("open batches are not found: {error}");
                }
                poll
            }
        };
        // A new batch is begun at once.
        let _ = timeout(pause, worker.shared.new_batches.notified()).await;
    }
}

/// Removes files that have expired until the thread ends.
async fn sweep(worker: Data<Worker>) {
    loop {
        if let Some(bucket) = worker.bucket(&worker.now()) {
            let removal = async {
                match file_store::remove_expired(&bucket).await {
                    Ok(0) => {}
                    Ok(removed) => log::info!("{removed} expired files are removed"),
                    Err(error) => log::warn!("expired files are not removed: {error}"),
                }
            };
            panic_guard::noted("the removal of expired files", removal).await;
        }
        sleep(SWEEP).await;
    }
}

/// Takes the leases that are free, and begins to work on their batches.
async fn begin(work: &Work, running: &Rc<RefCell<HashSet<String>>>) -> Result<(), GatewayError> {
    for open in work.store.open().await? {
        if running.borrow().len() >= AT_ONCE {
            return Ok(());
        }
        if running.borrow().contains(&open.id) {
            continue;
        }
        let Some(known) = work.store.take(&open, work.lease(), now_ms()).await? else { continue };
        running.borrow_mut().insert(open.id.clone());
        let (work, running) = (work.clone(), Rc::clone(running));
        actix_rt::spawn(async move {
            panic_guard::noted("a batch", run(work, known, &open)).await;
            running.borrow_mut().remove(&open.id);
        });
    }
    Ok(())
}

/// Works on a batch until it is over, or another process has it.
async fn run(work: Work, known: KnownBatch, open: &OpenBatch) {
    let mut held = HeldBatch::new(work, known);
    let mut pause = PAUSE;
    while !held.state().is_over() {
        match Box::pin(step(&mut held)).await {
            Ok(()) => pause = PAUSE,
            Err(Halt::Lost) => {
                log::info!("batch {} goes on in another process", open.id);
                return;
            }
            Err(Halt::Failed(error)) => {
                log::warn!("batch {}: {error}; trying again", open.id);
                if rest(&mut held, pause).await.is_err() {
                    return;
                }
                pause = (pause * 2).min(LONG_PAUSE);
            }
        }
    }
    let state = held.state();
    log::info!(
        "batch {} is {}: {} lines, {} answered, {} failed",
        state.id,
        state.status.name(),
        state.counts.total,
        state.counts.completed,
        state.counts.failed
    );
    let LineCounts { total, completed, failed } = state.counts;
    let lines = [completed, failed, total.saturating_sub(completed + failed)];
    held.work().worker.shared.telemetry.metrics.batches.ended(state.status.name(), lines);
    if let Err(error) = clear(held.work(), state, open).await {
        log::warn!("batch {}: what is left of its work is not removed: {error}", open.id);
    }
}

/// Waits, with the lease.
async fn rest(held: &mut HeldBatch, pause: Duration) -> Result<(), Halt> {
    let wait = async {
        sleep(pause).await;
        Ok(())
    };
    match held.during(wait).await {
        // A store that is away now may be back later.
        Err(Halt::Failed(_)) | Ok(()) => Ok(()),
        Err(Halt::Lost) => Err(Halt::Lost),
    }
}

/// Does the next step of a batch.
async fn step(held: &mut HeldBatch) -> Result<(), Halt> {
    match held.state().phase {
        BatchPhase::Validate => sort(held).await,
        BatchPhase::Submit => jobs::submit(held).await,
        BatchPhase::Run => watch(held).await,
        BatchPhase::Finish => finish(held).await,
        BatchPhase::Over => Ok(()),
    }
}

async fn sort(held: &mut HeldBatch) -> Result<(), Halt> {
    let (work, state) = (held.work().clone(), held.state().clone());
    match held.during(Box::pin(validate::sort(&work, &state))).await {
        Ok(Sorted::Groups { groups, counts }) => {
            held.change(|state| {
                (state.groups, state.counts) = (groups.clone(), counts);
                state.begin(BatchPhase::Submit);
            })
            .await
        }
        Ok(Sorted::Unusable(problems)) => held.change(|state| state.fail(problems.clone())).await,
        Err(Halt::Failed(error)) if is_of_line(&error) => {
            let problem = LineProblem::of_file(error.code(), error.render().message);
            held.change(|state| state.fail(vec![problem.clone()])).await
        }
        Err(halt) => Err(halt),
    }
}

/// Watches the jobs and runs the calls until all are over.
async fn watch(held: &mut HeldBatch) -> Result<(), Halt> {
    let (work, state) = (held.work().clone(), held.state().clone());
    let (progress, before) = (CallProgress::default(), state.counts);
    let mut running = Box::pin(calls::run(&work, &state, &progress));
    let mut are_called = false;
    loop {
        jobs::watch(held).await?;
        let is_ending = held.state().is_cancelled() || held.state().is_late();
        progress.is_stopped.set(is_ending);
        if are_called && jobs::are_over(held.state()) {
            return held.change(|state| state.begin(BatchPhase::Finish)).await;
        }
        tokio::select! {
            done = &mut running, if !are_called => {
                done?;
                are_called = true;
            }
            () = sleep(work.poll) => {}
        }
        let now = progress.counts.get();
        held.change(|state| {
            state.counts.completed = before.completed + now.completed;
            state.counts.failed = before.failed + now.failed;
        })
        .await?;
    }
}

async fn finish(held: &mut HeldBatch) -> Result<(), Halt> {
    let (work, state) = (held.work().clone(), held.state().clone());
    let written = held.during(Box::pin(finish::write(&work, &state))).await?;
    held.change(|state| {
        state.counts = written.counts;
        (state.has_output, state.has_errors) = (written.has_output, written.has_errors);
        state.complete();
    })
    .await
}

/// Removes the marker of a batch that is over, then the records and answers of its work.
async fn clear(work: &Work, state: &BatchState, open: &OpenBatch) -> Result<(), GatewayError> {
    let folder = work_folder(&state.id);
    for key in work.bucket().keys(&folder, LEFT).await.map_err(FileRefusal::from)? {
        work.bucket().remove(&key).await.map_err(FileRefusal::from)?;
    }
    work.store.close(open).await
}
