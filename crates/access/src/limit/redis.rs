//! Rates in Redis, which hold over replicas. One script takes a call from all its buckets or from none; another ends it,
//! once, whatever is sent twice. A place among parallel calls is a lease, so that those of a killed process end.
//!
//! Rates fail open: while Redis is away each process counts for itself.

mod calls;
mod link;
mod scripts;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redis::Client;
use tokio::task::JoinHandle;

use self::calls::{Settler, SharedBucket, SharedCall, SharedCalls};
use self::link::{Answer, Link};
use self::scripts::{Leases, MICRO, Scripts};
use super::{
    BucketKey, Held, RateExceeded, RateHold, RateKind, ScopeRates, Taken, Tightest, wait, wanted,
};
use crate::key::hex;
use crate::ledger::ScopeKind;
use crate::{InvalidField, Pepper};

pub(super) use self::calls::SharedHold;

/// Pause after a failure.
const PAUSE: Duration = Duration::from_secs(1);
/// The lease of a place, renewed three times as often.
const LEASE: Duration = Duration::from_secs(60);
/// The time after which the end of a call is not told to Redis any more.
const RECORD: Duration = Duration::from_mins(10);
/// Longest wait for ended calls at the end of the process.
const CLOSE: Duration = Duration::from_secs(1);
/// Bytes of a hash in a name.
const HASHED: usize = 16;

/// A Redis, Valkey or similar, without cluster mode, and how it is used.
#[derive(Clone)]
pub struct RedisOptions {
    client: Client,
    /// Longest wait of a call.
    pub patience: Duration,
    /// Pause after a failure.
    pub pause: Duration,
    /// The lease of a place among parallel calls.
    pub lease: Duration,
}

/// Rates in Redis.
pub struct RedisLimiter {
    link: Arc<Link>,
    calls: Arc<SharedCalls>,
    names: Names,
    task: Mutex<Option<JoinHandle<()>>>,
}

/// Names of keys: in one slot, apart from those of gateways with another pepper, and without the ids of end users.
struct Names {
    prefix: String,
    pepper: Pepper,
}

impl RedisOptions {
    /// Longest wait of a call where none is given.
    pub const PATIENCE: Duration = Duration::from_millis(100);

    /// The server at a `redis://` or `rediss://` address, which may contain user, password and the number of the
    /// database.
    ///
    /// # Errors
    /// It is no such address.
    pub fn at(url: &str) -> Result<Self, InvalidField> {
        // The error would repeat the address.
        let client = Client::open(url)
            .map_err(|_| InvalidField::new("redis_url", "it is no address of a Redis"))?;
        Ok(Self { client, patience: Self::PATIENCE, pause: PAUSE, lease: LEASE })
    }
}

impl fmt::Debug for RedisOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RedisOptions(..)")
    }
}

impl fmt::Debug for RedisLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RedisLimiter(..)")
    }
}

impl RedisLimiter {
    /// Connects, and starts the task that settles calls; returns when the first attempt to connect has ended.
    pub(super) async fn start(options: RedisOptions, pepper: &Pepper) -> Self {
        let leases = Leases { place: options.lease, record: RECORD.max(options.lease) };
        Self::start_with(options, pepper, Scripts::new(leases)).await
    }

    async fn start_with(options: RedisOptions, pepper: &Pepper, scripts: Scripts) -> Self {
        let names = Names::of(pepper);
        let link = Arc::new(Link::new(options, scripts, names.probe()));
        let (settler, calls) = Settler::of(Arc::clone(&link));
        let kept = Arc::clone(&link);
        let task = tokio::spawn(async move {
            tokio::join!(kept.keep(), settler.run());
        });
        link.is_decided().await;
        Self { link, calls, names, task: Mutex::new(Some(task)) }
    }

    /// Whether the server can be reached.
    pub(super) fn is_open(&self) -> bool {
        self.link.is_connected()
    }

    /// Takes a call from all scopes or from none. Absent where no limit applies and where Redis cannot tell: then the
    /// process counts for itself.
    pub(super) async fn take(
        &self,
        id: &str,
        scopes: &[ScopeRates],
        tokens: u64,
    ) -> Option<Result<RateHold, Box<RateExceeded>>> {
        let (limiting, taken): (Vec<_>, Vec<_>) = wanted(scopes, tokens).unzip();
        if taken.is_empty() {
            return None;
        }
        let mut hold = SharedHold::asked(&self.calls, self.names.call(id, taken));
        let answer: Answer<Vec<i64>> = {
            let take = self.link.scripts().take(hold.call());
            self.link.ask(&take).await
        };
        let told = match answer {
            Answer::Told(told) => told,
            Answer::NotAsked => {
                hold.refused();
                return None;
            }
            // Dropped, the hold undoes it.
            Answer::Lost => return None,
        };
        match told.split_first() {
            Some((1, used)) if used.len() == limiting.len() => {
                hold.granted();
                let mut tightest = Tightest::default();
                for (bucket, used) in hold.call().buckets.iter().zip(used) {
                    tightest.note(&bucket.taken, i128::from(*used) * MICRO);
                }
                Some(Ok(RateHold { held: Held::Shared(hold), tightest }))
            }
            Some((0, [at, over])) => {
                let at = usize::try_from(*at).ok()?.checked_sub(1)?;
                let (scope, bucket) = (limiting.get(at)?, hold.call().buckets.get(at)?);
                let one = &bucket.taken;
                let is_timed = one.limit > 0 && one.key.rate != RateKind::Parallel;
                let retry_after = is_timed.then(|| wait(i128::from(*over) * MICRO));
                let exceeded = scope.exceeded(one, retry_after);
                hold.refused();
                Some(Err(exceeded))
            }
            // Not an answer of the script.
            Some(_) | None => None,
        }
    }

    /// Ends the task, once the calls that have ended are settled or a second has passed.
    pub(super) async fn close(&self) {
        self.calls.flush(CLOSE).await;
        if let Some(task) = self.stop() {
            // It was cancelled.
            let _ = task.await;
        }
    }

    fn stop(&self) -> Option<JoinHandle<()>> {
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        task.abort();
        Some(task)
    }
}

impl Drop for RedisLimiter {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Names {
    fn of(pepper: &Pepper) -> Self {
        let mark = pepper.mac(&[b"rates of this store"]);
        let prefix = format!("{{outcrop:{}}}", hex(&mark[..HASHED / 2]));
        Self { prefix, pepper: pepper.clone() }
    }

    fn call(&self, id: &str, taken: Vec<Taken>) -> SharedCall {
        let buckets = taken.into_iter();
        SharedCall {
            id: id.to_owned(),
            record: format!("{}:call:{id}", self.prefix),
            buckets: buckets
                .map(|taken| SharedBucket { name: self.bucket(&taken.key), taken })
                .collect(),
        }
    }

    fn bucket(&self, key: &BucketKey) -> String {
        let BucketKey { kind, id, model, rate } = key;
        let length = id.len().to_be_bytes();
        let hash = self.pepper.mac(&[b"bucket", &length, id.as_bytes(), model.as_bytes()]);
        let rate = match rate {
            RateKind::Parallel => "parallel",
            RateKind::Requests => "rpm",
            RateKind::Tokens => "tpm",
            RateKind::DailyTokens => "tpd",
        };
        format!("{}:{rate}:{}:{}", self.prefix, kind.as_str(), hex(&hash[..HASHED]))
    }

    /// A call that never lacks room.
    fn probe(&self) -> SharedCall {
        let (id, model) = ("probe".to_owned(), String::new());
        let key = BucketKey { kind: ScopeKind::Gateway, id, model, rate: RateKind::Requests };
        self.call("probe", vec![Taken { key, limit: 1_000_000, amount: 1 }])
    }
}

#[cfg(test)]
mod tests;
