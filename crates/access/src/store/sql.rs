//! One store for SQLite and PostgreSQL: the statements are the same, with placeholders of either, TEXT and BIGINT
//! only. This file adapts the two drivers; the statements are in the files beside it.

use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions, PgRow};
use sqlx::sqlite::{
    SqliteAutoVacuum, SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteRow, SqliteSynchronous,
};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Postgres, Row as _, Sqlite, Transaction};

use super::sql_text::{numbered, unnamed};
use super::{StoreError, schema};
use crate::ledger::MOST_NAMES;

/// Longest wait for a lock or a connection.
const PATIENCE: Duration = Duration::from_secs(5);
/// Connections to PostgreSQL, and readers of SQLite, unless configured.
const CONNECTIONS: u32 = 10;
/// Pages of SQLite's log, of 4 KiB, at which it is written into the database. Rows of calls change the same pages again
/// and again: the larger the log, the fewer of them are written twice.
const CHECKPOINT: &str = "4000";
/// SQLite's cache of pages of each reader, in KiB with its sign. The system keeps the file's pages too, so that a larger one
/// would be a second copy for each reader, which a gateway keeps after an operator has looked at its reports.
const READER_CACHE: &str = "-512";
/// Attempts at a transaction that others broke up.
const ATTEMPTS: u32 = 4;

/// Settings of a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlOptions {
    /// Most connections to PostgreSQL, and most readers of SQLite, of which there are no more than two a processor.
    pub connections: u32,
    /// Longest wait for a connection.
    pub connect_timeout: Duration,
    /// Whether SQLite waits for the disk at each commit. Without it a power cut may lose the last calls; the death
    /// of the process loses none.
    pub sync_each_commit: bool,
    /// Most end users, and most tags, of an hour that have sums of their own.
    pub names_an_hour: u64,
}

impl Default for SqlOptions {
    fn default() -> Self {
        Self {
            connections: CONNECTIONS,
            connect_timeout: PATIENCE,
            sync_each_commit: false,
            names_an_hour: MOST_NAMES,
        }
    }
}

/// A store in a database.
#[derive(Debug, Clone)]
pub struct SqlStore {
    pool: SqlPool,
    pub(super) names_an_hour: u64,
}

#[derive(Debug, Clone)]
enum SqlPool {
    /// One writer, because SQLite has one, and readers that cannot write.
    Sqlite {
        writer: SqlitePool,
        readers: SqlitePool,
    },
    Postgres(PgPool),
}

/// The database's kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Engine {
    Sqlite,
    Postgres,
}

/// A transaction that may write. It rolls back unless committed.
pub(super) enum Session {
    Sqlite(Transaction<'static, Sqlite>),
    Postgres(Transaction<'static, Postgres>),
}

/// The content of a transaction, which may have to be repeated.
pub(super) trait Work: Sync {
    /// Its result.
    type Answer;

    /// Does it once.
    fn run(
        &self,
        session: &mut Session,
    ) -> impl Future<Output = Result<Self::Answer, StoreError>> + Send;
}

/// A transaction of one statement. Its answer is the number of rows changed.
pub(super) struct Statement {
    pub(super) sql: String,
    pub(super) values: Vec<Value>,
}

impl Work for Statement {
    type Answer = u64;

    async fn run(&self, session: &mut Session) -> Result<u64, StoreError> {
        session.run(self.sql.clone(), self.values.clone()).await
    }
}

/// Whether a statement is worth keeping prepared: each connection keeps a hundred.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reuse {
    Often,
    /// Its text has times and lists that are others the next time.
    Seldom,
}

/// A value of a placeholder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Text(Option<String>),
    Int(Option<i64>),
}

/// A row of an answer.
pub(super) enum SqlRow {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

macro_rules! bound {
    ($engine:ty, $sql:expr, $values:expr) => {
        bound!($engine, $sql, $values, Reuse::Often)
    };
    ($engine:ty, $sql:expr, $values:expr, $reuse:expr) => {{
        let query = sqlx::query::<$engine>(AssertSqlSafe($sql));
        let mut query = query.persistent($reuse == Reuse::Often);
        for value in $values {
            query = match value {
                Value::Text(text) => query.bind(text),
                Value::Int(number) => query.bind(number),
            };
        }
        query
    }};
}

impl SqlStore {
    /// Opens a database by its URL: `sqlite:PATH` (made if it does not exist) or `postgres://...`; and brings its
    /// tables to this version. TLS is as the URL's `sslmode` says.
    ///
    /// # Errors
    /// The URL is of neither kind, the database cannot be reached, or its tables are of a newer version.
    pub async fn connect(url: &str, options: &SqlOptions) -> Result<Self, StoreError> {
        let pool = if url.starts_with("sqlite:") {
            sqlite(url, options).await?
        } else if url.starts_with("postgres:") || url.starts_with("postgresql:") {
            let connect = PgConnectOptions::from_str(url).map_err(|e| failure(&e))?;
            let connect = connect.disable_statement_logging();
            let pool = PgPoolOptions::new()
                .max_connections(options.connections.max(2))
                .acquire_timeout(options.connect_timeout)
                .connect_with(connect.application_name("outcrop"));
            SqlPool::Postgres(pool.await.map_err(|e| failure(&e))?)
        } else {
            let text = "a database's URL begins with sqlite: or postgres://".to_owned();
            return Err(StoreError::Unavailable(text));
        };
        let store = Self { pool, names_an_hour: options.names_an_hour };
        store.repeated(&schema::Migration).await?;
        Ok(store)
    }

    /// The name of the database's kind, for people.
    pub fn engine_name(&self) -> &'static str {
        match self.pool {
            SqlPool::Sqlite { .. } => "SQLite",
            SqlPool::Postgres(_) => "PostgreSQL",
        }
    }

    /// Closes all connections, after those in use were returned.
    pub async fn close(&self) {
        match &self.pool {
            SqlPool::Sqlite { writer, readers } => {
                readers.close().await;
                writer.close().await;
            }
            SqlPool::Postgres(pool) => pool.close().await,
        }
    }

    async fn begin(&self) -> Result<Session, StoreError> {
        match &self.pool {
            SqlPool::Sqlite { writer, .. } => {
                writer.begin_with("BEGIN IMMEDIATE").await.map(Session::Sqlite)
            }
            SqlPool::Postgres(pool) => pool.begin().await.map(Session::Postgres),
        }
        .map_err(|e| failure(&e))
    }

    /// Reads outside a transaction.
    pub(super) async fn read(
        &self,
        sql: String,
        values: Vec<Value>,
    ) -> Result<Vec<SqlRow>, StoreError> {
        self.read_by((sql, values), Reuse::Often).await
    }

    /// Reads outside a transaction by a statement whose text is another one the next time.
    pub(super) async fn read_once(
        &self,
        sql: String,
        values: Vec<Value>,
    ) -> Result<Vec<SqlRow>, StoreError> {
        self.read_by((sql, values), Reuse::Seldom).await
    }

    async fn read_by(
        &self,
        (sql, values): (String, Vec<Value>),
        reuse: Reuse,
    ) -> Result<Vec<SqlRow>, StoreError> {
        match &self.pool {
            SqlPool::Sqlite { readers, .. } => {
                let rows = bound!(Sqlite, unnamed(sql), values, reuse).fetch_all(readers).await;
                rows.map(|rows| rows.into_iter().map(SqlRow::Sqlite).collect())
            }
            SqlPool::Postgres(pool) => {
                let rows = bound!(Postgres, numbered(sql), values, reuse).fetch_all(pool).await;
                rows.map(|rows| rows.into_iter().map(SqlRow::Postgres).collect())
            }
        }
        .map_err(|e| failure(&e))
    }

    /// Repeats a transaction that the database broke up for the sake of another.
    pub(super) async fn repeated<T>(&self, work: &impl Work<Answer = T>) -> Result<T, StoreError> {
        let mut attempt = 1;
        loop {
            let mut session = self.begin().await?;
            let outcome = match work.run(&mut session).await {
                Ok(answer) => session.commit().await.map(|()| answer),
                Err(error) => Err(error),
            };
            match outcome {
                Err(StoreError::Unavailable(cause))
                    if cause.starts_with(BROKEN_UP) && attempt < ATTEMPTS =>
                {
                    // Uneven waits, or the same two meet again.
                    let uneven = u64::from(std::process::id() % 7) + 1;
                    tokio::time::sleep(Duration::from_millis(uneven * u64::from(attempt))).await;
                    attempt += 1;
                }
                other => return other,
            }
        }
    }
}

async fn sqlite(url: &str, options: &SqlOptions) -> Result<SqlPool, StoreError> {
    let synchronous =
        if options.sync_each_commit { SqliteSynchronous::Full } else { SqliteSynchronous::Normal };
    let connect = SqliteConnectOptions::from_str(url)
        .map_err(|e| failure(&e))?
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(synchronous)
        .auto_vacuum(SqliteAutoVacuum::Incremental)
        .pragma("wal_autocheckpoint", CHECKPOINT)
        .busy_timeout(PATIENCE)
        .disable_statement_logging();
    let writer =
        SqlitePoolOptions::new().max_connections(1).acquire_timeout(options.connect_timeout);
    let writer = writer.connect_with(connect.clone()).await.map_err(|e| failure(&e))?;
    // Each reader is a thread that computes: more than the processors keep busy only take memory.
    let busy = std::thread::available_parallelism().map_or(2, |cores| cores.get() * 2);
    let most = options.connections.min(u32::try_from(busy).unwrap_or(u32::MAX));
    let readers = SqlitePoolOptions::new()
        .max_connections(most.max(1))
        .acquire_timeout(options.connect_timeout)
        .connect_with(connect.pragma("query_only", "on").pragma("cache_size", READER_CACHE));
    Ok(SqlPool::Sqlite { writer, readers: readers.await.map_err(|e| failure(&e))? })
}

impl Session {
    pub(super) fn engine(&self) -> Engine {
        match self {
            Self::Sqlite(_) => Engine::Sqlite,
            Self::Postgres(_) => Engine::Postgres,
        }
    }

    /// Runs a statement, and returns the number of rows it changed.
    pub(super) async fn run(&mut self, sql: String, values: Vec<Value>) -> Result<u64, StoreError> {
        match self {
            Self::Sqlite(inner) => {
                let done = bound!(Sqlite, unnamed(sql), values).execute(&mut **inner).await;
                done.map(|done| done.rows_affected())
            }
            Self::Postgres(inner) => {
                let done = bound!(Postgres, numbered(sql), values).execute(&mut **inner).await;
                done.map(|done| done.rows_affected())
            }
        }
        .map_err(|e| failure(&e))
    }

    /// Runs a statement that returns rows.
    pub(super) async fn rows(
        &mut self,
        sql: String,
        values: Vec<Value>,
    ) -> Result<Vec<SqlRow>, StoreError> {
        match self {
            Self::Sqlite(inner) => {
                let rows = bound!(Sqlite, unnamed(sql), values).fetch_all(&mut **inner).await;
                rows.map(|rows| rows.into_iter().map(SqlRow::Sqlite).collect())
            }
            Self::Postgres(inner) => {
                let rows = bound!(Postgres, numbered(sql), values).fetch_all(&mut **inner).await;
                rows.map(|rows| rows.into_iter().map(SqlRow::Postgres).collect())
            }
        }
        .map_err(|e| failure(&e))
    }

    async fn commit(self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(inner) => inner.commit().await,
            Self::Postgres(inner) => inner.commit().await,
        }
        .map_err(|e| failure(&e))
    }
}

impl SqlRow {
    pub(super) fn maybe_text(&self, at: usize) -> Result<Option<String>, StoreError> {
        match self {
            Self::Sqlite(row) => row.try_get(at),
            Self::Postgres(row) => row.try_get(at),
        }
        .map_err(|e| StoreError::Unreadable(e.to_string()))
    }

    pub(super) fn maybe_int(&self, at: usize) -> Result<Option<i64>, StoreError> {
        match self {
            Self::Sqlite(row) => row.try_get(at),
            Self::Postgres(row) => row.try_get(at),
        }
        .map_err(|e| StoreError::Unreadable(e.to_string()))
    }

    pub(super) fn text(&self, at: usize) -> Result<String, StoreError> {
        Ok(self.maybe_text(at)?.unwrap_or_default())
    }

    pub(super) fn int(&self, at: usize) -> Result<i64, StoreError> {
        Ok(self.maybe_int(at)?.unwrap_or_default())
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(Some(text.to_owned()))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(Some(text))
    }
}

impl From<Option<String>> for Value {
    fn from(text: Option<String>) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(Some(number))
    }
}

impl From<Option<i64>> for Value {
    fn from(number: Option<i64>) -> Self {
        Self::Int(number)
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Int(Some(i64::try_from(number).unwrap_or(i64::MAX)))
    }
}

/// Most values of a list in a statement: placeholders are limited, to 32,766 in SQLite.
pub(super) const CHUNK: usize = 400;
/// Begins the cause of failures for which a transaction is worth repeating.
pub(super) const BROKEN_UP: &str = "broken up";

/// Turns a driver's failure into ours. Texts of the database may quote values: of unique keys only their kind is
/// told.
fn failure(error: &sqlx::Error) -> StoreError {
    let Some(told) = error.as_database_error() else {
        return StoreError::Unavailable(error.to_string());
    };
    let code = told.code().unwrap_or_default();
    if told.is_unique_violation() {
        let alias = ["alias", "secrets"].iter().any(|word| {
            told.constraint().is_some_and(|name| name.contains(word))
                || told.message().contains(word)
        });
        return if alias { StoreError::AliasTaken } else { StoreError::IdTaken };
    }
    match &*code {
        // Deadlock, serialization, and SQLite's busy and busy snapshot.
        "40P01" | "40001" | "5" | "517" => StoreError::Unavailable(format!("{BROKEN_UP}: {code}")),
        _ => StoreError::Unavailable(format!("{} ({code})", told.message())),
    }
}
