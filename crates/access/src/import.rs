//! Accounts of another gateway, taken over: LiteLLM's keys, teams, memberships, users, customers, tags and budgets,
//! with their spend. An import may be repeated: what is here is left as it is, and what was deleted here stays
//! deleted. Every field that limits calls in LiteLLM and not here is reported.

mod destination;
mod fields;
mod keys;
mod limits;
mod lookup;
mod records;
mod report;
mod source;

pub use report::{
    GoneKey, ImportCounts, ImportNote, ImportOutcome, ImportReport, ImportedRecord, NoteEffect,
};
pub use source::{LitellmDatabase, SourceError};

use destination::{Destination, Place};
use fields::Fields;
use keys::KeyCandidate;
use limits::{CarriedSpend, Reading};
use lookup::Lookup;
use records::{Candidate, Convert, Limited, Unfit};
use source::Table;

use crate::accounts::AdminError;
use crate::ledger::ScopeKind;
use crate::record::{BudgetRule, KeyRecord, Limits, RecordKind, TeamRecord};
use crate::store::StoreError;
use crate::{Accounts, Nanodollars, UtcTime};

/// The identity of an import in the audit log.
const ACTOR: &str = "import-litellm";

/// Failures that end an import. What was taken over before stays, and a repetition goes on from there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// LiteLLM's database failed.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The store of accounts failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store of accounts refused a change that it should not.
    #[error("the accounts cannot be written: {0}")]
    Accounts(AdminError),
}

impl From<AdminError> for ImportError {
    fn from(error: AdminError) -> Self {
        match error {
            AdminError::Store(error) => Self::Store(error),
            error => Self::Accounts(error),
        }
    }
}

/// Whether an import writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImportMode {
    /// Records are taken over.
    Apply,
    /// The report tells what would be done.
    DryRun,
}

/// The progress of an import.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImportProgress {
    /// The kind that is read.
    pub kind: RecordKind,
    /// Rows done, of all kinds.
    pub done: u64,
    /// Rows of all kinds.
    pub total: u64,
}

/// Takes over the accounts of a LiteLLM database. `progress` is told after each page of rows.
///
/// # Errors
/// A database or the store fails. Rows that cannot be taken over are no error: the report names them.
pub async fn import_litellm(
    accounts: &Accounts,
    mut source: LitellmDatabase,
    mode: ImportMode,
    progress: &mut (dyn FnMut(ImportProgress) + Send),
) -> Result<ImportReport, ImportError> {
    let now = accounts.now();
    let mut total = 0;
    for table in [
        Table::Budgets,
        Table::Teams,
        Table::Users,
        Table::Memberships,
        Table::Tags,
        Table::Customers,
        Table::Keys,
    ] {
        total += source.count(table).await?;
    }
    let lookup = Lookup::read(&mut source, accounts.zone(), now).await?;
    let here = Destination::read(accounts).await?;
    let report = ImportReport::default();
    let done = ImportProgress { kind: RecordKind::Budget, done: 0, total };
    let mut import = Import { accounts, source, lookup, here, mode, now, report, progress, done };
    import.table(Table::Budgets, records::budget).await?;
    import.table(Table::Teams, records::team).await?;
    import.table(Table::Users, records::user).await?;
    import.table(Table::Memberships, records::membership).await?;
    import.table(Table::Tags, records::tag).await?;
    import.table(Table::Customers, records::customer).await?;
    import.gateway().await?;
    import.keys().await?;
    import.earlier_secrets().await?;
    import.find_gone();
    Ok(import.report)
}

/// The id of a key's row here, derived from its token: so a repetition finds it, even if its secret was replaced or
/// the key was deleted meanwhile.
fn row_id(token: &str) -> String {
    let hash = crate::key::sha256(format!("key of litellm|{token}").as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid().to_string()
}

/// Whether a key's row was made by an import: ids of other rows have another version.
fn is_imported(id: &str) -> bool {
    id.parse::<uuid::Uuid>().is_ok_and(|id| id.get_version_num() == 8)
}

struct Import<'i> {
    accounts: &'i Accounts,
    source: LitellmDatabase,
    lookup: Lookup,
    here: Destination,
    mode: ImportMode,
    now: UtcTime,
    report: ImportReport,
    progress: &'i mut (dyn FnMut(ImportProgress) + Send),
    done: ImportProgress,
}

impl Import<'_> {
    async fn table<R: Limited>(
        &mut self,
        table: Table,
        convert: Convert<R>,
    ) -> Result<(), ImportError> {
        self.rows(table, R::KIND, async |import, row| import.row(row, convert).await).await
    }

    /// Takes over the rows of a table, page by page.
    async fn rows(
        &mut self,
        table: Table,
        kind: RecordKind,
        mut take_over: impl AsyncFnMut(&mut Self, &Fields) -> Result<ImportedRecord, ImportError>,
    ) -> Result<(), ImportError> {
        if !self.source.open(table).await? {
            return Ok(());
        }
        loop {
            let page = self.source.page().await?;
            if page.is_empty() {
                return Ok(());
            }
            let rows = page.len();
            for row in page {
                let record = take_over(self, &row).await?;
                self.report.add(record);
            }
            self.tell(kind, rows);
        }
    }

    async fn row<R: Limited>(
        &mut self,
        row: &Fields,
        convert: Convert<R>,
    ) -> Result<ImportedRecord, ImportError> {
        let mut reading = Reading { now: self.now, zone: self.accounts.zone(), notes: Vec::new() };
        let candidate = match convert(&self.lookup, row, &mut reading) {
            Ok(candidate) => candidate,
            Err(unfit) => return Ok(skipped(R::KIND, unfit)),
        };
        let id = candidate.record.id();
        let alias = candidate.record.links().alias.map(str::to_owned);
        let outcome = match self.here.place(R::KIND, &id) {
            Place::Living => ImportOutcome::Present,
            Place::Deleted => deleted_here(),
            Place::Absent => match self.missing_link(candidate.record.links()) {
                Some(reason) => ImportOutcome::Skipped(reason),
                None => self.create(candidate).await?,
            },
        };
        if outcome == ImportOutcome::New {
            self.here.add(R::KIND, &id);
        }
        let notes = if outcome == ImportOutcome::New { reading.notes } else { Vec::new() };
        Ok(ImportedRecord { kind: R::KIND, id, alias, outcome, notes })
    }

    async fn create<R: Limited>(
        &mut self,
        candidate: Candidate<R>,
    ) -> Result<ImportOutcome, ImportError> {
        if self.mode == ImportMode::DryRun {
            return Ok(ImportOutcome::New);
        }
        let Candidate { record, scope, spend } = candidate;
        if let Some(scope) = scope {
            let limits = self.limits_in_force(&record).await?;
            self.carry(scope, &record.id(), &limits, &spend).await?;
        }
        written(self.accounts.create(record, ACTOR).await.map(drop))
    }

    /// The limits of a record with those it inherits, which decide the window of its spend.
    async fn limits_in_force<R: Limited>(&self, record: &R) -> Result<Limits, ImportError> {
        let links = record.links();
        if R::KIND == RecordKind::Member {
            let team = self.accounts.record::<TeamRecord>(links.team.unwrap_or_default()).await?;
            return Ok(record.own_limits().or(&team.member_limits));
        }
        Ok(self.accounts.with_row(record.own_limits(), links.budget).await?)
    }

    /// Carries spend over, before its record is made, into counters that are zero: a repetition after a failure
    /// neither loses nor doubles it, and spend of calls through this gateway stays.
    async fn carry(
        &self,
        kind: ScopeKind,
        id: &str,
        limits: &Limits,
        spend: &CarriedSpend,
    ) -> Result<(), ImportError> {
        let lifetime = BudgetRule { max: None, duration: None, since: UtcTime::default() };
        let own = [("", &limits.budget(), spend.window), ("", &lifetime, spend.total)];
        let further =
            spend.rules.iter().map(|(model, rule, amount)| (model.as_str(), rule, *amount));
        for (model, rule, amount) in own.into_iter().chain(further) {
            if amount == Nanodollars::ZERO {
                continue;
            }
            let (counter, _) = self.accounts.counter(kind, id, model, rule, self.now);
            let states = self.accounts.store().counters(vec![counter.clone()]).await?;
            if states.first().is_none_or(|state| state.spent == Nanodollars::ZERO) {
                self.accounts.store().set_spent(counter, amount.nano()).await?;
            }
        }
        Ok(())
    }

    /// Carries over the spend of the whole gateway.
    async fn gateway(&self) -> Result<(), ImportError> {
        if self.mode == ImportMode::DryRun {
            return Ok(());
        }
        let limits = self.accounts.gateway_limits().clone();
        self.carry(ScopeKind::Gateway, "", &limits, &self.lookup.gateway).await
    }

    async fn keys(&mut self) -> Result<(), ImportError> {
        self.rows(Table::Keys, RecordKind::Key, async |import, row| import.key(row).await).await
    }

    async fn key(&mut self, row: &Fields) -> Result<ImportedRecord, ImportError> {
        let mut reading = Reading { now: self.now, zone: self.accounts.zone(), notes: Vec::new() };
        let candidate = match keys::key(&self.lookup, row, &mut reading) {
            Ok(candidate) => candidate,
            Err(unfit) => return Ok(skipped(RecordKind::Key, unfit)),
        };
        let row_id = row_id(&candidate.record.token);
        self.here.imported.remove(&row_id);
        let token = candidate.record.token.clone();
        let alias = candidate.record.key_alias.clone();
        let mut notes = Vec::new();
        let outcome = match self.here.place(RecordKind::Key, &row_id) {
            Place::Deleted => deleted_here(),
            Place::Living => {
                notes.extend(self.drift(&candidate.record, &row_id).await?);
                ImportOutcome::Present
            }
            Place::Absent if self.accounts.knows(&candidate.hash).await? => ImportOutcome::Present,
            Place::Absent => {
                match self.missing_link(crate::record::Record::links(&candidate.record)) {
                    Some(reason) => ImportOutcome::Skipped(reason),
                    None => {
                        let candidate = self.named(candidate, &mut reading);
                        self.create_key(candidate, &row_id).await?
                    }
                }
            }
        };
        if outcome == ImportOutcome::New {
            self.here.add(RecordKind::Key, &row_id);
            notes = reading.notes;
        }
        Ok(ImportedRecord { kind: RecordKind::Key, id: token, alias, outcome, notes })
    }

    /// A key with an alias that no living key has: LiteLLM's database allows the same one twice.
    fn named(&mut self, mut candidate: KeyCandidate, reading: &mut Reading<'_>) -> KeyCandidate {
        let record = &mut candidate.record;
        if let Some(alias) = &record.key_alias {
            if self.here.aliases.contains(alias) {
                let token = record.token.get(..8).unwrap_or_default();
                let other = format!("{alias}-{token}");
                reading.changed("key_alias", format!("{other}: another key has the alias"));
                record.key_alias = Some(other);
            }
            self.here.aliases.extend(record.key_alias.clone());
        }
        candidate
    }

    async fn create_key(
        &mut self,
        candidate: KeyCandidate,
        row_id: &str,
    ) -> Result<ImportOutcome, ImportError> {
        if self.mode == ImportMode::DryRun {
            return Ok(ImportOutcome::New);
        }
        let KeyCandidate { record, hash, spend } = candidate;
        let limits = self.accounts.with_row(&record.limits, record.budget_id.as_deref()).await?;
        self.carry(ScopeKind::Key, row_id, &limits, &spend).await?;
        let record = KeyRecord { id: row_id.to_owned(), ..record };
        match self.accounts.import_key(record, &hash, ACTOR).await {
            Ok(None) => Ok(ImportOutcome::Present),
            made => written(made.map(drop)),
        }
    }

    /// Differences of a key that is here, which this import leaves as they are.
    async fn drift(
        &self,
        theirs: &KeyRecord,
        row_id: &str,
    ) -> Result<Option<ImportNote>, ImportError> {
        let ours = self.accounts.record::<KeyRecord>(row_id).await?;
        let fields = keys::differences(theirs, &ours);
        Ok((!fields.is_empty()).then(|| ImportNote {
            field: fields.join(", "),
            effect: NoteEffect::Changed,
            text: "LiteLLM's row differs; the key here was left as it is".to_owned(),
        }))
    }

    /// Secrets that LiteLLM replaced and still accepts work on until they end there.
    async fn earlier_secrets(&mut self) -> Result<(), ImportError> {
        for row in self.source.all(Table::EarlierKeys).await? {
            let (token, active) = (row.text("token"), row.text("active_token_id"));
            let (Some(token), Some(active), Some(until)) = (token, active, row.time("revoke_at"))
            else {
                continue;
            };
            let row_id = row_id(&active);
            let is_here = self.here.place(RecordKind::Key, &row_id) == Place::Living;
            let Some(hash) = keys::hash_of(&token).filter(|_| is_here && until > self.now) else {
                continue;
            };
            if self.mode == ImportMode::DryRun || self.accounts.knows(&hash).await? {
                continue;
            }
            self.accounts.import_secret(&row_id, &hash, until, ACTOR).await?;
        }
        Ok(())
    }

    /// Keys of earlier imports that LiteLLM no longer has.
    fn find_gone(&mut self) {
        let gone = std::mem::take(&mut self.here.imported);
        let gone = gone.into_values().map(|(token, shown)| GoneKey { token, shown });
        self.report.gone = gone.collect();
        self.report.gone.sort_by(|a, b| a.shown.cmp(&b.shown));
    }

    /// The reason for which a record cannot be made: one that it refers to is missing.
    fn missing_link(&self, links: crate::Links<'_>) -> Option<String> {
        let links = [(RecordKind::Team, links.team), (RecordKind::Budget, links.budget)];
        links.into_iter().find_map(|(kind, id)| {
            let is_missing = self.here.place(kind, id?) != Place::Living;
            is_missing.then(|| format!("its {} {:?} is not here", kind.as_str(), id.unwrap_or("")))
        })
    }

    fn tell(&mut self, kind: RecordKind, rows: usize) {
        self.done.kind = kind;
        self.done.done += rows as u64;
        (self.progress)(self.done);
    }
}

fn deleted_here() -> ImportOutcome {
    ImportOutcome::Skipped("it was deleted here after an earlier import".to_owned())
}

fn skipped(kind: RecordKind, unfit: Unfit) -> ImportedRecord {
    let Unfit { id, reason } = unfit;
    let outcome = ImportOutcome::Skipped(reason);
    ImportedRecord { kind, id, alias: None, outcome, notes: Vec::new() }
}

/// The outcome of a change. A record that another import made meanwhile is here.
fn written(result: Result<(), AdminError>) -> Result<ImportOutcome, ImportError> {
    match result {
        Ok(()) => Ok(ImportOutcome::New),
        Err(AdminError::Store(error)) => Err(error.into()),
        Err(AdminError::Taken { param, .. }) if param != "key_alias" => Ok(ImportOutcome::Present),
        Err(error) => Ok(ImportOutcome::Skipped(error.to_string())),
    }
}
