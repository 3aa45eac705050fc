//! The clock of answers, in whole seconds.

use std::time::{SystemTime, UNIX_EPOCH};

/// The time in Unix seconds.
pub(crate) fn unix_seconds() -> u32 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    u32::try_from(since.map_or(0, |since| since.as_secs())).unwrap_or(u32::MAX)
}
