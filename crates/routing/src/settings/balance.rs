//! Settings for distributing the calls of a name over its targets, for retries, and for unhealthy targets,
//! with their defaults.

use std::time::Duration;

use super::Hedge;

/// Target selection and retries for the calls of one name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Balance {
    /// Choice of the first target.
    pub strategy: Strategy,
    /// Limits on retries.
    pub retries: Retries,
    /// `None`: a failing target is called as often as any other.
    pub cooldown: Option<Cooldown>,
    /// Prompt cache affinity.
    pub affinity: Affinity,
    /// Choice of targets by the tags of a request.
    pub tag_filter: TagFilter,
    /// `None`: a late call gets no second one beside it.
    pub hedge: Option<Hedge>,
    /// Whether a stream of text that broke off is continued at another target.
    pub continue_streams: bool,
}

/// Which targets the tags of a request leave.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TagFilter {
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
            hedge: None,
            continue_streams: false,
        }
    }
}

/// Selection of a call's first target.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Strategy {
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
pub struct Retries {
    /// Attempts after the first: 0 to 2.
    pub more: u8,
    /// Longest backoff before the second attempt; doubles from there.
    pub first_pause: Duration,
    /// Upper limit of the backoff.
    pub longest_pause: Duration,
    /// Longest `Retry-After` that is waited for; a longer one ends the attempts at that target.
    pub retry_after_limit: Duration,
    /// Retries allowed, as a share of all calls in the window.
    pub budget: Thousandths,
    /// Window of the retry budget.
    pub budget_window: Duration,
    /// Retries per second that are always allowed.
    pub budget_floor: u32,
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
    pub const MOST: u8 = 2;
}

/// Cooldown of a failing target: its conditions and its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cooldown {
    /// Calls within the window before the share of failures counts.
    pub calls: u32,
    /// Window over which failures count.
    pub window: Duration,
    /// Share of failed calls that opens the breaker.
    pub failing: Thousandths,
    /// Consecutive failures that open the breaker by themselves.
    pub in_a_row: u32,
    /// Length of the first cooldown; doubles while the target keeps failing.
    pub open: Duration,
    /// Upper bound of the cooldown.
    pub longest: Duration,
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
pub enum Affinity {
    /// Not applied.
    Off,
    /// Applied.
    #[default]
    On,
}

/// A fraction, in thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Thousandths(pub u32);

/// Names that are called if no target of a name could answer, in order. Each name is tried once per
/// request, regardless of its own fallbacks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fallbacks {
    /// After failures unrelated to the request.
    pub general: Vec<String>,
    /// After a prompt that was too long.
    pub context_window: Vec<String>,
    /// After a refusal by a content filter. An answer blocked by a guardrail is an answer, not a failure.
    pub content_policy: Vec<String>,
}
