//! The writing side of rollups in a database. An hour is due from its first settled call on; every later one makes it due
//! anew, in the transaction that settles. Rollups are replaced as a whole from the aggregates, in portions that each hold
//! the mark of the hour, so that none counts twice and one that was interrupted is made again.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::rollup::{DAY, Due, HOUR, ROLLUPS, Rollup, day_of};
use super::sql::{Session, SqlRow, SqlStore, Value, Work};
use super::sql_hourly::SUMS;
use super::sql_spend::name_of;
use super::sql_text::rows_of;
use super::{RollupRound, StoreError};
use crate::ledger::{Closing, SpendColumn};
use crate::{Clock, UtcTime};

/// Time after an hour or a day in which it is left to the calls that still end. Clocks of replicas may differ by as much.
const SETTLING: i64 = 600_000;
/// Rows of an hour up to which all its rollups are made in one transaction. Those of more hold back the settlements of calls
/// for a moment each.
const FEW_ROWS: i64 = 20_000;

/// A stretch of time whose rollups are due.
#[derive(Debug, Clone)]
struct DueSpan {
    span: Span,
    start: i64,
    /// The value of its mark: another one means that a call was settled since.
    version: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Span {
    Hour,
    Day,
}

/// A transaction that makes some rollups of a span, and says that all are made if these are the last. Its answer is whether
/// the mark was still the same.
struct Making<'r> {
    due: &'r DueSpan,
    rollups: &'r [Rollup],
    is_last: bool,
}

impl Span {
    const fn name(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
        }
    }

    const fn table(self) -> &'static str {
        match self {
            Self::Hour => "rollups_hourly",
            Self::Day => "rollups_daily",
        }
    }
}

/// Marks the hours and days of settled calls as due. That of the present is not made before it is long over: its mark is
/// only set, which waits for no other transaction.
pub(super) async fn mark(session: &mut Session, calls: &[&Closing]) -> Result<(), StoreError> {
    let present = Clock::System.now().hour();
    // False sorts first: marks of the present are a statement of their own.
    let mut spans: BTreeMap<bool, std::collections::BTreeSet<(&str, i64)>> = BTreeMap::new();
    for closing in calls {
        let hour = closing.call.at.hour();
        let of_kind = spans.entry(hour != present).or_default();
        of_kind.insert((Span::Hour.name(), hour.millis()));
        of_kind.insert((Span::Day.name(), day_of(hour)));
    }
    for (is_past, spans) in spans {
        let conflict = if is_past { "UPDATE SET version = excluded.version" } else { "NOTHING" };
        // Hours before days, as rollups are made: a day without a mark has no hour with one.
        for spans in spans.into_iter().rev().collect::<Vec<_>>().chunks(64) {
            let sql = format!(
                "INSERT INTO rollups_due (span, starts_at, version) VALUES {} ON CONFLICT (span, starts_at) DO {conflict}",
                rows_of(spans.len(), 3)
            );
            let value = |(span, start): &(&str, i64)| {
                [Value::from(*span), Value::from(*start), Uuid::now_v7().to_string().into()]
            };
            session.run(sql, spans.iter().flat_map(value).collect()).await?;
        }
    }
    Ok(())
}

impl SqlStore {
    /// Makes the rollups of some hours and days that are over, the oldest first.
    pub(super) async fn make_rollups(
        &self,
        now: UtcTime,
        most: u64,
    ) -> Result<RollupRound, StoreError> {
        let mut round = RollupRound::default();
        let hours = "SELECT starts_at, version FROM rollups_due WHERE span = 'hour' AND starts_at < $1 ORDER BY starts_at LIMIT $2";
        let days = format!(
            "SELECT starts_at, version FROM rollups_due WHERE span = 'day' AND starts_at < $1 AND NOT EXISTS (SELECT 1
             FROM rollups_due AS hours WHERE hours.span = 'hour' AND hours.starts_at >= rollups_due.starts_at
             AND hours.starts_at < rollups_due.starts_at + {DAY}) ORDER BY starts_at LIMIT $2"
        );
        for (span, length, sql) in [(Span::Hour, HOUR, hours.to_owned()), (Span::Day, DAY, days)] {
            let over = now.millis().saturating_sub(length + SETTLING);
            for row in self.read(sql, vec![over.into(), most.into()]).await? {
                let due = DueSpan { span, start: row.int(0)?, version: row.text(1)? };
                round.made += u64::from(self.make(&due).await?);
            }
        }
        let left = "SELECT COUNT(*) FROM rollups_due WHERE starts_at < $1".to_owned();
        let over = now.millis().saturating_sub(HOUR + SETTLING);
        let over_days = now.millis().saturating_sub(DAY + SETTLING);
        let left = left + " AND (span = 'hour' OR starts_at < $2)";
        let rows = self.read(left, vec![over.into(), over_days.into()]).await?;
        round.left = rows.first().map_or(Ok(0), |row| row.int(0))?.unsigned_abs();
        Ok(round)
    }

    /// Makes the rollups of a span; false where a call was settled in it meanwhile.
    async fn make(&self, due: &DueSpan) -> Result<bool, StoreError> {
        let rollups: Vec<_> = match due.span {
            Span::Hour => ROLLUPS.iter().copied().filter(|one| one.is_by_hour).collect(),
            Span::Day => ROLLUPS.to_vec(),
        };
        let rows = self.read(
            "SELECT COUNT(*) FROM hourly WHERE hour >= $1 AND hour < $2".to_owned(),
            vec![due.start.into(), (due.start + due.length()).into()],
        );
        let is_small = rows.await?.first().map_or(Ok(0), |row| row.int(0))? <= FEW_ROWS;
        let portion = if is_small { rollups.len() } else { 1 };
        let last = rollups.len().div_ceil(portion.max(1));
        for (at, rollups) in (1..).zip(rollups.chunks(portion.max(1))) {
            let making = Making { due, rollups, is_last: at == last };
            if !self.repeated(&making).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The first and the last hour with calls, and what is due between two points.
    pub(super) async fn rollup_state(
        &self,
        from: UtcTime,
        until: UtcTime,
    ) -> Result<Option<((i64, i64), Due)>, StoreError> {
        let sql = "SELECT 'first', MIN(hour) FROM hourly UNION ALL SELECT 'last', MAX(hour) FROM hourly
            UNION ALL SELECT span, starts_at FROM rollups_due WHERE starts_at >= $1 AND starts_at < $2";
        let (mut bounds, mut due) = ((None, None), Due::default());
        let first_day = day_of(from);
        for row in self.read(sql.to_owned(), vec![first_day.into(), until.millis().into()]).await? {
            let at = row.maybe_int(1)?;
            match (row.text(0)?.as_str(), at) {
                ("first", at) => bounds.0 = at,
                ("last", at) => bounds.1 = at,
                ("hour", Some(at)) => {
                    due.hours.insert(at);
                }
                (_, Some(at)) => {
                    due.days.insert(at);
                }
                (_, None) => {}
            }
        }
        Ok(bounds.0.zip(bounds.1).map(|bounds| (bounds, due)))
    }
}

impl DueSpan {
    const fn length(&self) -> i64 {
        match self.span {
            Span::Hour => HOUR,
            Span::Day => DAY,
        }
    }

    fn values(&self) -> Vec<Value> {
        vec![self.span.name().into(), self.start.into(), self.version.as_str().into()]
    }
}

impl Work for Making<'_> {
    type Answer = bool;

    async fn run(&self, session: &mut Session) -> Result<bool, StoreError> {
        let Self { due, rollups, is_last } = self;
        // Holds the mark until the end of the transaction: a settlement in this span waits for it.
        let held = "UPDATE rollups_due SET version = version WHERE span = $1 AND starts_at = $2 AND version = $3";
        if session.run(held.to_owned(), due.values()).await? == 0 {
            return Ok(false);
        }
        for rollup in *rollups {
            replace(session, due, *rollup).await?;
        }
        if *is_last {
            if due.span == Span::Day && has_due_hours(session, due.start).await? {
                return Ok(false);
            }
            let made =
                "DELETE FROM rollups_due WHERE span = $1 AND starts_at = $2 AND version = $3";
            session.run(made.to_owned(), due.values()).await?;
        }
        Ok(true)
    }
}

async fn has_due_hours(session: &mut Session, day: i64) -> Result<bool, StoreError> {
    let sql = "SELECT starts_at FROM rollups_due WHERE span = 'hour' AND starts_at >= $1 AND starts_at < $2 LIMIT 1";
    let rows: Vec<SqlRow> =
        session.rows(sql.to_owned(), vec![day.into(), (day + DAY).into()]).await?;
    Ok(!rows.is_empty())
}

/// Replaces a rollup of a span: of an hour, and of a day without hours, by sums of the aggregates; of other days by sums of
/// their hours.
async fn replace(session: &mut Session, due: &DueSpan, rollup: Rollup) -> Result<(), StoreError> {
    let (table, name) = (due.span.table(), rollup.name);
    let delete = format!("DELETE FROM {table} WHERE dimension = '{name}' AND starts_at = $1");
    session.run(delete, vec![due.start.into()]).await?;
    let (source, column, condition) = match (due.span, rollup.is_by_hour) {
        (Span::Day, true) => ("rollups_hourly", "starts_at", format!("dimension = '{name}' AND ")),
        (Span::Day, false) | (Span::Hour, _) if rollup.columns.contains(&SpendColumn::Tag) => {
            ("hourly_tags", "hour", String::new())
        }
        (Span::Day, false) | (Span::Hour, _) => ("hourly", "hour", String::new()),
    };
    let is_rollup = source == "rollups_hourly";
    let part = |at: usize, own: &'static str| match (is_rollup, rollup.columns.get(at)) {
        (true, Some(_)) => own,
        (false, Some(column)) => name_of(*column),
        (_, None) => "",
    };
    let parts = [part(0, "value"), part(1, "second")];
    let selected = parts.map(|part| if part.is_empty() { "''" } else { part }).join(", ");
    let grouped = parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ");
    let group = if grouped.is_empty() { String::new() } else { format!(" GROUP BY {grouped}") };
    let sums = SUMS.map(|sum| format!("CAST(SUM({sum}) AS BIGINT)")).join(", ");
    let sql = format!(
        "INSERT INTO {table} (dimension, starts_at, value, second, {}) SELECT '{name}', {}, {selected}, {sums} FROM {source}
         WHERE {condition}{column} >= $1 AND {column} < $2{group} HAVING COUNT(*) > 0",
        SUMS.join(", "),
        due.start
    );
    session.run(sql, vec![due.start.into(), (due.start + due.length()).into()]).await?;
    Ok(())
}
