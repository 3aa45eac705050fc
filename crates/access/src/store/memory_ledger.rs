//! The ledger in memory: rows up to a bound, counters and hourly sums.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use super::Page;
use super::hour_key::{Dimension, HourKey, HourName, HourSums, Party};
use super::memory::paged;
use crate::ledger::{
    CallFilter, CallOutcome, CallRow, CallSort, CallState, Closing, CounterKey, CounterState,
    OpenOutcome, Opening, PartyFilter, Refusal, RefusalCount, RefusalFilter, Slice, SpendColumn,
    SpendQuery, SpendRow, SpendSums,
};
use crate::{Nanodollars, UtcTime};

/// Most rows kept; the oldest settled ones go first.
const MOST_ROWS: usize = 100_000;
/// Most refusals kept; the oldest go first.
const MOST_REFUSALS: usize = 10_000;

#[derive(Debug, Default)]
pub(super) struct LedgerState {
    rows: BTreeMap<String, CallRow>,
    counters: HashMap<CounterKey, CounterState>,
    slices: HashMap<String, Slice>,
    names_an_hour: u64,
    hours: HourSums,
    names: HashMap<(UtcTime, Dimension), HashSet<String>>,
    refusals: VecDeque<Refusal>,
}

impl LedgerState {
    pub(super) fn new(names_an_hour: u64) -> Self {
        Self { names_an_hour, ..Self::default() }
    }

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
            state.reserved = state.reserved.plus(call.reserved());
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
            Some(row) => row.closing.call.reserved(),
            None => {
                for slice in closing.call.charges.iter().filter_map(|charge| charge.slice.as_ref())
                {
                    self.reduce(slice, closing.call.reserved());
                }
                Nanodollars::ZERO
            }
        };
        for charge in &closing.call.charges {
            let counter = self.counters.entry(charge.counter.clone()).or_default();
            counter.reserved = counter.reserved.minus(opened);
            counter.spent = counter.spent.plus(closing.charged());
            counter.requests += 1;
        }
        for HourName { hour, dimension, name } in HourName::of(&closing) {
            let names = self.names.entry((hour, dimension)).or_default();
            if (names.len() as u64) < self.names_an_hour {
                names.insert(name);
            }
        }
        let names = &self.names;
        self.hours.add(&closing, |value| {
            let known = names.get(&(value.hour, value.dimension));
            known.is_some_and(|known| known.contains(&value.name))
        });
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

    pub(super) fn lend(&mut self, slice: Slice) -> Option<CounterState> {
        let state = self.counters.entry(slice.counter.clone()).or_default();
        if !slice.fits(*state) {
            return None;
        }
        state.reserved = state.reserved.plus(slice.amount);
        let state = *state;
        self.slices.insert(slice.id.clone(), slice);
        Some(state)
    }

    /// Takes an amount from a slice, and from what its counter holds as reserved.
    pub(super) fn reduce(&mut self, id: &str, amount: Nanodollars) {
        let Some(slice) = self.slices.get_mut(id).filter(|slice| slice.amount >= amount) else {
            return;
        };
        slice.amount = slice.amount.minus(amount);
        let counter = self.counters.entry(slice.counter.clone()).or_default();
        counter.reserved = counter.reserved.minus(amount);
    }

    pub(super) fn renew_slices(&mut self, ids: &[String], until: UtcTime) {
        for id in ids {
            if let Some(slice) = self.slices.get_mut(id) {
                slice.lease_until = until;
            }
        }
    }

    pub(super) fn reap_slices(&mut self, now: UtcTime) -> u64 {
        let is_over = |slice: &Slice| slice.lease_until < now || slice.amount <= Nanodollars::ZERO;
        let over: Vec<_> = self.slices.extract_if(|_, slice| is_over(slice)).collect();
        let mut count = 0;
        for (_, slice) in over {
            count += u64::from(slice.amount > Nanodollars::ZERO);
            let counter = self.counters.entry(slice.counter).or_default();
            counter.reserved = counter.reserved.minus(slice.amount);
        }
        count
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

    pub(super) fn refuse(&mut self, refusals: Vec<Refusal>) {
        for one in refusals {
            if !self.refusals.iter().rev().any(|kept| kept.id == one.id) {
                self.refusals.push_back(one);
            }
        }
        let surplus = self.refusals.len().saturating_sub(MOST_REFUSALS);
        self.refusals.drain(..surplus);
    }

    pub(super) fn prune_refusals(&mut self, before: UtcTime) {
        self.refusals.retain(|one| one.at >= before);
    }

    /// The selected refusals, newest first.
    pub(super) fn refusals(&self, filter: &RefusalFilter) -> Vec<Refusal> {
        let mut rows: Vec<_> =
            self.refusals.iter().filter(|one| filter.selects(one)).cloned().collect();
        rows.sort_by(|a, b| (b.at, &b.id).cmp(&(a.at, &a.id)));
        rows
    }

    pub(super) fn refusal_counts(&self, filter: &RefusalFilter) -> Vec<RefusalCount> {
        let mut groups: BTreeMap<(String, String), u64> = BTreeMap::new();
        for one in self.refusals(filter) {
            *groups.entry((one.scope, one.code)).or_default() += one.count;
        }
        let count = |((scope, code), count)| RefusalCount { scope, code, count };
        let mut counts: Vec<_> = groups.into_iter().map(count).collect();
        counts.sort_by_key(|one| std::cmp::Reverse(one.count));
        counts
    }

    pub(super) fn last_call(&self, key_id: &str) -> Option<UtcTime> {
        let of_key = self.rows.values().filter(|row| row.closing.call.who.key_id == key_id);
        of_key.map(|row| row.closing.call.at).max()
    }

    pub(super) fn spend(&self, query: &SpendQuery) -> Vec<SpendRow> {
        let mut groups: BTreeMap<Vec<String>, SpendSums> = BTreeMap::new();
        let mut add = |at: &HourKey, tag: &str, sums: &SpendSums| {
            let column = |column: &SpendColumn| at.column(*column, tag, query.offset_minutes);
            if query.takes(at, tag) {
                groups.entry(query.by.iter().map(column).collect()).or_default().add(sums);
            }
        };
        if query.is_by_tag() {
            self.hours.by_tag.iter().for_each(|((at, tag), sums)| add(at, tag, sums));
        } else {
            let hours = HourKey::start_of(query.from)..HourKey::start_of(query.until);
            if hours.start < hours.end {
                self.hours.all.range(hours).for_each(|(at, sums)| add(at, "", sums));
            }
        }
        let most =
            query.most.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX));
        groups.into_iter().take(most).map(|(group, sums)| SpendRow { group, sums }).collect()
    }
}

/// The first charge without room for the estimate.
pub(super) fn refusing(call: &Opening, states: &[CounterState]) -> Option<usize> {
    call.charges.iter().zip(states).position(|(charge, state)| {
        let asked = state.spent.plus(state.reserved).plus(call.reserved());
        // A call that costs no money needs room all the same: a spent budget lets none pass.
        let full = |max: Nanodollars| asked > max || state.spent.plus(state.reserved) >= max;
        charge.max.is_some_and(full)
    })
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

    fn cost(&self) -> Option<i64> {
        self.closing.cost().filter(|_| !self.under_way).map(Nanodollars::nano)
    }
}

impl RefusalFilter {
    /// Whether a refusal is selected; end users are not known of it.
    fn selects(&self, one: &Refusal) -> bool {
        let party = Party {
            key: &one.key_id,
            team: one.team.as_deref().unwrap_or_default(),
            user: one.user.as_deref().unwrap_or_default(),
            customer: "",
        };
        let who = PartyFilter { customers: None, ..self.who.clone() };
        self.takes(one) && who.takes(&party)
    }
}

impl CallFilter {
    fn takes(&self, row: &CallRow) -> bool {
        let Closing { call, outcome, .. } = &row.closing;
        let is = |wanted: &Option<String>, found: Option<&str>| {
            wanted.as_deref().is_none_or(|w| found == Some(w))
        };
        let cost = row.cost();
        let party = Party {
            key: &call.who.key_id,
            team: call.who.team.as_deref().unwrap_or_default(),
            user: call.who.user.as_deref().unwrap_or_default(),
            customer: call.who.customer.as_deref().unwrap_or_default(),
        };
        self.from.is_none_or(|from| from <= call.at)
            && self.until.is_none_or(|until| call.at <= until)
            && is(&self.id, Some(&call.id))
            && self.who.takes(&party)
            && !(self.ended && row.under_way)
            && is(&self.session_id, call.session_id.as_deref())
            && is(&self.model, Some(&outcome.model))
            && self.models.as_ref().is_none_or(|models| models.contains(&outcome.model))
            && is(&self.region, outcome.region.as_deref())
            && self.tag.as_ref().is_none_or(|tag| call.who.tags.contains(tag))
            && self.before.as_ref().is_none_or(|(at, id)| (call.at, &call.id) < (*at, id))
            && is(&self.model_group, outcome.model_group.as_deref())
            && is(&self.error_code, outcome.error_code.as_deref())
            && self.succeeded.is_none_or(|ok| !row.under_way && row.closing.succeeded() == ok)
            && self.min_cost.is_none_or(|min| cost.is_some_and(|cost| cost >= min))
            && self.max_cost.is_none_or(|max| cost.is_some_and(|cost| cost <= max))
    }
}

impl CallSort {
    fn compare(self, a: &CallRow, b: &CallRow) -> Ordering {
        let costs = (a.cost(), b.cost());
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
            Self::Spend => costs.0.cmp(&costs.1),
            Self::Tokens => tokens(a).cmp(&tokens(b)),
            Self::Duration => a.outcome.total_ms.cmp(&b.outcome.total_ms),
            Self::FirstByte => a.outcome.ttft_ms.cmp(&b.outcome.ttft_ms),
            Self::Model => a.outcome.model.cmp(&b.outcome.model),
        }
    }
}
