//! Buckets under schedules, refunds and dropped calls.

use proptest::prelude::*;

use super::*;

fn at(millis: i64) -> UtcTime {
    UtcTime::from_millis(1_796_000_000_000 + millis)
}

fn scope(rpm: Option<u64>, tpm: Option<u64>, parallel: Option<u64>) -> ScopeRates {
    let (id, shown, model) = ("k1".to_owned(), "batch".to_owned(), String::new());
    ScopeRates { kind: ScopeKind::Key, id, model, shown, parallel, rpm, tpm, tpd: None }
}

fn refused(
    limiter: &Arc<RateLimiter>,
    scope: &ScopeRates,
    tokens: u64,
    now: UtcTime,
) -> RateExceeded {
    *limiter.take(std::slice::from_ref(scope), tokens, now).unwrap_err()
}

#[test]
fn a_minutes_worth_passes_at_once_and_then_evenly() {
    let limiter = Arc::new(RateLimiter::default());
    let scope = scope(Some(60), None, None);
    for _ in 0..60 {
        limiter.take(std::slice::from_ref(&scope), 0, at(0)).unwrap();
    }
    let refusal = refused(&limiter, &scope, 0, at(0));
    assert_eq!((refusal.rate, refusal.limit), (RateKind::Requests, 60));
    assert_eq!(refusal.retry_after, Some(Duration::from_secs(1)));
    assert!(limiter.take(std::slice::from_ref(&scope), 0, at(999)).is_err());
    let hold = limiter.take(std::slice::from_ref(&scope), 0, at(1000)).unwrap();
    let state = hold.requests().unwrap();
    assert_eq!((state.limit, state.remaining, state.reset_after), (60, 0, Duration::from_secs(60)));
}

#[test]
fn tokens_are_corrected_when_the_call_is_settled() {
    let limiter = Arc::new(RateLimiter::default());
    let scope = scope(None, Some(1000), None);
    let take = |tokens| limiter.take(std::slice::from_ref(&scope), tokens, at(0));
    let mut hold = take(900).unwrap();
    assert_eq!(hold.tokens().unwrap().remaining, 100);
    assert_eq!(refused(&limiter, &scope, 200, at(0)).retry_after, Some(Duration::from_secs(6)));
    hold.settle(100);
    assert_eq!(take(0).unwrap().tokens().unwrap().remaining, 899);
    // An estimate above the limit takes the whole bucket, once it is full.
    assert!(take(5000).is_err());
    let mut hold = limiter.take(std::slice::from_ref(&scope), 5000, at(60_000)).unwrap();
    hold.settle(2000);
    assert_eq!(
        refused(&limiter, &scope, 1000, at(60_000)).retry_after,
        Some(Duration::from_secs(120))
    );
}

#[test]
fn a_call_that_is_not_made_takes_no_part() {
    let limiter = Arc::new(RateLimiter::default());
    let both =
        [scope(Some(1), None, None), ScopeRates { id: "k2".into(), ..scope(Some(0), None, None) }];
    let refusal = limiter.take(&both, 0, at(0)).unwrap_err();
    assert_eq!((refusal.id.as_str(), refusal.retry_after), ("k2", None));
    // The first scope was not charged.
    let mut hold = limiter.take(&both[..1], 0, at(0)).unwrap();
    hold.refund();
    drop(hold);
    assert!(limiter.take(&both[..1], 0, at(0)).is_ok());
}

#[test]
fn places_come_back_however_a_call_ends() {
    let limiter = Arc::new(RateLimiter::default());
    let scope = scope(None, None, Some(2));
    for round in 0..1000 {
        let take = || limiter.take(std::slice::from_ref(&scope), 0, at(round));
        let (first, mut second) = (take().unwrap(), take().unwrap());
        assert_eq!(take().unwrap_err().rate, RateKind::Parallel);
        match round % 3 {
            0 => second.settle(10),
            1 => second.refund(),
            _ => {}
        }
        drop((first, second));
    }
    let held: i128 = limiter.buckets().values().map(|bucket| bucket.0).sum();
    assert_eq!(held, 0);
}

#[test]
fn a_limit_holds_under_threads() {
    let limiter = Arc::new(RateLimiter::default());
    let scope = scope(Some(10), None, None);
    let passed: usize = std::thread::scope(|threads| {
        let run = || {
            (0..50).filter(|_| limiter.take(std::slice::from_ref(&scope), 0, at(0)).is_ok()).count()
        };
        let all: Vec<_> = (0..4).map(|_| threads.spawn(run)).collect();
        all.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(passed, 10);
}

proptest! {
    /// After the time that a refusal names the call passes, and not a millisecond before.
    #[test]
    fn a_refused_call_passes_after_its_time(
        limit in 1_u64..500,
        calls in prop::collection::vec((0_i64..5000, 1_u64..50), 1..60),
    ) {
        let limiter = Arc::new(RateLimiter::default());
        let scope = scope(None, Some(limit), None);
        let mut now = 0;
        for (gap, tokens) in calls {
            now += gap;
            let take = |at_ms| limiter.take(std::slice::from_ref(&scope), tokens, at(at_ms));
            if let Err(refusal) = take(now) {
                let wait = i64::try_from(refusal.retry_after.unwrap().as_millis()).unwrap();
                prop_assert!(take(now + wait - 1).is_err());
                prop_assert!(take(now + wait).is_ok());
                now += wait;
            }
        }
    }
}
