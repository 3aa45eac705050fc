//! The aggregates' reading side in a database: from rollups where one answers the question, else from the aggregates.

use super::StoreError;
use super::rollup::{DAY, HOUR, Rollup, Run, Sources};
use super::sql::{SqlRow, SqlStore};
use super::sql_hourly::SUMS;
use super::sql_reports::Conditions;
use crate::ledger::{SpendColumn, SpendQuery, SpendRow, SpendSums};

const MINUTE: i64 = 60_000;
/// Most places of an index that a statement looks at one by one, instead of reading all between the first and the last.
const MOST_SEEKS: usize = 16_000;
/// The part of the time that a question is about, and its length of step.
type Stretch = (Run, i64);

impl SqlStore {
    pub(super) async fn sum_spend(&self, query: SpendQuery) -> Result<Vec<SpendRow>, StoreError> {
        let Some((bounds, due)) = self.rollup_state(query.from, query.until).await? else {
            return Ok(Vec::new());
        };
        let rollup = Rollup::of(&query);
        let sources = rollup.and_then(|rollup| rollup.sources(&query, bounds, &due));
        let (from, until) = (query.from.millis(), query.until.millis());
        let whole = Run { from: from.max(bounds.0), until: until.min(bounds.1 + HOUR) };
        let sources =
            sources.unwrap_or_else(|| Sources { aggregates: vec![whole], ..Sources::default() });
        let mut parts =
            Parts { query: &query, branches: Vec::new(), conditions: Conditions::default() };
        if let Some(rollup) = rollup {
            sources.days.iter().for_each(|run| parts.rollup(rollup, "rollups_daily", (*run, DAY)));
            sources
                .hours
                .iter()
                .for_each(|run| parts.rollup(rollup, "rollups_hourly", (*run, HOUR)));
        }
        sources.aggregates.iter().for_each(|run| parts.aggregates((*run, HOUR)));
        if parts.branches.is_empty() {
            return Ok(Vec::new());
        }
        let (sql, conditions) = parts.statement();
        let rows = self.read_once(sql, conditions.values).await?;
        let mut found =
            rows.iter().map(|row| spend_row(row, query.by.len())).collect::<Result<Vec<_>, _>>()?;
        // Without groups there is a row of nulls even where no call was.
        found.retain(|row| row.sums.requests() > 0);
        found.sort_by(|a, b| a.group.cmp(&b.group));
        Ok(found)
    }
}

/// A statement that grows by one source after another.
struct Parts<'q> {
    query: &'q SpendQuery,
    branches: Vec<String>,
    conditions: Conditions,
}

impl Parts<'_> {
    /// The columns that the statement groups by, without those of time.
    fn columns(&self) -> Vec<SpendColumn> {
        let mut columns = self.query.by.clone();
        columns.retain(|column| !matches!(column, SpendColumn::Day | SpendColumn::Hour));
        columns.dedup();
        columns
    }

    fn rollup(&mut self, rollup: Rollup, table: &str, stretch: Stretch) {
        let place = |column: &SpendColumn| {
            let at = rollup.columns.iter().position(|one| one == column);
            if at == Some(0) { "value" } else { "second" }
        };
        let shown = |column: &SpendColumn| format!("{} AS {}", place(column), name_of(*column));
        let columns: Vec<_> = self.columns().iter().map(shown).collect();
        let first = rollup.columns.first().and_then(|column| filter_of(self.query, *column));
        self.conditions.begin();
        self.conditions.plain(&format!("dimension = '{}'", rollup.name));
        self.conditions.plain(&time("starts_at", stretch, first.map(<[String]>::len)));
        for (column, place) in rollup.columns.iter().zip(["value", "second"]) {
            self.conditions.one_of(place, filter_of(self.query, *column));
        }
        self.branch(("starts_at AS hour", &columns), table);
    }

    fn aggregates(&mut self, stretch: Stretch) {
        let SpendQuery { who, models, tags, .. } = self.query;
        let is_by_tag = self.query.is_by_tag();
        let columns: Vec<_> =
            self.columns().into_iter().map(|column| name_of(column).to_owned()).collect();
        // Their indices begin with the hour and one of these.
        let pointed =
            if is_by_tag { tags.as_ref() } else { who.keys.as_ref().or(who.customers.as_ref()) };
        self.conditions.begin();
        self.conditions.plain(&time("hour", stretch, pointed.map(Vec::len)));
        self.conditions.parties(who);
        self.conditions.one_of("model", models.as_deref());
        self.conditions.one_of("tag", tags.as_deref());
        self.branch(("hour", &columns), if is_by_tag { "hourly_tags" } else { "hourly" });
    }

    fn branch(&mut self, (time, columns): (&str, &[String]), table: &str) {
        let columns: String = columns.iter().map(|column| format!(", {column}")).collect();
        let clause = self.conditions.clause();
        let sums = SUMS.join(", ");
        self.branches.push(format!("SELECT {time}{columns}, {sums} FROM {table}{clause}"));
    }

    fn statement(mut self) -> (String, Conditions) {
        let shift = i64::from(self.query.offset_minutes) * MINUTE;
        let day = format!("CAST(((hour + {shift}) / 86400000) * 86400000 AS TEXT)");
        let column = |column: &SpendColumn| match column {
            SpendColumn::Day => day.clone(),
            SpendColumn::Hour => "CAST(hour AS TEXT)".to_owned(),
            other => name_of(*other).to_owned(),
        };
        let sums = SUMS.iter().map(|sum| format!("CAST(SUM({sum}) AS BIGINT)"));
        let selected: Vec<_> = self.query.by.iter().map(column).chain(sums).collect();
        let branches = self.branches.join(" UNION ALL ");
        let mut sql = format!("SELECT {} FROM ({branches}) AS parts", selected.join(", "));
        if !self.query.by.is_empty() {
            let places = 1..=self.query.by.len();
            let group = places.map(|at| at.to_string()).collect::<Vec<_>>().join(", ");
            sql.push_str(&format!(" GROUP BY {group}"));
        }
        if let Some(most) = self.query.most {
            self.conditions.values.push(most.into());
            sql.push_str(&format!(" LIMIT ${}", self.conditions.values.len()));
        }
        (sql, self.conditions)
    }
}

/// The condition on a time: one by one where an index goes on with a column of few wanted values, else from end to end.
fn time(column: &str, (run, step): Stretch, wanted: Option<usize>) -> String {
    let Run { from, until } = run;
    let count = usize::try_from((until - from).max(0) / step).unwrap_or(usize::MAX);
    match wanted {
        Some(wanted) if count.saturating_mul(wanted) <= MOST_SEEKS && count > 0 => {
            // Those of aggregates may begin within an hour.
            let first =
                from.div_euclid(HOUR) * HOUR + if from.rem_euclid(HOUR) > 0 { HOUR } else { 0 };
            let places = (0..).map(|n| first + n * step).take_while(|at| *at < until);
            let places = places.map(|at| at.to_string()).collect::<Vec<_>>().join(", ");
            if places.is_empty() { "1 = 0".to_owned() } else { format!("{column} IN ({places})") }
        }
        _ => format!("{column} >= {from} AND {column} < {until}"),
    }
}

/// The values of a column that a question selects; absent for all.
fn filter_of(query: &SpendQuery, column: SpendColumn) -> Option<&[String]> {
    let list = match column {
        SpendColumn::Key => &query.who.keys,
        SpendColumn::Team => &query.who.teams,
        SpendColumn::User => &query.who.users,
        SpendColumn::Customer => &query.who.customers,
        SpendColumn::Model => &query.models,
        SpendColumn::Tag => &query.tags,
        SpendColumn::Day | SpendColumn::Hour | SpendColumn::Region | SpendColumn::Status => &None,
    };
    list.as_deref()
}

/// The column of the aggregates.
pub(super) const fn name_of(column: SpendColumn) -> &'static str {
    match column {
        SpendColumn::Day | SpendColumn::Hour => "hour",
        SpendColumn::Tag => "tag",
        SpendColumn::Key => "key_id",
        SpendColumn::Team => "team_id",
        SpendColumn::User => "user_id",
        SpendColumn::Customer => "customer",
        SpendColumn::Model => "model",
        SpendColumn::Region => "region",
        SpendColumn::Status => "status",
    }
}

fn spend_row(row: &SqlRow, columns: usize) -> Result<SpendRow, StoreError> {
    let group = (0..columns).map(|at| row.text(at)).collect::<Result<_, _>>()?;
    let mut sums = SpendSums::default();
    for (at, sum) in sums.columns_mut().into_iter().enumerate() {
        *sum = row.int(columns + at)?;
    }
    Ok(SpendRow { group, sums })
}
