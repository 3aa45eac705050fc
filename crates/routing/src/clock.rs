//! Timestamps of routing: a number that fits an atomic, and a value that tests can set.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// Microseconds since the process took its first timestamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(pub u64);

/// Slightly before the first timestamp, so that no timestamp is 0.
static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);

impl Timestamp {
    /// The present.
    pub fn now() -> Self {
        Self(micros(BEGAN.elapsed()).saturating_add(1))
    }

    /// This timestamp plus a duration, saturating.
    pub fn after(self, pause: Duration) -> Self {
        Self(self.0.saturating_add(micros(pause)))
    }

    /// 0 if `earlier` is later than `self`.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }

    /// Milliseconds since the process began to count.
    pub fn millis(self) -> u64 {
        self.0 / 1000
    }
}

/// Whole microseconds; a `u64` holds half a million years of them.
pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
