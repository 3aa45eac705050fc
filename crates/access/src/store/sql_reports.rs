//! The ledger's reading side in a database.

use std::collections::HashMap;
use std::sync::Arc;

use super::sql::{CHUNK, SqlRow, SqlStore, Value};
use super::sql_counters::{counter_state, counters_sql, key_values, scope_kind};
use super::sql_text::rows_of;
use super::{Page, StoreError};
use crate::ledger::{
    Attribution, CallFilter, CallOutcome, CallRow, CallSort, CallState, Closing, CounterKey,
    CounterState, Opening, PartyFilter, VisibleCalls,
};
use crate::{Nanodollars, UtcTime};

pub(super) const COLUMNS: &str = "id, began_at, lease_until, key_id, token, team_id, user_id, organization_id, customer, tags, call_type, model_asked, session_id, ip, meta, estimate, priced, charges, state, ended_at, model, model_group, region, reach, tier, input, output, cache_read, cache_write_5m, cache_write_1h, units, cost, price_id, price_source, status, error_code, ttft_ms, total_ms, attempts";

/// A condition that grows.
#[derive(Default)]
pub(super) struct Conditions {
    text: String,
    pub(super) values: Vec<Value>,
}

impl Conditions {
    /// Begins another condition; its values follow those so far.
    pub(super) fn begin(&mut self) {
        self.text.clear();
    }

    pub(super) fn and(&mut self, column: &str, operator: &str, value: Option<Value>) {
        if let Some(value) = value {
            self.values.push(value);
            let join = if self.text.is_empty() { "" } else { " AND " };
            self.text.push_str(&format!("{join}{column} {operator} ${}", self.values.len()));
        }
    }

    /// One of a list; an absent list is no condition.
    pub(super) fn one_of(&mut self, column: &str, list: Option<&[String]>) {
        if let Some(list) = list {
            let text = self.membership(column, list);
            self.plain(&text);
        }
    }

    fn membership(&mut self, column: &str, list: &[String]) -> String {
        if list.is_empty() {
            return "1 = 0".to_owned();
        }
        let first = self.values.len() + 1;
        self.values.extend(list.iter().map(|one| Value::from(one.as_str())));
        let places = (first..=self.values.len()).map(|at| format!("${at}")).collect::<Vec<_>>();
        format!("{column} IN ({})", places.join(", "))
    }

    /// Rows before a point in the order of time and id.
    pub(super) fn older_than(&mut self, (time, key): (&str, &str), at: UtcTime, id: &str) {
        self.values.extend([at.millis().into(), at.millis().into(), id.into()]);
        let last = self.values.len();
        // The first comparison is what an index takes.
        let (bound, same, ids) = (last - 2, last - 1, last);
        self.plain(&format!("({time} <= ${bound} AND ({time} < ${same} OR {key} < ${ids}))"));
    }

    pub(super) fn parties(&mut self, who: &PartyFilter) {
        self.one_of("customer", who.customers.as_deref());
        self.parties_without_customers(who);
    }

    pub(super) fn parties_without_customers(&mut self, who: &PartyFilter) {
        let PartyFilter { keys, teams, users, customers: _, visible } = who;
        self.one_of("key_id", keys.as_deref());
        self.one_of("team_id", teams.as_deref());
        self.one_of("user_id", users.as_deref());
        if let Some(VisibleCalls { keys, teams, users }) = visible {
            let any = [("key_id", keys), ("team_id", teams), ("user_id", users)]
                .map(|(column, list)| self.membership(column, list));
            self.plain(&format!("({})", any.join(" OR ")));
        }
    }

    pub(super) fn plain(&mut self, text: &str) {
        let join = if self.text.is_empty() { "" } else { " AND " };
        self.text.push_str(&format!("{join}{text}"));
    }

    /// The conditions of a selection of calls.
    pub(super) fn calls(&mut self, filter: &CallFilter) {
        self.and("began_at", ">=", filter.from.map(|at| at.millis().into()));
        self.and("began_at", "<=", filter.until.map(|at| at.millis().into()));
        let exact = [
            ("id", &filter.id),
            ("session_id", &filter.session_id),
            ("model", &filter.model),
            ("model_group", &filter.model_group),
            ("error_code", &filter.error_code),
        ];
        for (column, wanted) in exact {
            self.and(column, "=", wanted.clone().map(Value::from));
        }
        if let Some((at, id)) = &filter.before {
            self.older_than(("began_at", "id"), *at, id);
        }
        self.one_of("model", filter.models.as_deref());
        self.and("region", "=", filter.region.clone().map(Value::from));
        // Tags are kept as JSON, in which a name stands between quotes and without escapes: names that need some are none.
        if let Some(tag) = &filter.tag {
            self.values.push(format!("%\"{}\"%", like(tag)).into());
            self.plain(&format!("tags LIKE ${} ESCAPE '!'", self.values.len()));
        }
        self.parties(&filter.who);
        if filter.ended {
            self.plain("state <> 'reserved'");
        }
        match filter.succeeded {
            None => {}
            Some(true) => self.plain("state IN ('settled', 'estimated') AND error_code IS NULL"),
            Some(false) => {
                self.plain(
                    "(state = 'voided' OR (state <> 'reserved' AND error_code IS NOT NULL))",
                );
            }
        }
        let cost = "CASE state WHEN 'voided' THEN 0 ELSE cost END";
        self.and(cost, ">=", filter.min_cost.map(Value::from));
        self.and(cost, "<=", filter.max_cost.map(Value::from));
    }

    pub(super) fn clause(&self) -> String {
        if self.text.is_empty() { String::new() } else { format!(" WHERE {}", self.text) }
    }
}

impl SqlStore {
    pub(super) async fn overdue_calls(
        &self,
        now: UtcTime,
        limit: u64,
    ) -> Result<Vec<Opening>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM ledger WHERE state = 'reserved' AND lease_until < $1 ORDER BY lease_until LIMIT $2"
        );
        let rows = self.read(sql, vec![now.millis().into(), limit.into()]).await?;
        rows.iter().map(opening).collect()
    }

    /// One look into the index a key, however many calls it made.
    pub(super) async fn latest_calls(
        &self,
        key_ids: Vec<String>,
    ) -> Result<Vec<Option<UtcTime>>, StoreError> {
        let mut found = HashMap::new();
        for ids in key_ids.chunks(CHUNK) {
            let sql = format!(
                "SELECT column1, (SELECT MAX(began_at) FROM ledger WHERE key_id = column1) FROM (VALUES {}) AS ids",
                rows_of(ids.len(), 1)
            );
            let values = ids.iter().map(|id| Value::from(id.as_str())).collect();
            for row in self.read(sql, values).await? {
                found.insert(row.text(0)?, row.maybe_int(1)?.map(UtcTime::from_millis));
            }
        }
        Ok(key_ids.iter().map(|id| found.get(id).copied().flatten()).collect())
    }

    pub(super) async fn counter_states(
        &self,
        keys: Vec<CounterKey>,
    ) -> Result<Vec<CounterState>, StoreError> {
        let mut found = HashMap::new();
        for keys in keys.chunks(CHUNK) {
            let values = keys.iter().flat_map(key_values).collect();
            for row in self.read(counters_sql(keys.len(), ""), values).await? {
                let Some(kind) = scope_kind(&row.text(0)?) else { continue };
                let start = UtcTime::from_millis(row.int(3)?);
                let key = CounterKey { kind, id: row.text(1)?, window: row.text(2)?, start };
                found.insert(key, counter_state([row.int(4)?, row.int(5)?, row.int(6)?]));
            }
        }
        Ok(keys.iter().map(|key| found.get(key).copied().unwrap_or_default()).collect())
    }

    pub(super) async fn find_calls(&self, filter: CallFilter) -> Result<Page<CallRow>, StoreError> {
        let mut conditions = of_filter(&filter);
        let clause = conditions.clause();
        let counted = self
            .read(format!("SELECT COUNT(*) FROM ledger{clause}"), conditions.values.clone())
            .await?;
        let total = counted.first().map_or(Ok(0), |row| row.int(0))?;
        let order = match filter.sort {
            CallSort::Start => "began_at",
            CallSort::End => "COALESCE(ended_at, began_at)",
            CallSort::Spend => {
                "CASE state WHEN 'voided' THEN 0 WHEN 'reserved' THEN -1 ELSE COALESCE(cost, -1) END"
            }
            CallSort::Tokens => {
                "COALESCE(input + output + cache_read + cache_write_5m + cache_write_1h, 0)"
            }
            CallSort::Duration => "COALESCE(total_ms, 0)",
            CallSort::FirstByte => "COALESCE(ttft_ms, -1)",
            CallSort::Model => "COALESCE(model, '')",
        };
        let way = if filter.ascending { "ASC" } else { "DESC" };
        let bounds = conditions.values.len();
        conditions.values.extend([filter.limit.into(), filter.offset.into()]);
        let sql = format!(
            "SELECT {COLUMNS} FROM ledger{clause} ORDER BY {order} {way}, id {way} LIMIT ${} OFFSET ${}",
            bounds + 1,
            bounds + 2
        );
        let rows = self.read(sql, conditions.values).await?;
        Ok(Page {
            rows: rows.iter().map(call_row).collect::<Result<_, _>>()?,
            total: total.unsigned_abs(),
        })
    }
}

pub(super) fn of_filter(filter: &CallFilter) -> Conditions {
    let mut all = Conditions::default();
    all.calls(filter);
    all
}

/// A text for LIKE that stands for itself.
fn like(text: &str) -> String {
    text.replace('!', "!!").replace('%', "!%").replace('_', "!_")
}

fn opening(row: &SqlRow) -> Result<Opening, StoreError> {
    let json = |e: serde_json::Error| StoreError::Unreadable(format!("a ledger row: {e}"));
    Ok(Opening {
        id: row.text(0)?,
        at: UtcTime::from_millis(row.int(1)?),
        lease_until: UtcTime::from_millis(row.int(2)?),
        who: Attribution {
            key_id: row.text(3)?,
            token: row.text(4)?,
            team: row.maybe_text(5)?,
            user: row.maybe_text(6)?,
            organization: row.maybe_text(7)?,
            customer: row.maybe_text(8)?,
            tags: serde_json::from_str(&row.text(9)?).map_err(json)?,
        },
        call_type: row.text(10)?,
        model_asked: row.text(11)?,
        session_id: row.maybe_text(12)?,
        ip: row.maybe_text(13)?,
        meta: row.maybe_text(14)?,
        estimate: if row.int(16)? != 0 { Some(Nanodollars::new(row.int(15)?)) } else { None },
        charges: serde_json::from_str(&row.text(17)?).map_err(json)?,
    })
}

pub(super) fn call_row(row: &SqlRow) -> Result<CallRow, StoreError> {
    let call = opening(row)?;
    let state = match row.text(18)?.as_str() {
        "reserved" => return Ok(CallRow::begun(call)),
        "voided" => CallState::Voided,
        "estimated" => CallState::Estimated,
        _ => CallState::Settled,
    };
    let count = |at| Ok::<_, StoreError>(u64::try_from(row.int(at)?).unwrap_or(0));
    let outcome = CallOutcome {
        model: row.text(20)?,
        model_group: row.maybe_text(21)?,
        region: row.maybe_text(22)?,
        reach: row.maybe_text(23)?,
        tier: row.maybe_text(24)?,
        input: count(25)?,
        output: count(26)?,
        cache_read: count(27)?,
        cache_write_5m: count(28)?,
        cache_write_1h: count(29)?,
        units: row.maybe_text(30)?,
        cost: row.maybe_int(31)?.map(Nanodollars::new),
        price_id: row.maybe_text(32)?,
        price_source: row.maybe_text(33)?,
        status: u16::try_from(row.int(34)?).unwrap_or(0),
        error_code: row.maybe_text(35)?,
        ttft_ms: row.maybe_int(36)?.map(|ms| u64::try_from(ms).unwrap_or(0)),
        total_ms: count(37)?,
        attempts: u32::try_from(row.int(38)?).unwrap_or(0),
    };
    let at = UtcTime::from_millis(row.int(19)?);
    Ok(CallRow { closing: Closing { call: Arc::new(call), at, state, outcome }, under_way: false })
}
