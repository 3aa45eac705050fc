//! Settings of second calls that are made beside a late one.

use std::time::Duration;

use super::Thousandths;

/// A second call at another target if the first is late.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hedge {
    /// The wait after which the first call is late.
    pub after: HedgeDelay,
    /// Second calls allowed, as a share of the calls of the name.
    pub max_extra: Thousandths,
}

/// The wait before a second call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HedgeDelay {
    /// A fixed time.
    Fixed(Duration),
    /// The wait that this percentage of recent calls of the name did not exceed; unknown until enough were
    /// made.
    Percentile(u8),
}

impl Default for Hedge {
    fn default() -> Self {
        Self { after: HedgeDelay::Percentile(95), max_extra: Thousandths(50) }
    }
}
