//! The attempts of one call: what the headers of its answer tell, and what metrics and traces need.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::classify::{FailureClass, FallbackReason};
use super::super::health::Fault;
use super::super::series::TargetSeries;
use super::super::target::Target;
use crate::catalogue::{Day, ModelEnd};
use crate::health::QuotaLeft;

/// Attempt log of a call.
#[derive(Debug, Clone, Default)]
pub struct AttemptLog {
    /// The last target called; empty before the first attempt.
    pub target: Arc<str>,
    /// Region of the last target.
    pub region: String,
    /// Attempts made, fallbacks included.
    pub attempts: u32,
    /// The fallback name that replaced the requested one.
    pub fallback: Option<String>,
    /// Whether all permitted attempts have failed, so that a client's retry would fail too.
    pub spent: bool,
    /// The attempts that were sent, in order.
    pub made: Vec<Attempt>,
    /// Time slept between attempts.
    pub paused: Duration,
    /// The end of the life of the last target's model, if it is near.
    pub end: Option<Arc<ModelEnd>>,
    /// Remaining quotas of the last target.
    pub quota: QuotaLeft,
    /// The end of the second call, if the first was late.
    pub hedge: Option<HedgeResult>,
}

/// One attempt at one target.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// The target.
    pub series: Option<Arc<TargetSeries>>,
    /// Its name for operators.
    pub target: Arc<str>,
    /// The beginning of the attempt.
    pub began: Instant,
    /// The time until its answer began, or until it failed.
    pub took: Duration,
    /// Its result.
    pub code: AttemptCode,
    /// The attempt that follows, if one does.
    pub then: Option<Continuation>,
}

/// Result of an attempt. The set of texts is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AttemptCode {
    /// The status that Bedrock answered with.
    Status(u16),
    /// The connection could not be opened, or was closed before an answer.
    Connection,
    /// The TLS handshake failed.
    Tls,
    /// A time limit has passed.
    Timeout,
    /// The answer was cut off, or is not an answer of Bedrock's.
    Broken,
    /// There are no credentials.
    Credentials,
    /// The gateway could not make the call, or not read the answer.
    Gateway,
    /// It was given up, because another call's answer came first.
    Cancelled,
}

impl AttemptCode {
    /// An answer.
    pub const ANSWERED: Self = Self::Status(200);
}

impl fmt::Display for AttemptCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "{status}"),
            Self::Connection => f.write_str("connection"),
            Self::Tls => f.write_str("tls"),
            Self::Timeout => f.write_str("timeout"),
            Self::Broken => f.write_str("broken"),
            Self::Credentials => f.write_str("credentials"),
            Self::Gateway => f.write_str("gateway"),
            Self::Cancelled => f.write_str("cancelled"),
        }
    }
}

/// The attempt after a failed one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Continuation {
    /// The same name is tried again.
    Retry(RetryReason),
    /// A fallback is tried.
    Fallback(FallbackReason),
}

/// The end of a second call beside a late one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HedgeResult {
    /// Its answer is used.
    Won,
    /// It was made, and the first answer is used.
    Lost,
    /// It failed.
    Failed,
    /// It was not made: a limit of the caller has no room for it.
    Refused,
    /// It was not made: the name has had its share of second calls.
    Capped,
}

impl HedgeResult {
    /// All results, in the order of their positions.
    pub const ALL: [Self; 5] = [Self::Won, Self::Lost, Self::Failed, Self::Refused, Self::Capped];

    /// Its name in metrics, headers and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Won => "won",
            Self::Lost => "lost",
            Self::Failed => "failed",
            Self::Refused => "refused",
            Self::Capped => "capped",
        }
    }
}

/// Reasons for a retry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryReason {
    /// The target throttled.
    Throttled,
    /// The target, or the connection to it, failed.
    Failed,
    /// The target is not set up to be called.
    Setup,
}

impl RetryReason {
    /// All reasons, in the order of their positions.
    pub const ALL: [Self; 3] = [Self::Throttled, Self::Failed, Self::Setup];

    /// Its name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Throttled => "throttled",
            Self::Failed => "failed",
            Self::Setup => "setup",
        }
    }

    pub(super) fn of(class: FailureClass) -> Self {
        match class.fault {
            Fault::Throttled(_) => Self::Throttled,
            Fault::Target => Self::Failed,
            Fault::Nobody => Self::Setup,
        }
    }
}

impl AttemptLog {
    /// The attempt log of a call not yet made.
    pub fn to(target: &Target) -> Self {
        let region = target.account.region().to_owned();
        let end = target.model.end(Day::today()).map(Arc::new);
        Self { target: Arc::clone(&target.label), region, end, ..Self::default() }
    }

    /// The log with the attempts of another call of the same request.
    #[must_use]
    pub fn and(mut self, other: &Self) -> Self {
        self.attempts += other.attempts;
        self.paused = self.paused.max(other.paused);
        self.made.extend(other.made.iter().cloned());
        self
    }

    /// Notes the decision after the last attempt.
    pub(super) fn goes_on(&mut self, then: Continuation) {
        if let Some(last) = self.made.last_mut() {
            last.then = Some(then);
        }
    }
}
