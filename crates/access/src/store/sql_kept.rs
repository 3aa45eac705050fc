//! Responses, conversations and their items, kept in a database between the requests of callers. A store knows
//! their owner, place, size and age; their content belongs to those who keep them.

use super::StoreError;
use super::sql::{CHUNK, Session, SqlRow, SqlStore, Statement, Value, Work};
use crate::UtcTime;

/// The columns of a row, in the order of [`KeptRow`].
const COLUMNS: &str = "owner, kind, id, parent, position, body";
/// A use is written down once in this time, in milliseconds.
const TOUCHED: i64 = 3_600_000;

/// A row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptRow {
    /// Whose it is.
    pub owner: String,
    /// Its kind.
    pub kind: RowKind,
    /// Its id among those of its owner and kind.
    pub id: String,
    /// The id of the row that it continues or belongs to; empty for none.
    pub parent: String,
    /// Its place among the rows of its parent.
    pub position: i64,
    /// Its content.
    pub body: String,
}

/// The kinds of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowKind {
    /// A response; its parent is the response that it continues.
    Response,
    /// A conversation.
    Conversation,
    /// An item; its parent is its conversation.
    Item,
}

/// A name of a row.
#[derive(Debug, Clone, Copy)]
pub struct KeptId<'k> {
    /// Whose it is.
    pub owner: &'k str,
    /// Its kind.
    pub kind: RowKind,
    /// Its id.
    pub id: &'k str,
}

/// The bounds of what is kept, at a time.
#[derive(Debug, Clone, Copy)]
pub struct KeptLimits {
    /// The time.
    pub now: UtcTime,
    /// Rows that were not used since are gone.
    pub oldest: UtcTime,
    /// Most bytes of all rows.
    pub bytes: u64,
}

/// The state of a response that a process makes, as the database has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeptLease {
    /// The time until which a process has said that it makes the response.
    pub until: UtcTime,
    /// Whether its end is asked for.
    pub is_cancelled: bool,
}

impl RowKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Response => "response",
            Self::Conversation => "conversation",
            Self::Item => "item",
        }
    }

    fn of(name: &str) -> Result<Self, StoreError> {
        [Self::Response, Self::Conversation, Self::Item]
            .into_iter()
            .find(|kind| kind.as_str() == name)
            .ok_or_else(|| StoreError::Unreadable(format!("what is kept of the kind {name}")))
    }
}

impl KeptId<'_> {
    fn values(&self) -> Vec<Value> {
        vec![self.owner.into(), self.kind.as_str().into(), self.id.into()]
    }
}

/// Rows to keep together.
struct KeepRows {
    rows: Vec<KeptRow>,
    now: UtcTime,
}

impl Work for KeepRows {
    type Answer = ();

    async fn run(&self, session: &mut Session) -> Result<(), StoreError> {
        for row in &self.rows {
            let KeptRow { owner, kind, id, parent, position, body } = row;
            let sql = "INSERT INTO kept (owner, kind, id, parent, position, body, bytes, used_at)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (owner, kind, id) DO UPDATE SET
                body = excluded.body, bytes = excluded.bytes, used_at = excluded.used_at";
            let values = vec![
                owner.as_str().into(),
                kind.as_str().into(),
                id.as_str().into(),
                parent.as_str().into(),
                (*position).into(),
                body.as_str().into(),
                ((owner.len() + id.len() + parent.len() + body.len()) as u64).into(),
                self.now.millis().into(),
            ];
            session.run(sql.to_owned(), values).await?;
        }
        Ok(())
    }
}

/// The end of rows over the limits.
struct PruneRows(KeptLimits);

impl Work for PruneRows {
    type Answer = u64;

    async fn run(&self, session: &mut Session) -> Result<u64, StoreError> {
        let KeptLimits { now: _, oldest, bytes } = self.0;
        let expired = "DELETE FROM kept WHERE used_at < $1".to_owned();
        let mut count = session.run(expired, vec![oldest.millis().into()]).await?;
        // The age at which all younger rows fit.
        let sql = "SELECT MAX(used_at) FROM (SELECT used_at,
            SUM(bytes) OVER (ORDER BY used_at DESC, id DESC ROWS UNBOUNDED PRECEDING) AS total FROM kept) AS sized
            WHERE total > $1";
        let rows = session.rows(sql.to_owned(), vec![bytes.into()]).await?;
        if let Some(last) = rows.first().map(|row| row.maybe_int(0)).transpose()?.flatten() {
            let sql = "DELETE FROM kept WHERE used_at <= $1".to_owned();
            count += session.run(sql, vec![last.into()]).await?;
        }
        Ok(count)
    }
}

impl SqlStore {
    /// Keeps rows, all or none. A row of the same name gives way, and keeps its place.
    ///
    /// # Errors
    /// The database fails.
    pub async fn keep_rows(&self, rows: Vec<KeptRow>, now: UtcTime) -> Result<(), StoreError> {
        self.repeated(&KeepRows { rows, now }).await
    }

    /// Reads a row.
    ///
    /// # Errors
    /// The database fails.
    pub async fn kept_row(
        &self,
        name: KeptId<'_>,
        limits: KeptLimits,
    ) -> Result<Option<KeptRow>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS}, used_at FROM kept WHERE owner = $1 AND kind = $2 AND id = $3 AND used_at >= $4"
        );
        let mut values = name.values();
        values.push(limits.oldest.millis().into());
        let mut found = self.kept_rows(sql, values, limits).await?;
        Ok(found.pop())
    }

    /// Reads a response and those that it continues, the last first, at most `most` of them.
    ///
    /// # Errors
    /// The database fails.
    pub async fn kept_chain(
        &self,
        (owner, id): (&str, &str),
        most: u64,
        limits: KeptLimits,
    ) -> Result<Vec<KeptRow>, StoreError> {
        let sql = format!(
            "WITH RECURSIVE chain (id, parent, depth) AS (
                SELECT id, parent, 1 FROM kept WHERE owner = $1 AND kind = $2 AND id = $3 AND used_at >= $4
                UNION ALL
                SELECT k.id, k.parent, chain.depth + 1 FROM kept k JOIN chain ON k.id = chain.parent
                WHERE k.owner = $5 AND k.kind = $6 AND k.used_at >= $7 AND chain.depth < $8)
            SELECT {}, k.used_at FROM chain JOIN kept k ON k.id = chain.id
            WHERE k.owner = $9 AND k.kind = $10 ORDER BY chain.depth",
            COLUMNS.split(", ").map(|column| format!("k.{column}")).collect::<Vec<_>>().join(", ")
        );
        let (kind, oldest) = (RowKind::Response.as_str(), limits.oldest.millis());
        let values = vec![
            owner.into(),
            kind.into(),
            id.into(),
            oldest.into(),
            owner.into(),
            kind.into(),
            oldest.into(),
            most.into(),
            owner.into(),
            kind.into(),
        ];
        self.kept_rows(sql, values, limits).await
    }

    /// Reads the items of a conversation in their order.
    ///
    /// # Errors
    /// The database fails.
    pub async fn kept_items(
        &self,
        (owner, conversation): (&str, &str),
        limits: KeptLimits,
    ) -> Result<Vec<KeptRow>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS}, used_at FROM kept WHERE owner = $1 AND kind = $2 AND parent = $3 ORDER BY position, id"
        );
        let values = vec![owner.into(), RowKind::Item.as_str().into(), conversation.into()];
        self.kept_rows(sql, values, limits).await
    }

    /// Replaces the content of a row; returns whether there was one.
    ///
    /// # Errors
    /// The database fails.
    pub async fn rewrite_row(&self, name: KeptId<'_>, body: String) -> Result<bool, StoreError> {
        let sql =
            "UPDATE kept SET body = $1, bytes = $2 WHERE owner = $3 AND kind = $4 AND id = $5";
        let mut values = vec![body.as_str().into(), (body.len() as u64).into()];
        values.extend(name.values());
        Ok(self.repeated(&Statement { sql: sql.to_owned(), values }).await? > 0)
    }

    /// Removes a row, and the items of a conversation with it; returns whether there was one.
    ///
    /// # Errors
    /// The database fails.
    pub async fn remove_row(&self, name: KeptId<'_>) -> Result<bool, StoreError> {
        let sql = "DELETE FROM kept WHERE owner = $1 AND kind = $2 AND id = $3".to_owned();
        let is_known = self.repeated(&Statement { sql, values: name.values() }).await? > 0;
        if name.kind == RowKind::Conversation {
            let sql = "DELETE FROM kept WHERE owner = $1 AND kind = $2 AND parent = $3".to_owned();
            let values = vec![name.owner.into(), RowKind::Item.as_str().into(), name.id.into()];
            self.repeated(&Statement { sql, values }).await?;
        }
        Ok(is_known)
    }

    /// Says until when this process makes a response, and returns whether its end is asked for; `None` for one that
    /// is gone.
    ///
    /// # Errors
    /// The database fails.
    pub async fn lease_row(
        &self,
        name: KeptId<'_>,
        until: UtcTime,
    ) -> Result<Option<KeptLease>, StoreError> {
        let sql = "UPDATE kept SET lease_until = $1 WHERE owner = $2 AND kind = $3 AND id = $4";
        let mut values = vec![until.millis().into()];
        values.extend(name.values());
        self.repeated(&Statement { sql: sql.to_owned(), values }).await?;
        self.kept_lease(name).await
    }

    /// Reads the state of a response that a process makes.
    ///
    /// # Errors
    /// The database fails.
    pub async fn kept_lease(&self, name: KeptId<'_>) -> Result<Option<KeptLease>, StoreError> {
        let sql =
            "SELECT lease_until, cancelled FROM kept WHERE owner = $1 AND kind = $2 AND id = $3";
        let rows = self.read(sql.to_owned(), name.values()).await?;
        let lease = |row: &SqlRow| {
            let until = UtcTime::from_millis(row.int(0)?);
            Ok(KeptLease { until, is_cancelled: row.int(1)? != 0 })
        };
        rows.first().map(lease).transpose()
    }

    /// Asks the process that makes a response for its end.
    ///
    /// # Errors
    /// The database fails.
    pub async fn cancel_row(&self, name: KeptId<'_>) -> Result<(), StoreError> {
        let sql = "UPDATE kept SET cancelled = 1 WHERE owner = $1 AND kind = $2 AND id = $3";
        self.repeated(&Statement { sql: sql.to_owned(), values: name.values() }).await?;
        Ok(())
    }

    /// Removes rows that are too old, and the oldest of those over the limit of bytes; returns their number.
    ///
    /// # Errors
    /// The database fails.
    pub async fn prune_kept(&self, limits: KeptLimits) -> Result<u64, StoreError> {
        self.repeated(&PruneRows(limits)).await
    }

    /// Reads rows, whose last column is the time of their last use, and writes this use down.
    async fn kept_rows(
        &self,
        sql: String,
        values: Vec<Value>,
        limits: KeptLimits,
    ) -> Result<Vec<KeptRow>, StoreError> {
        let found = self.read(sql, values).await?;
        let (mut rows, mut stale) = (Vec::with_capacity(found.len()), Vec::new());
        for row in found {
            let kept = KeptRow {
                owner: row.text(0)?,
                kind: RowKind::of(&row.text(1)?)?,
                id: row.text(2)?,
                parent: row.text(3)?,
                position: row.int(4)?,
                body: row.text(5)?,
            };
            if limits.now.millis() - row.int(6)? > TOUCHED {
                stale.push(kept.id.clone());
            }
            rows.push(kept);
        }
        let owner = rows.first().map(|row| (row.owner.clone(), row.kind));
        if let Some((owner, kind)) = owner.filter(|_| !stale.is_empty()) {
            self.touch(&owner, kind, (&stale, limits.now)).await?;
        }
        Ok(rows)
    }

    async fn touch(
        &self,
        owner: &str,
        kind: RowKind,
        (ids, now): (&[String], UtcTime),
    ) -> Result<(), StoreError> {
        for ids in ids.chunks(CHUNK) {
            let places = vec!["?"; ids.len()].join(", ");
            let sql = format!(
                "UPDATE kept SET used_at = ? WHERE owner = ? AND kind = ? AND id IN ({places})"
            );
            let mut values = vec![now.millis().into(), owner.into(), kind.as_str().into()];
            values.extend(ids.iter().map(|id| Value::from(id.as_str())));
            self.repeated(&Statement { sql, values }).await?;
        }
        Ok(())
    }
}
