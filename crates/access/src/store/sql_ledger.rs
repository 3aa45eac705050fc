//! The ledger's writing side in a database. Counters are locked in one fixed order, in the transaction that writes
//! the rows, so that no call passes a budget by concurrency and no two transactions wait for each other.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::memory_ledger::refusing;
use super::sql::{BROKEN_UP, Session, SqlStore, Statement, Value, Work};
use super::sql_counters::{Counters, add_to_counters, locked};
use super::sql_slices::{self, GiveBack, LendBatch, ReapSlices};
use super::sql_text::{batches, padded, rows_of};
use super::{RollupRound, Store, StoreError, StoreFuture, sql_hourly, sql_rollup};
use crate::ledger::{
    CallFilter, CallOutcome, CallRow, Charge, Closing, CounterKey, CounterState, Durations,
    NewestCalls, OpenOutcome, Opening, Refusal, RefusalCount, RefusalFilter, Slice, SliceAmounts,
    SpendQuery, SpendRow,
};
use crate::record::RecordKind;
use crate::store::{AuditEntry, Change, Document, Page, RecordQuery, SecretBy, StoredSecret};
use crate::{KeyToken, Nanodollars, UtcTime};

const OPEN_COLUMNS: &str = "id, began_at, lease_until, key_id, token, team_id, user_id, organization_id, customer, tags, call_type, model_asked, session_id, ip, meta, estimate, priced, charges, opened, state";
const CLOSE_COLUMNS: &str = "ended_at, model, model_group, region, reach, tier, input, output, cache_read, cache_write_5m, cache_write_1h, units, cost, price_id, price_source, status, error_code, ttft_ms, total_ms, attempts";
/// Columns of the two lists.
const OPEN_COUNT: usize = 20;
const CLOSE_COUNT: usize = 20;

/// Calls to open together.
struct OpenBatch(Vec<Opening>);

/// Calls to settle together.
struct CloseBatch {
    calls: Arc<[Closing]>,
    names_an_hour: u64,
}

impl Work for OpenBatch {
    type Answer = Vec<OpenOutcome>;

    async fn run(&self, session: &mut Session) -> Result<Self::Answer, StoreError> {
        let Self(calls) = self;
        let ids = calls.iter().map(|call| call.id.as_str()).collect();
        let known = known_ids(session, ids).await?;
        let keys = calls.iter().flat_map(|call| call.charges.iter().map(|c| c.counter.clone()));
        let mut counters = locked(session, keys.collect()).await?;
        let mut added = Counters::new();
        let (mut outcomes, mut granted) = (Vec::with_capacity(calls.len()), Vec::new());
        for call in calls {
            let state =
                |charge: &Charge| counters.get(&charge.counter).copied().unwrap_or_default();
            let mut states: Vec<_> = call.charges.iter().map(state).collect();
            if known.contains(&call.id) {
                outcomes.push(OpenOutcome::Granted(states));
                continue;
            }
            if let Some(charge) = refusing(call, &states) {
                outcomes.push(OpenOutcome::Refused { charge, state: states[charge] });
                continue;
            }
            for (charge, state) in call.charges.iter().zip(&mut states) {
                state.reserved = state.reserved.plus(call.reserved());
                counters.insert(charge.counter.clone(), *state);
                let sum = added.entry(charge.counter.clone()).or_default();
                sum.reserved = sum.reserved.plus(call.reserved());
            }
            granted.push(call);
            outcomes.push(OpenOutcome::Granted(states));
        }
        for rows in batches(&granted) {
            let sql = format!(
                "INSERT INTO ledger ({OPEN_COLUMNS}) VALUES {}",
                rows_of(rows.len(), OPEN_COUNT)
            );
            let mut values = Vec::with_capacity(rows.len() * OPEN_COUNT);
            for call in rows {
                open_values(call, 1, "reserved", &mut values)?;
            }
            session.run(sql, values).await?;
        }
        add_to_counters(session, added).await?;
        Ok(outcomes)
    }
}

impl Work for CloseBatch {
    type Answer = Vec<bool>;

    async fn run(&self, session: &mut Session) -> Result<Self::Answer, StoreError> {
        let Self { calls, names_an_hour } = self;
        let mut seen = HashSet::new();
        let once: Vec<_> =
            calls.iter().filter(|closing| seen.insert(closing.call.id.as_str())).collect();
        let settled = settle_rows(session, &once).await?;
        let (mut counters, mut counted) = (Counters::new(), Vec::with_capacity(once.len()));
        let mut taken = BTreeMap::<String, Nanodollars>::new();
        for closing in &once {
            let Some(opened) = settled.get(&*closing.call.id) else { continue };
            let estimate = closing.call.reserved();
            let released = if *opened { estimate } else { Nanodollars::ZERO };
            for charge in &closing.call.charges {
                if let Some(slice) = charge.slice.as_ref().filter(|_| !*opened) {
                    let sum = taken.entry(slice.clone()).or_default();
                    *sum = sum.plus(estimate);
                }
                if !counters.contains_key(&charge.counter) {
                    counters.insert(charge.counter.clone(), CounterState::default());
                }
                let Some(sum) = counters.get_mut(&charge.counter) else { continue };
                sum.spent = sum.spent.plus(closing.charged());
                sum.reserved = sum.reserved.minus(released);
                sum.requests += 1;
            }
            counted.push(*closing);
        }
        sql_slices::reduce(session, taken, &mut counters).await?;
        add_to_counters(session, counters).await?;
        sql_hourly::add(session, &counted, *names_an_hour).await?;
        sql_rollup::mark(session, &counted).await?;
        let mut told = HashSet::new();
        let first = |closing: &Closing| {
            settled.contains_key(&*closing.call.id) && told.insert(closing.call.id.clone())
        };
        Ok(calls.iter().map(first).collect())
    }
}

impl SqlStore {
    /// Renews leases in a table, of rows in some state.
    pub(super) async fn renew_in(
        &self,
        table: &str,
        state: &str,
        ids: Vec<String>,
        until: UtcTime,
    ) -> Result<(), StoreError> {
        for ids in batches(&ids) {
            let mut values = vec![Value::from(until.millis())];
            values.extend(ids.iter().map(|id| Value::from(id.as_str())));
            let list = (2..=values.len()).map(|at| format!("${at}")).collect::<Vec<_>>().join(", ");
            let sql =
                format!("UPDATE {table} SET lease_until = $1 WHERE {state} AND id IN ({list})");
            self.repeated(&Statement { sql, values }).await?;
        }
        Ok(())
    }

    async fn prune_rows(&self, before: UtcTime, limit: u64) -> Result<u64, StoreError> {
        let sql = "DELETE FROM ledger WHERE id IN
            (SELECT id FROM ledger WHERE began_at < $1 AND state <> 'reserved' ORDER BY began_at LIMIT $2)";
        let values = vec![Value::from(before.millis()), Value::from(limit)];
        let old = "DELETE FROM refusals WHERE id IN
            (SELECT id FROM refusals WHERE happened_at < $1 ORDER BY happened_at LIMIT $2)";
        self.repeated(&Statement { sql: old.to_owned(), values: values.clone() }).await?;
        self.repeated(&Statement { sql: sql.to_owned(), values }).await
    }
}

/// Ids that have a row already: calls that were reserved here, and those of a batch whose confirmation was lost.
async fn known_ids(session: &mut Session, ids: Vec<&str>) -> Result<HashSet<String>, StoreError> {
    let mut known = HashSet::new();
    for ids in padded(&ids) {
        let list = (1..=ids.len()).map(|at| format!("${at}")).collect::<Vec<_>>().join(", ");
        let values = ids.into_iter().map(Value::from).collect();
        for row in
            session.rows(format!("SELECT id FROM ledger WHERE id IN ({list})"), values).await?
        {
            known.insert(row.text(0)?);
        }
    }
    Ok(known)
}

/// Writes the ends of calls, and returns the ids of those that had none yet, each with whether its reservation was
/// written. Most calls have no row before their end: their rows are written without asking for them back, which costs
/// SQLite's driver a message between threads for each.
async fn settle_rows<'c>(
    session: &mut Session,
    calls: &[&'c Closing],
) -> Result<BTreeMap<&'c str, bool>, StoreError> {
    let known = known_ids(session, calls.iter().map(|one| one.call.id.as_str()).collect()).await?;
    let (known, new): (Vec<_>, Vec<_>) =
        calls.iter().copied().partition(|one| known.contains(&one.call.id));
    let mut settled: BTreeMap<_, _> = new.iter().map(|one| (one.call.id.as_str(), false)).collect();
    let mut written = 0;
    for rows in padded(&new) {
        let sql = format!(
            "INSERT INTO ledger ({OPEN_COLUMNS}, {CLOSE_COLUMNS}) VALUES {} ON CONFLICT (id) DO NOTHING",
            rows_of(rows.len(), OPEN_COUNT + CLOSE_COUNT)
        );
        written += session.run(sql, settled_values(&rows)?).await?;
    }
    if written != settled.len() as u64 {
        // Another process wrote one of them in the meantime; repeated, it is known.
        return Err(StoreError::Unavailable(format!("{BROKEN_UP}: a row of a call is another's")));
    }
    for rows in batches(&known) {
        let ended = end_known_rows(session, rows).await?;
        for closing in rows {
            if let Some(opened) = ended.get(&closing.call.id) {
                settled.insert(&closing.call.id, *opened);
            }
        }
    }
    Ok(settled)
}

/// Writes the ends of calls that have rows, as far as they have not ended.
async fn end_known_rows(
    session: &mut Session,
    calls: &[&Closing],
) -> Result<BTreeMap<String, bool>, StoreError> {
    let set = CLOSE_COLUMNS.split(", ").map(|column| format!("{column} = excluded.{column}"));
    let set = set.collect::<Vec<_>>().join(", ");
    let sql = format!(
        "INSERT INTO ledger ({OPEN_COLUMNS}, {CLOSE_COLUMNS}) VALUES {}
        ON CONFLICT (id) DO UPDATE SET state = excluded.state, {set} WHERE ledger.state = 'reserved'
        RETURNING id, opened",
        rows_of(calls.len(), OPEN_COUNT + CLOSE_COUNT)
    );
    let rows = session.rows(sql, settled_values(calls)?).await?;
    rows.iter().map(|row| Ok((row.text(0)?, row.int(1)? != 0))).collect()
}

fn settled_values(calls: &[&Closing]) -> Result<Vec<Value>, StoreError> {
    let mut values = Vec::with_capacity(calls.len() * (OPEN_COUNT + CLOSE_COUNT));
    for closing in calls {
        open_values(&closing.call, 0, closing.state.as_str(), &mut values)?;
        close_values(closing, &mut values);
    }
    Ok(values)
}

fn open_values(
    call: &Opening,
    opened: i64,
    state: &'static str,
    into: &mut Vec<Value>,
) -> Result<(), StoreError> {
    let json =
        |text: serde_json::Result<String>| text.map_err(|e| StoreError::Unreadable(e.to_string()));
    let Opening {
        id,
        at,
        lease_until,
        who,
        call_type,
        model_asked,
        session_id,
        ip,
        meta,
        estimate,
        charges,
    } = call;
    let tags =
        if who.tags.is_empty() { Ok("[]".to_owned()) } else { serde_json::to_string(&who.tags) };
    into.extend([
        id.as_str().into(),
        at.millis().into(),
        lease_until.millis().into(),
        who.key_id.as_str().into(),
        who.token.as_str().into(),
        who.team.clone().into(),
        who.user.clone().into(),
        who.organization.clone().into(),
        who.customer.clone().into(),
        json(tags)?.into(),
        call_type.as_str().into(),
        model_asked.as_str().into(),
        session_id.clone().into(),
        ip.clone().into(),
        meta.clone().into(),
        estimate.unwrap_or_default().nano().into(),
        i64::from(estimate.is_some()).into(),
        json(serde_json::to_string(charges))?.into(),
        opened.into(),
        state.into(),
    ]);
    Ok(())
}

fn close_values(closing: &Closing, into: &mut Vec<Value>) {
    let CallOutcome {
        model,
        model_group,
        region,
        reach,
        tier,
        input,
        output,
        cache_read,
        cache_write_5m,
        cache_write_1h,
        units,
        cost,
        price_id,
        price_source,
        status,
        error_code,
        ttft_ms,
        total_ms,
        attempts,
    } = &closing.outcome;
    let count = |n: &u64| Value::from(*n);
    into.extend([
        closing.at.millis().into(),
        model.as_str().into(),
        model_group.clone().into(),
        region.clone().into(),
        reach.clone().into(),
        tier.clone().into(),
        count(input),
        count(output),
        count(cache_read),
        count(cache_write_5m),
        count(cache_write_1h),
        units.clone().into(),
        cost.map(Nanodollars::nano).into(),
        price_id.clone().into(),
        price_source.clone().into(),
        i64::from(*status).into(),
        error_code.clone().into(),
        ttft_ms.map(|ms| i64::try_from(ms).unwrap_or(i64::MAX)).into(),
        count(total_ms),
        i64::from(*attempts).into(),
    ]);
}

impl Store for SqlStore {
    fn database(&self) -> Option<&SqlStore> {
        Some(self)
    }

    fn version(&self) -> StoreFuture<'_, u64> {
        Box::pin(self.read_version())
    }

    fn keep(&self, name: &'static str, value: String) -> StoreFuture<'_, String> {
        Box::pin(self.keep_value(name, value))
    }

    fn secret(&self, by: SecretBy) -> StoreFuture<'_, Option<StoredSecret>> {
        Box::pin(self.find_secret(by))
    }

    fn document(&self, kind: RecordKind, id: String) -> StoreFuture<'_, Option<Document>> {
        Box::pin(self.find_document(kind, id))
    }

    fn documents_by_id(
        &self,
        kind: RecordKind,
        ids: Vec<String>,
    ) -> StoreFuture<'_, Vec<Document>> {
        Box::pin(self.find_documents_by_id(kind, ids))
    }

    fn key_of_token(&self, token: KeyToken) -> StoreFuture<'_, Option<String>> {
        Box::pin(self.find_key_of_token(token))
    }

    fn documents(&self, query: RecordQuery) -> StoreFuture<'_, Page<Document>> {
        Box::pin(self.find_documents(query))
    }

    fn write(&self, changes: Vec<Change>) -> StoreFuture<'_, u64> {
        Box::pin(self.write_changes(changes))
    }

    fn audit(&self, limit: u64) -> StoreFuture<'_, Vec<AuditEntry>> {
        Box::pin(self.read_audit(limit))
    }

    fn open(&self, calls: Vec<Opening>) -> StoreFuture<'_, Vec<OpenOutcome>> {
        Box::pin(async move { self.repeated(&OpenBatch(calls)).await })
    }

    fn close(&self, calls: Arc<[Closing]>) -> StoreFuture<'_, Vec<bool>> {
        let names_an_hour = self.names_an_hour;
        Box::pin(async move { self.repeated(&CloseBatch { calls, names_an_hour }).await })
    }

    fn renew(&self, ids: Vec<String>, until: UtcTime) -> StoreFuture<'_, ()> {
        Box::pin(self.renew_in("ledger", "state = 'reserved'", ids, until))
    }

    fn overdue(&self, now: UtcTime, limit: u64) -> StoreFuture<'_, Vec<Opening>> {
        Box::pin(self.overdue_calls(now, limit))
    }

    fn lend(&self, slices: Vec<Slice>) -> StoreFuture<'_, Vec<Option<CounterState>>> {
        Box::pin(async move { self.repeated(&LendBatch(slices)).await })
    }

    fn give_back(&self, amounts: SliceAmounts) -> StoreFuture<'_, ()> {
        Box::pin(async move { self.repeated(&GiveBack(amounts)).await })
    }

    fn renew_slices(&self, ids: Vec<String>, until: UtcTime) -> StoreFuture<'_, ()> {
        Box::pin(self.renew_in("slices", "amount > 0", ids, until))
    }

    fn reap_slices(&self, now: UtcTime) -> StoreFuture<'_, u64> {
        Box::pin(async move { self.repeated(&ReapSlices { now }).await })
    }

    fn prune(&self, before: UtcTime, limit: u64) -> StoreFuture<'_, u64> {
        Box::pin(self.prune_rows(before, limit))
    }

    fn counters(&self, keys: Vec<CounterKey>) -> StoreFuture<'_, Vec<CounterState>> {
        Box::pin(self.counter_states(keys))
    }

    fn set_spent(&self, key: CounterKey, nano: i64) -> StoreFuture<'_, ()> {
        Box::pin(self.set_counter(key, nano))
    }

    fn calls(&self, filter: CallFilter) -> StoreFuture<'_, Page<CallRow>> {
        Box::pin(self.find_calls(filter))
    }

    fn newest(&self, filter: CallFilter) -> StoreFuture<'_, NewestCalls> {
        Box::pin(self.newest_calls(filter))
    }

    fn durations(&self, filter: CallFilter) -> StoreFuture<'_, Durations> {
        Box::pin(self.newest_durations(filter))
    }

    fn refuse(&self, refusals: Vec<Refusal>) -> StoreFuture<'_, ()> {
        Box::pin(self.write_refusals(refusals))
    }

    fn refusals(&self, filter: RefusalFilter) -> StoreFuture<'_, Vec<Refusal>> {
        Box::pin(self.find_refusals(filter))
    }

    fn refusal_counts(&self, filter: RefusalFilter) -> StoreFuture<'_, Vec<RefusalCount>> {
        Box::pin(self.sum_refusals(filter))
    }

    fn last_calls(&self, key_ids: Vec<String>) -> StoreFuture<'_, Vec<Option<UtcTime>>> {
        Box::pin(self.latest_calls(key_ids))
    }

    fn spend(&self, query: SpendQuery) -> StoreFuture<'_, Vec<SpendRow>> {
        Box::pin(self.sum_spend(query))
    }

    fn roll_up(&self, now: UtcTime, most: u64) -> StoreFuture<'_, RollupRound> {
        Box::pin(self.make_rollups(now, most))
    }
}
