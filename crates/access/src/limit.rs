//! Requests and tokens by time, and calls at once, of one process. Rates are GCRA: a bucket that refills evenly and
//! holds a minute's worth, so that a refusal knows when the call would fit, and an unused part is given back.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::UtcTime;
use crate::ledger::ScopeKind;

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

/// Buckets of all scopes.
#[derive(Debug, Default)]
pub struct RateLimiter {
    buckets: Mutex<HashMap<BucketKey, Bucket>>,
}

/// Tokens and a place that a call took from the buckets. Dropping it ends the call: its place among the parallel ones is free again.
#[derive(Debug)]
pub struct RateHold {
    limiter: Arc<RateLimiter>,
    taken: Vec<Taken>,
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
        for rate in
            [RateKind::Parallel, RateKind::Requests, RateKind::Tokens, RateKind::DailyTokens]
        {
            for scope in scopes {
                let Some((limit, amount)) = scope.limit(rate, tokens) else { continue };
                let ScopeRates { kind, id, model, .. } = scope.clone();
                let key = BucketKey { kind, id, model, rate };
                let bucket = buckets.get(&key).copied().unwrap_or_default();
                let Err(retry_after) = bucket.fits(rate, limit, amount, now) else {
                    taken.push(Taken { key, limit, amount });
                    continue;
                };
                let ScopeRates { kind, id, model, shown, .. } = scope.clone();
                return Err(Box::new(RateExceeded {
                    kind,
                    id,
                    model,
                    shown,
                    rate,
                    limit,
                    retry_after,
                }));
            }
        }
        if buckets.len() > SWEEP {
            buckets.retain(|key, bucket| match key.rate {
                RateKind::Parallel => bucket.0 > 0,
                RateKind::Requests | RateKind::Tokens | RateKind::DailyTokens => bucket.0 > now,
            });
        }
        let (mut requests, mut all_tokens) = (None, None);
        for one in &taken {
            let bucket = buckets.entry(one.key.clone()).or_default();
            bucket.add(one.key.rate, one.limit, i128::from(one.amount), now);
            let state = bucket.state(one.key.rate, one.limit, now);
            let tightest = match one.key.rate {
                RateKind::Requests => &mut requests,
                RateKind::Tokens => &mut all_tokens,
                RateKind::Parallel | RateKind::DailyTokens => continue,
            };
            if tightest.is_none_or(|old: RateState| state.remaining < old.remaining) {
                *tightest = Some(state);
            }
        }
        Ok(RateHold { limiter: Arc::clone(self), taken, requests, tokens: all_tokens })
    }

    fn buckets(&self) -> MutexGuard<'_, HashMap<BucketKey, Bucket>> {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RateHold {
    /// The tightest limit of requests after this call.
    pub fn requests(&self) -> Option<RateState> {
        self.requests
    }

    /// The tightest limit of tokens after this call's estimate.
    pub fn tokens(&self) -> Option<RateState> {
        self.tokens
    }

    /// Charges the tokens that were used instead of the estimate.
    pub fn settle(&mut self, tokens: u64) {
        self.correct(|one| match one.key.rate {
            RateKind::Tokens | RateKind::DailyTokens => i128::from(tokens) - i128::from(one.amount),
            RateKind::Requests | RateKind::Parallel => 0,
        });
    }

    /// Gives back what the call took: it was not made.
    pub fn refund(&mut self) {
        self.correct(|one| match one.key.rate {
            RateKind::Parallel => 0,
            RateKind::Requests | RateKind::Tokens | RateKind::DailyTokens => {
                -i128::from(one.amount)
            }
        });
    }

    /// Corrects each bucket once: only the places among the parallel calls remain.
    fn correct(&mut self, more: impl Fn(&Taken) -> i128) {
        let mut buckets = self.limiter.buckets();
        for one in &self.taken {
            if let Some(bucket) = buckets.get_mut(&one.key) {
                bucket.0 += units(one.key.rate, one.limit, more(one));
            }
        }
        drop(buckets);
        self.taken.retain(|one| one.key.rate == RateKind::Parallel);
    }
}

impl Drop for RateHold {
    fn drop(&mut self) {
        let mut buckets = self.limiter.buckets();
        for one in self.taken.iter().filter(|one| one.key.rate == RateKind::Parallel) {
            if let Some(bucket) = buckets.get_mut(&one.key) {
                bucket.0 = (bucket.0 - 1).max(0);
            }
        }
    }
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
        // The next whole millisecond: time comes in those.
        let millis = (over + MILLI - 1) / MILLI;
        Err(Some(Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))))
    }

    fn add(&mut self, rate: RateKind, limit: u64, amount: i128, now: i128) {
        match rate {
            RateKind::Parallel => self.0 += amount,
            RateKind::Requests | RateKind::Tokens | RateKind::DailyTokens => {
                self.0 = self.0.max(now) + units(rate, limit, amount);
            }
        }
    }

    fn state(self, rate: RateKind, limit: u64, now: i128) -> RateState {
        let used = (self.0 - now).max(0);
        let left = (rate.period() - used).max(0) * i128::from(limit) / rate.period();
        RateState {
            limit,
            remaining: u64::try_from(left).unwrap_or(0),
            reset_after: Duration::from_nanos(u64::try_from(used).unwrap_or(u64::MAX)),
        }
    }
}

#[cfg(test)]
mod tests;
