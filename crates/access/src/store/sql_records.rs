//! Records, secrets and the audit log in a database.

use std::collections::BTreeSet;

use super::sql::{CHUNK, Session, SqlRow, SqlStore, Value, Work};
use super::{
    AuditEntry, Change, Document, Page, RecordQuery, RecordState, SecretBy, StoreError,
    StoredSecret,
};
use crate::record::RecordKind;
use crate::{KeyDigest, KeyToken, UtcTime};

const COLUMNS: &str = "kind, id, alias, team_id, user_id, organization_id, budget_id, expires_at, blocked, body, revision, deleted_at";
const KINDS: [RecordKind; 7] = [
    RecordKind::Key,
    RecordKind::Team,
    RecordKind::Member,
    RecordKind::User,
    RecordKind::Customer,
    RecordKind::Tag,
    RecordKind::Budget,
];

impl SqlStore {
    pub(super) async fn read_version(&self) -> Result<u64, StoreError> {
        let rows = self
            .read("SELECT value FROM meta WHERE name = 'version'".to_owned(), Vec::new())
            .await?;
        version_of(&rows)
    }

    pub(super) async fn keep_value(
        &self,
        name: &'static str,
        value: String,
    ) -> Result<String, StoreError> {
        self.repeated(&Kept { name, value }).await
    }

    pub(super) async fn find_secret(
        &self,
        by: SecretBy,
    ) -> Result<Option<StoredSecret>, StoreError> {
        let (column, value) = match by {
            SecretBy::Digest(digest) => ("digest", digest.as_str().to_owned()),
            SecretBy::Token(token) => ("token", token.as_str().to_owned()),
            SecretBy::PublicId(id) => ("public_id", id),
        };
        let sql = format!(
            "SELECT digest, token, public_id, key_id, valid_until FROM secrets WHERE {column} = $1"
        );
        let rows = self.read(sql, vec![value.into()]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let token = row.text(1)?;
        let unreadable = || StoreError::Unreadable("a key's token".to_owned());
        Ok(Some(StoredSecret {
            digest: KeyDigest::stored(row.text(0)?),
            token: KeyToken::parse(&token).ok_or_else(unreadable)?,
            public_id: row.text(2)?,
            key_id: row.text(3)?,
            valid_until: row.maybe_int(4)?.map(UtcTime::from_millis),
        }))
    }

    pub(super) async fn find_document(
        &self,
        kind: RecordKind,
        id: String,
    ) -> Result<Option<Document>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM records WHERE kind = $1 AND id = $2 AND deleted_at IS NULL"
        );
        let rows = self.read(sql, vec![kind.as_str().into(), id.into()]).await?;
        rows.first().map(document).transpose()
    }

    pub(super) async fn find_documents_by_id(
        &self,
        kind: RecordKind,
        ids: Vec<String>,
    ) -> Result<Vec<Document>, StoreError> {
        let mut found = Vec::new();
        let ids: Vec<_> = ids.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
        for ids in ids.chunks(CHUNK) {
            let list = (2..=ids.len() + 1).map(|at| format!("${at}")).collect::<Vec<_>>();
            let sql = format!(
                "SELECT {COLUMNS} FROM records WHERE kind = $1 AND id IN ({})",
                list.join(", ")
            );
            let mut values = vec![Value::from(kind.as_str())];
            values.extend(ids.iter().map(|id| Value::from(id.as_str())));
            for row in self.read(sql, values).await? {
                found.push(document(&row)?);
            }
        }
        Ok(found)
    }

    pub(super) async fn find_key_of_token(
        &self,
        token: KeyToken,
    ) -> Result<Option<String>, StoreError> {
        let sql = "SELECT key_id FROM tokens WHERE token = $1".to_owned();
        let rows = self.read(sql, vec![token.as_str().into()]).await?;
        rows.first().map(|row| row.text(0)).transpose()
    }

    pub(super) async fn find_documents(
        &self,
        query: RecordQuery,
    ) -> Result<Page<Document>, StoreError> {
        let (condition, mut values) = condition(&query);
        let sql = format!("SELECT COUNT(*) FROM records WHERE {condition}");
        let counted = self.read(sql, values.clone()).await?;
        let total = counted.first().map_or(Ok(0), |row| row.int(0))?;
        let bounds = values.len();
        values.extend([query.limit.into(), query.offset.into()]);
        let sql = format!(
            "SELECT {COLUMNS} FROM records WHERE {condition} ORDER BY ordinal DESC, id DESC LIMIT ${} OFFSET ${}",
            bounds + 1,
            bounds + 2
        );
        let rows = self.read(sql, values).await?;
        let rows = rows.iter().map(document).collect::<Result<_, _>>()?;
        Ok(Page { rows, total: total.unsigned_abs() })
    }

    pub(super) async fn write_changes(&self, changes: Vec<Change>) -> Result<u64, StoreError> {
        self.repeated(&Changes(changes)).await
    }

    pub(super) async fn read_audit(&self, limit: u64) -> Result<Vec<AuditEntry>, StoreError> {
        let sql = "SELECT happened_at, actor, action, object, body_before, body_after FROM audit ORDER BY id DESC LIMIT $1";
        let rows = self.read(sql.to_owned(), vec![limit.into()]).await?;
        let entry = |row: &SqlRow| {
            Ok(AuditEntry {
                at: UtcTime::from_millis(row.int(0)?),
                actor: row.text(1)?,
                action: row.text(2)?,
                object: row.text(3)?,
                before: row.maybe_text(4)?,
                after: row.maybe_text(5)?,
            })
        };
        rows.iter().map(entry).collect()
    }
}

/// A value to keep under a name.
struct Kept {
    name: &'static str,
    value: String,
}

impl Work for Kept {
    type Answer = String;

    async fn run(&self, session: &mut Session) -> Result<String, StoreError> {
        let Self { name, value } = self;
        let insert = "INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING";
        session.run(insert.to_owned(), vec![(*name).into(), value.as_str().into()]).await?;
        let select = "SELECT value FROM meta WHERE name = $1".to_owned();
        let rows = session.rows(select, vec![(*name).into()]).await?;
        rows.first().map_or_else(|| Ok(value.clone()), |row| row.text(0))
    }
}

/// Changes of records that take effect together.
struct Changes(Vec<Change>);

impl Work for Changes {
    type Answer = u64;

    async fn run(&self, session: &mut Session) -> Result<u64, StoreError> {
        // The version's row is the lock of all changes: they take turns.
        let bump = "UPDATE meta SET value = CAST(CAST(value AS BIGINT) + 1 AS TEXT) WHERE name = 'version' RETURNING value";
        let version = version_of(&session.rows(bump.to_owned(), Vec::new()).await?)?;
        for change in &self.0 {
            apply(session, change, version).await?;
        }
        Ok(version)
    }
}

async fn apply(session: &mut Session, change: &Change, version: u64) -> Result<(), StoreError> {
    match change {
        Change::Insert(document) => {
            let sql = "INSERT INTO records (kind, id, alias, team_id, user_id, organization_id, budget_id, expires_at, blocked, body, revision, ordinal)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 1, $11)
                ON CONFLICT (kind, id) DO UPDATE SET alias = excluded.alias, team_id = excluded.team_id,
                user_id = excluded.user_id, organization_id = excluded.organization_id, budget_id = excluded.budget_id,
                expires_at = excluded.expires_at, blocked = excluded.blocked, body = excluded.body, revision = 1,
                ordinal = excluded.ordinal, deleted_at = NULL
                WHERE records.deleted_at IS NOT NULL";
            let mut values = values_of(document);
            values.push(version.into());
            match session.run(sql.to_owned(), values).await? {
                0 => Err(StoreError::IdTaken),
                _ => Ok(()),
            }
        }
        Change::Update(document) => {
            let sql = "UPDATE records SET alias = $3, team_id = $4, user_id = $5, organization_id = $6, budget_id = $7,
                expires_at = $8, blocked = $9, body = $10, revision = revision + 1
                WHERE kind = $1 AND id = $2 AND revision = $11 AND deleted_at IS NULL";
            let mut values = values_of(document);
            values.push(document.revision.into());
            match session.run(sql.to_owned(), values).await? {
                0 => Err(StoreError::Stale),
                _ => Ok(()),
            }
        }
        Change::Delete { kind, id, at } => {
            let sql = "UPDATE records SET deleted_at = $3 WHERE kind = $1 AND id = $2 AND deleted_at IS NULL";
            let values = vec![kind.as_str().into(), id.as_str().into(), at.millis().into()];
            session.run(sql.to_owned(), values).await.map(drop)
        }
        Change::AddSecret(secret) => {
            let sql = "INSERT INTO secrets (digest, token, public_id, key_id, valid_until) VALUES ($1, $2, $3, $4, $5)";
            let values = vec![
                secret.digest.as_str().into(),
                secret.token.as_str().into(),
                secret.public_id.as_str().into(),
                secret.key_id.as_str().into(),
                secret.valid_until.map(UtcTime::millis).into(),
            ];
            session.run(sql.to_owned(), values).await?;
            // A key that was deleted and is taken over again is another row.
            let sql = "INSERT INTO tokens (token, key_id) VALUES ($1, $2)
                ON CONFLICT (token) DO UPDATE SET key_id = excluded.key_id";
            let values = vec![secret.token.as_str().into(), secret.key_id.as_str().into()];
            session.run(sql.to_owned(), values).await.map(drop)
        }
        Change::EndSecrets { key_id, until: None } => {
            let sql = "DELETE FROM secrets WHERE key_id = $1".to_owned();
            session.run(sql, vec![key_id.as_str().into()]).await.map(drop)
        }
        Change::EndSecrets { key_id, until: Some(until) } => {
            let sql =
                "UPDATE secrets SET valid_until = $2 WHERE key_id = $1 AND valid_until IS NULL"
                    .to_owned();
            session.run(sql, vec![key_id.as_str().into(), until.millis().into()]).await.map(drop)
        }
        Change::Audit(entry) => {
            let sql = "INSERT INTO audit (id, happened_at, actor, action, object, body_before, body_after) VALUES ($1, $2, $3, $4, $5, $6, $7)";
            let values = vec![
                uuid::Uuid::now_v7().to_string().into(),
                entry.at.millis().into(),
                entry.actor.as_str().into(),
                entry.action.as_str().into(),
                entry.object.as_str().into(),
                entry.before.clone().into(),
                entry.after.clone().into(),
            ];
            session.run(sql.to_owned(), values).await.map(drop)
        }
    }
}

/// The first ten columns of a record.
fn values_of(document: &Document) -> Vec<Value> {
    vec![
        document.kind.as_str().into(),
        document.id.as_str().into(),
        document.alias.clone().into(),
        document.team.clone().into(),
        document.user.clone().into(),
        document.organization.clone().into(),
        document.budget.clone().into(),
        document.expires.map(UtcTime::millis).into(),
        i64::from(document.blocked).into(),
        document.body.as_str().into(),
    ]
}

fn condition(query: &RecordQuery) -> (String, Vec<Value>) {
    let mut values = vec![Value::from(query.kind.as_str())];
    let mut text = "kind = $1".to_owned();
    let exact = [
        ("team_id", &query.team),
        ("user_id", &query.user),
        ("organization_id", &query.organization),
        ("budget_id", &query.budget),
        ("alias", &query.alias),
    ];
    for (column, wanted) in exact {
        if let Some(wanted) = wanted {
            values.push(wanted.as_str().into());
            text.push_str(&format!(" AND {column} = ${}", values.len()));
        }
    }
    if let Some(part) = &query.contains {
        let escaped =
            part.to_lowercase().replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
        values.push(format!("%{escaped}%").into());
        let at = values.len();
        text.push_str(&format!(
            " AND (LOWER(alias) LIKE ${at} ESCAPE '\\' OR LOWER(id) LIKE ${at} ESCAPE '\\')"
        ));
    }
    let alive = " AND deleted_at IS NULL";
    values.push(query.now.millis().into());
    let at = values.len();
    // Each state names the time, because PostgreSQL refuses placeholders without a use.
    text.push_str(&match query.state {
        None => format!("{alive} AND ${at} = ${at}"),
        Some(RecordState::Deleted) => format!(" AND deleted_at IS NOT NULL AND ${at} = ${at}"),
        Some(RecordState::Revoked) => format!("{alive} AND blocked = 1 AND ${at} = ${at}"),
        Some(RecordState::Expired) => format!("{alive} AND blocked = 0 AND expires_at <= ${at}"),
        Some(RecordState::Active) => {
            format!("{alive} AND blocked = 0 AND (expires_at IS NULL OR expires_at > ${at})")
        }
    });
    (text, values)
}

fn document(row: &SqlRow) -> Result<Document, StoreError> {
    let kind = row.text(0)?;
    let kind = KINDS.into_iter().find(|known| known.as_str() == kind);
    Ok(Document {
        kind: kind.ok_or_else(|| StoreError::Unreadable("a record's kind".to_owned()))?,
        id: row.text(1)?,
        alias: row.maybe_text(2)?,
        team: row.maybe_text(3)?,
        user: row.maybe_text(4)?,
        organization: row.maybe_text(5)?,
        budget: row.maybe_text(6)?,
        expires: row.maybe_int(7)?.map(UtcTime::from_millis),
        blocked: row.int(8)? != 0,
        body: row.text(9)?,
        revision: row.int(10)?,
        deleted: row.maybe_int(11)?.map(UtcTime::from_millis),
    })
}

fn version_of(rows: &[SqlRow]) -> Result<u64, StoreError> {
    let text = rows.first().map_or_else(|| Ok(String::new()), |row| row.text(0))?;
    text.parse().map_err(|_| StoreError::Unreadable("the version of the records".to_owned()))
}
