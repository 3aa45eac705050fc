//! Calls that were refused before they had a row in the ledger: by a limit, a budget or a policy. They cost no money, and
//! are kept apart so that no sum of calls counts them.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::report::PartyFilter;
use crate::UtcTime;

/// Most kinds of refusals that wait to be written; those of further kinds are only counted.
const MOST_WAITING: usize = 1000;

/// Refusals of one kind within about a second, by the first of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Refusal {
    /// The id of the first request.
    pub id: String,
    /// Its time.
    pub at: UtcTime,
    /// The key's row; `master` for the master key, empty without a key.
    pub key_id: String,
    /// The key's handle at the time.
    pub token: String,
    /// The key's team.
    pub team: Option<String>,
    /// The key's user.
    pub user: Option<String>,
    /// The model as it was asked for.
    pub model: String,
    /// The code of the error.
    pub code: String,
    /// The HTTP status of the answer.
    pub status: u16,
    /// The kind of the scope that refused; empty where it was none.
    pub scope: String,
    /// The id of the scope.
    pub scope_id: String,
    /// The reason as the caller was told it, without secrets.
    pub reason: String,
    /// Requests that were refused so.
    pub count: u64,
}

/// A selection of refusals, newest first. Both ends of the times are inclusive.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RefusalFilter {
    /// The first time.
    pub from: Option<UtcTime>,
    /// The last time.
    pub until: Option<UtcTime>,
    /// The request's id.
    pub id: Option<String>,
    /// Only those before this time, or at it with a smaller id.
    pub before: Option<(UtcTime, String)>,
    /// The parties. End users are not known of refusals.
    pub who: PartyFilter,
    /// The model as it was asked for.
    pub models: Option<Vec<String>>,
    /// The code of the error.
    pub code: Option<String>,
    /// Most rows.
    pub limit: u64,
}

/// Refusals by scope and code.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RefusalCount {
    /// The kind of the scope.
    pub scope: String,
    /// The code of the error.
    pub code: String,
    /// Requests.
    pub count: u64,
}

/// Refusals that wait to be written, those of one kind together: a client that is refused in a loop makes one row a second.
#[derive(Debug, Default)]
pub(crate) struct RefusalQueue(Mutex<HashMap<RefusalKind, Refusal>>);

/// The members that refusals of one row have in common.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct RefusalKind {
    key_id: String,
    model: String,
    code: String,
    scope: String,
    scope_id: String,
}

impl RefusalQueue {
    /// Adds a refusal.
    pub(crate) fn add(&self, refusal: Refusal) {
        let kind = RefusalKind {
            key_id: refusal.key_id.clone(),
            model: refusal.model.clone(),
            code: refusal.code.clone(),
            scope: refusal.scope.clone(),
            scope_id: refusal.scope_id.clone(),
        };
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = waiting.get_mut(&kind) {
            known.count = known.count.saturating_add(refusal.count);
        } else if waiting.len() < MOST_WAITING {
            waiting.insert(kind, refusal);
        } else {
            log::debug!("the refusal of {} is not kept: too many wait", refusal.id);
        }
    }

    /// Takes those that wait.
    pub(crate) fn take(&self) -> Vec<Refusal> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.drain().map(|(_, refusal)| refusal).collect()
    }
}

impl RefusalFilter {
    /// Whether a refusal is selected.
    pub(crate) fn takes(&self, one: &Refusal) -> bool {
        let Self { from, until, id, before, who: _, models, code, limit: _ } = self;
        from.is_none_or(|from| from <= one.at)
            && until.is_none_or(|until| one.at <= until)
            && id.as_ref().is_none_or(|id| *id == one.id)
            && before.as_ref().is_none_or(|(at, id)| (one.at, &one.id) < (*at, id))
            && models.as_ref().is_none_or(|models| models.contains(&one.model))
            && code.as_ref().is_none_or(|code| *code == one.code)
    }
}
