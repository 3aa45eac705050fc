//! Changes of records, with their audit entries.

use super::Accounts;
use crate::record::{
    BudgetRecord, CustomerRecord, KeyRecord, Record, RecordKind, TagRecord, TeamRecord, UserRecord,
};
use crate::store::{AuditEntry, Change, Document, Page, RecordQuery, StoreError};
use crate::{InvalidField, NoRandomness, UtcTime};

/// Rows read at once where all of a selection are needed.
const PAGE: u64 = 500;
/// Attempts at a change that meets others.
pub(super) const ATTEMPTS: u32 = 5;

/// Refusals of changes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AdminError {
    /// A value cannot be stored.
    #[error(transparent)]
    Invalid(#[from] InvalidField),
    /// The id or alias of a new record is taken.
    #[error("{param} {value:?} is taken")]
    Taken {
        /// The field.
        param: &'static str,
        /// Its value.
        value: String,
    },
    /// There is no such record.
    #[error("there is no {} {id:?}", kind.as_str())]
    NotFound {
        /// The kind.
        kind: RecordKind,
        /// The id that was given; of keys never the key itself.
        id: String,
    },
    /// Records refer to a budget row that was to be deleted.
    #[error("{count} records refer to the budget")]
    InUse {
        /// Their number.
        count: u64,
    },
    /// The store failed.
    #[error(transparent)]
    Store(StoreError),
    /// No key could be made.
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
}

impl From<StoreError> for AdminError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Accounts {
    /// Stores a new team, user, customer, tag, budget row or membership. Keys are made by [`Accounts::create_key`].
    ///
    /// # Errors
    /// The id is taken, a record it refers to does not exist, or the store fails.
    pub async fn create<R: Record>(&self, mut record: R, actor: &str) -> Result<R, AdminError> {
        self.check_links(&record).await?;
        *record.stamp_mut() = crate::record::Stamp::new(self.clock.now(), actor);
        let document = Document::of(&record, 0)?;
        let audit = self.audit("new", actor, None, Some(&document));
        let written = self.store.write(vec![Change::Insert(document), Change::Audit(audit)]).await;
        match written {
            Ok(version) => self.changed(version),
            Err(StoreError::IdTaken) => {
                return Err(AdminError::Taken { param: id_field(R::KIND), value: record.id() });
            }
            Err(error) => return Err(error.into()),
        }
        Ok(record)
    }

    /// Reads a record of any kind.
    ///
    /// # Errors
    /// There is none, or the store fails.
    pub async fn record<R: Record>(&self, id: &str) -> Result<R, AdminError> {
        let found = self.read(id).await?;
        found.ok_or_else(|| AdminError::NotFound { kind: R::KIND, id: id.to_owned() })
    }

    /// Changes a record of any kind. The change is applied again where others changed the record meanwhile.
    ///
    /// # Errors
    /// There is none, the change is refused, or the store fails.
    pub async fn update<R: Record>(
        &self,
        id: &str,
        actor: &str,
        change: impl Fn(&mut R, UtcTime) -> Result<(), InvalidField> + Send + Sync,
    ) -> Result<R, AdminError> {
        let mut attempt = 1;
        loop {
            let found = self.store.document(R::KIND, id.to_owned()).await?;
            let not_found = || AdminError::NotFound { kind: R::KIND, id: id.to_owned() };
            let before = found.ok_or_else(not_found)?;
            let mut record: R = before.read()?;
            let now = self.clock.now();
            change(&mut record, now)?;
            record.stamp_mut().touch(now, actor);
            self.check_links(&record).await?;
            let after = Document::of(&record, before.revision)?;
            let audit = self.audit("update", actor, Some(&before), Some(&after));
            let alias = after.alias.clone();
            match self.store.write(vec![Change::Update(after), Change::Audit(audit)]).await {
                Ok(version) => {
                    self.changed(version);
                    return Ok(record);
                }
                Err(StoreError::Stale) if attempt < ATTEMPTS => attempt += 1,
                Err(StoreError::AliasTaken) => {
                    let value = alias.unwrap_or_default();
                    return Err(AdminError::Taken { param: "key_alias", value });
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Deletes a record and what dies with it: keys of a team or user, memberships of both.
    ///
    /// # Errors
    /// There is none, or the store fails.
    pub async fn delete<R: Record>(&self, id: &str, actor: &str) -> Result<R, AdminError> {
        let found = self.store.document(R::KIND, id.to_owned()).await?;
        let document =
            found.ok_or_else(|| AdminError::NotFound { kind: R::KIND, id: id.to_owned() })?;
        let record = document.read()?;
        let at = self.clock.now();
        let mut changes = Vec::new();
        for kind in [RecordKind::Key, RecordKind::Member] {
            for dependent in self.dependents(R::KIND, id, kind).await? {
                self.end(&dependent, (at, actor), &mut changes);
            }
        }
        self.end(&document, (at, actor), &mut changes);
        let version = self.store.write(changes).await?;
        self.changed(version);
        Ok(record)
    }

    /// Deletes a budget row to which no record refers, nor the configuration.
    ///
    /// # Errors
    /// Something refers to it, there is none, or the store fails.
    pub async fn delete_unused_budget(
        &self,
        id: &str,
        actor: &str,
    ) -> Result<BudgetRecord, AdminError> {
        let now = self.clock.now();
        let mut count = u64::from(self.configured.unknown_customers_row.as_deref() == Some(id));
        for kind in [
            RecordKind::Key,
            RecordKind::Team,
            RecordKind::User,
            RecordKind::Customer,
            RecordKind::Tag,
        ] {
            let all = RecordQuery::all(kind, now);
            let query = RecordQuery { budget: Some(id.to_owned()), limit: 1, ..all };
            count += self.store.documents(query).await?.total;
        }
        match count {
            0 => self.delete(id, actor).await,
            count => Err(AdminError::InUse { count }),
        }
    }

    /// Deletes a budget row, and the references of records to it: they keep the limits of their own.
    ///
    /// # Errors
    /// There is none, or the store fails.
    pub async fn delete_budget_and_links(
        &self,
        id: &str,
        actor: &str,
    ) -> Result<BudgetRecord, AdminError> {
        let row = self.record::<BudgetRecord>(id).await?;
        self.unlink::<KeyRecord>(id, actor, |key| &mut key.budget_id).await?;
        self.unlink::<TeamRecord>(id, actor, |team| &mut team.budget_id).await?;
        self.unlink::<UserRecord>(id, actor, |user| &mut user.budget_id).await?;
        self.unlink::<CustomerRecord>(id, actor, |customer| &mut customer.budget_id).await?;
        self.unlink::<TagRecord>(id, actor, |tag| &mut tag.budget_id).await?;
        self.delete::<BudgetRecord>(&row.budget_id, actor).await
    }

    async fn unlink<R: Record>(
        &self,
        budget: &str,
        actor: &str,
        link: fn(&mut R) -> &mut Option<String>,
    ) -> Result<(), AdminError> {
        let all = RecordQuery::all(R::KIND, self.clock.now());
        let query = RecordQuery { budget: Some(budget.to_owned()), limit: PAGE, ..all };
        loop {
            // Each round finds those that are left.
            let page = self.store.documents(query.clone()).await?;
            if page.rows.is_empty() {
                return Ok(());
            }
            for document in page.rows {
                let clear = |record: &mut R, _| {
                    *link(record) = None;
                    Ok(())
                };
                match self.update(&document.id, actor, clear).await {
                    Ok(_) | Err(AdminError::NotFound { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
        }
    }

    /// Reads a page of records.
    ///
    /// # Errors
    /// The store fails.
    pub async fn list<R: Record>(&self, query: RecordQuery) -> Result<Page<R>, AdminError> {
        let page = self.store.documents(RecordQuery { kind: R::KIND, ..query }).await?;
        let rows = page.rows.iter().map(Document::read).collect::<Result<_, _>>()?;
        Ok(Page { rows, total: page.total })
    }

    /// The end of a record, with its secrets if it is a key.
    pub(super) fn end(
        &self,
        document: &Document,
        (at, actor): (UtcTime, &str),
        changes: &mut Vec<Change>,
    ) {
        let Document { kind, id, .. } = document.clone();
        if kind == RecordKind::Key {
            changes.push(Change::EndSecrets { key_id: id.clone(), until: None });
        }
        changes.push(Change::Delete { kind, id, at });
        changes.push(Change::Audit(self.audit("delete", actor, Some(document), None)));
    }

    pub(super) fn audit(
        &self,
        action: &str,
        actor: &str,
        before: Option<&Document>,
        after: Option<&Document>,
    ) -> AuditEntry {
        let either = after.or(before);
        let body = |document: Option<&Document>| document.map(|document| document.body.clone());
        AuditEntry {
            at: self.clock.now(),
            actor: actor.to_owned(),
            action: format!("{}.{action}", either.map_or("", |document| document.kind.as_str())),
            object: either.map(|document| document.id.clone()).unwrap_or_default(),
            before: body(before),
            after: body(after),
        }
    }

    /// Checks that the team and the budget row that a record refers to exist. The refusal does not say "not found":
    /// clients take those words for the end of the record itself.
    pub(super) async fn check_links<R: Record>(&self, record: &R) -> Result<(), AdminError> {
        let links = record.links();
        if let Some(team) = links.team
            && self.read::<TeamRecord>(team).await?.is_none()
        {
            let message = format!("Unknown team_id '{team}': make the team with /team/new first.");
            return Err(InvalidField::new("team_id", message).into());
        }
        if let Some(budget) = links.budget
            && self.read::<BudgetRecord>(budget).await?.is_none()
        {
            let message =
                format!("Unknown budget_id '{budget}': make the budget with /budget/new first.");
            return Err(InvalidField::new("budget_id", message).into());
        }
        Ok(())
    }

    async fn dependents(
        &self,
        of: RecordKind,
        id: &str,
        kind: RecordKind,
    ) -> Result<Vec<Document>, AdminError> {
        let (team, user) = match of {
            RecordKind::Team => (Some(id.to_owned()), None),
            RecordKind::User => (None, Some(id.to_owned())),
            RecordKind::Key
            | RecordKind::Member
            | RecordKind::Customer
            | RecordKind::Tag
            | RecordKind::Budget => {
                return Ok(Vec::new());
            }
        };
        let all = RecordQuery::all(kind, self.clock.now());
        let mut query = RecordQuery { team, user, limit: PAGE, ..all };
        let mut found = Vec::new();
        loop {
            let page = self.store.documents(query.clone()).await?;
            query.offset += page.rows.len() as u64;
            let done = page.rows.is_empty() || query.offset >= page.total;
            found.extend(page.rows);
            if done {
                return Ok(found);
            }
        }
    }
}

/// The field of a kind's id in the admin API.
const fn id_field(kind: RecordKind) -> &'static str {
    match kind {
        RecordKind::Key => "key",
        RecordKind::Team => "team_id",
        RecordKind::Member | RecordKind::User | RecordKind::Customer => "user_id",
        RecordKind::Tag => "name",
        RecordKind::Budget => "budget_id",
    }
}
