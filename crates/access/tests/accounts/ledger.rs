//! Reservations, settlements, leases and sums.

use std::sync::Arc;
use std::time::Duration;

use access::ledger::{
    Attribution, CallFilter, CallOutcome, CallState, Charge, Closing, CounterKey, LedgerOptions,
    LedgerWriter, OpenOutcome, OpenRefusal, Opening, ScopeKind, SpendQuery,
};
use access::{Clock, Nanodollars, UtcTime};

use crate::Opener;

const MORNING: i64 = 1_796_000_400_000;

pub(crate) fn at(millis: i64) -> UtcTime {
    UtcTime::from_millis(MORNING + millis)
}

pub(crate) fn counter(kind: ScopeKind, id: &str) -> CounterKey {
    CounterKey { kind, id: id.into(), window: "total".into(), start: UtcTime::default() }
}

pub(crate) fn call(id: &str, estimate: i64, max: Option<i64>) -> Opening {
    let charge = |kind, id| Charge { counter: counter(kind, id), max: None, slice: None };
    let limited = Charge { max: max.map(Nanodollars::new), ..charge(ScopeKind::Key, "k1") };
    Opening {
        id: id.into(),
        at: at(0),
        lease_until: at(60_000),
        who: Attribution {
            key_id: "k1".into(),
            team: Some("t1".into()),
            tags: vec!["batch".into(), "eu".into()],
            ..Attribution::default()
        },
        call_type: "acompletion".into(),
        model_asked: "sonnet".into(),
        estimate: Some(Nanodollars::new(estimate)),
        charges: vec![limited, charge(ScopeKind::Team, "t1")],
        ..Opening::default()
    }
}

pub(crate) fn ending(call: &Opening, cost: i64) -> Closing {
    let outcome = CallOutcome {
        model: "a-model".into(),
        region: Some("eu-west-1".into()),
        input: 100,
        output: 10,
        cache_read: 5,
        cache_write_5m: 3,
        cache_write_1h: 2,
        cost: Some(Nanodollars::new(cost)),
        status: 200,
        ttft_ms: Some(7),
        total_ms: 70,
        attempts: 1,
        ..CallOutcome::default()
    };
    Closing { call: Arc::new(call.clone()), at: at(70), state: CallState::Settled, outcome }
}

/// Spent, reserved and requests.
pub(crate) async fn state(store: &dyn access::store::Store, key: CounterKey) -> (i64, i64, u64) {
    let state = store.counters(vec![key]).await.unwrap()[0];
    (state.spent.nano(), state.reserved.nano(), state.requests)
}

pub(crate) async fn a_budget_has_room_for_ten_of_two_hundred(open: Opener) {
    let clock = Clock::standing_at(at(0));
    let mut replicas = Vec::new();
    for _ in 0..3 {
        let store = open().await;
        replicas.push(Arc::new(LedgerWriter::start(
            store,
            clock.clone(),
            LedgerOptions::default(),
        )));
    }
    let calls = (0..200).map(|n| {
        let (replica, clock) = (Arc::clone(&replicas[n % 3]), clock.clone());
        tokio::spawn(async move {
            let opened = match replica
                .open(call(&format!("c{n:03}"), 100, Some(1000)), &clock)
                .await
            {
                Ok(opened) => opened,
                Err(OpenRefusal::Budget { charge, state }) => {
                    assert_eq!(charge, 0);
                    assert!(state.spent.nano() + state.reserved.nano() + 100 > 1000, "{state:?}");
                    return 0;
                }
                Err(error) => panic!("{error}"),
            };
            tokio::time::sleep(Duration::from_millis(1)).await;
            let outcome = ending(opened.call(), 100).outcome;
            opened.close(CallState::Settled, outcome);
            1
        })
    });
    let mut served = 0;
    for task in calls.collect::<Vec<_>>() {
        served += task.await.unwrap();
    }
    assert_eq!(served, 10);
    for replica in &replicas {
        replica.flush().await;
        assert_eq!(replica.calls_under_way(), 0);
    }
    let store = open().await;
    assert_eq!(state(&*store, counter(ScopeKind::Key, "k1")).await, (1000, 0, 10));
    assert_eq!(state(&*store, counter(ScopeKind::Team, "t1")).await, (1000, 0, 10));
    assert_eq!(
        store.calls(CallFilter { limit: 100, ..CallFilter::default() }).await.unwrap().total,
        10
    );
}

pub(crate) async fn a_settlement_counts_once(open: Opener) {
    let store = open().await;
    let first = call("c1", 100, Some(1000));
    store.open(vec![first.clone()]).await.unwrap();
    assert_eq!(state(&*store, counter(ScopeKind::Key, "k1")).await, (0, 100, 0));
    let ends = vec![ending(&first, 40), ending(&first, 40)];
    assert_eq!(store.close(ends.into()).await.unwrap(), [true, false]);
    assert_eq!(store.close([ending(&first, 40)].into()).await.unwrap(), [false]);
    assert_eq!(state(&*store, counter(ScopeKind::Key, "k1")).await, (40, 0, 1));
    // A call that passed while the store was away has its first row at its end.
    assert_eq!(store.close([ending(&call("c2", 100, None), 60)].into()).await.unwrap(), [true]);
    assert_eq!(state(&*store, counter(ScopeKind::Key, "k1")).await, (100, 0, 2));
    // One that failed costs no money.
    let third = call("c3", 100, None);
    store.open(vec![third.clone()]).await.unwrap();
    let void = Closing { state: CallState::Voided, ..ending(&third, 70) };
    store.close([void].into()).await.unwrap();
    assert_eq!(state(&*store, counter(ScopeKind::Key, "k1")).await, (100, 0, 3));
}

pub(crate) async fn an_opened_call_is_reserved_once(open: Opener) {
    let store = open().await;
    let opened = store.open(vec![call("c1", 600, Some(1000))]).await.unwrap();
    assert!(matches!(&opened[0], OpenOutcome::Granted(states) if states[0].reserved.nano() == 600));
    let again =
        store.open(vec![call("c1", 600, Some(1000)), call("c2", 600, Some(1000))]).await.unwrap();
    assert!(matches!(again[0], OpenOutcome::Granted(_)));
    assert!(
        matches!(again[1], OpenOutcome::Refused { charge: 0, state } if state.reserved.nano() == 600)
    );
    assert_eq!(state(&*store, counter(ScopeKind::Key, "k1")).await, (0, 600, 0));
    // No other scope was charged for the refused one; a limit of zero lets none pass, even a free call.
    assert_eq!(state(&*store, counter(ScopeKind::Team, "t1")).await, (0, 600, 0));
    let none = store.open(vec![call("c3", 0, Some(0))]).await.unwrap();
    assert!(matches!(none[0], OpenOutcome::Refused { charge: 0, .. }));
    store.set_spent(counter(ScopeKind::Key, "k1"), 77).await.unwrap();
    assert_eq!(state(&*store, counter(ScopeKind::Key, "k1")).await, (77, 600, 0));
}

pub(crate) async fn dead_calls_become_estimated_rows(open: Opener) {
    let store = open().await;
    store.open(vec![call("dead", 100, None), call("alive", 100, None)]).await.unwrap();
    store.renew(vec!["alive".into(), "unknown".into()], at(600_000)).await.unwrap();
    assert_eq!(store.overdue(at(59_000), 9).await.unwrap(), []);
    let clock = Clock::standing_at(at(61_000));
    let options =
        LedgerOptions { reap_every: Duration::from_millis(10), ..LedgerOptions::default() };
    let writer = LedgerWriter::start(open().await, clock, options);
    let dead = CallFilter { id: Some("dead".into()), limit: 1, ..CallFilter::default() };
    for _ in 0..500 {
        if !store.calls(dead.clone()).await.unwrap().rows[0].under_way {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    writer.stop().await;
    let row = store.calls(dead).await.unwrap().rows.remove(0);
    assert_eq!((row.under_way, row.closing.state), (false, CallState::Estimated));
    assert_eq!(row.closing.outcome.cost, Some(Nanodollars::new(100)));
    assert_eq!(state(&*store, counter(ScopeKind::Key, "k1")).await, (100, 100, 1));
}

pub(crate) async fn rows_go_and_sums_stay(open: Opener) {
    let store = open().await;
    let ends: Vec<_> = (0..5).map(|n| ending(&call(&format!("c{n}"), 10, None), 10)).collect();
    store.close(ends.into()).await.unwrap();
    store.open(vec![call("under way", 10, None)]).await.unwrap();
    assert_eq!(store.prune(at(0), 9).await.unwrap(), 0);
    assert_eq!(store.prune(at(1), 2).await.unwrap(), 2);
    assert_eq!(store.prune(at(1), 9).await.unwrap(), 3);
    assert_eq!(
        store.calls(CallFilter { limit: 9, ..CallFilter::default() }).await.unwrap().total,
        1
    );
    let all = SpendQuery { from: at(0).hour(), until: at(86_400_000), ..SpendQuery::default() };
    assert_eq!(store.spend(all).await.unwrap()[0].sums.cost, 50);
}
