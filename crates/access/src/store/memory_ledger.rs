//! The ledger in memory: rows up to a bound, counters and hourly sums.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::Page;
use super::memory::paged;
use crate::ledger::{
    CallFilter, CallOutcome, CallRow, CallSort, CallState, Closing, CounterKey, CounterState,
    OpenOutcome, Opening, SpendColumn, SpendQuery, SpendRow, SpendSums,
};
use crate::{Nanodollars, UtcTime};

/// Most rows kept; the oldest settled ones go first.
const MOST_ROWS: usize = 100_000;
const MINUTE: i64 = 60_000;
const DAY: i64 = 86_400_000;

/// The dimensions of an aggregate, the tag alone in its own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct HourKey {
    pub(super) hour: UtcTime,
    pub(super) key_id: String,
    pub(super) team: String,
    pub(super) user: String,
    pub(super) customer: String,
    pub(super) model: String,
    pub(super) region: String,
}

#[derive(Debug, Default)]
pub(super) struct LedgerState {
    rows: BTreeMap<String, CallRow>,
    counters: HashMap<CounterKey, CounterState>,
    hourly: BTreeMap<HourKey, SpendSums>,
    by_tag: BTreeMap<(UtcTime, String), SpendSums>,
}

impl HourKey {
    pub(super) fn of(closing: &Closing) -> Self {
        let Opening { at, who, .. } = &*closing.call;
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        Self {
            hour: at.hour(),
            key_id: who.key_id.clone(),
            team: text(&who.team),
            user: text(&who.user),
            customer: text(&who.customer),
            model: closing.outcome.model.clone(),
            region: text(&closing.outcome.region),
        }
    }
}

impl LedgerState {
    pub(super) fn open(&mut self, call: Opening) -> OpenOutcome {
        let mut states: Vec<_> =
            call.charges.iter().map(|charge| self.counter(&charge.counter)).collect();
        if self.rows.contains_key(&call.id) {
            return OpenOutcome::Granted(states);
        }
        if let Some(charge) = refusing(&call, &states) {
            return OpenOutcome::Refused { charge, state: states[charge] };
        }
        for (charge, state) in call.charges.iter().zip(&mut states) {
            state.reserved = state.reserved.plus(call.estimate);
            self.counters.insert(charge.counter.clone(), *state);
        }
        if self.rows.len() >= MOST_ROWS {
            self.prune(UtcTime::from_millis(i64::MAX), 1);
        }
        self.rows.insert(call.id.clone(), CallRow::begun(call));
        OpenOutcome::Granted(states)
    }

    pub(super) fn close(&mut self, closing: Closing) -> bool {
        let opened = match self.rows.get(&closing.call.id) {
            Some(row) if !row.under_way => return false,
            Some(row) => row.closing.call.estimate,
            None => Nanodollars::ZERO,
        };
        for charge in &closing.call.charges {
            let counter = self.counters.entry(charge.counter.clone()).or_default();
            counter.reserved = counter.reserved.minus(opened);
            counter.spent = counter.spent.plus(closing.charged());
            counter.requests += 1;
        }
        let sums = SpendSums::of(&closing);
        self.hourly.entry(HourKey::of(&closing)).or_default().add(&sums);
        for tag in &closing.call.who.tags {
            self.by_tag.entry((closing.call.at.hour(), tag.clone())).or_default().add(&sums);
        }
        self.rows.insert(closing.call.id.clone(), CallRow { closing, under_way: false });
        true
    }

    pub(super) fn renew(&mut self, ids: &[String], until: UtcTime) {
        for id in ids {
            if let Some(row) = self.rows.get_mut(id).filter(|row| row.under_way) {
                Arc::make_mut(&mut row.closing.call).lease_until = until;
            }
        }
    }

    pub(super) fn overdue(&self, now: UtcTime, limit: u64) -> Vec<Opening> {
        let dead = |row: &&CallRow| row.under_way && row.closing.call.lease_until < now;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        self.rows.values().filter(dead).take(limit).map(|row| (*row.closing.call).clone()).collect()
    }

    pub(super) fn prune(&mut self, before: UtcTime, limit: u64) -> u64 {
        let old = |row: &CallRow| !row.under_way && row.closing.call.at < before;
        let ids = self.rows.iter().filter(|(_, row)| old(row)).map(|(id, _)| id.clone());
        let ids: Vec<_> = ids.take(usize::try_from(limit).unwrap_or(usize::MAX)).collect();
        for id in &ids {
            self.rows.remove(id);
        }
        ids.len() as u64
    }

    pub(super) fn counter(&self, key: &CounterKey) -> CounterState {
        self.counters.get(key).copied().unwrap_or_default()
    }

    pub(super) fn set_spent(&mut self, key: CounterKey, nano: i64) {
        self.counters.entry(key).or_default().spent = Nanodollars::new(nano);
    }

    pub(super) fn calls(&self, filter: &CallFilter) -> Page<CallRow> {
        let mut rows: Vec<_> =
            self.rows.values().filter(|row| filter.takes(row)).cloned().collect();
        rows.sort_by(|a, b| {
            let order =
                filter.sort.compare(a, b).then_with(|| a.closing.call.id.cmp(&b.closing.call.id));
            if filter.ascending { order } else { order.reverse() }
        });
        paged(rows, filter.offset, filter.limit)
    }

    pub(super) fn spend(&self, query: &SpendQuery) -> Vec<SpendRow> {
        let within = |hour: UtcTime| query.from <= hour && hour < query.until;
        let mut groups: BTreeMap<Vec<String>, SpendSums> = BTreeMap::new();
        if query.by.contains(&SpendColumn::Tag) {
            for ((hour, tag), sums) in self.by_tag.iter().filter(|((hour, _), _)| within(*hour)) {
                let group = query.by.iter().map(|column| match column {
                    SpendColumn::Tag => tag.clone(),
                    SpendColumn::Day => day(*hour, query.offset_minutes),
                    _ => String::new(),
                });
                groups.entry(group.collect()).or_default().add(sums);
            }
        } else {
            for (at, sums) in
                self.hourly.iter().filter(|(at, _)| within(at.hour) && query.takes(at))
            {
                let group = query.by.iter().map(|column| at.column(*column, query.offset_minutes));
                groups.entry(group.collect()).or_default().add(sums);
            }
        }
        groups.into_iter().map(|(group, sums)| SpendRow { group, sums }).collect()
    }
}

/// The first charge without room for the estimate.
pub(super) fn refusing(call: &Opening, states: &[CounterState]) -> Option<usize> {
    call.charges.iter().zip(states).position(|(charge, state)| {
        let asked = state.spent.plus(state.reserved).plus(call.estimate);
        // A call that costs no money needs room all the same: a spent budget lets none pass.
        let full = |max: Nanodollars| asked > max || state.spent.plus(state.reserved) >= max;
        charge.max.is_some_and(full)
    })
}

fn day(hour: UtcTime, offset_minutes: i32) -> String {
    (hour.millis() + i64::from(offset_minutes) * MINUTE)
        .div_euclid(DAY)
        .saturating_mul(DAY)
        .to_string()
}

impl HourKey {
    fn column(&self, column: SpendColumn, offset_minutes: i32) -> String {
        match column {
            SpendColumn::Day => day(self.hour, offset_minutes),
            SpendColumn::Key => self.key_id.clone(),
            SpendColumn::Team => self.team.clone(),
            SpendColumn::User => self.user.clone(),
            SpendColumn::Customer => self.customer.clone(),
            SpendColumn::Model => self.model.clone(),
            SpendColumn::Region => self.region.clone(),
            SpendColumn::Tag => String::new(),
        }
    }
}

impl SpendQuery {
    fn takes(&self, at: &HourKey) -> bool {
        let is =
            |wanted: &Option<String>, found: &str| wanted.as_deref().is_none_or(|w| w == found);
        is(&self.key_id, &at.key_id)
            && is(&self.team, &at.team)
            && is(&self.user, &at.user)
            && is(&self.customer, &at.customer)
            && is(&self.model, &at.model)
    }
}

impl CallRow {
    /// The row of a call under way.
    pub(super) fn begun(call: Opening) -> Self {
        let closing = Closing {
            at: call.at,
            state: CallState::default(),
            outcome: CallOutcome::default(),
            call: Arc::new(call),
        };
        Self { closing, under_way: true }
    }
}

impl CallFilter {
    fn takes(&self, row: &CallRow) -> bool {
        let Closing { call, outcome, .. } = &row.closing;
        let is = |wanted: &Option<String>, found: Option<&str>| {
            wanted.as_deref().is_none_or(|w| found == Some(w))
        };
        let cost = outcome.cost.map(Nanodollars::nano);
        self.from.is_none_or(|from| from <= call.at)
            && self.until.is_none_or(|until| call.at <= until)
            && is(&self.id, Some(&call.id))
            && is(&self.key_id, Some(&call.who.key_id))
            && is(&self.token, Some(&call.who.token))
            && is(&self.team, call.who.team.as_deref())
            && is(&self.user, call.who.user.as_deref())
            && is(&self.customer, call.who.customer.as_deref())
            && is(&self.session_id, call.session_id.as_deref())
            && is(&self.model, Some(&outcome.model))
            && is(&self.model_group, outcome.model_group.as_deref())
            && is(&self.error_code, outcome.error_code.as_deref())
            && self.succeeded.is_none_or(|ok| !row.under_way && row.closing.succeeded() == ok)
            && self.min_cost.is_none_or(|min| cost.is_some_and(|cost| cost >= min))
            && self.max_cost.is_none_or(|max| cost.is_some_and(|cost| cost <= max))
    }
}

impl CallSort {
    fn compare(self, a: &CallRow, b: &CallRow) -> Ordering {
        let (a, b) = (&a.closing, &b.closing);
        let tokens = |c: &Closing| {
            let o = &c.outcome;
            [o.input, o.output, o.cache_read, o.cache_write_5m, o.cache_write_1h]
                .iter()
                .sum::<u64>()
        };
        match self {
            Self::Start => a.call.at.cmp(&b.call.at),
            Self::End => a.at.cmp(&b.at),
            Self::Spend => a.outcome.cost.cmp(&b.outcome.cost),
            Self::Tokens => tokens(a).cmp(&tokens(b)),
            Self::Duration => a.outcome.total_ms.cmp(&b.outcome.total_ms),
            Self::FirstByte => a.outcome.ttft_ms.cmp(&b.outcome.ttft_ms),
            Self::Model => a.outcome.model.cmp(&b.outcome.model),
        }
    }
}
