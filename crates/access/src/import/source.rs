//! LiteLLM's database, read in one snapshot. Rows are read as JSON, so that older versions, whose tables have fewer
//! columns, are read as well.

use std::str::FromStr;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, Connection as _, Row as _};

use super::fields::Fields;

/// Rows fetched at once.
const PAGE: u32 = 1000;
/// Parameters that Prisma reads from a URL, and PostgreSQL's driver does not know.
const OF_PRISMA: &[&str] = &[
    "schema",
    "connection_limit",
    "connect_timeout",
    "pool_timeout",
    "pgbouncer",
    "socket_timeout",
    "sslaccept",
    "sslidentity",
    "sslpassword",
];

/// Failures of LiteLLM's database.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// The text is no URL of PostgreSQL. It is not repeated, because it may hold a password.
    #[error("LiteLLM's database has a URL that begins with postgresql:// or postgres://")]
    NoUrl,
    /// The database cannot be reached.
    #[error("LiteLLM's database cannot be reached: {0}")]
    Unreachable(String),
    /// A statement failed.
    #[error("LiteLLM's database cannot be read: {0}")]
    Unreadable(String),
    /// The table of keys is missing.
    #[error(
        "the database has no table {0:?}: it is not LiteLLM's, or another schema (?schema=NAME)"
    )]
    NoKeys(&'static str),
}

/// The tables that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Table {
    Keys,
    EarlierKeys,
    Teams,
    TeamModels,
    Memberships,
    Users,
    Budgets,
    Customers,
    Tags,
    Organizations,
    Projects,
    AccessGroups,
    Permissions,
    WindowSpend,
}

impl Table {
    /// The name, and the columns that order it.
    const fn name(self) -> (&'static str, &'static str) {
        match self {
            Self::Keys => ("LiteLLM_VerificationToken", "token"),
            Self::EarlierKeys => ("LiteLLM_DeprecatedVerificationToken", "token"),
            Self::Teams => ("LiteLLM_TeamTable", "team_id"),
            Self::TeamModels => ("LiteLLM_ModelTable", "id"),
            Self::Memberships => ("LiteLLM_TeamMembership", "team_id, user_id"),
            Self::Users => ("LiteLLM_UserTable", "user_id"),
            Self::Budgets => ("LiteLLM_BudgetTable", "budget_id"),
            Self::Customers => ("LiteLLM_EndUserTable", "user_id"),
            Self::Tags => ("LiteLLM_TagTable", "tag_name"),
            Self::Organizations => ("LiteLLM_OrganizationTable", "organization_id"),
            Self::Projects => ("LiteLLM_ProjectTable", "project_id"),
            Self::AccessGroups => ("LiteLLM_AccessGroupTable", "access_group_id"),
            Self::Permissions => ("LiteLLM_ObjectPermissionTable", "object_permission_id"),
            Self::WindowSpend => ("LiteLLM_BudgetWindowSpend", "entity_id, window_duration"),
        }
    }
}

/// A connection to LiteLLM's database, in a transaction that changes nothing and sees one state of it.
#[derive(Debug)]
pub struct LitellmDatabase {
    connection: PgConnection,
    schema: Option<String>,
}

impl LitellmDatabase {
    /// Connects by the URL that LiteLLM is given as `DATABASE_URL`.
    ///
    /// # Errors
    /// The URL is not of PostgreSQL, the database cannot be reached, or it is not LiteLLM's.
    pub async fn connect(url: &str) -> Result<Self, SourceError> {
        let (options, schema) = options(url)?;
        let connection = PgConnection::connect_with(&options).await;
        let connection = connection.map_err(|e| SourceError::Unreachable(told(&e)))?;
        let mut database = Self { connection, schema };
        database.run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY".to_owned()).await?;
        if !database.has(Table::Keys).await? {
            return Err(SourceError::NoKeys(Table::Keys.name().0));
        }
        Ok(database)
    }

    /// Counts the rows of a table; none where it does not exist.
    pub(super) async fn count(&mut self, table: Table) -> Result<u64, SourceError> {
        if !self.has(table).await? {
            return Ok(0);
        }
        let sql = format!("SELECT count(*)::text FROM {}", self.quoted(table));
        let text = self.texts(sql).await?.pop().unwrap_or_default();
        Ok(text.parse().unwrap_or(0))
    }

    /// Begins to read a table; false where it does not exist. Another one that is being read ends.
    pub(super) async fn open(&mut self, table: Table) -> Result<bool, SourceError> {
        if !self.has(table).await? {
            return Ok(false);
        }
        let from = self.quoted(table);
        let order = table.name().1;
        self.run(format!(
            "CLOSE ALL; DECLARE rows NO SCROLL CURSOR FOR SELECT to_jsonb(t)::text FROM {from} t ORDER BY {order}"
        ))
        .await?;
        Ok(true)
    }

    /// The next rows of the table that was opened; none at its end.
    pub(super) async fn page(&mut self) -> Result<Vec<Fields>, SourceError> {
        let rows = self.texts(format!("FETCH {PAGE} FROM rows")).await?;
        let read = |text: &String| {
            Fields::parse(text).ok_or_else(|| SourceError::Unreadable("a row is no object".into()))
        };
        rows.iter().map(read).collect()
    }

    /// Reads a whole table, of those that are small.
    pub(super) async fn all(&mut self, table: Table) -> Result<Vec<Fields>, SourceError> {
        let mut all = Vec::new();
        if self.open(table).await? {
            loop {
                let page = self.page().await?;
                if page.is_empty() {
                    break;
                }
                all.extend(page);
            }
        }
        Ok(all)
    }

    async fn has(&mut self, table: Table) -> Result<bool, SourceError> {
        let name = self.quoted(table).replace('\'', "''");
        let found = self.texts(format!("SELECT coalesce(to_regclass('{name}')::text, '')")).await?;
        Ok(found.first().is_some_and(|name| !name.is_empty()))
    }

    fn quoted(&self, table: Table) -> String {
        let name = table.name().0;
        match &self.schema {
            Some(schema) => format!("\"{}\".\"{name}\"", schema.replace('"', "\"\"")),
            None => format!("\"{name}\""),
        }
    }

    /// Statements are sent as text: poolers between need not know prepared ones.
    async fn run(&mut self, sql: String) -> Result<(), SourceError> {
        let done = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut self.connection).await;
        done.map(drop).map_err(|e| SourceError::Unreadable(told(&e)))
    }

    /// The first column of each row of an answer.
    async fn texts(&mut self, sql: String) -> Result<Vec<String>, SourceError> {
        let rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(&mut self.connection).await;
        let rows = rows.map_err(|e| SourceError::Unreadable(told(&e)))?;
        rows.iter()
            .map(|row| row.try_get(0).map_err(|e| SourceError::Unreadable(told(&e))))
            .collect()
    }
}

/// Texts of the server may quote a row's values; messages of the driver do not.
fn told(error: &sqlx::Error) -> String {
    match error.as_database_error() {
        Some(told) => told.message().to_owned(),
        None => error.to_string(),
    }
}

/// The connection that a URL of Prisma's means, and the schema it names.
fn options(url: &str) -> Result<(PgConnectOptions, Option<String>), SourceError> {
    let of_postgres = url.starts_with("postgresql://") || url.starts_with("postgres://");
    if !of_postgres {
        return Err(SourceError::NoUrl);
    }
    let (base, query) = url.split_once('?').unwrap_or((url, ""));
    let (mut kept, mut schema) = (Vec::new(), None);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if name == "schema" && !value.is_empty() {
            schema = Some(percent_encoding::percent_decode_str(value).decode_utf8_lossy().into());
        }
        if !OF_PRISMA.contains(&name) {
            kept.push(pair);
        }
    }
    let mark = if kept.is_empty() { "" } else { "?" };
    let options = PgConnectOptions::from_str(&format!("{base}{mark}{}", kept.join("&")));
    let options = options.map_err(|e| SourceError::Unreachable(told(&e)))?;
    let options = options.application_name("outcrop import-litellm").statement_cache_capacity(0);
    Ok((options, schema))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_prisma_are_taken() {
        let url = "postgresql://llm:s%40crt@db.example:5433/litellm?schema=my%20llm&connection_limit=5&sslmode=disable&pgbouncer=true";
        let (options, schema) = options(url).unwrap();
        assert_eq!((options.get_host(), options.get_port()), ("db.example", 5433));
        assert_eq!(options.get_database(), Some("litellm"));
        assert_eq!(schema.as_deref(), Some("my llm"));
    }

    #[test]
    fn other_urls_are_refused_without_being_repeated() {
        for url in ["sqlite:x.db", "mysql://u:canary@h/d", "canary"] {
            let error = options(url).unwrap_err();
            assert_eq!(error, SourceError::NoUrl);
            assert!(!error.to_string().contains("canary"));
        }
    }
}
