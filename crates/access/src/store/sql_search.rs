//! The newest rows of the ledger, and their durations. Rows have indices by id, by key and by time alone, so that those of a
//! team or a model that is called seldom stand among many others: the aggregates tell which hours hold some, these are read
//! newest first, and a search that has passed many rows ends with the point it came to.

use std::collections::{BTreeMap, BTreeSet};

use super::StoreError;
use super::rollup::{HOUR, Run};
use super::sql::SqlStore;
use super::sql_reports::{COLUMNS, Conditions, call_row, of_filter};
use crate::UtcTime;
use crate::ledger::{
    CallFilter, Durations, NewestCalls, OTHER, PartyFilter, Percentiles, SpendColumn, SpendQuery,
    SpendRow,
};

/// Rows that a search passes before it ends: a tenth of a second on a small machine.
const MOST_ROWS: i64 = 50_000;
/// Stretches of time that a search reads.
const MOST_RUNS: usize = 64;

/// The stretches of time to read for a selection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Search {
    /// Newest first. All rows of the selection down to `searched` are in them.
    runs: Vec<Run>,
    /// The end of the search, where older rows are left.
    searched: Option<i64>,
}

/// Rows of hours: all that a search passes, and those that may be of the selection; without the latter all may be.
struct Hours {
    rows: BTreeMap<i64, i64>,
    matching: Option<BTreeMap<i64, i64>>,
    /// Hours in which calls began that have not ended, and are in no aggregate yet.
    running: BTreeSet<i64>,
}

impl SqlStore {
    pub(super) async fn newest_calls(&self, filter: CallFilter) -> Result<NewestCalls, StoreError> {
        let search = self.search(&filter, None).await?;
        let mut newest = NewestCalls::default();
        for run in &search.runs {
            let left = filter.limit.saturating_sub(newest.rows.len() as u64);
            if left == 0 {
                return Ok(newest);
            }
            let mut conditions = of_filter(&run.of(&filter));
            conditions.values.push(left.into());
            let sql = format!(
                "SELECT {COLUMNS} FROM ledger{} ORDER BY began_at DESC, id DESC LIMIT ${}",
                conditions.clause(),
                conditions.values.len()
            );
            for row in self.read(sql, conditions.values).await? {
                newest.rows.push(call_row(&row)?);
            }
        }
        let is_short = (newest.rows.len() as u64) < filter.limit;
        newest.searched = search.searched.filter(|_| is_short).map(UtcTime::from_millis);
        Ok(newest)
    }

    /// Durations of the newest successful calls.
    pub(super) async fn newest_durations(
        &self,
        filter: CallFilter,
    ) -> Result<Durations, StoreError> {
        let filter = CallFilter { succeeded: Some(true), ..filter };
        let enough = i64::try_from(filter.limit).unwrap_or(i64::MAX);
        let search = self.search(&filter, Some(enough)).await?;
        if search.runs.is_empty() {
            return Ok(Durations::default());
        }
        let mut conditions = Conditions::default();
        let mut branches = Vec::new();
        for run in &search.runs {
            conditions.begin();
            conditions.calls(&run.of(&filter));
            let clause = conditions.clause();
            branches.push(format!(
                "SELECT total_ms, ttft_ms FROM (SELECT total_ms, ttft_ms FROM ledger{clause} ORDER BY began_at DESC LIMIT {enough}) AS run"
            ));
        }
        // One text instead of so many rows, each of which would be several allocations.
        let sql = format!(
            "SELECT COUNT(*), string_agg(CAST(total_ms AS TEXT), ','), string_agg(CAST(ttft_ms AS TEXT), ',') FROM ({}) AS newest",
            branches.join(" UNION ALL ")
        );
        let rows = self.read_once(sql, conditions.values).await?;
        let Some(row) = rows.first() else { return Ok(Durations::default()) };
        let calls = row.int(0)?.unsigned_abs();
        Ok(Durations {
            calls,
            sampled: search.searched.is_some() || calls >= filter.limit,
            total: Percentiles::of(millis(&row.text(1)?)),
            first: Percentiles::of(millis(&row.text(2)?)),
        })
    }

    /// The stretches of time that hold rows of a selection. A search for `enough` of them ends where there are as many.
    async fn search(&self, filter: &CallFilter, enough: Option<i64>) -> Result<Search, StoreError> {
        let end = |at: UtcTime| at.millis().saturating_add(1);
        let ends = [filter.until, filter.before.as_ref().map(|(at, _)| *at)];
        let mut whole = Run {
            from: filter.from.map_or(0, UtcTime::millis),
            until: ends.into_iter().flatten().map(end).min().unwrap_or(i64::MAX),
        };
        if filter.id.is_some() || filter.who.keys.is_some() || !filter.is_scattered() {
            return Ok(Search { runs: vec![whole], searched: None });
        }
        // Aggregates stay when rows are removed.
        let bounds = "SELECT MIN(began_at), MAX(began_at) FROM ledger".to_owned();
        if let Some(row) = self.read(bounds, Vec::new()).await?.first() {
            whole.from = whole.from.max(row.int(0)?);
            whole.until = whole.until.min(row.int(1)?.saturating_add(1));
        }
        if whole.from >= whole.until {
            return Ok(Search::default());
        }
        Ok(self
            .hours(filter, whole)
            .await?
            .search(whole, filter.is_counted().then_some(enough).flatten()))
    }

    async fn hours(&self, filter: &CallFilter, whole: Run) -> Result<Hours, StoreError> {
        let all = SpendQuery {
            from: UtcTime::from_millis(whole.from).hour(),
            until: UtcTime::from_millis(whole.until),
            by: vec![SpendColumn::Hour],
            ..SpendQuery::default()
        };
        let matching = match filter.rolled_up(&all) {
            Some(query) => Some(by_hour(filter, self.sum_spend(query).await?)),
            None => None,
        };
        let running =
            "SELECT DISTINCT began_at - began_at % 3600000 FROM ledger WHERE state = 'reserved'";
        let running = self.read(running.to_owned(), Vec::new()).await?;
        Ok(Hours {
            rows: by_hour(filter, self.sum_spend(all).await?),
            matching,
            running: running.iter().map(|row| row.int(0)).collect::<Result<_, _>>()?,
        })
    }
}

impl Hours {
    /// The stretches between two points that hold matching rows, newest first, up to the limits of a search.
    fn search(&self, whole: Run, enough: Option<i64>) -> Search {
        let mut search = Search::default();
        let (mut passed, mut found) = (0_i64, 0_i64);
        let hours: BTreeSet<_> = self.rows.keys().chain(&self.running).copied().collect();
        for hour in hours.into_iter().rev() {
            let rows = self.rows.get(&hour).copied().unwrap_or(0);
            let matching =
                self.matching.as_ref().map_or(rows, |all| all.get(&hour).copied().unwrap_or(0));
            let run = Run { from: hour.max(whole.from), until: (hour + HOUR).min(whole.until) };
            if run.from >= run.until || (matching == 0 && !self.running.contains(&hour)) {
                continue;
            }
            let is_next = search.runs.last().is_some_and(|last| last.from == run.until);
            let is_much = passed.saturating_add(rows) > MOST_ROWS && passed > 0;
            let is_enough = enough.is_some_and(|enough| found >= enough);
            if is_much || is_enough || (!is_next && search.runs.len() == MOST_RUNS) {
                search.searched = search.runs.last().map(|last| last.from);
                break;
            }
            match search.runs.last_mut().filter(|_| is_next) {
                Some(last) => last.from = run.from,
                None => search.runs.push(run),
            }
            passed = passed.saturating_add(rows);
            found = found.saturating_add(matching);
        }
        search
    }
}

impl Run {
    /// The part of a selection that lies in this time.
    fn of(&self, filter: &CallFilter) -> CallFilter {
        CallFilter {
            from: Some(UtcTime::from_millis(self.from)),
            until: Some(UtcTime::from_millis(self.until.saturating_sub(1))),
            ..filter.clone()
        }
    }
}

impl CallFilter {
    /// Whether its rows may stand among many others in the order of time. Failed calls have an index.
    fn is_scattered(&self) -> bool {
        let PartyFilter { keys: _, teams, users, customers, visible } = &self.who;
        let parties =
            [teams, users, customers].into_iter().any(Option::is_some) || visible.is_some();
        let texts = [
            &self.session_id,
            &self.model,
            &self.region,
            &self.tag,
            &self.model_group,
            &self.error_code,
        ];
        parties
            || self.models.is_some()
            || texts.into_iter().any(Option::is_some)
            || self.min_cost.is_some()
            || self.max_cost.is_some()
            || self.succeeded == Some(true)
    }

    /// Whether the aggregates of an hour tell the number of its rows, and no more than one condition is to be looked at.
    fn is_counted(&self) -> bool {
        let PartyFilter { keys, teams, users, customers, visible } = &self.who;
        let lists = [keys, teams, users, customers, &self.models];
        let texts = [&self.session_id, &self.model, &self.model_group, &self.error_code];
        let one = [&self.tag, &self.region].into_iter().filter(|one| one.is_some()).count()
            + lists.into_iter().filter(|one| one.is_some()).count();
        one <= 1
            && visible.is_none()
            && texts.into_iter().all(Option::is_none)
            && self.min_cost.is_none()
            && self.max_cost.is_none()
    }

    /// The question to the rollups that tells the hours with rows of one of its conditions, of that with the fewest; absent
    /// where no rollup has any.
    fn rolled_up(&self, all: &SpendQuery) -> Option<SpendQuery> {
        let with_other = |list: &[String]| [list, &[OTHER.to_owned()]].concat();
        let PartyFilter { keys: _, teams, users, customers, visible: _ } = &self.who;
        let of = |who: PartyFilter| SpendQuery { who, ..all.clone() };
        if let Some(customers) = customers {
            return Some(of(PartyFilter {
                customers: Some(with_other(customers)),
                ..PartyFilter::default()
            }));
        }
        if let Some(tag) = &self.tag {
            return Some(SpendQuery {
                tags: Some(with_other(std::slice::from_ref(tag))),
                ..all.clone()
            });
        }
        if users.is_some() {
            return Some(of(PartyFilter { users: users.clone(), ..PartyFilter::default() }));
        }
        if teams.is_some() {
            return Some(of(PartyFilter { teams: teams.clone(), ..PartyFilter::default() }));
        }
        let model = self.model.clone().map(|model| vec![model]);
        if let Some(models) = self.models.clone().or(model) {
            return Some(SpendQuery { models: Some(models), ..all.clone() });
        }
        let by = vec![SpendColumn::Hour, SpendColumn::Region];
        self.region.as_ref().map(|_| SpendQuery { by, ..all.clone() })
    }
}

/// Calls by hour, of the outcome and the region that a selection asks for.
fn by_hour(filter: &CallFilter, rows: Vec<SpendRow>) -> BTreeMap<i64, i64> {
    let mut hours = BTreeMap::new();
    for SpendRow { group, sums } in rows {
        let is_asked = match (group.get(1), &filter.region) {
            (Some(region), Some(wanted)) => region == wanted,
            _ => true,
        };
        let calls = match filter.succeeded {
            // All are passed in the search for successful ones.
            None => sums.requests(),
            Some(true) => sums.succeeded,
            Some(false) => sums.failed,
        };
        if let Some(hour) = group.first().and_then(|hour| hour.parse().ok()).filter(|_| is_asked) {
            *hours.entry(hour).or_insert(0) += calls;
        }
    }
    hours.retain(|_, calls| *calls > 0);
    hours
}

/// The numbers of a list with commas.
fn millis(list: &str) -> Vec<u64> {
    list.split(',').filter_map(|number| number.parse().ok()).collect()
}
