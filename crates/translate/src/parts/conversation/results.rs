//! The link between calls and their results, which clients send in any order, split or not at all.

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};

/// The link between a result and its call: by id, or (deprecated) by the function's name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum CallKey<'a> {
    Id(Cow<'a, str>),
    Name(&'a str),
}

/// Positions of the results, and those already assigned to a call. Positions are consumed from the
/// front, because calls are read in the order of the conversation.
#[derive(Default)]
pub(crate) struct Results<'a> {
    by_key: HashMap<CallKey<'a>, VecDeque<usize>>,
    calls: HashMap<CallKey<'a>, VecDeque<usize>>,
    taken: Vec<bool>,
}

impl<'a> Results<'a> {
    /// An index of this many positions.
    pub(crate) fn of(positions: usize) -> Self {
        Self { taken: vec![false; positions], ..Self::default() }
    }

    /// Notes a call at a position.
    pub(crate) fn made(&mut self, key: CallKey<'a>, at: usize) {
        self.calls.entry(key).or_default().push_back(at);
    }

    /// Notes a result at a position.
    pub(crate) fn given(&mut self, key: CallKey<'a>, at: usize) {
        self.by_key.entry(key).or_default().push_back(at);
    }

    /// The first unassigned result after the position of `call`, but not beyond the next call of the
    /// same id: some models count their ids from zero in every turn.
    pub(crate) fn take(&mut self, key: &CallKey<'a>, call: usize) -> Option<usize> {
        let until = self.calls.get_mut(key).and_then(|calls| first_after(calls, call));
        let results = self.by_key.get_mut(key)?;
        let found = first_after(results, call)?;
        if until.is_some_and(|until| found > until) {
            return None;
        }
        results.pop_front();
        if let Some(taken) = self.taken.get_mut(found) {
            *taken = true;
        }
        Some(found)
    }

    /// Returns whether the result at a position was assigned to a call.
    pub(crate) fn is_taken(&self, at: usize) -> bool {
        self.taken.get(at).copied().unwrap_or_default()
    }
}

/// The first position after `at`; earlier positions are dropped.
fn first_after(positions: &mut VecDeque<usize>, at: usize) -> Option<usize> {
    while positions.front().is_some_and(|&position| position <= at) {
        positions.pop_front();
    }
    positions.front().copied()
}
