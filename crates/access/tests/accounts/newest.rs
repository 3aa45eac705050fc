//! The newest calls by a cursor, refusals beside them, and durations: the same in every store.

use access::ledger::{CallFilter, Durations, PartyFilter, Percentiles, Refusal, RefusalFilter};

use crate::Opener;
use crate::ledger::{at, call, ending};

fn refusal(id: &str, millis: i64, (key, model, count): (&str, &str, u64)) -> Refusal {
    Refusal {
        id: id.into(),
        at: at(millis),
        key_id: key.into(),
        token: "token".into(),
        team: Some("t1".into()),
        user: None,
        model: model.into(),
        code: "insufficient_quota".into(),
        status: 429,
        scope: "key".into(),
        scope_id: key.into(),
        reason: "the budget is spent".into(),
        count,
    }
}

pub(crate) async fn calls_are_read_by_a_cursor(open: Opener) {
    let store = open().await;
    let mut ends = Vec::new();
    for n in 0..6_i64 {
        let mut one = call(&format!("c{n}"), 10, None);
        // Two calls of each time: the id decides between them.
        one.at = at(n / 2 * 1000);
        one.who.tags = vec![format!("tag {n}"), "a_b".into()];
        let mut end = ending(&one, n);
        end.outcome.model = format!("model-{}", n % 2);
        end.outcome.region = Some(if n < 3 { "eu-west-1" } else { "us-east-1" }.into());
        (end.outcome.total_ms, end.outcome.ttft_ms) = (n.unsigned_abs(), (n > 0).then_some(7));
        end.outcome.error_code = (n == 4).then(|| "throttled".into());
        ends.push(end);
    }
    store.close(ends.into()).await.unwrap();
    let ids = async |filter: CallFilter| {
        let newest = store.newest(CallFilter { limit: 4, ..filter }).await.unwrap();
        assert_eq!(newest.searched, None, "little is searched to its end");
        newest.rows.iter().map(|row| row.closing.call.id.clone()).collect::<Vec<_>>().join(" ")
    };
    let all = CallFilter::default;
    assert_eq!(ids(all()).await, "c5 c4 c3 c2");
    let before = Some((at(1000), "c3".to_owned()));
    assert_eq!(ids(CallFilter { before, ..all() }).await, "c2 c1 c0");
    let before = Some((at(0), "c0".to_owned()));
    assert_eq!(ids(CallFilter { before, ..all() }).await, "");
    let models = Some(vec!["model-1".to_owned(), "none".to_owned()]);
    assert_eq!(ids(CallFilter { models, ..all() }).await, "c5 c3 c1");
    assert_eq!(ids(CallFilter { models: Some(Vec::new()), ..all() }).await, "");
    assert_eq!(ids(CallFilter { region: Some("eu-west-1".into()), ..all() }).await, "c2 c1 c0");
    let tag = |tag: &str| CallFilter { tag: Some(tag.into()), ..all() };
    assert_eq!(ids(tag("tag 4")).await, "c4");
    // Signs of patterns stand for themselves.
    for (name, expected) in [("a_b", "c5 c4 c3 c2"), ("t_g 4", ""), ("tag%", ""), ("tag", "")] {
        assert_eq!(ids(tag(name)).await, expected, "{name}");
    }
    // Failed calls have no durations.
    let durations = async |filter: CallFilter| store.durations(filter).await.unwrap();
    let newest = durations(CallFilter { limit: 3, ..all() }).await;
    let percentiles = |p50, p95| Percentiles { p50, p95 };
    let expected = Durations {
        calls: 3,
        sampled: true,
        total: percentiles(Some(3), Some(5)),
        first: percentiles(Some(7), Some(7)),
    };
    assert_eq!(newest, expected);
    let tag = Some("tag 0".to_owned());
    let one = durations(CallFilter { tag, limit: 3, ..all() }).await;
    assert_eq!((one.calls, one.sampled), (1, false));
    assert_eq!((one.total, one.first), (percentiles(Some(0), Some(0)), percentiles(None, None)));
    let region = Some("nowhere".to_owned());
    assert_eq!(durations(CallFilter { region, limit: 3, ..all() }).await, Durations::default());
}

pub(crate) async fn a_long_search_ends_and_goes_on(open: Opener) {
    let store = open().await;
    // One call of a team in each of a hundred hours, every second hour: more stretches than one search reads.
    let mut ends = Vec::new();
    for n in 0..100_i64 {
        let mut one = call(&format!("c{n:03}"), 10, None);
        one.at = at(n * 2 * 3_600_000);
        one.who.team = Some("seldom".into());
        ends.push(ending(&one, 1));
        let mut other = call(&format!("d{n:03}"), 10, None);
        other.at = at((n * 2 + 1) * 3_600_000);
        other.who.team = Some("often".into());
        ends.push(ending(&other, 1));
    }
    store.close(ends.into()).await.unwrap();
    let who = PartyFilter { teams: Some(vec!["seldom".into()]), ..PartyFilter::default() };
    let filter = CallFilter { who, limit: 200, ..CallFilter::default() };
    let mut found = Vec::new();
    let (mut before, mut searches) = (None, 0);
    for _ in 0..3 {
        searches += 1;
        let newest = store.newest(CallFilter { before, ..filter.clone() }).await.unwrap();
        found.extend(newest.rows.into_iter().map(|row| row.closing.call.id.clone()));
        before = newest.searched.map(|end| (end, String::new()));
        if before.is_none() {
            break;
        }
    }
    assert_eq!(before, None);
    assert_eq!(searches > 1, store.database().is_some(), "memory is searched at once");
    let expected: Vec<_> = (0..100).rev().map(|n| format!("c{n:03}")).collect();
    assert_eq!(found, expected);
    // A call under way is in no aggregate yet, and is found.
    let mut running = call("running", 10, None);
    running.at = at(1_000 * 3_600_000);
    running.who.team = Some("seldom".into());
    store.open(vec![running]).await.unwrap();
    let newest = store.newest(CallFilter { limit: 1, ..filter }).await.unwrap();
    assert_eq!(newest.rows.first().map(|row| row.closing.call.id.as_str()), Some("running"));
}

pub(crate) async fn refusals_are_kept_apart(open: Opener) {
    let store = open().await;
    let written = vec![
        refusal("r1", 0, ("k1", "m1", 1)),
        refusal("r2", 1000, ("k1", "m2", 3)),
        refusal("r3", 1000, ("k2", "m1", 5)),
    ];
    store.refuse(written.clone()).await.unwrap();
    // A repetition changes nothing.
    store.refuse(vec![refusal("r3", 1000, ("k2", "m1", 99))]).await.unwrap();
    let all = || RefusalFilter { limit: 10, ..RefusalFilter::default() };
    let mut found = store.refusals(all()).await.unwrap();
    found.reverse();
    assert_eq!(found, written);
    let ids = async |filter: RefusalFilter| {
        let rows = store.refusals(filter).await.unwrap();
        rows.iter().map(|one| one.id.clone()).collect::<Vec<_>>().join(" ")
    };
    let keys = PartyFilter { keys: Some(vec!["k1".into()]), ..PartyFilter::default() };
    for (filter, expected) in [
        (RefusalFilter { limit: 2, ..all() }, "r3 r2"),
        (RefusalFilter { before: Some((at(1000), "r3".into())), ..all() }, "r2 r1"),
        (RefusalFilter { from: Some(at(1)), ..all() }, "r3 r2"),
        (RefusalFilter { until: Some(at(0)), ..all() }, "r1"),
        (RefusalFilter { id: Some("r2".into()), ..all() }, "r2"),
        (RefusalFilter { models: Some(vec!["m1".into()]), ..all() }, "r3 r1"),
        (RefusalFilter { code: Some("other".into()), ..all() }, ""),
        (RefusalFilter { who: keys.clone(), ..all() }, "r2 r1"),
    ] {
        assert_eq!(ids(filter.clone()).await, expected, "{filter:?}");
    }
    let counts = store.refusal_counts(RefusalFilter { who: keys, ..all() }).await.unwrap();
    let counts: Vec<_> = counts.iter().map(|one| (one.scope.as_str(), one.count)).collect();
    assert_eq!(counts, [("key", 4)]);
    assert_eq!(store.prune(at(1000), 10).await.unwrap(), 0);
    assert_eq!(ids(all()).await, "r3 r2");
}
