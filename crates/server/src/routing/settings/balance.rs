//! How the calls of a name are spread over its targets, tried again, and kept from targets that are not
//! well: what an operator may say about it, and what holds otherwise.

use std::time::Duration;

/// How the calls of one name find a target that answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Balance {
    pub(crate) strategy: Strategy,
    pub(crate) retries: Retries,
    /// `None`: a target that fails is asked as often as any other.
    pub(crate) cooldown: Option<Cooldown>,
    pub(crate) affinity: Affinity,
}

impl Default for Balance {
    fn default() -> Self {
        Self {
            strategy: Strategy::default(),
            retries: Retries::default(),
            cooldown: Some(Cooldown::default()),
            affinity: Affinity::default(),
        }
    }
}

/// Which target a call goes to first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Strategy {
    /// By weight.
    #[default]
    Weighted,
    /// Where the fewest calls are under way.
    LeastBusy,
    /// Where the first byte comes soonest.
    Latency,
    /// Where most is left of what may be used in a minute.
    Usage,
    /// The lowest `order` that is well.
    Order,
}

/// When a call is tried again, before its client has seen a byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Retries {
    /// Attempts after the first: 0 to 2.
    pub(crate) more: u8,
    /// Longest pause before the second attempt; it doubles from there.
    pub(crate) first_pause: Duration,
    /// The pause grows no longer than this.
    pub(crate) longest_pause: Duration,
    /// A `Retry-After` up to here is waited for; a longer one ends the attempts at that target.
    pub(crate) retry_after_limit: Duration,
    /// Further attempts allowed, as a part of all calls of the window.
    pub(crate) budget: Thousandths,
    pub(crate) budget_window: Duration,
    /// Further attempts a second that are always allowed.
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
    /// Most attempts after the first. Clients try again too: more would multiply their storms.
    pub(crate) const MOST: u8 = 2;
}

/// When a target is left alone, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cooldown {
    /// Calls within the window before their failures count as a part.
    pub(crate) calls: u32,
    pub(crate) window: Duration,
    /// The part of them that must fail.
    pub(crate) failing: Thousandths,
    /// Failures in a row that are enough by themselves.
    pub(crate) in_a_row: u32,
    /// How long it is left alone the first time; that doubles while it stays ill.
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

/// Whether calls that begin alike keep to one target, whose cache knows the beginning.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Affinity {
    Off,
    #[default]
    On,
}

/// A part of a whole, in thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Thousandths(pub(crate) u32);

/// Names that are asked where no target of a name could answer, the first first. Each name is tried once
/// a request, whatever its own fallbacks say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Fallbacks {
    /// After failures that say nothing about the request.
    pub(crate) general: Vec<String>,
    /// After a prompt that was too long.
    pub(crate) context_window: Vec<String>,
    /// After a refusal by a content filter. What a guardrail holds back is an answer.
    pub(crate) content_policy: Vec<String>,
}
