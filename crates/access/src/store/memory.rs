//! Accounts in memory: for static keys without a database, and for tests. They end with the process.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::memory_ledger::LedgerState;
use super::{
    AuditEntry, Change, Document, Page, RecordQuery, RecordState, SecretBy, Store, StoreError,
    StoreFuture, StoredSecret,
};
use crate::ledger::{
    CallFilter, CallRow, CallSort, Closing, CounterKey, CounterState, Durations, MOST_NAMES,
    NewestCalls, OpenOutcome, Opening, Percentiles, Refusal, RefusalCount, RefusalFilter, Slice,
    SliceAmounts, SpendQuery, SpendRow,
};
use crate::record::RecordKind;
use crate::{KeyToken, UtcTime};

/// A store in memory.
#[derive(Debug)]
pub struct MemoryStore {
    state: Mutex<State>,
    ledger: Mutex<LedgerState>,
}

#[derive(Debug, Clone, Default)]
struct State {
    version: u64,
    kept: HashMap<&'static str, String>,
    /// By kind and id, each with the number of its insertion.
    documents: BTreeMap<(RecordKind, String), (u64, Document)>,
    secrets: Vec<StoredSecret>,
    /// The keys that tokens are or were of.
    tokens: HashMap<String, String>,
    audit: Vec<AuditEntry>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::with_names_an_hour(MOST_NAMES)
    }

    /// An empty store, in which at most so many end users and tags of an hour have sums of their own.
    pub fn with_names_an_hour(most: u64) -> Self {
        Self { state: Mutex::default(), ledger: Mutex::new(LedgerState::new(most)) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ledger(&self) -> MutexGuard<'_, LedgerState> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

fn ready<'s, T: Send + 's>(answer: Result<T, StoreError>) -> StoreFuture<'s, T> {
    Box::pin(std::future::ready(answer))
}

impl State {
    fn apply(&mut self, change: Change) -> Result<(), StoreError> {
        match change {
            Change::Insert(document) => {
                self.alias_is_free(&document)?;
                let at = (document.kind, document.id.clone());
                if self.documents.get(&at).is_some_and(|(_, old)| old.deleted.is_none()) {
                    return Err(StoreError::IdTaken);
                }
                let number = self.documents.len() as u64;
                self.documents.insert(at, (number, Document { revision: 1, ..document }));
            }
            Change::Update(document) => {
                self.alias_is_free(&document)?;
                let at = (document.kind, document.id.clone());
                let Some((_, old)) = self.documents.get_mut(&at) else {
                    return Err(StoreError::Stale);
                };
                if old.deleted.is_some() || old.revision != document.revision {
                    return Err(StoreError::Stale);
                }
                *old = Document { revision: document.revision + 1, ..document };
            }
            Change::Delete { kind, id, at } => {
                if let Some((_, old)) = self.documents.get_mut(&(kind, id)) {
                    old.deleted.get_or_insert(at);
                }
            }
            Change::AddSecret(secret) => {
                let same = |old: &StoredSecret| {
                    old.digest == secret.digest
                        || old.token == secret.token
                        || old.public_id == secret.public_id
                };
                if self.secrets.iter().any(same) {
                    return Err(StoreError::AliasTaken);
                }
                self.tokens.insert(secret.token.as_str().to_owned(), secret.key_id.clone());
                self.secrets.push(secret);
            }
            Change::EndSecrets { key_id, until: None } => {
                self.secrets.retain(|s| s.key_id != key_id);
            }
            Change::EndSecrets { key_id, until } => {
                let present = |s: &&mut StoredSecret| s.key_id == key_id && s.valid_until.is_none();
                self.secrets.iter_mut().filter(present).for_each(|s| s.valid_until = until);
            }
            Change::Audit(entry) => self.audit.push(entry),
        }
        Ok(())
    }

    fn alias_is_free(&self, document: &Document) -> Result<(), StoreError> {
        let clash = |other: &Document| {
            other.kind == RecordKind::Key
                && other.deleted.is_none()
                && other.id != document.id
                && other.alias == document.alias
        };
        let named = document.kind == RecordKind::Key && document.alias.is_some();
        if named && self.documents.values().any(|(_, other)| clash(other)) {
            return Err(StoreError::AliasTaken);
        }
        Ok(())
    }
}

/// Whether a record belongs to a selection.
fn selected(document: &Document, query: &RecordQuery) -> bool {
    let is = |wanted: &Option<String>, found: &Option<String>| {
        wanted.is_none() || wanted.as_ref() == found.as_ref()
    };
    let contains = query.contains.as_ref().is_none_or(|part| {
        let part = part.to_lowercase();
        let alias =
            document.alias.as_ref().is_some_and(|alias| alias.to_lowercase().contains(&part));
        alias || document.id.to_lowercase().contains(&part)
    });
    let expired = document.expires.is_some_and(|at| at <= query.now);
    let state = match query.state {
        None => document.deleted.is_none(),
        Some(RecordState::Deleted) => document.deleted.is_some(),
        Some(RecordState::Revoked) => document.deleted.is_none() && document.blocked,
        Some(RecordState::Expired) => document.deleted.is_none() && !document.blocked && expired,
        Some(RecordState::Active) => document.deleted.is_none() && !document.blocked && !expired,
    };
    document.kind == query.kind
        && state
        && contains
        && is(&query.team, &document.team)
        && is(&query.user, &document.user)
        && is(&query.organization, &document.organization)
        && is(&query.budget, &document.budget)
        && is(&query.alias, &document.alias)
}

/// Bounds of a page as indices.
pub(super) fn paged<T>(mut rows: Vec<T>, offset: u64, limit: u64) -> Page<T> {
    let total = rows.len() as u64;
    let bound = |n: u64| usize::try_from(n.min(total)).unwrap_or(usize::MAX);
    rows.drain(..bound(offset));
    rows.truncate(bound(limit));
    Page { rows, total }
}

impl Store for MemoryStore {
    fn version(&self) -> StoreFuture<'_, u64> {
        ready(Ok(self.state().version))
    }

    fn keep(&self, name: &'static str, value: String) -> StoreFuture<'_, String> {
        ready(Ok(self.state().kept.entry(name).or_insert(value).clone()))
    }

    fn secret(&self, by: SecretBy) -> StoreFuture<'_, Option<StoredSecret>> {
        let state = self.state();
        let is = |secret: &&StoredSecret| match &by {
            SecretBy::Digest(digest) => secret.digest.matches(digest),
            SecretBy::Token(token) => secret.token == *token,
            SecretBy::PublicId(id) => secret.public_id == *id,
        };
        ready(Ok(state.secrets.iter().find(is).cloned()))
    }

    fn document(&self, kind: RecordKind, id: String) -> StoreFuture<'_, Option<Document>> {
        let state = self.state();
        let found = state.documents.get(&(kind, id)).map(|(_, document)| document);
        ready(Ok(found.filter(|document| document.deleted.is_none()).cloned()))
    }

    fn documents_by_id(
        &self,
        kind: RecordKind,
        ids: Vec<String>,
    ) -> StoreFuture<'_, Vec<Document>> {
        let state = self.state();
        let ids = ids.into_iter().collect::<std::collections::BTreeSet<_>>();
        let found = ids.into_iter().filter_map(|id| state.documents.get(&(kind, id)));
        ready(Ok(found.map(|(_, document)| document.clone()).collect()))
    }

    fn key_of_token(&self, token: KeyToken) -> StoreFuture<'_, Option<String>> {
        ready(Ok(self.state().tokens.get(token.as_str()).cloned()))
    }

    fn documents(&self, query: RecordQuery) -> StoreFuture<'_, Page<Document>> {
        let state = self.state();
        let all = state.documents.values().filter(|(_, document)| selected(document, &query));
        let mut rows: Vec<_> = all.cloned().collect();
        rows.sort_by_key(|(number, _)| std::cmp::Reverse(*number));
        let rows = rows.into_iter().map(|(_, document)| document).collect();
        ready(Ok(paged(rows, query.offset, query.limit)))
    }

    fn write(&self, changes: Vec<Change>) -> StoreFuture<'_, u64> {
        let mut state = self.state();
        let mut next = state.clone();
        if let Some(error) = changes.into_iter().find_map(|change| next.apply(change).err()) {
            return ready(Err(error));
        }
        next.version += 1;
        let version = next.version;
        *state = next;
        ready(Ok(version))
    }

    fn audit(&self, limit: u64) -> StoreFuture<'_, Vec<AuditEntry>> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        ready(Ok(self.state().audit.iter().rev().take(limit).cloned().collect()))
    }

    fn open(&self, calls: Vec<Opening>) -> StoreFuture<'_, Vec<OpenOutcome>> {
        let mut ledger = self.ledger();
        ready(Ok(calls.into_iter().map(|call| ledger.open(call)).collect()))
    }

    fn close(&self, calls: Arc<[Closing]>) -> StoreFuture<'_, Vec<bool>> {
        let mut ledger = self.ledger();
        ready(Ok(calls.iter().map(|call| ledger.close(call.clone())).collect()))
    }

    fn renew(&self, ids: Vec<String>, until: UtcTime) -> StoreFuture<'_, ()> {
        self.ledger().renew(&ids, until);
        ready(Ok(()))
    }

    fn overdue(&self, now: UtcTime, limit: u64) -> StoreFuture<'_, Vec<Opening>> {
        ready(Ok(self.ledger().overdue(now, limit)))
    }

    fn lend(&self, slices: Vec<Slice>) -> StoreFuture<'_, Vec<Option<CounterState>>> {
        let mut ledger = self.ledger();
        ready(Ok(slices.into_iter().map(|slice| ledger.lend(slice)).collect()))
    }

    fn give_back(&self, amounts: SliceAmounts) -> StoreFuture<'_, ()> {
        let mut ledger = self.ledger();
        amounts.iter().for_each(|(id, amount)| ledger.reduce(id, *amount));
        ready(Ok(()))
    }

    fn renew_slices(&self, ids: Vec<String>, until: UtcTime) -> StoreFuture<'_, ()> {
        self.ledger().renew_slices(&ids, until);
        ready(Ok(()))
    }

    fn reap_slices(&self, now: UtcTime) -> StoreFuture<'_, u64> {
        ready(Ok(self.ledger().reap_slices(now)))
    }

    fn prune(&self, before: UtcTime, limit: u64) -> StoreFuture<'_, u64> {
        let mut ledger = self.ledger();
        ledger.prune_refusals(before);
        ready(Ok(ledger.prune(before, limit)))
    }

    fn counters(&self, keys: Vec<CounterKey>) -> StoreFuture<'_, Vec<CounterState>> {
        let ledger = self.ledger();
        ready(Ok(keys.iter().map(|key| ledger.counter(key)).collect()))
    }

    fn set_spent(&self, key: CounterKey, nano: i64) -> StoreFuture<'_, ()> {
        self.ledger().set_spent(key, nano);
        ready(Ok(()))
    }

    fn calls(&self, filter: CallFilter) -> StoreFuture<'_, Page<CallRow>> {
        ready(Ok(self.ledger().calls(&filter)))
    }

    fn newest(&self, filter: CallFilter) -> StoreFuture<'_, NewestCalls> {
        let filter = CallFilter { sort: CallSort::Start, ascending: false, offset: 0, ..filter };
        ready(Ok(NewestCalls { rows: self.ledger().calls(&filter).rows, searched: None }))
    }

    fn durations(&self, filter: CallFilter) -> StoreFuture<'_, Durations> {
        let filter = CallFilter { succeeded: Some(true), ..filter };
        let Page { rows, total } = self.ledger().calls(&filter);
        let outcomes = || rows.iter().map(|row| &row.closing.outcome);
        ready(Ok(Durations {
            calls: rows.len() as u64,
            sampled: rows.len() as u64 != total,
            total: Percentiles::of(outcomes().map(|one| one.total_ms).collect()),
            first: Percentiles::of(outcomes().filter_map(|one| one.ttft_ms).collect()),
        }))
    }

    fn refuse(&self, refusals: Vec<Refusal>) -> StoreFuture<'_, ()> {
        self.ledger().refuse(refusals);
        ready(Ok(()))
    }

    fn refusals(&self, filter: RefusalFilter) -> StoreFuture<'_, Vec<Refusal>> {
        let mut rows = self.ledger().refusals(&filter);
        rows.truncate(usize::try_from(filter.limit).unwrap_or(usize::MAX));
        ready(Ok(rows))
    }

    fn refusal_counts(&self, filter: RefusalFilter) -> StoreFuture<'_, Vec<RefusalCount>> {
        ready(Ok(self.ledger().refusal_counts(&filter)))
    }

    fn last_calls(&self, key_ids: Vec<String>) -> StoreFuture<'_, Vec<Option<UtcTime>>> {
        let ledger = self.ledger();
        ready(Ok(key_ids.iter().map(|id| ledger.last_call(id)).collect()))
    }

    fn spend(&self, query: SpendQuery) -> StoreFuture<'_, Vec<SpendRow>> {
        ready(Ok(self.ledger().spend(&query)))
    }
}
