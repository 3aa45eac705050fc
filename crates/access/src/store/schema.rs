//! Tables, made and changed at the start under a lock, for both engines. Numbers are BIGINT, the rest TEXT.

use super::StoreError;
use super::sql::{Engine, Session, Value, Work};

/// Name of the schema's version in `meta`.
const VERSION: &str = "schema";
/// The advisory lock of migrations in PostgreSQL.
const LOCK: &str = "SELECT pg_advisory_xact_lock(7382615901)";

/// Ends statements of tables whose rows SQLite keeps in their index.
const CLUSTERED: &str = "CLUSTERED";

/// The steps, each applied once. New ones are appended; released ones never change.
const STEPS: &[&[&str]] = &[&[
    "INSERT INTO meta (name, value) VALUES ('version', '0')",
    "CREATE TABLE records (
        kind TEXT NOT NULL, id TEXT NOT NULL, alias TEXT, team_id TEXT, user_id TEXT, organization_id TEXT,
        budget_id TEXT, expires_at BIGINT, blocked BIGINT NOT NULL, body TEXT NOT NULL, revision BIGINT NOT NULL,
        ordinal BIGINT NOT NULL, deleted_at BIGINT, PRIMARY KEY (kind, id))",
    "CREATE UNIQUE INDEX records_key_alias ON records (alias)
        WHERE kind = 'key' AND deleted_at IS NULL AND alias IS NOT NULL",
    "CREATE INDEX records_team ON records (kind, team_id)",
    "CREATE INDEX records_user ON records (kind, user_id)",
    "CREATE INDEX records_budget ON records (budget_id)",
    "CREATE INDEX records_ordinal ON records (kind, ordinal)",
    "CREATE TABLE secrets (
        digest TEXT PRIMARY KEY, token TEXT NOT NULL UNIQUE, public_id TEXT NOT NULL UNIQUE, key_id TEXT NOT NULL,
        valid_until BIGINT)",
    "CREATE INDEX secrets_key ON secrets (key_id)",
    // The keys that tokens were of, deleted and replaced ones too: rows of the ledger keep a name.
    "CREATE TABLE tokens (token TEXT PRIMARY KEY, key_id TEXT NOT NULL)",
    "CREATE TABLE audit (
        id TEXT PRIMARY KEY, happened_at BIGINT NOT NULL, actor TEXT NOT NULL, action TEXT NOT NULL,
        object TEXT NOT NULL, body_before TEXT, body_after TEXT)",
    "CREATE TABLE counters (
        kind TEXT NOT NULL, scope_id TEXT NOT NULL, span TEXT NOT NULL, starts_at BIGINT NOT NULL,
        spent BIGINT NOT NULL, reserved BIGINT NOT NULL, requests BIGINT NOT NULL,
        PRIMARY KEY (kind, scope_id, span, starts_at))",
    "CREATE TABLE ledger (
        id TEXT PRIMARY KEY, began_at BIGINT NOT NULL, lease_until BIGINT NOT NULL, key_id TEXT NOT NULL,
        token TEXT NOT NULL, team_id TEXT, user_id TEXT, organization_id TEXT, customer TEXT, tags TEXT NOT NULL,
        call_type TEXT NOT NULL, model_asked TEXT NOT NULL, session_id TEXT, ip TEXT, meta TEXT,
        estimate BIGINT NOT NULL, charges TEXT NOT NULL, opened BIGINT NOT NULL, state TEXT NOT NULL,
        ended_at BIGINT, model TEXT, model_group TEXT, region TEXT, reach TEXT, tier TEXT,
        input BIGINT, output BIGINT, cache_read BIGINT, cache_write_5m BIGINT, cache_write_1h BIGINT, units TEXT,
        cost BIGINT, price_id TEXT, price_source TEXT, status BIGINT, error_code TEXT, ttft_ms BIGINT,
        total_ms BIGINT, attempts BIGINT)",
    "CREATE INDEX ledger_began ON ledger (began_at)",
    "CREATE INDEX ledger_key ON ledger (key_id, began_at)",
    "CREATE INDEX ledger_leases ON ledger (lease_until) WHERE state = 'reserved'",
    "CREATE TABLE hourly (
        hour BIGINT NOT NULL, key_id TEXT NOT NULL, team_id TEXT NOT NULL, user_id TEXT NOT NULL,
        customer TEXT NOT NULL, model TEXT NOT NULL, region TEXT NOT NULL, status TEXT NOT NULL,
        succeeded BIGINT NOT NULL, failed BIGINT NOT NULL, input BIGINT NOT NULL, output BIGINT NOT NULL,
        cache_read BIGINT NOT NULL, cache_write BIGINT NOT NULL, cost BIGINT NOT NULL, unpriced BIGINT NOT NULL,
        estimated BIGINT NOT NULL, PRIMARY KEY (hour, key_id, team_id, user_id, customer, model, region, status))",
    "CREATE INDEX hourly_customers ON hourly (hour, customer)",
    "CREATE TABLE hourly_tags (
        hour BIGINT NOT NULL, tag TEXT NOT NULL, key_id TEXT NOT NULL, team_id TEXT NOT NULL, user_id TEXT NOT NULL,
        customer TEXT NOT NULL, model TEXT NOT NULL, region TEXT NOT NULL, status TEXT NOT NULL,
        succeeded BIGINT NOT NULL, failed BIGINT NOT NULL, input BIGINT NOT NULL, output BIGINT NOT NULL,
        cache_read BIGINT NOT NULL, cache_write BIGINT NOT NULL, cost BIGINT NOT NULL, unpriced BIGINT NOT NULL,
        estimated BIGINT NOT NULL,
        PRIMARY KEY (hour, tag, key_id, team_id, user_id, customer, model, region, status))",
    "CREATE TABLE hourly_names (
        hour BIGINT NOT NULL, dimension TEXT NOT NULL, taken BIGINT NOT NULL, PRIMARY KEY (hour, dimension))",
], &[
    "ALTER TABLE ledger ADD COLUMN priced BIGINT NOT NULL DEFAULT 1",
    "CREATE TABLE slices (
        id TEXT PRIMARY KEY, kind TEXT NOT NULL, scope_id TEXT NOT NULL, span TEXT NOT NULL, starts_at BIGINT NOT NULL,
        amount BIGINT NOT NULL, lease_until BIGINT NOT NULL)",
], &[
    "CREATE TABLE kept (
        owner TEXT NOT NULL, kind TEXT NOT NULL, id TEXT NOT NULL, parent TEXT NOT NULL, position BIGINT NOT NULL,
        body TEXT NOT NULL, bytes BIGINT NOT NULL, used_at BIGINT NOT NULL, lease_until BIGINT NOT NULL DEFAULT 0,
        cancelled BIGINT NOT NULL DEFAULT 0, PRIMARY KEY (owner, kind, id))",
    "CREATE INDEX kept_parent ON kept (owner, kind, parent, position)",
    "CREATE INDEX kept_used ON kept (used_at)",
], &[
    "CREATE TABLE refusals (
        id TEXT PRIMARY KEY, happened_at BIGINT NOT NULL, key_id TEXT NOT NULL, token TEXT NOT NULL, team_id TEXT,
        user_id TEXT, model TEXT NOT NULL, code TEXT NOT NULL, status BIGINT NOT NULL, scope TEXT NOT NULL,
        scope_id TEXT NOT NULL, reason TEXT NOT NULL, refusals BIGINT NOT NULL)",
    "CREATE INDEX refusals_happened ON refusals (happened_at)",
    // Failures are few among many calls, and are looked for.
    "CREATE INDEX ledger_failed ON ledger (began_at)
        WHERE state = 'voided' OR (state <> 'reserved' AND error_code IS NOT NULL)",
], &[
    "CREATE TABLE rollups_hourly (
        dimension TEXT NOT NULL, starts_at BIGINT NOT NULL, value TEXT NOT NULL, second TEXT NOT NULL,
        succeeded BIGINT NOT NULL, failed BIGINT NOT NULL, input BIGINT NOT NULL, output BIGINT NOT NULL,
        cache_read BIGINT NOT NULL, cache_write BIGINT NOT NULL, cost BIGINT NOT NULL, unpriced BIGINT NOT NULL,
        estimated BIGINT NOT NULL, PRIMARY KEY (dimension, starts_at, value, second)) CLUSTERED",
    "CREATE TABLE rollups_daily (
        dimension TEXT NOT NULL, starts_at BIGINT NOT NULL, value TEXT NOT NULL, second TEXT NOT NULL,
        succeeded BIGINT NOT NULL, failed BIGINT NOT NULL, input BIGINT NOT NULL, output BIGINT NOT NULL,
        cache_read BIGINT NOT NULL, cache_write BIGINT NOT NULL, cost BIGINT NOT NULL, unpriced BIGINT NOT NULL,
        estimated BIGINT NOT NULL, PRIMARY KEY (dimension, starts_at, value, second)) CLUSTERED",
    "CREATE TABLE rollups_due (
        span TEXT NOT NULL, starts_at BIGINT NOT NULL, version TEXT NOT NULL, PRIMARY KEY (span, starts_at)) CLUSTERED",
    // The hours that have aggregates, one look into the index each; their rollups are made while the gateway runs.
    "INSERT INTO rollups_due (span, starts_at, version) WITH RECURSIVE hours(hour) AS (
        SELECT MIN(hour) FROM hourly UNION ALL
        SELECT (SELECT MIN(later.hour) FROM hourly AS later WHERE later.hour > hours.hour) FROM hours
        WHERE hours.hour IS NOT NULL) SELECT 'hour', hour, 'first' FROM hours WHERE hour IS NOT NULL",
    "INSERT INTO rollups_due (span, starts_at, version)
        SELECT DISTINCT 'day', starts_at - starts_at % 86400000, 'first' FROM rollups_due WHERE span = 'hour'",
]];

/// Brings the tables to this version. Replicas that start at once wait for one another.
pub(super) struct Migration;

impl Work for Migration {
    type Answer = ();

    async fn run(&self, session: &mut Session) -> Result<(), StoreError> {
        migrate(session).await
    }
}

async fn migrate(session: &mut Session) -> Result<(), StoreError> {
    match session.engine() {
        // The transaction began IMMEDIATE: it holds the only writer's lock.
        Engine::Sqlite => {}
        Engine::Postgres => {
            session.rows(LOCK.to_owned(), Vec::new()).await?;
        }
    }
    let meta = "CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL)";
    session.run(meta.to_owned(), Vec::new()).await?;
    let found = "SELECT value FROM meta WHERE name = $1".to_owned();
    let rows = session.rows(found, vec![Value::from(VERSION)]).await?;
    let applied = match rows.first() {
        Some(row) => row
            .text(0)?
            .parse()
            .map_err(|_| StoreError::Unreadable("the schema's version".to_owned()))?,
        None => 0,
    };
    if applied > STEPS.len() {
        let text =
            format!("its schema has version {applied}, and this program knows {}", STEPS.len());
        return Err(StoreError::Unreadable(text));
    }
    let missing = STEPS.get(applied..).unwrap_or_default();
    let clustered = match session.engine() {
        Engine::Sqlite => "WITHOUT ROWID",
        Engine::Postgres => "",
    };
    let statements: Vec<String> =
        missing.concat().into_iter().map(|text| text.replace(CLUSTERED, clustered)).collect();
    for statement in statements {
        session.run(statement, Vec::new()).await?;
    }
    let set = "INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    session
        .run(set.to_owned(), vec![Value::from(VERSION), Value::from(STEPS.len().to_string())])
        .await?;
    Ok(())
}
