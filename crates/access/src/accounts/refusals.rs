//! Refused calls, written together once a second.

use std::sync::Arc;
use std::time::Duration;

use super::Accounts;
use crate::ledger::{Refusal, RefusalQueue};
use crate::store::Store;

/// The time between two transactions.
const WRITE: Duration = Duration::from_secs(1);

impl Accounts {
    /// Notes a call that was refused before it was reserved.
    pub fn refused(&self, refusal: Refusal) {
        self.refusals.add(refusal);
    }

    /// Writes the refusals so far.
    pub(super) async fn write_refusals(&self) {
        write_waiting(&*self.store, &self.refusals).await;
    }
}

/// Writes refusals until the task is aborted.
pub(super) async fn write(store: Arc<dyn Store>, queue: Arc<RefusalQueue>) {
    let mut ticks = tokio::time::interval(WRITE);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        write_waiting(&*store, &queue).await;
    }
}

async fn write_waiting(store: &dyn Store, queue: &RefusalQueue) {
    let refusals = queue.take();
    let count = refusals.len();
    if count > 0
        && let Err(error) = store.refuse(refusals).await
    {
        log::warn!("{count} refusals are not kept: {error}");
    }
}
