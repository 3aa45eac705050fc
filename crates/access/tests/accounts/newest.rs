//! The newest calls by a cursor, refusals beside them, and durations: the same in every store.

use access::ledger::{CallFilter, PartyFilter, Refusal, RefusalFilter};

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
        let rows = store.newest(CallFilter { limit: 4, ..filter }).await.unwrap();
        rows.iter().map(|row| row.closing.call.id.clone()).collect::<Vec<_>>().join(" ")
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
    let waits = store.waits(CallFilter { limit: 3, ..all() }).await.unwrap();
    let totals: Vec<_> = waits.iter().map(|one| (one.total, one.first)).collect();
    assert!(totals.contains(&(5, Some(7))) && totals.len() == 3, "{totals:?}");
    assert!(!totals.contains(&(4, Some(7))), "failed calls have no durations: {totals:?}");
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
