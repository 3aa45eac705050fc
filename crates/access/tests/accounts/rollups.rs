//! Rollups: what reports say is the same before, while and after they are made, and equals the sum of the calls.

use std::collections::BTreeMap;
use std::time::Duration;

use access::ledger::{CallState, Closing, PartyFilter, SpendColumn, SpendQuery, SpendRow};
use access::store::{RollupRound, SqlOptions, SqlStore, Store};
use access::{CalendarDay, CalendarZone, UtcTime, ZoneHours};

use crate::ledger::{at, call, ending};
use crate::{Folder, Opener};

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;
/// Clocks go back in Paris on 25 October and in Los Angeles on 1 November; Kathmandu is 5:45 ahead all year.
const ZONES: [&str; 3] = ["Europe/Paris", "America/Los_Angeles", "Asia/Kathmandu"];
const FIRST: &str = "2026-10-23T05:00:00Z";

fn begin() -> UtcTime {
    UtcTime::parse(FIRST).unwrap()
}

fn after(millis: i64) -> UtcTime {
    UtcTime::from_millis(begin().millis() + millis)
}

/// Calls over ten days, some of them without team, tag, price or success.
fn calls(count: i64, name: &str) -> Vec<Closing> {
    let made = |n: i64| {
        let mut one = call(&format!("{name}-{n:05}"), 10, None);
        let of = |word: &str, many: i64| format!("{word}{}", n * 7919 % many);
        one.at = after(n * 10 * DAY / count);
        one.charges.clear();
        one.who.key_id = of("k", 5);
        one.who.team = (n % 4 > 0).then(|| of("t", 3));
        one.who.user = (n % 5 > 0).then(|| of("u", 4));
        one.who.customer = (n % 3 > 0).then(|| of("c", 7));
        one.who.tags =
            [vec![], vec!["a".into()], vec!["a".into(), "b".into()]][(n % 3) as usize].clone();
        let mut end = ending(&one, n % 11 + 1);
        end.outcome.model = of("m", 3);
        end.outcome.region = Some(of("r", 2));
        if n % 13 == 0 {
            (end.state, end.outcome.error_code) = (CallState::Voided, Some("throttled".into()));
        }
        if n % 17 == 0 {
            end.outcome.cost = None;
        }
        end
    };
    (0..count).map(made).collect()
}

/// The value of a call in a column, if it has one value there.
fn value(end: &Closing, column: SpendColumn, offset: i64) -> String {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let who = &end.call.who;
    match column {
        SpendColumn::Hour => end.call.at.hour().millis().to_string(),
        SpendColumn::Day => {
            ((end.call.at.hour().millis() + offset * 60_000).div_euclid(DAY) * DAY).to_string()
        }
        SpendColumn::Key => who.key_id.clone(),
        SpendColumn::Team => text(&who.team),
        SpendColumn::User => text(&who.user),
        SpendColumn::Customer => text(&who.customer),
        SpendColumn::Model => end.outcome.model.clone(),
        SpendColumn::Region => text(&end.outcome.region),
        SpendColumn::Status => if end.succeeded() { "success" } else { "failure" }.to_owned(),
        SpendColumn::Tag => String::new(),
    }
}

/// Calls and cost by group, summed call by call.
fn expected(ends: &[Closing], query: &SpendQuery) -> BTreeMap<Vec<String>, (i64, i64)> {
    let mut groups = BTreeMap::new();
    let is = |wanted: &Option<Vec<String>>, found: &str| {
        wanted.as_ref().is_none_or(|list| list.iter().any(|one| one == found))
    };
    for end in ends {
        let found = |column| value(end, column, i64::from(query.offset_minutes));
        let hour = end.call.at.hour();
        let takes = query.from <= hour
            && hour < query.until
            && is(&query.who.keys, &found(SpendColumn::Key))
            && is(&query.who.teams, &found(SpendColumn::Team))
            && is(&query.who.users, &found(SpendColumn::User))
            && is(&query.who.customers, &found(SpendColumn::Customer))
            && is(&query.models, &found(SpendColumn::Model));
        let tags = if query.by.contains(&SpendColumn::Tag) {
            end.call.who.tags.clone()
        } else {
            vec![String::new()]
        };
        for tag in tags.into_iter().filter(|_| takes) {
            let column = |column: &SpendColumn| match column {
                SpendColumn::Tag => tag.clone(),
                other => found(*other),
            };
            let sums: &mut (i64, i64) =
                groups.entry(query.by.iter().map(column).collect()).or_default();
            sums.0 += 1;
            sums.1 += end.cost().map_or(0, access::Nanodollars::nano);
        }
    }
    groups
}

/// Questions of an operator's page: by each dimension, alone and for one party or model, over whole days in three zones.
fn questions() -> Vec<SpendQuery> {
    use SpendColumn::{Customer, Day, Hour, Key, Model, Region, Status, Tag, Team, User};
    let groups: [&[SpendColumn]; 16] = [
        &[],
        &[Hour],
        &[Day],
        &[Key],
        &[Team],
        &[User],
        &[Customer],
        &[Model],
        &[Tag],
        &[Status, Region],
        &[Model, Region],
        &[Hour, Key],
        &[Day, Model],
        &[Day, Customer],
        &[Key, Customer, Model],
        &[Hour, Tag],
    ];
    let list = |text: &str| Some(text.split(' ').map(str::to_owned).collect::<Vec<_>>());
    let filters: [(PartyFilter, Option<Vec<String>>); 6] = [
        (PartyFilter::default(), None),
        (PartyFilter::default(), list("m1")),
        (PartyFilter { teams: list("t1 t2"), ..PartyFilter::default() }, None),
        (PartyFilter { keys: list("k3"), ..PartyFilter::default() }, None),
        (PartyFilter { customers: list("c2"), ..PartyFilter::default() }, None),
        (PartyFilter { users: list("u1"), ..PartyFilter::default() }, list("m0 m2")),
    ];
    let mut times = vec![
        ZoneHours { from: after(30 * HOUR), until: after(200 * HOUR), offset_minutes: 0 },
        ZoneHours {
            from: UtcTime::default(),
            until: UtcTime::from_millis(i64::MAX),
            offset_minutes: -60,
        },
    ];
    for zone in ZONES {
        let days = ["2026-10-24", "2026-11-02"].map(|day| CalendarDay::parse(day).unwrap());
        times.extend(CalendarZone::named(zone).unwrap().hours(days[0], days[1]));
    }
    // Each group once for all calls, and once with a filter that is another one each time.
    let mut all = Vec::new();
    for (time, ZoneHours { from, until, offset_minutes }) in times.into_iter().enumerate() {
        for (at, by) in groups.iter().enumerate() {
            for (who, models) in [&filters[0], &filters[1 + (at + time) % 5]] {
                let (who, models, by) = (who.clone(), models.clone(), by.to_vec());
                all.push(SpendQuery {
                    from,
                    until,
                    offset_minutes,
                    by,
                    who,
                    models,
                    ..SpendQuery::default()
                });
            }
        }
    }
    all
}

async fn agree(store: &dyn Store, ends: &[Closing], when: &str) {
    for query in questions() {
        let rows = store.spend(query.clone()).await.unwrap();
        let sums = |row: SpendRow| (row.group, (row.sums.requests(), row.sums.cost));
        let found: BTreeMap<_, _> = rows.into_iter().map(sums).collect();
        assert_eq!(found, expected(ends, &query), "{when}: {query:?}");
    }
}

/// Makes all rollups, and returns how many were made.
async fn roll_up(store: &dyn Store, now: UtcTime) -> u64 {
    let mut made = 0;
    loop {
        let round = store.roll_up(now, 50).await.unwrap();
        made += round.made;
        if round.made == 0 {
            assert_eq!(round.left, 0);
            return made;
        }
    }
}

pub(crate) async fn rollups_change_no_sum(open: Opener) {
    let store = open().await;
    let mut ends = calls(240, "first");
    for ends in ends.chunks(100) {
        store.close(ends.to_vec().into()).await.unwrap();
    }
    agree(&*store, &ends, "before").await;
    // What is not over by ten minutes is left: half of the days, and the last hour before.
    roll_up(&*store, after(5 * DAY + HOUR + 300_000)).await;
    agree(&*store, &ends, "half").await;
    roll_up(&*store, after(11 * DAY)).await;
    agree(&*store, &ends, "all").await;
    // Calls that end late count from their settlement on.
    let late = calls(40, "late");
    store.close(late.clone().into()).await.unwrap();
    ends.extend(late);
    agree(&*store, &ends, "late").await;
    let rounds = store.roll_up(after(12 * DAY), 3).await.unwrap();
    if store.database().is_some() {
        assert!(rounds.made > 0 && rounds.left > 0, "{rounds:?}");
    }
    roll_up(&*store, after(12 * DAY)).await;
    agree(&*store, &ends, "all late").await;
    assert_eq!(roll_up(&*store, after(12 * DAY)).await, 0);
}

pub(crate) async fn interrupted_rollups_are_made_again(open: Opener) {
    let store = open().await;
    let ends = calls(200, "first");
    store.close(ends.clone().into()).await.unwrap();
    // Rounds that end at any of their steps, as with their process, two replicas at a time.
    let other = open().await;
    for step in 0..40 {
        let time = Duration::from_micros(150 * step);
        let one = tokio::time::timeout(time, store.roll_up(after(11 * DAY), 9));
        let two = tokio::time::timeout(time + time, other.roll_up(after(11 * DAY), 9));
        let (one, two) = tokio::join!(one, two);
        for done in [one, two].into_iter().flatten() {
            done.unwrap();
        }
    }
    agree(&*store, &ends, "interrupted").await;
    roll_up(&*store, after(11 * DAY)).await;
    agree(&*other, &ends, "made").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_read_rollups_and_upgraded_databases_get_them() {
    let folder = Folder::new();
    let url = format!("sqlite:{}/rollups.db", folder.0.display());
    let store = SqlStore::connect(&url, &SqlOptions::default()).await.unwrap();
    let ends = calls(300, "first");
    Store::close(&store, ends.clone().into()).await.unwrap();
    let change = async |statements: &[&'static str]| {
        let database = sqlx::SqlitePool::connect(&url).await.unwrap();
        for statement in statements {
            sqlx::query(*statement).execute(&database).await.unwrap();
        }
        database.close().await;
    };
    // As the version before left it.
    store.close().await;
    change(&[
        "DROP TABLE rollups_hourly",
        "DROP TABLE rollups_daily",
        "DROP TABLE rollups_due",
        "UPDATE meta SET value = '4' WHERE name = 'schema'",
    ])
    .await;
    let store = SqlStore::connect(&url, &SqlOptions::default()).await.unwrap();
    let before = store.roll_up(after(11 * DAY), 0).await.unwrap();
    assert!(before.left > 150, "{before:?}");
    let made = roll_up(&store, after(11 * DAY)).await;
    assert_eq!(RollupRound { made, left: 0 }, RollupRound { made: before.left, left: 0 });
    agree(&store, &ends, "upgraded").await;
    // Without the aggregates the same is said where a rollup has it.
    change(&["DELETE FROM hourly WHERE hour > (SELECT MIN(hour) FROM hourly) AND hour < (SELECT MAX(hour) FROM hourly)"]).await;
    use SpendColumn::{Customer, Hour, Key, Model};
    for by in [vec![], vec![Key], vec![Hour, Model], vec![Customer]] {
        let query = SpendQuery {
            from: at(-400 * DAY).hour(),
            until: at(400 * DAY),
            by,
            ..SpendQuery::default()
        };
        let rows = Store::spend(&store, query.clone()).await.unwrap();
        let cost: i64 = rows.iter().map(|row| row.sums.cost).sum();
        let expected: i64 = expected(&ends, &query).values().map(|sums| sums.1).sum();
        assert_eq!(cost, expected, "{query:?}");
    }
}
