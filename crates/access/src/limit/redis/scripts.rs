//! The scripts that run in Redis: each reads or changes all buckets of a call in one step, by the server's clock.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{RedisResult, Script, ScriptInvocation};

use super::calls::SharedCall;
use crate::limit::{RateKind, Taken, units};

const TAKE: &str = include_str!("take.lua");
const END: &str = include_str!("end.lua");
const RENEW: &str = include_str!("renew.lua");
/// Nanoseconds of a microsecond, the unit of the scripts: their numbers are exact up to 2^53.
pub(super) const MICRO: i128 = 1000;
/// Most microseconds that a call adds to a bucket, 71 years: sums of these stay exact.
const MOST: i128 = 1 << 51;

/// Leases of a call.
#[derive(Debug, Clone, Copy)]
pub(super) struct Leases {
    /// Of its places among the parallel calls.
    pub(super) place: Duration,
    /// Of its record, and of its buckets beyond the time at which they are full: without a record no call is settled.
    pub(super) record: Duration,
}

pub(super) struct Scripts {
    take: Script,
    end: Script,
    renew: Script,
    leases: Leases,
}

impl Scripts {
    pub(super) fn new(leases: Leases) -> Self {
        Self::of([TAKE, END, RENEW].map(ToOwned::to_owned), leases)
    }

    fn of(texts: [String; 3], leases: Leases) -> Self {
        let [take, end, renew] = texts.map(|text| Script::new(&text));
        Self { take, end, renew, leases }
    }

    pub(super) fn leases(&self) -> Leases {
        self.leases
    }

    /// Puts the scripts into a server.
    pub(super) async fn load(&self, connection: &mut MultiplexedConnection) -> RedisResult<()> {
        let mut pipe = redis::pipe();
        for script in [&self.take, &self.end, &self.renew] {
            pipe.load_script(script).ignore();
        }
        pipe.query_async(connection).await
    }

    /// Takes a call.
    pub(super) fn take(&self, call: &SharedCall) -> ScriptInvocation<'_> {
        let mut take = on(&self.take, call);
        self.add_leases(&mut take);
        for bucket in &call.buckets {
            let (period, part) = ask(&bucket.taken);
            take.arg(period).arg(part);
        }
        take
    }

    /// Ends a call, with the microseconds that each bucket is charged besides.
    pub(super) fn end(&self, call: &SharedCall, more: &[i64]) -> ScriptInvocation<'_> {
        let mut end = on(&self.end, call);
        for (bucket, more) in call.buckets.iter().zip(more) {
            match bucket.taken.key.rate {
                RateKind::Parallel => end.arg(""),
                RateKind::Requests | RateKind::Tokens | RateKind::DailyTokens => end.arg(*more),
            };
        }
        end
    }

    /// Renews the leases of a call.
    pub(super) fn renew(&self, call: &SharedCall) -> ScriptInvocation<'_> {
        let mut renew = on(&self.renew, call);
        self.add_leases(&mut renew);
        for bucket in &call.buckets {
            match bucket.taken.key.rate {
                RateKind::Parallel => renew.arg(""),
                RateKind::Requests | RateKind::Tokens | RateKind::DailyTokens => renew.arg(1),
            };
        }
        renew
    }

    fn add_leases(&self, invocation: &mut ScriptInvocation<'_>) {
        let millis = |lease: Duration| u64::try_from(lease.as_millis()).unwrap_or(u64::MAX);
        invocation.arg(millis(self.leases.place)).arg(millis(self.leases.record));
    }

    /// The scripts with a clock that stands at the microseconds in a key of Redis.
    #[cfg(test)]
    pub(super) fn with_clock(leases: Leases, key: &str) -> Self {
        let time = format!("{{0, redis.call('GET', '{key}')}}");
        Self::of([TAKE, END, RENEW].map(|text| text.replace("redis.call('TIME')", &time)), leases)
    }
}

fn on<'s>(script: &'s Script, call: &SharedCall) -> ScriptInvocation<'s> {
    let mut invocation = script.key(call.record.as_str());
    for bucket in &call.buckets {
        invocation.key(bucket.name.as_str());
    }
    invocation.arg(call.id.as_str());
    invocation
}

/// The period of a bucket and the part that is asked for, as the script takes them.
fn ask(one: &Taken) -> (i64, i64) {
    match (one.key.rate, one.limit) {
        (RateKind::Parallel, limit) => (0, i64::try_from(limit).unwrap_or(i64::MAX)),
        // No call fits.
        (_, 0) => (1, 2),
        (rate, _) => {
            let period = i64::try_from(rate.period() / MICRO).unwrap_or(i64::MAX);
            (period, micros(one, i128::from(one.amount)).max(1))
        }
    }
}

/// The microseconds that an amount stands for.
pub(super) fn micros(one: &Taken, amount: i128) -> i64 {
    let micros = units(one.key.rate, one.limit, amount) / MICRO;
    i64::try_from(micros.clamp(-MOST, MOST)).unwrap_or_default()
}
