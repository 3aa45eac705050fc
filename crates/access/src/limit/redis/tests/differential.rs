//! The scripts against the limiter of one process: the same calls, at the same times, have the same verdicts.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tokio::runtime::Runtime;

use super::*;
use crate::limit::RateLimiter;

/// The name of the clock's time.
const CLOCK: &str = "clock";
/// Longer than any schedule.
const YEAR: Duration = Duration::from_hours(24 * 365);

#[derive(Debug, Clone)]
enum Step {
    Wait(i64),
    Take(u64),
    /// Of the hold at this place among those held.
    Settle(usize, u64),
    Refund(usize),
    Drop(usize),
}

#[derive(Debug, Clone)]
struct Schedule {
    limits: [Option<u64>; 4],
    steps: Vec<Step>,
}

/// Verdicts may differ by so much.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Tolerance {
    Nothing,
    Millisecond,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (0_i64..20_000).prop_map(Step::Wait),
        1 => (0_i64..200_000).prop_map(Step::Wait),
        8 => (0_u64..3000).prop_map(Step::Take),
        3 => (0_usize..8, 0_u64..5000).prop_map(|(at, tokens)| Step::Settle(at, tokens)),
        1 => (0_usize..8).prop_map(Step::Refund),
        1 => (0_usize..8).prop_map(Step::Drop),
    ];
    prop::collection::vec(step, 1..60)
}

/// Limits that divide a minute and a day: then microseconds lose nothing.
fn even() -> impl Strategy<Value = Schedule> {
    let of = |limits: &'static [u64]| prop::option::of(prop::sample::select(limits));
    let limits =
        (of(&[0, 1, 2, 5]), of(&[0, 1, 2, 10, 60]), of(&[0, 100, 1000, 6000]), of(&[8640]));
    let limits = limits.prop_map(|(parallel, rpm, tpm, tpd)| [parallel, rpm, tpm, tpd]);
    (limits, steps()).prop_map(|(limits, steps)| Schedule { limits, steps })
}

fn any_limits() -> impl Strategy<Value = Schedule> {
    let of = |most: u64| prop::option::of(1..most);
    let limits = (of(8), of(100), of(10_000), of(100_000));
    let limits = limits.prop_map(|(parallel, rpm, tpm, tpd)| [parallel, rpm, tpm, tpd]);
    (limits, steps()).prop_map(|(limits, steps)| Schedule { limits, steps })
}

/// A limiter in Redis, and its clock.
struct Bench {
    limiter: RedisLimiter,
    outside: redis::aio::MultiplexedConnection,
}

impl Bench {
    async fn open(server: &RedisServer) -> Self {
        let mut outside = outside(server).await;
        set_clock(&mut outside, 0).await;
        let scripts = Scripts::with_clock(Leases { place: YEAR, record: YEAR }, CLOCK);
        let limiter = RedisLimiter::start_with(options(server), &pepper(), scripts).await;
        Self { limiter, outside }
    }

    /// Runs a schedule on both limiters.
    async fn run(&mut self, schedule: &Schedule, tolerance: Tolerance) {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let id = format!("scope-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let [parallel, rpm, tpm, tpd] = schedule.limits;
        let [first] = scope(rpm, tpm, parallel);
        // A second scope that refuses must leave the first as it was.
        let second = ScopeRates { id: format!("{id} of two"), parallel: None, ..first.clone() };
        let second = ScopeRates { rpm: rpm.map(|rpm| rpm.div_ceil(2)), tpm: None, ..second };
        let scopes = [ScopeRates { id: id.clone(), tpd, ..first }, second];
        let own = Arc::new(RateLimiter::default());
        let mut held: Vec<(RateHold, RateHold)> = Vec::new();
        let mut now = 1_796_000_000_000;
        set_clock(&mut self.outside, now).await;
        for (at, step) in schedule.steps.iter().enumerate() {
            match *step {
                Step::Wait(millis) => {
                    now += millis;
                    set_clock(&mut self.outside, now).await;
                }
                Step::Take(tokens) => {
                    let own = own.take(&scopes, tokens, UtcTime::from_millis(now));
                    let shared = self.limiter.take(&format!("{id}-{at}"), &scopes, tokens).await;
                    // No limit at all is no question.
                    let Some(shared) = shared else {
                        assert!(
                            scopes.iter().all(|scope| wanted(std::slice::from_ref(scope), 1)
                                .next()
                                .is_none())
                        );
                        return;
                    };
                    match (own, shared) {
                        (Ok(own), Ok(shared)) => {
                            same_states(&own, &shared, tolerance);
                            held.push((own, shared));
                        }
                        (Err(own), Err(shared)) => same_refusals(&own, &shared, tolerance),
                        (own, shared) => {
                            assert_eq!(tolerance, Tolerance::Millisecond, "{own:?} {shared:?}");
                            let refusal = own.err().or(shared.err()).unwrap();
                            assert!(refusal.retry_after.unwrap() <= Duration::from_millis(1));
                            // From here on they are different schedules.
                            return;
                        }
                    }
                }
                Step::Settle(_, _) | Step::Refund(_) | Step::Drop(_) if held.is_empty() => {}
                Step::Settle(place, tokens) => {
                    let (mut own, mut shared) = held.remove(place % held.len());
                    own.settle(tokens);
                    shared.settle(tokens);
                }
                Step::Refund(place) => {
                    let (mut own, mut shared) = held.remove(place % held.len());
                    own.refund();
                    shared.refund();
                }
                Step::Drop(place) => drop(held.remove(place % held.len())),
            }
            self.limiter.calls.flush(LONG).await;
        }
    }
}

async fn set_clock(outside: &mut redis::aio::MultiplexedConnection, millis: i64) {
    let mut set = redis::cmd("SET");
    set.arg(CLOCK).arg(millis * 1000);
    set.query_async::<()>(outside).await.unwrap();
}

fn same_states(own: &RateHold, shared: &RateHold, tolerance: Tolerance) {
    for (own, shared) in [(own.requests(), shared.requests()), (own.tokens(), shared.tokens())] {
        if tolerance == Tolerance::Nothing {
            assert_eq!(own, shared);
        } else if let (Some(own), Some(shared)) = (own, shared) {
            assert!(own.remaining.abs_diff(shared.remaining) <= 1, "{own:?} {shared:?}");
            let apart = own.reset_after.abs_diff(shared.reset_after);
            assert!(own.limit != shared.limit || apart < Duration::from_millis(1));
        } else {
            assert_eq!(own.is_some(), shared.is_some());
        }
    }
}

fn same_refusals(own: &RateExceeded, shared: &RateExceeded, tolerance: Tolerance) {
    if tolerance == Tolerance::Nothing {
        assert_eq!(own, shared);
    } else if own.rate == shared.rate && own.id == shared.id {
        let [own, shared] = [own, shared].map(|refusal| refusal.retry_after.unwrap_or_default());
        assert!(own.abs_diff(shared) <= Duration::from_millis(1), "{own:?} {shared:?}");
    }
}

fn compare(schedules: impl Strategy<Value = Schedule>, tolerance: Tolerance) {
    let Some(server) = RedisServer::start() else { return };
    let runtime = Runtime::new().unwrap();
    let bench = std::cell::RefCell::new(runtime.block_on(Bench::open(&server)));
    let mut runner = TestRunner::new(Config { cases: 100, ..Config::default() });
    let compared = runner.run(&schedules, |schedule| {
        runtime.block_on(bench.borrow_mut().run(&schedule, tolerance));
        Ok(())
    });
    compared.unwrap();
}

#[test]
fn verdicts_are_those_of_one_process() {
    compare(even(), Tolerance::Nothing);
}

#[test]
fn uneven_limits_differ_by_a_millisecond_at_most() {
    compare(any_limits(), Tolerance::Millisecond);
}
