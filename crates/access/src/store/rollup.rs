//! Rollups: sums of hours and days by one or two dimensions, made of the aggregates after an hour is over. A question to the
//! aggregates reads them where they are up to date, and the aggregates themselves for the hours that are not.

use std::collections::BTreeSet;

use crate::UtcTime;
use crate::ledger::{SpendColumn, SpendQuery};

pub(super) const HOUR: i64 = 3_600_000;
pub(super) const DAY: i64 = 24 * HOUR;
/// Most stretches of time that a statement reads: beyond it, the aggregates alone are read.
const MOST_RUNS: usize = 24;

/// A rollup: the dimensions that its sums are by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rollup {
    /// The name in the store.
    pub(super) name: &'static str,
    /// The dimension of the column `value`, and that of the column `second`.
    pub(super) columns: &'static [SpendColumn],
    /// Whether there are sums of hours, and not of days alone.
    pub(super) is_by_hour: bool,
}

/// A stretch of time: its first moment and its end, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) from: i64,
    pub(super) until: i64,
}

/// The hours and days whose rollups are not made yet, or were made before the last call was settled.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) hours: BTreeSet<i64>,
    pub(super) days: BTreeSet<i64>,
}

/// The sources of an answer: each hour is in one of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Sources {
    pub(super) days: Vec<Run>,
    pub(super) hours: Vec<Run>,
    /// Hours that are read from the aggregates.
    pub(super) aggregates: Vec<Run>,
}

const fn by(name: &'static str, columns: &'static [SpendColumn]) -> Rollup {
    Rollup { name, columns, is_by_hour: true }
}

/// Of dimensions with many values, which rows of hours would hardly be fewer than the aggregates.
const fn by_day(name: &'static str, columns: &'static [SpendColumn]) -> Rollup {
    Rollup { name, columns, is_by_hour: false }
}

/// The rollups, the smallest first. The first column is the one that a filter selects by.
pub(super) const ROLLUPS: &[Rollup] = &[
    by("all", &[]),
    by("status", &[SpendColumn::Status]),
    by("region", &[SpendColumn::Region]),
    by("model", &[SpendColumn::Model]),
    by("team", &[SpendColumn::Team]),
    by("user", &[SpendColumn::User]),
    by("key", &[SpendColumn::Key]),
    by("customer", &[SpendColumn::Customer]),
    by("tag", &[SpendColumn::Tag]),
    by("status+region", &[SpendColumn::Status, SpendColumn::Region]),
    by("model+region", &[SpendColumn::Model, SpendColumn::Region]),
    by("model+status", &[SpendColumn::Model, SpendColumn::Status]),
    by("team+region", &[SpendColumn::Team, SpendColumn::Region]),
    by("team+status", &[SpendColumn::Team, SpendColumn::Status]),
    by("team+model", &[SpendColumn::Team, SpendColumn::Model]),
    by("team+key", &[SpendColumn::Team, SpendColumn::Key]),
    by_day("team+user", &[SpendColumn::Team, SpendColumn::User]),
    by_day("team+customer", &[SpendColumn::Team, SpendColumn::Customer]),
    by_day("model+key", &[SpendColumn::Model, SpendColumn::Key]),
    by_day("model+user", &[SpendColumn::Model, SpendColumn::User]),
    by_day("model+customer", &[SpendColumn::Model, SpendColumn::Customer]),
];

impl Rollup {
    /// The smallest rollup that answers a question; absent where only the aggregates do.
    pub(super) fn of(query: &SpendQuery) -> Option<Self> {
        if query.who.visible.is_some() {
            return None;
        }
        let filters = [
            (SpendColumn::Key, query.who.keys.is_some()),
            (SpendColumn::Team, query.who.teams.is_some()),
            (SpendColumn::User, query.who.users.is_some()),
            (SpendColumn::Customer, query.who.customers.is_some()),
            (SpendColumn::Model, query.models.is_some()),
            (SpendColumn::Tag, query.tags.is_some()),
        ];
        let filters = filters.into_iter().filter(|(_, is_set)| *is_set).map(|(column, _)| column);
        let is_time = |column: &SpendColumn| matches!(column, SpendColumn::Day | SpendColumn::Hour);
        let grouped = query.by.iter().copied().filter(|column| !is_time(column));
        let needed: Vec<_> = filters.chain(grouped).collect();
        let by_hour = !Self::takes_days(query);
        let answers = |one: &&Self| {
            needed.iter().all(|column| one.columns.contains(column)) && (one.is_by_hour || !by_hour)
        };
        ROLLUPS.iter().find(answers).copied()
    }

    /// Whether sums of whole days in UTC answer a question.
    fn takes_days(query: &SpendQuery) -> bool {
        let of_days = |column: &SpendColumn| match column {
            SpendColumn::Hour => false,
            SpendColumn::Day => query.offset_minutes % (24 * 60) == 0,
            _ => true,
        };
        query.by.iter().all(of_days)
    }

    /// Divides the time of a question, as far as there are calls, into its sources. Absent where they are too many pieces to
    /// be worth it.
    pub(super) fn sources(
        self,
        query: &SpendQuery,
        (first, last): (i64, i64),
        due: &Due,
    ) -> Option<Sources> {
        let from = query.from.millis().max(first);
        let until = query.until.millis().min(last.saturating_add(HOUR));
        // Hours belong to a question by their beginning.
        let mut hour = from.div_euclid(HOUR) * HOUR;
        if hour < from {
            hour += HOUR;
        }
        let takes_days = Self::takes_days(query);
        let mut sources = Sources::default();
        while hour < until {
            let is_whole = hour.rem_euclid(DAY) == 0 && hour.saturating_add(DAY) <= until;
            if takes_days && is_whole && !due.days.contains(&hour) {
                Run::extend(&mut sources.days, hour, DAY);
                hour += DAY;
                continue;
            }
            let is_made = self.is_by_hour && !due.hours.contains(&hour);
            let runs = if is_made { &mut sources.hours } else { &mut sources.aggregates };
            Run::extend(runs, hour, HOUR);
            hour += HOUR;
        }
        let Sources { days, hours, aggregates } = &sources;
        (days.len() + hours.len() + aggregates.len() <= MOST_RUNS).then_some(sources)
    }
}

impl Run {
    fn extend(runs: &mut Vec<Self>, from: i64, length: i64) {
        match runs.last_mut() {
            Some(run) if run.until == from => run.until += length,
            Some(_) | None => runs.push(Self { from, until: from + length }),
        }
    }
}

/// The day in UTC of a point.
pub(super) fn day_of(at: UtcTime) -> i64 {
    at.millis().div_euclid(DAY) * DAY
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::PartyFilter;

    fn query(by: &[SpendColumn], hours: (i64, i64)) -> SpendQuery {
        SpendQuery {
            from: UtcTime::from_millis(hours.0 * HOUR),
            until: UtcTime::from_millis(hours.1 * HOUR),
            by: by.to_vec(),
            ..SpendQuery::default()
        }
    }

    #[test]
    fn the_smallest_rollup_answers() {
        let of_team = PartyFilter { teams: Some(Vec::new()), ..PartyFilter::default() };
        let visible = PartyFilter { visible: Some(Default::default()), ..PartyFilter::default() };
        let name = |query: &SpendQuery| Rollup::of(query).map(|one| one.name);
        let plain = |by: &[SpendColumn]| query(by, (0, 24));
        assert_eq!(name(&plain(&[])), Some("all"));
        assert_eq!(name(&plain(&[SpendColumn::Hour, SpendColumn::Key])), Some("key"));
        assert_eq!(name(&plain(&[SpendColumn::Region, SpendColumn::Model])), Some("model+region"));
        assert_eq!(name(&plain(&[SpendColumn::Key, SpendColumn::Customer])), None);
        let team = |by| SpendQuery { who: of_team.clone(), ..plain(by) };
        assert_eq!(name(&team(&[])), Some("team"));
        assert_eq!(name(&team(&[SpendColumn::Customer])), Some("team+customer"));
        assert_eq!(name(&team(&[SpendColumn::Hour, SpendColumn::Customer])), None);
        let paris =
            SpendQuery { offset_minutes: 60, ..team(&[SpendColumn::Day, SpendColumn::User]) };
        assert_eq!(name(&paris), None);
        assert_eq!(name(&SpendQuery { who: visible, ..plain(&[]) }), None);
        let tagged = SpendQuery { tags: Some(Vec::new()), ..plain(&[]) };
        assert_eq!(name(&tagged), Some("tag"));
    }

    #[test]
    fn each_hour_has_one_source() {
        let due = Due { hours: [3 * 24 * HOUR + HOUR].into(), days: [3 * DAY].into() };
        let run = |from, until| Run { from: from * HOUR, until: until * HOUR };
        let all = Rollup::of(&query(&[], (0, 1))).unwrap();
        let calls = (0, 1000 * HOUR);
        let sources = all.sources(&query(&[], (20, 100)), calls, &due).unwrap();
        let expected = Sources {
            days: vec![run(24, 72)],
            hours: vec![run(20, 24), run(72, 73), run(74, 100)],
            aggregates: vec![run(73, 74)],
        };
        assert_eq!(sources, expected);
        // By local days of another offset only hours are exact.
        let local = SpendQuery { offset_minutes: 60, ..query(&[SpendColumn::Day], (20, 100)) };
        let sources = all.sources(&local, calls, &due).unwrap();
        assert_eq!((sources.days.len(), sources.hours), (0, vec![run(20, 73), run(74, 100)]));
        // No more is read than there are calls, and an hour that began before is not read.
        let some = SpendQuery { from: UtcTime::from_millis(1), ..query(&[], (0, i64::MAX / HOUR)) };
        let sources = all.sources(&some, (0, 30 * HOUR), &Due::default()).unwrap();
        assert_eq!(sources, Sources { hours: vec![run(1, 31)], ..Sources::default() });
    }

    #[test]
    fn many_pieces_are_not_worth_it() {
        let hours = (0..100).map(|n| 2 * n * HOUR).collect();
        let due = Due { hours, ..Due::default() };
        let all = Rollup::of(&query(&[], (0, 1))).unwrap();
        let question = query(&[SpendColumn::Hour], (0, 200));
        assert_eq!(all.sources(&question, (0, 300 * HOUR), &due), None);
    }
}
