//! Reports: rows selected and sorted, sums grouped, names that outlive their records.

use std::sync::Arc;

use access::accounts::{AccountSettings, KeyRef};
use access::ledger::{
    CallFilter, CallSort, CallState, Closing, OTHER, PartyFilter, SpendColumn, SpendQuery,
    VisibleCalls,
};
use access::{
    Accounts, Clock, KeyInput, KeyRecord, KeyToken, Nanodollars, SecretKey, Set, TeamRecord,
    UtcTime,
};

use crate::ledger::{at, call, ending};
use crate::{NAMES_AN_HOUR, Opener};

const HOUR: i64 = 3_600_000;

pub(crate) async fn reports_are_sums_of_the_rows(open: Opener) {
    let store = open().await;
    let mut ends = Vec::new();
    for n in 0..6 {
        let mut one = call(&format!("c{n}"), 10, None);
        one.at = at(n * 3_600_000);
        one.who.customer = (n == 5).then(|| "tenant".to_owned());
        let mut end = ending(&one, 10 * n);
        if n == 3 {
            (end.outcome.error_code, end.outcome.status) = (Some("throttled".into()), 429);
            end.state = CallState::Voided;
        }
        if n == 4 {
            end.outcome.cost = None;
        }
        ends.push(end);
    }
    store.close(ends.clone().into()).await.unwrap();
    let all = SpendQuery { from: at(0).hour(), until: at(86_400_000), ..SpendQuery::default() };
    let total = store.spend(all.clone()).await.unwrap().remove(0).sums;
    assert_eq!((total.succeeded, total.failed, total.cost, total.unpriced), (5, 1, 80, 1));
    assert_eq!((total.input, total.output, total.cache_read, total.cache_write), (600, 60, 30, 30));
    let by = |by: Vec<SpendColumn>| SpendQuery { by, ..all.clone() };
    let rows = store.spend(by(vec![SpendColumn::Key, SpendColumn::Customer])).await.unwrap();
    let groups: Vec<_> = rows.iter().map(|row| (row.group.join("/"), row.sums.cost)).collect();
    assert_eq!(groups, [("k1/".into(), 30), ("k1/tenant".into(), 50)]);
    let tags = store.spend(by(vec![SpendColumn::Tag])).await.unwrap();
    assert_eq!(tags.iter().map(|row| row.sums.cost).collect::<Vec<_>>(), [80, 80]);
    // The same calls over a day's end of any zone have one sum.
    for offset_minutes in [-720, -60, 0, 330, 840] {
        let query = SpendQuery { offset_minutes, ..by(vec![SpendColumn::Day]) };
        let days = store.spend(query).await.unwrap();
        assert_eq!(days.iter().map(|row| row.sums.cost).sum::<i64>(), 80, "{offset_minutes}");
    }
    let who = PartyFilter { customers: Some(vec!["tenant".into()]), ..PartyFilter::default() };
    let of_customer = SpendQuery { who, ..all.clone() };
    assert_eq!(store.spend(of_customer).await.unwrap()[0].sums.cost, 50);
    for teams in [vec!["none".to_owned()], Vec::new()] {
        let who = PartyFilter { teams: Some(teams), ..PartyFilter::default() };
        assert_eq!(store.spend(SpendQuery { who, ..all.clone() }).await.unwrap(), []);
    }

    let latest = store.last_calls(vec!["none".into(), "k1".into()]).await.unwrap();
    assert_eq!(latest, [None, Some(at(5 * 3_600_000))]);

    let ids = async |filter: CallFilter| {
        let page = store.calls(CallFilter { limit: 3, ..filter }).await.unwrap();
        let ids = page.rows.iter().map(|row| row.closing.call.id.as_str()).collect::<Vec<_>>();
        (ids.join(" "), page.total)
    };
    assert_eq!(ids(CallFilter::default()).await, ("c5 c4 c3".into(), 6));
    assert_eq!(
        ids(CallFilter { sort: CallSort::Spend, ..CallFilter::default() }).await.0,
        "c5 c2 c1"
    );
    let failed = CallFilter { succeeded: Some(false), ..CallFilter::default() };
    assert_eq!(ids(failed).await, ("c3".into(), 1));
    let between = CallFilter {
        from: Some(at(3_600_000)),
        until: Some(at(7_200_000)),
        ..CallFilter::default()
    };
    assert_eq!(ids(between).await, ("c2 c1".into(), 2));
    let dear = CallFilter {
        min_cost: Some(20),
        max_cost: Some(20),
        ascending: true,
        ..CallFilter::default()
    };
    assert_eq!(ids(dear).await.0, "c2");
    let read =
        store.calls(CallFilter { id: Some("c5".into()), limit: 1, ..CallFilter::default() }).await;
    assert_eq!(read.unwrap().rows.remove(0).closing, ends.remove(5));
}

/// A call of these parties, for which ten nanodollars are settled.
fn of(id: usize, (key, team, user): (&str, Option<&str>, Option<&str>)) -> Closing {
    let mut one = call(&format!("c{id:05}"), 10, None);
    one.who.key_id = key.into();
    (one.who.team, one.who.user) = (team.map(Into::into), user.map(Into::into));
    one.charges.clear();
    ending(&one, 10)
}

fn everything() -> SpendQuery {
    SpendQuery { from: at(0).hour(), until: at(30 * 24 * HOUR), ..SpendQuery::default() }
}

pub(crate) async fn parties_see_their_own_calls(open: Opener) {
    let store = open().await;
    let parties = [
        ("k1", Some("t1"), Some("u1")),
        ("k2", Some("t1"), None),
        ("k3", Some("t2"), Some("u1")),
        ("k4", None, None),
        ("", None, None),
    ];
    store.close(parties.iter().enumerate().map(|(n, who)| of(n, *who)).collect()).await.unwrap();
    let under_way = call("under way", 10, None);
    store.open(vec![under_way]).await.unwrap();
    let list = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let visible = |keys: &str, teams: &str, users: &str| PartyFilter {
        visible: Some(VisibleCalls { keys: list(keys), teams: list(teams), users: list(users) }),
        ..PartyFilter::default()
    };
    let one_team = PartyFilter { teams: Some(list("t1")), ..visible("", "t1 t2", "") };
    let foreign_team = PartyFilter { teams: Some(list("t2")), ..visible("k1", "", "") };
    for (who, expected) in [
        (PartyFilter::default(), 5),
        (visible("", "", ""), 0),
        (visible("k4", "", ""), 1),
        (visible("k2", "", "u1"), 3),
        (visible("k4", "t1", "u1"), 4),
        (one_team, 2),
        (foreign_team, 0),
        (
            PartyFilter {
                keys: Some(list("k1 k2")),
                users: Some(list("u1")),
                ..PartyFilter::default()
            },
            1,
        ),
        (PartyFilter { keys: Some(Vec::new()), ..PartyFilter::default() }, 0),
    ] {
        let filter =
            CallFilter { who: who.clone(), ended: true, limit: 9, ..CallFilter::default() };
        let page = store.calls(filter).await.unwrap();
        assert_eq!((page.rows.len() as u64, page.total), (expected, expected), "{who:?}");
        let sums = store.spend(SpendQuery { who: who.clone(), ..everything() }).await.unwrap();
        let requests = sums.first().map_or(0, |row| row.sums.requests());
        assert_eq!(requests.unsigned_abs(), expected, "{who:?}");
    }
    assert_eq!(
        store.calls(CallFilter { limit: 9, ..CallFilter::default() }).await.unwrap().total,
        6
    );
}

pub(crate) async fn sums_are_grouped_by_any_columns(open: Opener) {
    let store = open().await;
    let mut ends = Vec::new();
    for n in 0..8_u8 {
        let mut one = call(&format!("c{n}"), 10, None);
        one.at = at(i64::from(n % 2) * HOUR);
        one.who.tags =
            [vec![], vec!["a".to_owned()], vec!["a".to_owned(), "b".to_owned(), "a".to_owned()]]
                [usize::from(n % 3)]
            .clone();
        let mut end = ending(&one, i64::from(n));
        end.outcome.model = format!("m{}", n % 2);
        if n == 7 {
            end.outcome.error_code = Some("throttled".into());
        }
        ends.push(end);
    }
    store.close(ends.into()).await.unwrap();
    let rows = async |by: Vec<SpendColumn>, change: fn(&mut SpendQuery)| {
        let mut query = SpendQuery { by, ..everything() };
        change(&mut query);
        let rows = store.spend(query).await.unwrap();
        let shown = rows.iter().map(|row| {
            format!("{}={}/{}", row.group.join(","), row.sums.requests(), row.sums.cost)
        });
        shown.collect::<Vec<_>>().join(" ")
    };
    let all: fn(&mut SpendQuery) = |_| {};
    assert_eq!(
        rows(vec![SpendColumn::Status, SpendColumn::Model], all).await,
        "failure,m1=1/7 success,m0=4/12 success,m1=3/9"
    );
    let hours = rows(vec![SpendColumn::Hour], all).await;
    let (first, second) = (at(0).hour().millis(), at(HOUR).hour().millis());
    assert_eq!(hours, format!("{first}=4/12 {second}=4/16"));
    // A call counts once for each of its tags, and not at all without.
    assert_eq!(rows(vec![SpendColumn::Tag], all).await, "a=5/19 b=2/7");
    assert_eq!(
        rows(vec![SpendColumn::Tag, SpendColumn::Key, SpendColumn::Model], all).await,
        "a,k1,m0=2/6 a,k1,m1=3/13 b,k1,m0=1/2 b,k1,m1=1/5"
    );
    assert_eq!(
        rows(vec![SpendColumn::Model], |q| q.tags = Some(vec!["b".into()])).await,
        "m0=1/2 m1=1/5"
    );
    let some = SpendQuery { by: vec![SpendColumn::Tag], most: Some(1), ..everything() };
    assert_eq!(store.spend(some).await.unwrap().len(), 1);
    assert_eq!(rows(vec![], |q| q.models = Some(vec!["m1".into(), "m9".into()])).await, "=4/16");
    assert_eq!(rows(vec![], |q| (q.from, q.until) = (at(HOUR).hour(), at(HOUR).hour())).await, "");
}

pub(crate) async fn callers_cannot_fill_the_sums(open: Opener) {
    let store = open().await;
    let most = usize::try_from(NAMES_AN_HOUR).unwrap();
    let call_of = |n: usize, name: String| {
        let mut end = of(n, ("k1", None, None));
        let one = Arc::make_mut(&mut end.call);
        one.who.tags = vec![name.clone(), format!("{name}-2")];
        one.who.customer = Some(name);
        end
    };
    let mut ends: Vec<_> = (0..most + 3).map(|n| call_of(n, format!("n{n:05}"))).collect();
    let mut later = call_of(most + 3, "late".into());
    Arc::make_mut(&mut later.call).at = at(HOUR);
    ends.push(later);
    for ends in ends.chunks(30) {
        store.close(ends.to_vec().into()).await.unwrap();
    }
    // Names that have sums already go on, new ones do not; the next hour has room of its own.
    store
        .close([call_of(90_000, "n00007".into()), call_of(90_001, "new".into())].into())
        .await
        .unwrap();
    let rows = async |column| {
        let rows = store.spend(SpendQuery { by: vec![column], ..everything() }).await.unwrap();
        let requests = |name: &str| {
            let found = rows.iter().find(|row| row.group[0] == name);
            found.map_or(0, |row| row.sums.requests())
        };
        let total: i64 = rows.iter().map(|row| row.sums.cost).sum();
        (rows.len(), requests(OTHER), requests("n00007"), requests("late"), total / 10)
    };
    let calls = i64::try_from(most + 6).unwrap();
    assert_eq!(rows(SpendColumn::Customer).await, (most + 2, 4, 2, 1, calls));
    // Half as many calls fill the tags; the others' two tags are one there.
    let (count, other, known, late, total) = rows(SpendColumn::Tag).await;
    assert_eq!((count, known, late), (most + 3, 2, 1));
    assert_eq!(total, calls * 2 - other);
}

pub(crate) async fn rows_have_one_order_everywhere(open: Opener) {
    let store = open().await;
    let mut ends = Vec::new();
    for n in 0..4_u8 {
        let mut end = of(usize::from(n), ("k1", None, None));
        end.at = at(100 - i64::from(n));
        end.outcome.ttft_ms = (n != 1).then(|| u64::from(n) * 5);
        end.outcome.total_ms = u64::from(n * 7 % 4);
        end.outcome.output = u64::from(n * 3 % 4);
        end.outcome.cost = (n != 2).then(|| Nanodollars::new(i64::from(n) + 1));
        end.outcome.model = format!("m{}", n % 2);
        ends.push(end);
    }
    ends[3].state = CallState::Voided;
    store.close(ends.into()).await.unwrap();
    let mut under_way = call("c00009", 10, None);
    under_way.at = at(50);
    store.open(vec![under_way]).await.unwrap();
    for (sort, falling) in [
        (CallSort::Start, "93210"),
        (CallSort::End, "01239"),
        (CallSort::Spend, "10392"),
        (CallSort::Tokens, "12309"),
        (CallSort::Duration, "12390"),
        (CallSort::FirstByte, "32091"),
        (CallSort::Model, "31209"),
    ] {
        for ascending in [false, true] {
            let filter = CallFilter { sort, ascending, limit: 9, ..CallFilter::default() };
            let page = store.calls(filter).await.unwrap();
            let ids = page.rows.iter().map(|row| &row.closing.call.id[5..]).collect::<String>();
            let rising: String = falling.chars().rev().collect();
            assert_eq!(ids, if ascending { rising } else { falling.to_owned() }, "{sort:?}");
        }
    }
}

pub(crate) async fn names_outlive_their_records(open: Opener) {
    let clock = Clock::standing_at(UtcTime::from_millis(5));
    let settings = AccountSettings { clock: clock.clone(), ..AccountSettings::default() };
    let accounts = Accounts::open(open().await, settings).await.unwrap();
    let input = KeyInput { key_alias: Set::To("batch".into()), ..KeyInput::default() };
    let chosen = SecretKey::chosen("sk-a-key-of-the-callers-own").unwrap();
    let made = accounts.create_key(input.clone(), Some(chosen), "ana").await.unwrap();
    let first = KeyRef::parse(&made.record.token).unwrap();
    let again =
        accounts.regenerate_key(&first, (KeyInput::default(), None), None, "ana").await.unwrap();
    assert_ne!(again.record.token, made.record.token);
    let token = KeyRef::parse(&again.record.token).unwrap();
    accounts.delete_keys(std::slice::from_ref(&token), "ana").await.unwrap();
    for key in [first, token, KeyRef::Secret(made.secret), KeyRef::Secret(again.secret)] {
        let past = accounts.past_key(&key).await.unwrap();
        assert_eq!((past.record.id.as_str(), past.deleted), (&*made.record.id, Some(clock.now())));
        assert_eq!(past.record.key_alias.as_deref(), Some("batch"));
    }
    let unknown = KeyToken::parse(&"0".repeat(64)).unwrap();
    accounts.past_key(&KeyRef::Token(unknown)).await.unwrap_err();
    // The same secret again is another key.
    let chosen = SecretKey::chosen("sk-a-key-of-the-callers-own").unwrap();
    let second = accounts.create_key(input, Some(chosen), "ana").await.unwrap();
    let past = accounts.past_key(&KeyRef::Secret(second.secret)).await.unwrap();
    assert_eq!((past.record.id, past.deleted), (second.record.id.clone(), None));

    accounts.create(TeamRecord::new("t1").unwrap(), "ana").await.unwrap();
    accounts.delete::<TeamRecord>("t1", "ana").await.unwrap();
    let ids = vec![made.record.id.clone(), second.record.id, "none".into(), made.record.id.clone()];
    let keys = accounts.past_records::<KeyRecord>(ids).await.unwrap();
    assert_eq!(keys.len(), 2);
    assert!(keys[&made.record.id].deleted.is_some());
    let teams = accounts.past_records::<TeamRecord>(vec!["t1".into()]).await.unwrap();
    assert!(teams["t1"].deleted.is_some());
    accounts.close().await;
}
