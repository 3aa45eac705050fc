//! Calls of dead processes: those whose lease ran out, and those that only an intent tells of. They may have cost money, so
//! that their rows take the estimate for spent. Slices of budgets go back where no call uses them, or where their process
//! is dead.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::intents::IntentLog;
use super::slices::{self, Slices};
use super::{Closing, LedgerOptions};
use crate::store::{Store, StoreError};
use crate::{Clock, UtcTime};

/// The time after which a slice that no call uses is given back.
const IDLE: Duration = Duration::from_secs(1);

/// Renews the leases of calls that go on, and ends those whose process is dead.
pub(super) struct Reaper {
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Clock,
    pub(super) options: LedgerOptions,
    pub(super) live: Arc<Mutex<HashMap<String, UtcTime>>>,
    pub(super) slices: Arc<Slices>,
    pub(super) intents: Option<Arc<IntentLog>>,
}

impl Reaper {
    pub(super) async fn run(self) {
        let every = self.options.reap_every.max(Duration::from_millis(10));
        let mut ticks = tokio::time::interval(every.min(IDLE));
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut next = Instant::now();
        loop {
            ticks.tick().await;
            slices::give_back(&*self.store, self.slices.idle(self.clock.now())).await;
            if Instant::now() < next {
                continue;
            }
            next = Instant::now() + every;
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
        self.take_over(now).await?;
        let held = self.slices.renew(now.plus(slices::LEASE));
        if !held.is_empty() {
            self.store.renew_slices(held, now.plus(slices::LEASE)).await?;
        }
        let count = self.store.reap_slices(now).await?;
        if count > 0 {
            log::warn!("{count} slices of budgets of dead processes are given back");
        }
        if let Some(age) = self.options.retention {
            let age = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
            let before = UtcTime::from_millis(now.millis().saturating_sub(age));
            self.store.prune(before, 2000).await?;
        }
        Ok(())
    }

    /// Writes the rows of calls whose process died before it wrote them.
    async fn take_over(&self, now: UtcTime) -> Result<(), StoreError> {
        let Some(intents) = &self.intents else { return Ok(()) };
        let orphans =
            intents.orphans().map_err(|error| StoreError::Unavailable(error.to_string()))?;
        for mut orphan in orphans {
            let calls = std::mem::take(&mut orphan.calls);
            let mut missing = 0;
            for calls in calls.chunks(self.options.batch.max(1)) {
                let dead = calls.iter().map(|call| Closing::of_dead(call.clone(), now));
                let written = self.store.close(dead.collect()).await?;
                missing += written.into_iter().filter(|first| *first).count();
            }
            if missing > 0 {
                log::warn!("{missing} calls of a dead process are settled by their estimates");
            }
            orphan.settled();
        }
        Ok(())
    }
}
