//! Makes the rollups of the aggregates in the background: of an hour some minutes after its end, and in portions of those that
//! an earlier version left.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::Clock;
use crate::store::{RollupRound, Store};

/// Time between two looks for hours that are over.
const EVERY: Duration = Duration::from_secs(60);
/// Time that is left to another process that makes the same rollups.
const YIELDED: Duration = Duration::from_secs(2);
/// Hours, and days, of a portion.
const PORTION: u64 = 4;
/// Hours and days left from which the log tells the progress.
const MANY: u64 = 48;
/// Time between two such lines.
const TOLD_EVERY: Duration = Duration::from_secs(10);

/// Runs until it is aborted.
pub(super) async fn run(store: Arc<dyn Store>, clock: Clock) {
    let mut told: Option<Instant> = None;
    loop {
        let began = Instant::now();
        let rest = match store.roll_up(clock.now(), PORTION).await {
            Ok(RollupRound { left: 0, .. }) => {
                if told.take().is_some() {
                    log::info!("rollups for reports are made of all aggregates");
                }
                EVERY
            }
            Ok(RollupRound { made, left }) => {
                let is_due = told.is_none_or(|at| at.elapsed() >= TOLD_EVERY);
                if is_due && (left > MANY || told.is_some()) {
                    log::info!(
                        "rollups for reports are made: {left} hours and days of the aggregates are left"
                    );
                    told = Some(Instant::now());
                }
                // Half of the time is left to the calls. Where another process made the same ones, it goes on a while.
                if made > 0 { began.elapsed() } else { YIELDED }
            }
            Err(error) => {
                log::warn!(
                    "rollups for reports are not made, and reports read the aggregates: {error}"
                );
                EVERY
            }
        };
        tokio::time::sleep(rest).await;
    }
}
