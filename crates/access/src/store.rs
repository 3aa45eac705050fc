//! The stores of accounts: memory, SQLite and PostgreSQL behind one trait. A store knows documents, secrets and
//! counters; the meaning of a document belongs to `record`, that of a ledger row to `ledger`.

mod hour_key;
mod memory;
mod memory_ledger;
mod rollup;
mod schema;
mod sql;
mod sql_counters;
mod sql_hourly;
mod sql_kept;
mod sql_ledger;
mod sql_records;
mod sql_refusals;
mod sql_reports;
mod sql_rollup;
mod sql_search;
mod sql_slices;
mod sql_spend;
mod sql_text;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

pub use memory::MemoryStore;
pub use sql::{SqlOptions, SqlStore};
pub use sql_kept::{KeptId, KeptLease, KeptLimits, KeptRow, RowKind};

use crate::ledger::{
    CallFilter, CallRow, Closing, CounterKey, CounterState, Durations, NewestCalls, OpenOutcome,
    Opening, Refusal, RefusalCount, RefusalFilter, Slice, SliceAmounts, SpendQuery, SpendRow,
};
use crate::record::{Record, RecordKind};
use crate::{KeyDigest, KeyToken, UtcTime};

/// A store's answer, some time later.
pub type StoreFuture<'s, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 's>>;

/// Failures of a store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// It cannot be reached, or failed. The text is for the log.
    #[error("the store of accounts failed: {0}")]
    Unavailable(String),
    /// It holds a value that this version cannot read. The text is for the log.
    #[error("the store of accounts holds an unreadable value: {0}")]
    Unreadable(String),
    /// The id of a new record is taken.
    #[error("the id is taken")]
    IdTaken,
    /// The alias of a key, or the secret itself, is taken.
    #[error("the alias or key is taken")]
    AliasTaken,
    /// The record was changed or deleted since it was read.
    #[error("the record was changed at the same time")]
    Stale,
}

/// A record as the store holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Its kind.
    pub kind: RecordKind,
    /// Its id among those of its kind.
    pub id: String,
    /// The name people give it.
    pub alias: Option<String>,
    /// Its team.
    pub team: Option<String>,
    /// Its user.
    pub user: Option<String>,
    /// Its organization.
    pub organization: Option<String>,
    /// Its budget row.
    pub budget: Option<String>,
    /// The time it expires.
    pub expires: Option<UtcTime>,
    /// Whether it is blocked.
    pub blocked: bool,
    /// The record as JSON.
    pub body: String,
    /// Counts its changes, from 1.
    pub revision: i64,
    /// The time it was deleted; its row keeps a name for old spend.
    pub deleted: Option<UtcTime>,
}

/// A secret that authenticates a key: its present one, or an earlier one within its grace period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSecret {
    /// The value that authenticates.
    pub digest: KeyDigest,
    /// The handle.
    pub token: KeyToken,
    /// The part that logs show and the access key id holds.
    pub public_id: String,
    /// The key's row.
    pub key_id: String,
    /// The end of its grace period; null for the present secret.
    pub valid_until: Option<UtcTime>,
}

/// The ways to find a secret.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SecretBy {
    /// By the value that authenticates.
    Digest(KeyDigest),
    /// By the handle.
    Token(KeyToken),
    /// By the id within an access key id.
    PublicId(String),
}

/// A selection of records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordQuery {
    /// The kind.
    pub kind: RecordKind,
    /// Only of this team.
    pub team: Option<String>,
    /// Only of this user.
    pub user: Option<String>,
    /// Only of this organization.
    pub organization: Option<String>,
    /// Only those that refer to this budget row.
    pub budget: Option<String>,
    /// Only with this alias.
    pub alias: Option<String>,
    /// Only where the alias or the id contains this, in any case.
    pub contains: Option<String>,
    /// Only in this state.
    pub state: Option<RecordState>,
    /// The time against which expiry is judged.
    pub now: UtcTime,
    /// Rows left out, newest first.
    pub offset: u64,
    /// Most rows returned.
    pub limit: u64,
}

/// The states of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordState {
    /// Neither expired, blocked nor deleted.
    Active,
    /// Past its expiry.
    Expired,
    /// Blocked.
    Revoked,
    /// Deleted; without this state deleted records are left out.
    Deleted,
}

/// Rows of a selection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The rows.
    pub rows: Vec<T>,
    /// The number of rows that the selection has without bounds.
    pub total: u64,
}

/// One change within a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A new record. A deleted one of the same id gives way.
    Insert(Document),
    /// A changed record; its revision is the one that was read.
    Update(Document),
    /// The end of a record.
    Delete {
        /// Its kind.
        kind: RecordKind,
        /// Its id.
        id: String,
        /// The time.
        at: UtcTime,
    },
    /// A new secret.
    AddSecret(StoredSecret),
    /// The end of all secrets of a key that have none yet; without a time they are removed.
    EndSecrets {
        /// The key's row.
        key_id: String,
        /// The end of the grace period.
        until: Option<UtcTime>,
    },
    /// An entry of the audit log.
    Audit(AuditEntry),
}

/// A change as the audit log tells it. It never holds a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// The time.
    pub at: UtcTime,
    /// The identity that acted.
    pub actor: String,
    /// The name of the change, such as `key.update`.
    pub action: String,
    /// The id of the record.
    pub object: String,
    /// The record before, as JSON.
    pub before: Option<String>,
    /// The record after, as JSON.
    pub after: Option<String>,
}

/// Rollups that were made, and those that could be made at once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RollupRound {
    /// Hours and days whose rollups were made.
    pub made: u64,
    /// Hours and days that are over and have none.
    pub left: u64,
}

/// Keeps accounts and the ledger.
pub trait Store: Send + Sync + 'static {
    /// The number of changes so far. It grows with every [`Store::write`], so that replicas notice.
    fn version(&self) -> StoreFuture<'_, u64>;

    /// Keeps a value under a name unless there is one, and returns the one that is kept.
    fn keep(&self, name: &'static str, value: String) -> StoreFuture<'_, String>;

    /// Finds a secret.
    fn secret(&self, by: SecretBy) -> StoreFuture<'_, Option<StoredSecret>>;

    /// Reads a record that was not deleted.
    fn document(&self, kind: RecordKind, id: String) -> StoreFuture<'_, Option<Document>>;

    /// Reads records by their ids, deleted ones too; those that never existed are left out.
    fn documents_by_id(&self, kind: RecordKind, ids: Vec<String>)
    -> StoreFuture<'_, Vec<Document>>;

    /// The row of the key that a token is or was of, also after the key was deleted or its secret replaced.
    fn key_of_token(&self, token: KeyToken) -> StoreFuture<'_, Option<String>>;

    /// Reads a page of records.
    fn documents(&self, query: RecordQuery) -> StoreFuture<'_, Page<Document>>;

    /// Applies all changes or none, and returns the new version.
    fn write(&self, changes: Vec<Change>) -> StoreFuture<'_, u64>;

    /// Reads the newest entries of the audit log.
    fn audit(&self, limit: u64) -> StoreFuture<'_, Vec<AuditEntry>>;

    /// Reserves the estimates of calls and writes their rows, in one transaction. Each call is granted or refused
    /// for itself; an id that has a row is granted without a second reservation.
    fn open(&self, calls: Vec<Opening>) -> StoreFuture<'_, Vec<OpenOutcome>>;

    /// Settles calls in one transaction: rows, counters, slices and aggregates. Returns for each whether it was the first
    /// settlement of its id; later ones change no sum.
    fn close(&self, calls: Arc<[Closing]>) -> StoreFuture<'_, Vec<bool>>;

    /// Renews the leases of calls that go on.
    fn renew(&self, ids: Vec<String>, until: UtcTime) -> StoreFuture<'_, ()>;

    /// Reads calls whose lease ran out.
    fn overdue(&self, now: UtcTime, limit: u64) -> StoreFuture<'_, Vec<Opening>>;

    /// Reserves slices of budgets in one transaction, and returns the states of their counters with them; absent for
    /// each that its counter does not lend.
    fn lend(&self, slices: Vec<Slice>) -> StoreFuture<'_, Vec<Option<CounterState>>>;

    /// Gives back room of slices that no call has taken.
    fn give_back(&self, amounts: SliceAmounts) -> StoreFuture<'_, ()>;

    /// Renews the leases of slices.
    fn renew_slices(&self, ids: Vec<String>, until: UtcTime) -> StoreFuture<'_, ()>;

    /// Gives back slices whose lease ran out, and returns their number.
    fn reap_slices(&self, now: UtcTime) -> StoreFuture<'_, u64>;

    /// Removes settled rows that began before a time, at most `limit` of them, and returns their number.
    /// Aggregates stay.
    fn prune(&self, before: UtcTime, limit: u64) -> StoreFuture<'_, u64>;

    /// Reads counters. A counter without a row is zero.
    fn counters(&self, keys: Vec<CounterKey>) -> StoreFuture<'_, Vec<CounterState>>;

    /// Sets what a counter has spent, for imports and resets.
    fn set_spent(&self, key: CounterKey, nano: i64) -> StoreFuture<'_, ()>;

    /// Reads a page of ledger rows.
    fn calls(&self, filter: CallFilter) -> StoreFuture<'_, Page<CallRow>>;

    /// Reads the newest rows of a selection, without their number; sort and offset do not count. A search that reads much
    /// for few rows may end before its time.
    fn newest(&self, filter: CallFilter) -> StoreFuture<'_, NewestCalls>;

    /// Reads the durations of the newest successful calls of a selection.
    fn durations(&self, filter: CallFilter) -> StoreFuture<'_, Durations>;

    /// Writes refused calls. An id that has a row keeps it.
    fn refuse(&self, refusals: Vec<Refusal>) -> StoreFuture<'_, ()>;

    /// Reads the newest refused calls of a selection.
    fn refusals(&self, filter: RefusalFilter) -> StoreFuture<'_, Vec<Refusal>>;

    /// Counts refused calls by scope and code, the most frequent first.
    fn refusal_counts(&self, filter: RefusalFilter) -> StoreFuture<'_, Vec<RefusalCount>>;

    /// The times of the latest calls of keys' rows, in the order of the question; absent where no row is left.
    fn last_calls(&self, key_ids: Vec<String>) -> StoreFuture<'_, Vec<Option<UtcTime>>>;

    /// Sums the aggregates.
    fn spend(&self, query: SpendQuery) -> StoreFuture<'_, Vec<SpendRow>>;

    /// Makes rollups of aggregates of hours and days that are over, at most so many of each, the oldest first: reports read
    /// them instead of the aggregates. Memory needs none.
    fn roll_up(&self, _now: UtcTime, _most: u64) -> StoreFuture<'_, RollupRound> {
        Box::pin(std::future::ready(Ok(RollupRound::default())))
    }

    /// The database, which also keeps what callers keep between their requests; none in memory.
    fn database(&self) -> Option<&SqlStore> {
        None
    }
}

impl Document {
    /// Makes the document of a record.
    ///
    /// # Errors
    /// The record cannot be written as JSON.
    pub fn of<R: Record>(record: &R, revision: i64) -> Result<Self, StoreError> {
        let body =
            serde_json::to_string(record).map_err(|e| StoreError::Unreadable(e.to_string()))?;
        let owned = |text: Option<&str>| text.map(str::to_owned);
        let links = record.links();
        Ok(Self {
            kind: R::KIND,
            id: record.id(),
            alias: owned(links.alias),
            team: owned(links.team),
            user: owned(links.user),
            organization: owned(links.organization),
            budget: owned(links.budget),
            expires: links.expires,
            blocked: links.blocked,
            body,
            revision,
            deleted: None,
        })
    }

    /// Reads the record.
    ///
    /// # Errors
    /// The document is of a version that this one cannot read.
    pub fn read<R: Record>(&self) -> Result<R, StoreError> {
        serde_json::from_str(&self.body)
            .map_err(|e| StoreError::Unreadable(format!("{} {}: {e}", self.kind.as_str(), self.id)))
    }
}

impl RecordQuery {
    /// The first hundred records of a kind.
    pub fn all(kind: RecordKind, now: UtcTime) -> Self {
        Self {
            kind,
            team: None,
            user: None,
            organization: None,
            budget: None,
            alias: None,
            contains: None,
            state: None,
            now,
            offset: 0,
            limit: 100,
        }
    }
}
