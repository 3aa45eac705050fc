//! A call's row, from its reservation to its settlement.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::time::millis;
use crate::{Nanodollars, UtcTime};

/// The kind of a scope that calls are counted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScopeKind {
    /// A key.
    Key,
    /// A team.
    Team,
    /// A member of a team.
    Member,
    /// A user.
    User,
    /// An end user.
    Customer,
    /// A tag.
    Tag,
    /// A model of the gateway, for all callers.
    Model,
    /// The whole gateway.
    Gateway,
}

impl ScopeKind {
    /// The name in the store and in the header `x-outcrop-limit`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Team => "team",
            Self::Member => "member",
            Self::User => "user",
            Self::Customer => "customer",
            Self::Tag => "tag",
            Self::Model => "model",
            Self::Gateway => "gateway",
        }
    }
}

/// A sum of spend: of a scope, in a window.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CounterKey {
    /// The kind of the scope.
    pub kind: ScopeKind,
    /// The id of the scope.
    pub id: String,
    /// The window's span, `total` for the lifetime, after a model's name and a colon where it counts one model.
    pub window: String,
    /// The window's start.
    #[serde(with = "millis")]
    pub start: UtcTime,
}

/// The state of a counter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CounterState {
    /// The sum of settled calls.
    pub spent: Nanodollars,
    /// The sum of the estimates of calls under way.
    pub reserved: Nanodollars,
    /// The number of settled calls.
    pub requests: u64,
}

/// A counter that a call is charged to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Charge {
    /// The counter.
    pub counter: CounterKey,
    /// Most that may be spent and reserved together; null limits nothing.
    pub max: Option<Nanodollars>,
    /// The slice that the estimate was taken from, of calls that were not reserved in the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slice: Option<String>,
}

/// The parties that a call is attributed to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Attribution {
    /// The key's row; `master` for the master key, empty without keys.
    pub key_id: String,
    /// The key's handle at the time.
    pub token: String,
    /// The key's team.
    pub team: Option<String>,
    /// The key's user.
    pub user: Option<String>,
    /// The organization.
    pub organization: Option<String>,
    /// The end user.
    pub customer: Option<String>,
    /// Tags.
    pub tags: Vec<String>,
}

/// A call before it is made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Opening {
    /// The request's id, a UUIDv7: unique, and never the caller's.
    pub id: String,
    /// The time it began: the windows it counts in are those of this time.
    #[serde(with = "millis")]
    pub at: UtcTime,
    /// The end of its lease, after which it is taken for dead.
    #[serde(with = "millis")]
    pub lease_until: UtcTime,
    /// The parties.
    pub who: Attribution,
    /// The kind of call, such as `acompletion`.
    pub call_type: String,
    /// The model as it was asked for.
    pub model_asked: String,
    /// The caller's own id of the conversation.
    pub session_id: Option<String>,
    /// The caller's address.
    pub ip: Option<String>,
    /// Metadata of the caller, as a JSON object.
    pub meta: Option<String>,
    /// The estimate that is reserved; null where the call has no price.
    pub estimate: Option<Nanodollars>,
    /// The counters, each once.
    pub charges: Vec<Charge>,
}

impl Opening {
    /// The amount that counters hold while the call is under way.
    pub fn reserved(&self) -> Nanodollars {
        self.estimate.unwrap_or_default()
    }
}

/// The end of a call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CallState {
    /// Its usage is known.
    #[default]
    Settled,
    /// It cost no money: it was not made, or refused.
    Voided,
    /// Its usage is an estimate: it was cut off, or its process died.
    Estimated,
}

impl CallState {
    /// The name in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Settled => "settled",
            Self::Voided => "voided",
            Self::Estimated => "estimated",
        }
    }
}

/// The outcome of a call. Token counts exclude one another: input is without cache reads and writes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CallOutcome {
    /// The model that served.
    pub model: String,
    /// The operator's name that was resolved.
    pub model_group: Option<String>,
    /// The region that was called.
    pub region: Option<String>,
    /// `global`, a geography, or `in-region`.
    pub reach: Option<String>,
    /// The service tier that served.
    pub tier: Option<String>,
    /// Input tokens.
    pub input: u64,
    /// Output tokens.
    pub output: u64,
    /// Tokens read from the prompt cache.
    pub cache_read: u64,
    /// Tokens written to the prompt cache for five minutes.
    pub cache_write_5m: u64,
    /// Tokens written to the prompt cache for one hour.
    pub cache_write_1h: u64,
    /// Other units billed and the parts of the cost, as a JSON object.
    pub units: Option<String>,
    /// The cost; null where the call has no price.
    pub cost: Option<Nanodollars>,
    /// The price row.
    pub price_id: Option<String>,
    /// The source of the price.
    pub price_source: Option<String>,
    /// The HTTP status of the answer.
    pub status: u16,
    /// The code of the error, for failed calls.
    pub error_code: Option<String>,
    /// Milliseconds to the first byte of the answer.
    pub ttft_ms: Option<u64>,
    /// Milliseconds to its last.
    pub total_ms: u64,
    /// Attempts made.
    pub attempts: u32,
}

/// A call at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closing {
    /// The call.
    pub call: Arc<Opening>,
    /// The time of the end.
    pub at: UtcTime,
    /// The kind of end.
    pub state: CallState,
    /// The outcome.
    pub outcome: CallOutcome,
}

impl Closing {
    /// The amount that counters are charged.
    pub(crate) fn charged(&self) -> Nanodollars {
        self.cost().unwrap_or_default()
    }

    /// The cost as rows show it: zero where it cost no money, absent without a price.
    pub fn cost(&self) -> Option<Nanodollars> {
        match self.state {
            CallState::Voided => Some(Nanodollars::ZERO),
            CallState::Settled | CallState::Estimated => self.outcome.cost,
        }
    }

    /// Whether the call counts as successful.
    pub fn succeeded(&self) -> bool {
        self.state != CallState::Voided && self.outcome.error_code.is_none()
    }

    /// The end of a call whose process died: everything it had reserved is taken for spent.
    pub fn of_dead(call: Opening, now: UtcTime) -> Self {
        let outcome = CallOutcome {
            model: call.model_asked.clone(),
            cost: call.estimate,
            error_code: Some("lease_expired".to_owned()),
            total_ms: u64::try_from(now.since(call.at).as_millis()).unwrap_or(u64::MAX),
            ..CallOutcome::default()
        };
        Self { call: Arc::new(call), at: now, state: CallState::Estimated, outcome }
    }
}

/// The store's answer to an [`Opening`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OpenOutcome {
    /// The row is written. The states of its counters, in the order of its charges, with this reservation.
    Granted(Vec<CounterState>),
    /// A budget has no room; no counter was changed.
    Refused {
        /// The position of the charge.
        charge: usize,
        /// The state of its counter.
        state: CounterState,
    },
}
