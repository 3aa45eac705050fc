//! Slices of budgets: room that a process reserves in the store ahead of its calls. A call that finds room in the slices of
//! all its budgets is admitted without a transaction, as one under no budget is; its intent names the slices.
//!
//! A slice is a hundredth of its budget at most, and none is lent in the last tenth of a budget: there each call is
//! reserved in the store, so that replicas together pass no budget and refuse no call that has room.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{Charge, Closing, CounterKey, CounterState, Opening};
use crate::store::Store;
use crate::{Nanodollars, UtcTime};

/// Calls whose estimates a slice holds, at most.
const CALLS: i64 = 128;
/// Calls below which a slice does not pay.
const LEAST_CALLS: i64 = 4;
/// The part of a budget that a slice is at most.
const PART: i64 = 100;
/// The part of a budget at its end in which no slice is lent.
const END: i64 = 10;
/// Most slices of one counter: one in use, and one to follow.
const MOST_SLICES: usize = 2;
/// The time after which a store is asked again for a slice that it did not lend.
const PAUSE: Duration = Duration::from_secs(5);
/// The lease of a slice, renewed while its process lives.
pub(super) const LEASE: Duration = Duration::from_secs(15);

/// Room of one budget, reserved for one process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slice {
    /// Its id, a UUIDv7.
    pub id: String,
    /// The counter that holds it as reserved.
    pub counter: CounterKey,
    /// Most that may be spent and reserved together.
    pub max: Nanodollars,
    /// The room, and that of its calls under way.
    pub amount: Nanodollars,
    /// The end of its lease, after which any process gives it back.
    pub lease_until: UtcTime,
}

impl Slice {
    /// Whether a counter lends it.
    pub(crate) fn fits(&self, state: CounterState) -> bool {
        let end = Nanodollars::new(self.max.nano() / END);
        state.spent.plus(state.reserved).plus(self.amount) <= self.max.minus(end)
    }
}

/// Amounts of slices, by their ids.
pub type SliceAmounts = Vec<(String, Nanodollars)>;

/// Gives room back to the store. What fails here ends with the leases of the slices.
pub(super) async fn give_back(store: &dyn Store, amounts: SliceAmounts) {
    if !amounts.is_empty()
        && let Err(error) = store.give_back(amounts).await
    {
        log::warn!("slices of budgets are not given back: {error}");
    }
}

/// The slices of this process.
#[derive(Debug, Default)]
pub(super) struct Slices(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    held: HashMap<CounterKey, Held>,
    /// Counters that are not asked again before a time.
    pauses: HashMap<CounterKey, UtcTime>,
    /// Calls under way, by slice: slices that are used up keep their lease until these end.
    calls: HashMap<String, usize>,
}

/// The slices of one counter, the oldest first.
#[derive(Debug, Default)]
struct Held {
    max: Nanodollars,
    slices: VecDeque<Room>,
    /// The counter as it is known here.
    state: CounterState,
    /// Whether a call took room since the last look.
    used: bool,
}

/// A slice with room.
#[derive(Debug)]
struct Room {
    id: String,
    left: Nanodollars,
    lease_until: UtcTime,
}

/// The result of a taking.
#[derive(Debug)]
pub(super) struct Taken {
    /// The known states of the call's counters, in the order of its charges, if all its budgets have room here; absent if
    /// the store must reserve it.
    pub(super) states: Option<Vec<Option<CounterState>>>,
    /// Slices to ask for, for the next calls.
    pub(super) wanted: Vec<Slice>,
}

impl Slices {
    /// Takes the estimate from the slices of all budgets of a call, or from none.
    pub(super) fn take(&self, call: &mut Opening, now: UtcTime) -> Taken {
        let estimate = call.reserved();
        let mut state = self.state();
        let has_room = |charge: &Charge| {
            let Some(max) = charge.max else { return true };
            let held = state.held.get(&charge.counter).filter(|held| held.max == max);
            held.is_some_and(|held| held.slices.iter().any(|room| room.takes(estimate, now)))
        };
        if !call.charges.iter().all(has_room) {
            return Taken { states: None, wanted: state.wanted(call, now) };
        }
        let mut states = Vec::with_capacity(call.charges.len());
        let State { held, calls, .. } = &mut *state;
        for charge in &mut call.charges {
            let held = charge.max.and_then(|_| held.get_mut(&charge.counter));
            let room = held.and_then(|held| {
                held.used = true;
                let room = held.slices.iter_mut().find(|room| room.takes(estimate, now))?;
                Some((room, held.state))
            });
            states.push(room.map(|(room, state)| {
                room.left = room.left.minus(estimate);
                *calls.entry(room.id.clone()).or_default() += 1;
                charge.slice = Some(room.id.clone());
                state
            }));
        }
        Taken { states: Some(states), wanted: state.wanted(call, now) }
    }

    /// Undoes a taking.
    pub(super) fn put_back(&self, call: &mut Opening) {
        self.call_ends(call);
        let estimate = call.reserved();
        let mut state = self.state();
        for charge in &mut call.charges {
            let Some(id) = charge.slice.take() else { continue };
            let slices = state.held.get_mut(&charge.counter).map(|held| &mut held.slices);
            if let Some(room) = slices.into_iter().flatten().find(|room| room.id == id) {
                room.left = room.left.plus(estimate);
            }
        }
    }

    /// Ends a call's hold on its slices. The store gives its estimate back when it settles it.
    pub(super) fn call_ends(&self, call: &Opening) {
        let mut state = self.state();
        for id in call.charges.iter().filter_map(|charge| charge.slice.as_ref()) {
            if let Some(count) = state.calls.get_mut(id) {
                *count -= 1;
                if *count == 0 {
                    state.calls.remove(id);
                }
            }
        }
    }

    /// Adds slices that the store has lent, and returns the room of those they replace.
    pub(super) fn add(&self, lent: Vec<(Slice, CounterState)>) -> SliceAmounts {
        let mut state = self.state();
        let mut replaced = Vec::new();
        for (slice, counter) in lent {
            let Slice { id, counter: key, max, amount, lease_until } = slice;
            state.pauses.remove(&key);
            let held = state.held.entry(key).or_default();
            if held.max != max {
                replaced.extend(held.slices.drain(..).filter_map(Room::rest));
                held.max = max;
            }
            if held.slices.len() == MOST_SLICES {
                replaced.extend(held.slices.pop_front().and_then(Room::rest));
            }
            held.slices.push_back(Room { id, left: amount, lease_until });
            (held.state, held.used) = (counter, true);
        }
        replaced
    }

    /// Counts settled calls in the states that answers show.
    pub(super) fn settled(&self, closings: &[Closing]) {
        let mut state = self.state();
        if state.held.is_empty() {
            return;
        }
        for closing in closings {
            for charge in &closing.call.charges {
                if let Some(held) = state.held.get_mut(&charge.counter) {
                    held.state.spent = held.state.spent.plus(closing.charged());
                    held.state.requests += 1;
                }
            }
        }
    }

    /// The room of a counter that no call has taken.
    pub(super) fn left(&self, counter: &CounterKey) -> Nanodollars {
        self.state().held.get(counter).map_or(Nanodollars::ZERO, Held::left)
    }

    /// Takes away the slices of counters, and returns their room.
    pub(super) fn withdraw<'c>(
        &self,
        counters: impl Iterator<Item = &'c CounterKey>,
    ) -> SliceAmounts {
        let mut state = self.state();
        counters.filter_map(|counter| state.held.remove(counter)).flat_map(Held::rests).collect()
    }

    /// Takes away slices that no call has used since the last time, or all, and returns their room.
    pub(super) fn idle(&self, now: UtcTime) -> SliceAmounts {
        let mut state = self.state();
        state.pauses.retain(|_, until| *until > now);
        let idle = state.held.extract_if(|_, held| !std::mem::take(&mut held.used));
        idle.flat_map(|(_, held)| held.rests()).collect()
    }

    /// Takes away all slices, and returns their room.
    pub(super) fn all(&self) -> SliceAmounts {
        self.state().held.drain().flat_map(|(_, held)| held.rests()).collect()
    }

    /// Extends the leases of slices with room or calls, and returns their ids.
    pub(super) fn renew(&self, until: UtcTime) -> Vec<String> {
        let mut state = self.state();
        let State { held, calls, .. } = &mut *state;
        let mut ids: Vec<String> = calls.keys().cloned().collect();
        for room in held.values_mut().flat_map(|held| &mut held.slices) {
            room.lease_until = until;
            if !calls.contains_key(&room.id) {
                ids.push(room.id.clone());
            }
        }
        ids
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The slices to ask for, so that calls like this one need no transaction: where less than half of one is left; none
    /// unless all budgets are large enough.
    fn wanted(&mut self, call: &Opening, now: UtcTime) -> Vec<Slice> {
        let estimate = call.reserved().nano();
        let amount = |max: Nanodollars| (max.nano() / PART).min(estimate.saturating_mul(CALLS));
        let pays = |charge: &Charge| {
            charge.max.is_none_or(|max| {
                estimate > 0 && amount(max) >= estimate.saturating_mul(LEAST_CALLS)
            })
        };
        if !call.charges.iter().all(pays) {
            return Vec::new();
        }
        let mut wanted = Vec::new();
        for Charge { counter, max, slice: _ } in &call.charges {
            let Some(max) = *max else { continue };
            let held = self.held.get(counter).filter(|held| held.max == max);
            let is_enough = held.is_some_and(|held| held.left().nano() > amount(max) / 2);
            if is_enough || self.pauses.get(counter).is_some_and(|until| *until > now) {
                continue;
            }
            self.pauses.insert(counter.clone(), now.plus(PAUSE));
            wanted.push(Slice {
                id: uuid::Uuid::now_v7().to_string(),
                counter: counter.clone(),
                max,
                amount: Nanodollars::new(amount(max)),
                lease_until: now.plus(LEASE),
            });
        }
        wanted
    }
}

impl Held {
    /// The room that no call has taken.
    fn left(&self) -> Nanodollars {
        self.slices.iter().fold(Nanodollars::ZERO, |sum, room| sum.plus(room.left))
    }

    fn rests(self) -> impl Iterator<Item = (String, Nanodollars)> {
        self.slices.into_iter().filter_map(Room::rest)
    }
}

impl Room {
    fn takes(&self, estimate: Nanodollars, now: UtcTime) -> bool {
        // A call that costs no money needs room all the same.
        self.left >= estimate && self.left > Nanodollars::ZERO && self.lease_until > now
    }

    /// The room that no call has taken; absent if there is none.
    fn rest(self) -> Option<(String, Nanodollars)> {
        (self.left > Nanodollars::ZERO).then_some((self.id, self.left))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::ScopeKind;

    fn at(seconds: i64) -> UtcTime {
        UtcTime::from_millis(seconds * 1000)
    }

    fn counter(id: &str) -> CounterKey {
        CounterKey {
            kind: ScopeKind::Key,
            id: id.to_owned(),
            window: "total".to_owned(),
            start: UtcTime::default(),
        }
    }

    fn call(estimate: i64, budgets: &[(&str, Option<i64>)]) -> Opening {
        let charge = |(id, max): &(&str, Option<i64>)| Charge {
            counter: counter(id),
            max: max.map(Nanodollars::new),
            slice: None,
        };
        Opening {
            estimate: Some(Nanodollars::new(estimate)),
            charges: budgets.iter().map(charge).collect(),
            ..Opening::default()
        }
    }

    fn asked(slices: &Slices, call: &mut Opening, now: UtcTime) -> Vec<Slice> {
        let Taken { states, wanted } = slices.take(call, now);
        assert!(states.is_none(), "it had room");
        wanted
    }

    fn lend(slices: &Slices, asked: Vec<Slice>) -> SliceAmounts {
        slices.add(asked.into_iter().map(|slice| (slice, CounterState::default())).collect())
    }

    #[test]
    fn calls_take_from_the_slices_of_all_budgets_or_of_none() {
        let slices = Slices::default();
        let of = || call(10, &[("key", Some(1_000_000)), ("free", None), ("team", Some(8000))]);
        let wanted = asked(&slices, &mut of(), at(0));
        let amounts: Vec<_> = wanted.iter().map(|slice| slice.amount.nano()).collect();
        assert_eq!(amounts, [1280, 80], "128 calls, and a hundredth");
        assert!(asked(&slices, &mut of(), at(4)).is_empty(), "they are asked for once");
        let (key, team) = (wanted[0].clone(), wanted[1].clone());
        lend(&slices, vec![key.clone()]);
        assert!(asked(&slices, &mut of(), at(4)).is_empty(), "the team has none");
        lend(&slices, vec![team.clone()]);
        let mut refill = Vec::new();
        for count in 1..=8 {
            let mut call = of();
            let Taken { states, wanted } = slices.take(&mut call, at(5));
            let states = states.unwrap();
            assert!(states[1].is_none() && states[2].is_some());
            let ids: Vec<_> = call.charges.iter().map(|charge| charge.slice.as_deref()).collect();
            assert_eq!(ids, [Some(&*key.id), None, Some(&*team.id)]);
            assert_eq!(wanted.len(), usize::from(count == 4), "half is left");
            refill.extend(wanted);
        }
        assert!(
            asked(&slices, &mut of(), at(6)).is_empty(),
            "the team's is used up, and asked for"
        );
        assert_eq!(refill[0].counter, team.counter);
        lend(&slices, refill);
        assert!(slices.take(&mut of(), at(6)).states.is_some());
        let mut left: Vec<_> = slices.all().into_iter().map(|(_, left)| left.nano()).collect();
        left.sort_unstable();
        assert_eq!(left, [70, 1190]);
    }

    #[test]
    fn small_and_changed_budgets_are_not_sliced() {
        let slices = Slices::default();
        assert!(asked(&slices, &mut call(10, &[("key", Some(3999))]), at(0)).is_empty());
        assert!(asked(&slices, &mut call(0, &[("key", Some(4000))]), at(0)).is_empty());
        let wanted = asked(&slices, &mut call(10, &[("key", Some(4000))]), at(0));
        assert_eq!(wanted[0].amount.nano(), 40);
        lend(&slices, wanted);
        let lowered = asked(&slices, &mut call(10, &[("key", Some(5000))]), at(0));
        let given_back = lend(&slices, lowered);
        assert_eq!(given_back.len(), 1, "the slice of the former maximum");
        assert!(slices.take(&mut call(10, &[("key", Some(5000))]), at(14)).states.is_some());
        let late = slices.take(&mut call(10, &[("key", Some(5000))]), at(16));
        assert!(late.states.is_none(), "its lease is over");
    }

    #[test]
    fn slices_are_kept_while_calls_use_them() {
        let slices = Slices::default();
        let wanted = asked(&slices, &mut call(10, &[("key", Some(4000))]), at(0));
        let id = wanted[0].id.clone();
        lend(&slices, wanted);
        let mut first = call(10, &[("key", Some(4000))]);
        assert!(slices.take(&mut first, at(0)).states.is_some());
        assert_eq!(slices.idle(at(1)), []);
        assert_eq!(slices.renew(at(60)), vec![id.clone()]);
        assert_eq!(slices.idle(at(2)), [(id.clone(), Nanodollars::new(30))]);
        assert_eq!(slices.renew(at(60)), [id], "a call is under way");
        slices.call_ends(&first);
        assert!(slices.renew(at(60)).is_empty());
    }

    #[test]
    fn the_last_tenth_of_a_budget_is_not_lent() {
        let slices = Slices::default();
        let slice = asked(&slices, &mut call(10, &[("key", Some(4000))]), at(0)).remove(0);
        let spent =
            |nano| CounterState { spent: Nanodollars::new(nano), ..CounterState::default() };
        assert!(slice.fits(spent(3560)));
        assert!(!slice.fits(spent(3561)));
    }
}
