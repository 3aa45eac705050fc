//! Counters in a database. They are locked in one fixed order, so that no call passes a budget by concurrency and no two
//! transactions wait for each other.

use std::collections::{BTreeMap, BTreeSet};

use super::StoreError;
use super::sql::{Engine, Session, SqlStore, Statement, Value};
use super::sql_text::{batches, rows_of};
use crate::ledger::{CounterKey, CounterState, ScopeKind};
use crate::{Nanodollars, UtcTime};

/// States of counters, or what is added to them.
pub(super) type Counters = BTreeMap<CounterKey, CounterState>;

impl SqlStore {
    pub(super) async fn set_counter(&self, key: CounterKey, nano: i64) -> Result<(), StoreError> {
        let sql =
            "INSERT INTO counters (kind, scope_id, span, starts_at, spent, reserved, requests)
            VALUES ($1, $2, $3, $4, $5, 0, 0)
            ON CONFLICT (kind, scope_id, span, starts_at) DO UPDATE SET spent = excluded.spent";
        let mut values = Vec::from(key_values(&key));
        values.push(nano.into());
        self.repeated(&Statement { sql: sql.to_owned(), values }).await.map(drop)
    }
}

/// Makes rows for counters that have none, then reads all of them, locked until the end of the transaction.
pub(super) async fn locked(
    session: &mut Session,
    keys: BTreeSet<CounterKey>,
) -> Result<Counters, StoreError> {
    let keys: Vec<_> = keys.into_iter().collect();
    let lock = match session.engine() {
        Engine::Sqlite => "",
        Engine::Postgres => " FOR UPDATE OF c",
    };
    let mut counters = Counters::new();
    for keys in batches(&keys) {
        // SQLite has one writer, whose transaction is the lock.
        if session.engine() == Engine::Postgres {
            make_counters(session, keys).await?;
        }
        read_counters(session, keys, lock, &mut counters).await?;
    }
    Ok(counters)
}

async fn make_counters(session: &mut Session, keys: &[CounterKey]) -> Result<(), StoreError> {
    let place =
        |at: usize| format!("(${}, ${}, ${}, ${}, 0, 0, 0)", at + 1, at + 2, at + 3, at + 4);
    let places = (0..keys.len()).map(|row| place(4 * row)).collect::<Vec<_>>().join(", ");
    let sql = format!(
        "INSERT INTO counters (kind, scope_id, span, starts_at, spent, reserved, requests) VALUES {places} ON CONFLICT DO NOTHING"
    );
    session.run(sql, keys.iter().flat_map(key_values).collect()).await.map(drop)
}

async fn read_counters(
    session: &mut Session,
    keys: &[CounterKey],
    lock: &str,
    into: &mut Counters,
) -> Result<(), StoreError> {
    let sql = counters_sql(keys.len(), lock);
    let values = keys.iter().flat_map(key_values).collect();
    for row in session.rows(sql, values).await? {
        let (kind, id, window) = (row.text(0)?, row.text(1)?, row.text(2)?);
        let Some(kind) = scope_kind(&kind) else { continue };
        let key = CounterKey { kind, id, window, start: UtcTime::from_millis(row.int(3)?) };
        into.insert(key, counter_state([row.int(4)?, row.int(5)?, row.int(6)?]));
    }
    Ok(())
}

/// Selects counters, in the one order in which they are locked. A join, because SQLite reads the whole table to answer
/// `IN` for several columns.
pub(super) fn counters_sql(keys: usize, lock: &str) -> String {
    format!(
        "SELECT c.kind, c.scope_id, c.span, c.starts_at, c.spent, c.reserved, c.requests
        FROM (VALUES {}) AS wanted JOIN counters AS c ON c.kind = column1 AND c.scope_id = column2
        AND c.span = column3 AND c.starts_at = column4
        ORDER BY c.kind, c.scope_id, c.span, c.starts_at{lock}",
        rows_of(keys, 4)
    )
}

pub(super) fn counter_state([spent, reserved, requests]: [i64; 3]) -> CounterState {
    CounterState {
        spent: Nanodollars::new(spent),
        reserved: Nanodollars::new(reserved),
        requests: u64::try_from(requests).unwrap_or(0),
    }
}

pub(super) fn scope_kind(text: &str) -> Option<ScopeKind> {
    use ScopeKind::{Customer, Gateway, Key, Member, Model, Tag, Team, User};
    [Key, Team, Member, User, Customer, Tag, Model, Gateway]
        .into_iter()
        .find(|kind| kind.as_str() == text)
}

pub(super) fn key_values(key: &CounterKey) -> [Value; 4] {
    [
        key.kind.as_str().into(),
        key.id.as_str().into(),
        key.window.as_str().into(),
        key.start.millis().into(),
    ]
}

pub(super) async fn add_to_counters(
    session: &mut Session,
    sums: Counters,
) -> Result<(), StoreError> {
    // In the order of the text that the database sorts by, as `locked` does.
    let mut sums: Vec<_> = sums.into_iter().collect();
    sums.sort_by(|(a, _), (b, _)| {
        (a.kind.as_str(), &a.id, &a.window, a.start).cmp(&(
            b.kind.as_str(),
            &b.id,
            &b.window,
            b.start,
        ))
    });
    for sums in batches(&sums) {
        let sql = format!(
            "INSERT INTO counters (kind, scope_id, span, starts_at, spent, reserved, requests) VALUES {}
            ON CONFLICT (kind, scope_id, span, starts_at) DO UPDATE SET spent = counters.spent + excluded.spent,
            reserved = counters.reserved + excluded.reserved, requests = counters.requests + excluded.requests",
            rows_of(sums.len(), 7)
        );
        let mut values = Vec::with_capacity(sums.len() * 7);
        for (key, sum) in sums {
            values.extend(key_values(key));
            values.extend([
                sum.spent.nano().into(),
                sum.reserved.nano().into(),
                sum.requests.into(),
            ]);
        }
        session.run(sql, values).await?;
    }
    Ok(())
}
