//! Requests and tokens by time, and calls at once. Rates are GCRA: a bucket that refills evenly and holds a minute's
//! worth, so that a refusal knows when the call would fit, and an unused part is given back. The buckets are those of
//! this process, or in a Redis that replicas share.

mod redis;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::ledger::ScopeKind;
use crate::{Pepper, UtcTime};

use self::redis::SharedHold;
pub use self::redis::{RedisLimiter, RedisOptions};

const MINUTE: i128 = 60_000_000_000;
const DAY: i128 = 86_400_000_000_000;
const MILLI: i128 = 1_000_000;
/// Buckets kept before idle ones are looked for.
const SWEEP: usize = 50_000;

/// The kind of a rate limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RateKind {
    /// Calls at once.
    Parallel,
    /// Requests a minute.
    Requests,
    /// Tokens a minute.
    Tokens,
    /// Tokens a day.
    DailyTokens,
}

/// Rate limits of a scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScopeRates {
    /// The kind of the scope.
    pub kind: ScopeKind,
    /// The id of the scope.
    pub id: String,
    /// The model that is limited; empty for all.
    pub model: String,
    /// The name that messages may show.
    pub shown: String,
    /// Calls at once.
    pub parallel: Option<u64>,
    /// Requests a minute.
    pub rpm: Option<u64>,
    /// Tokens a minute.
    pub tpm: Option<u64>,
    /// Tokens a day.
    pub tpd: Option<u64>,
}

/// A rate limit has no room for a call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the rate limit of the {} {shown} is reached", kind.as_str())]
pub struct RateExceeded {
    /// The kind of the scope.
    pub kind: ScopeKind,
    /// The id of the scope.
    pub id: String,
    /// The model that is limited; empty for all.
    pub model: String,
    /// The name that messages may show.
    pub shown: String,
    /// The kind of the limit.
    pub rate: RateKind,
    /// The limit.
    pub limit: u64,
    /// The time after which this call would fit; absent where it depends on other calls, or on the limit.
    pub retry_after: Option<Duration>,
}

/// The state of the tightest limit of a kind, for headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateState {
    /// The limit.
    pub limit: u64,
    /// Requests or tokens that would pass now.
    pub remaining: u64,
    /// The time after which the bucket is full again.
    pub reset_after: Duration,
}

/// Rates of the accounts: in Redis where there is one and it answers, else in this process.
#[derive(Debug)]
pub struct RateLimits {
    shared: Option<RedisLimiter>,
    own: Arc<RateLimiter>,
}

/// Buckets of all scopes in this process.
#[derive(Debug, Default)]
pub struct RateLimiter {
    buckets: Mutex<HashMap<BucketKey, Bucket>>,
}

/// Tokens and a place that a call took from the buckets. Dropping it ends the call: its place among the parallel ones is free again.
#[derive(Debug)]
pub struct RateHold {
    held: Held,
    tightest: Tightest,
}

#[derive(Debug)]
enum Held {
    Own { limiter: Arc<RateLimiter>, taken: Vec<Taken> },
    Shared(SharedHold),
}

/// The tightest limits of a call.
#[derive(Debug, Clone, Copy, Default)]
struct Tightest {
    requests: Option<RateState>,
    tokens: Option<RateState>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct BucketKey {
    kind: ScopeKind,
    id: String,
    model: String,
    rate: RateKind,
}

/// The time, in nanoseconds since 1970, at which a bucket is full again; or the number of parallel calls.
#[derive(Debug, Clone, Copy, Default)]
struct Bucket(i128);

/// A part of a bucket: taken, or to be taken.
#[derive(Debug, Clone)]
struct Taken {
    key: BucketKey,
    limit: u64,
    amount: u64,
}

impl RateKind {
    /// The value of the header `rate_limit_type`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Parallel => "max_parallel_requests",
            Self::Requests => "requests",
            Self::Tokens | Self::DailyTokens => "tokens",
        }
    }

    const fn period(self) -> i128 {
        match self {
            Self::Parallel => 1,
            Self::Requests | Self::Tokens => MINUTE,
            Self::DailyTokens => DAY,
        }
    }
}

impl RateLimits {
    /// Whether the Redis that replicas share them in can be reached; absent where there is none.
    pub(crate) fn is_shared(&self) -> Option<bool> {
        self.shared.as_ref().map(RedisLimiter::is_open)
    }

    /// Rates, shared through a Redis where one is named. The tasks of that run on the present tokio runtime, which
    /// must outlive them. Buckets of gateways with another pepper are not touched.
    pub async fn open(redis: Option<RedisOptions>, pepper: &Pepper) -> Self {
        let shared = match redis {
            Some(options) => Some(RedisLimiter::start(options, pepper).await),
            None => None,
        };
        Self { shared, own: Arc::default() }
    }

    /// Takes a call from all scopes or from none. The id is the call's own; in Redis a call is taken once.
    ///
    /// # Errors
    /// The first limit without room: parallel calls, then requests, then tokens.
    pub async fn take(
        &self,
        id: &str,
        scopes: &[ScopeRates],
        tokens: u64,
        now: UtcTime,
    ) -> Result<RateHold, Box<RateExceeded>> {
        if let Some(shared) = &self.shared
            && let Some(told) = shared.take(id, scopes, tokens).await
        {
            return told;
        }
        self.own.take(scopes, tokens, now)
    }

    /// Ends the tasks, once the calls that have ended are settled or a second has passed.
    pub async fn close(&self) {
        if let Some(shared) = &self.shared {
            shared.close().await;
        }
    }
}

impl RateLimiter {
    /// Takes a call from all scopes or from none. An estimate above a whole limit takes the full bucket, because it
    /// would never fit otherwise; the rest is charged when the call is settled.
    ///
    /// # Errors
    /// The first limit without room: parallel calls, then requests, then tokens.
    pub fn take(
        self: &Arc<Self>,
        scopes: &[ScopeRates],
        tokens: u64,
        now: UtcTime,
    ) -> Result<RateHold, Box<RateExceeded>> {
        let now = i128::from(now.millis()) * MILLI;
        let mut buckets = self.buckets();
        let mut taken = Vec::new();
        for (scope, one) in wanted(scopes, tokens) {
            let bucket = buckets.get(&one.key).copied().unwrap_or_default();
            match bucket.fits(one.key.rate, one.limit, one.amount, now) {
                Ok(()) => taken.push(one),
                Err(retry_after) => return Err(scope.exceeded(&one, retry_after)),
            }
        }
        if buckets.len() > SWEEP {
            buckets.retain(|key, bucket| match key.rate {
                RateKind::Parallel => bucket.0 > 0,
                RateKind::Requests | RateKind::Tokens | RateKind::DailyTokens => bucket.0 > now,
            });
        }
        let mut tightest = Tightest::default();
        for one in &taken {
            let bucket = buckets.entry(one.key.clone()).or_default();
            bucket.add(one.key.rate, one.limit, i128::from(one.amount), now);
            tightest.note(one, bucket.0 - now);
        }
        let held = Held::Own { limiter: Arc::clone(self), taken };
        Ok(RateHold { held, tightest })
    }

    fn buckets(&self) -> MutexGuard<'_, HashMap<BucketKey, Bucket>> {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RateHold {
    /// The tightest limit of requests after this call.
    pub fn requests(&self) -> Option<RateState> {
        self.tightest.requests
    }

    /// The tightest limit of tokens after this call's estimate.
    pub fn tokens(&self) -> Option<RateState> {
        self.tightest.tokens
    }

    /// Charges the tokens that were used instead of the estimate.
    pub fn settle(&mut self, tokens: u64) {
        self.correct(|one| one.when_used(tokens));
    }

    /// Gives back what the call took: it was not made.
    pub fn refund(&mut self) {
        self.correct(Taken::when_not_made);
    }

    /// Corrects each bucket once: only the places among the parallel calls remain.
    fn correct(&mut self, more: impl Fn(&Taken) -> i128) {
        match &mut self.held {
            Held::Shared(hold) => hold.correct(more),
            Held::Own { limiter, taken } => {
                let mut buckets = limiter.buckets();
                for one in &*taken {
                    if let Some(bucket) = buckets.get_mut(&one.key) {
                        bucket.0 += units(one.key.rate, one.limit, more(one));
                    }
                }
                drop(buckets);
                taken.retain(|one| one.key.rate == RateKind::Parallel);
            }
        }
    }
}

impl Drop for RateHold {
    fn drop(&mut self) {
        // A shared hold ends by its own drop.
        let Held::Own { limiter, taken } = &self.held else { return };
        let mut buckets = limiter.buckets();
        for one in taken.iter().filter(|one| one.key.rate == RateKind::Parallel) {
            if let Some(bucket) = buckets.get_mut(&one.key) {
                bucket.0 = (bucket.0 - 1).max(0);
            }
        }
    }
}

impl Tightest {
    /// Notes the state of a bucket that a call took a part of; `used` is the time after which it is full again.
    fn note(&mut self, one: &Taken, used: i128) {
        let tightest = match one.key.rate {
            RateKind::Requests => &mut self.requests,
            RateKind::Tokens => &mut self.tokens,
            RateKind::Parallel | RateKind::DailyTokens => return,
        };
        let (period, used) = (one.key.rate.period(), used.max(0));
        let left = (period - used).max(0) * i128::from(one.limit) / period;
        let state = RateState {
            limit: one.limit,
            remaining: u64::try_from(left).unwrap_or(0),
            reset_after: Duration::from_nanos(u64::try_from(used).unwrap_or(u64::MAX)),
        };
        if tightest.is_none_or(|old: RateState| state.remaining < old.remaining) {
            *tightest = Some(state);
        }
    }
}

impl Taken {
    /// Tokens to charge besides the estimate when so many were used.
    fn when_used(&self, tokens: u64) -> i128 {
        match self.key.rate {
            RateKind::Tokens | RateKind::DailyTokens => {
                i128::from(tokens) - i128::from(self.amount)
            }
            RateKind::Requests | RateKind::Parallel => 0,
        }
    }

    /// Amount to charge when the call was not made.
    fn when_not_made(&self) -> i128 {
        match self.key.rate {
            RateKind::Parallel => 0,
            RateKind::Requests | RateKind::Tokens | RateKind::DailyTokens => {
                -i128::from(self.amount)
            }
        }
    }
}

/// The parts of buckets that a call takes, in the order in which limits refuse.
fn wanted(scopes: &[ScopeRates], tokens: u64) -> impl Iterator<Item = (&ScopeRates, Taken)> {
    use RateKind::{DailyTokens, Parallel, Requests, Tokens};
    [Parallel, Requests, Tokens, DailyTokens].into_iter().flat_map(move |rate| {
        scopes.iter().filter_map(move |scope| {
            let (limit, amount) = scope.limit(rate, tokens)?;
            let ScopeRates { kind, id, model, .. } = scope;
            let key = BucketKey { kind: *kind, id: id.clone(), model: model.clone(), rate };
            Some((scope, Taken { key, limit, amount }))
        })
    })
}

impl ScopeRates {
    /// The limit and what a call takes of it.
    fn limit(&self, rate: RateKind, tokens: u64) -> Option<(u64, u64)> {
        match rate {
            RateKind::Parallel => self.parallel.map(|limit| (limit, 1)),
            RateKind::Requests => self.rpm.map(|limit| (limit, 1)),
            RateKind::Tokens => self.tpm.map(|limit| (limit, tokens.clamp(1, limit.max(1)))),
            RateKind::DailyTokens => self.tpd.map(|limit| (limit, tokens.clamp(1, limit.max(1)))),
        }
    }

    /// The refusal by a limit of this scope.
    fn exceeded(&self, one: &Taken, retry_after: Option<Duration>) -> Box<RateExceeded> {
        Box::new(RateExceeded {
            kind: self.kind,
            id: self.id.clone(),
            model: self.model.clone(),
            shown: self.shown.clone(),
            rate: one.key.rate,
            limit: one.limit,
            retry_after,
        })
    }
}

/// The time until a call fits that is over a limit: the next whole millisecond, because time comes in those.
fn wait(over: i128) -> Duration {
    let millis = (over + MILLI - 1) / MILLI;
    Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
}

/// The time that an amount stands for.
fn units(rate: RateKind, limit: u64, amount: i128) -> i128 {
    if limit == 0 { 0 } else { amount * rate.period() / i128::from(limit) }
}

impl Bucket {
    fn fits(
        self,
        rate: RateKind,
        limit: u64,
        amount: u64,
        now: i128,
    ) -> Result<(), Option<Duration>> {
        if limit == 0 {
            return Err(None);
        }
        if rate == RateKind::Parallel {
            return if self.0 < i128::from(limit) { Ok(()) } else { Err(None) };
        }
        let full = self.0.max(now) + units(rate, limit, i128::from(amount)) - now;
        let over = full - rate.period();
        if over <= 0 {
            return Ok(());
        }
        Err(Some(wait(over)))
    }

    fn add(&mut self, rate: RateKind, limit: u64, amount: i128, now: i128) {
        match rate {
            RateKind::Parallel => self.0 += amount,
            RateKind::Requests | RateKind::Tokens | RateKind::DailyTokens => {
                self.0 = self.0.max(now) + units(rate, limit, amount);
            }
        }
    }
}

#[cfg(test)]
mod tests;
