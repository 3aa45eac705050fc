//! Responses that this process makes in the background: each goes on without its client, tells its events to
//! those who follow it, and can be cancelled.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::timeout;
use translate::answer_stream::KeptItem;
use translate::responses::background::ended;

use super::event_log::{EventLog, LoggedEvents};
use super::{Caller, ReasoningStore};
use crate::error::GatewayError;
use crate::panic_guard;

/// Most responses that a process makes in the background at a time.
const MOST: usize = 256;
/// Time between two renewals of a lease.
const RENEWAL: Duration = Duration::from_secs(2);

/// The responses that are being made, of all callers.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    running: Mutex<HashMap<(Caller, String), Arc<Job>>>,
    count: watch::Sender<usize>,
}

/// A response that is being made in the background.
#[derive(Debug)]
pub(crate) struct Job {
    /// The response before it is made.
    queued: KeptItem,
    /// Whether it has events.
    streams: bool,
    log: Mutex<EventLog>,
    /// Counts the changes of the log.
    changes: watch::Sender<u64>,
    cancelled: watch::Sender<bool>,
    /// The response, where it ended without an answer.
    failed: Mutex<Option<String>>,
}

/// A job and its end: dropping it ends the job.
#[derive(Debug)]
pub(crate) struct RunningJob {
    pub(crate) job: Arc<Job>,
    store: ReasoningStore,
}

impl Jobs {
    /// Waits until no job is left.
    pub(super) async fn ended(&self) {
        let mut count = self.count.subscribe();
        // The sender lives as long as `self`.
        let _ = count.wait_for(|count| *count == 0).await;
    }

    fn locked(&self) -> MutexGuard<'_, HashMap<(Caller, String), Arc<Job>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ReasoningStore {
    /// Begins to make a response in the background.
    ///
    /// # Errors
    /// Too many are being made.
    pub(crate) fn begin_job(
        &self,
        queued: KeptItem,
        streams: bool,
    ) -> Result<RunningJob, GatewayError> {
        let jobs = &self.local.jobs;
        let mut running = jobs.locked();
        if running.len() >= MOST {
            return Err(GatewayError::TooManyJobs);
        }
        let key = (self.caller, queued.id.clone());
        let job = Arc::new(Job {
            queued,
            streams,
            log: Mutex::default(),
            changes: watch::Sender::new(0),
            cancelled: watch::Sender::new(false),
            failed: Mutex::default(),
        });
        running.insert(key, Arc::clone(&job));
        jobs.count.send_replace(running.len());
        Ok(RunningJob { job, store: self.clone() })
    }

    /// The caller's response with this id, if this process is making it.
    pub(crate) fn job(&self, id: &str) -> Option<Arc<Job>> {
        self.local.jobs.locked().get(&(self.caller, id.to_owned())).cloned()
    }
}

impl RunningJob {
    /// Says in the database, if there is one, that this process makes the response, until it has ended; and ends it
    /// where its client asks another process for that.
    pub(crate) async fn keep_lease(&self) {
        let (store, job) = (self.store.clone(), Arc::clone(&self.job));
        if store.responses().rows().is_none() {
            return;
        }
        renew(&store, &job).await;
        actix_rt::spawn(panic_guard::noted("the lease of a response", async move {
            while timeout(RENEWAL, job.ended()).await.is_err() {
                renew(&store, &job).await;
            }
        }));
    }

    /// Keeps what became of the response, and ends the job.
    pub(crate) async fn end(&self) {
        let Self { job, store } = self;
        let id = &job.queued.id;
        let failed = job.failed.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(json) = failed {
            store.keep_response(Some(KeptItem { id: id.clone(), json })).await;
        }
        let events = if job.streams { job.log().whole() } else { None };
        if let Some(events) = events {
            store.responses().keep_events(id, events).await;
        }
        self.forget();
    }

    fn forget(&self) {
        let Self { job, store } = self;
        let jobs = &store.local.jobs;
        let mut running = jobs.locked();
        if let Entry::Occupied(entry) = running.entry((store.caller, job.queued.id.clone()))
            && Arc::ptr_eq(entry.get(), job)
        {
            entry.remove();
        }
        jobs.count.send_replace(running.len());
        drop(running);
        job.log().is_over = true;
        job.changed();
    }
}

async fn renew(store: &ReasoningStore, job: &Job) {
    match store.responses().renew(&job.queued.id).await {
        Ok(false) => {}
        Ok(true) => job.cancel(),
        Err(error) => log::warn!("the lease of a response is not renewed: {error}"),
    }
}

impl Drop for RunningJob {
    fn drop(&mut self) {
        self.forget();
    }
}

impl Job {
    /// The response before it is made.
    pub(crate) fn queued(&self) -> &str {
        &self.queued.json
    }

    /// Whether it has events.
    pub(crate) fn streams(&self) -> bool {
        self.streams
    }

    /// Adds a piece of its stream.
    pub(crate) fn tell(&self, piece: &Bytes) {
        self.log().push(piece);
        self.changed();
    }

    /// Records that it ended without an answer.
    pub(crate) fn fails(&self, error: &GatewayError) {
        let failed = ended(&self.queued.json, &error.render().failure());
        *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = failed;
    }

    /// Asks for its end.
    pub(crate) fn cancel(&self) {
        self.cancelled.send_replace(true);
    }

    /// Tells when its end is asked for.
    pub(crate) fn cancellation(&self) -> watch::Receiver<bool> {
        self.cancelled.subscribe()
    }

    /// Its events from a sequence number on; `None` where they are not kept any more.
    pub(crate) fn events_from(&self, next: usize) -> Option<LoggedEvents> {
        self.log().from(next)
    }

    /// Tells when there are more events, or the last was told.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Waits until the job has ended, and its response is kept.
    pub(crate) async fn ended(&self) {
        let mut changes = self.changes();
        while !self.log().is_over {
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    fn log(&self) -> MutexGuard<'_, EventLog> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
