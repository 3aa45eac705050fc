//! Settings for distributing the calls of a name over its targets, for retries, and for unhealthy targets,
//! with their defaults.

use std::time::Duration;

/// Target selection and retries for the calls of one name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Balance {
    pub(crate) strategy: Strategy,
    pub(crate) retries: Retries,
    /// `None`: a failing target is called as often as any other.
    pub(crate) cooldown: Option<Cooldown>,
    pub(crate) affinity: Affinity,
    pub(crate) tag_filter: TagFilter,
}

/// Which targets the tags of a request leave.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum TagFilter {
    /// All.
    #[default]
    Off,
    /// Those that have one of the tags.
    Any,
    /// Those that have all of the tags.
    All,
}

impl Default for Balance {
    fn default() -> Self {
        Self {
            strategy: Strategy::default(),
            retries: Retries::default(),
            cooldown: Some(Cooldown::default()),
            affinity: Affinity::default(),
            tag_filter: TagFilter::default(),
        }
    }
}

/// Selection of a call's first target.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Strategy {
    /// By weight.
    #[default]
    Weighted,
    /// The target with the fewest calls in flight.
    LeastBusy,
    /// The target with the lowest time to first byte.
    Latency,
    /// The target with the largest unused share of its quotas per minute.
    Usage,
    /// The healthy target with the lowest `order`.
    Order,
}

/// Retries of a call before its client has received a byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Retries {
    /// Attempts after the first: 0 to 2.
    pub(crate) more: u8,
    /// Longest backoff before the second attempt; doubles from there.
    pub(crate) first_pause: Duration,
    /// Upper limit of the backoff.
    pub(crate) longest_pause: Duration,
    /// Longest `Retry-After` that is waited for; a longer one ends the attempts at that target.
    pub(crate) retry_after_limit: Duration,
    /// Retries allowed, as a share of all calls in the window.
    pub(crate) budget: Thousandths,
    pub(crate) budget_window: Duration,
    /// Retries per second that are always allowed.
    pub(crate) budget_floor: u32,
}

impl Default for Retries {
    fn default() -> Self {
        Self {
            more: Self::MOST,
            first_pause: Duration::from_millis(50),
            longest_pause: Duration::from_secs(2),
            retry_after_limit: Duration::from_secs(5),
            budget: Thousandths(200),
            budget_window: Duration::from_secs(10),
            budget_floor: 10,
        }
    }
}

impl Retries {
    /// Highest number of retries. Clients retry too: more would multiply their load.
    pub(crate) const MOST: u8 = 2;
}

/// Cooldown of a failing target: its conditions and its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cooldown {
    /// Calls within the window before the share of failures counts.
    pub(crate) calls: u32,
    pub(crate) window: Duration,
    /// Share of failed calls that opens the breaker.
    pub(crate) failing: Thousandths,
    /// Consecutive failures that open the breaker by themselves.
    pub(crate) in_a_row: u32,
    /// Length of the first cooldown; doubles while the target keeps failing.
    pub(crate) open: Duration,
    pub(crate) longest: Duration,
}

impl Default for Cooldown {
    fn default() -> Self {
        Self {
            calls: 10,
            window: Duration::from_secs(10),
            failing: Thousandths(500),
            in_a_row: 5,
            open: Duration::from_secs(5),
            longest: Duration::from_mins(1),
        }
    }
}

/// Whether calls with a common beginning stay with one target, whose prompt cache holds that beginning.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Affinity {
    Off,
    #[default]
    On,
}

/// A fraction, in thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Thousandths(pub(crate) u32);

/// Names that are called if no target of a name could answer, in order. Each name is tried once per
/// request, regardless of its own fallbacks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Fallbacks {
    /// After failures unrelated to the request.
    pub(crate) general: Vec<String>,
    /// After a prompt that was too long.
    pub(crate) context_window: Vec<String>,
    /// After a refusal by a content filter. An answer blocked by a guardrail is an answer, not a failure.
    pub(crate) content_policy: Vec<String>,
}
