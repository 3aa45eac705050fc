//! The records that are here, as an import needs them: by id, with those that were deleted.

use std::collections::{HashMap, HashSet};

use crate::accounts::{Accounts, AdminError};
use crate::record::{KeyRecord, RecordKind};
use crate::store::{Document, RecordQuery, RecordState};

/// Documents read at once.
const PAGE: u64 = 500;
const KINDS: [RecordKind; 7] = [
    RecordKind::Budget,
    RecordKind::Team,
    RecordKind::User,
    RecordKind::Member,
    RecordKind::Tag,
    RecordKind::Customer,
    RecordKind::Key,
];

/// Ids of records, and of those that a dry run would make.
#[derive(Debug, Default)]
pub(super) struct Destination {
    living: HashSet<(RecordKind, String)>,
    deleted: HashSet<(RecordKind, String)>,
    /// Aliases of living keys.
    pub(super) aliases: HashSet<String>,
    /// Keys of earlier imports, by id: token and name.
    pub(super) imported: HashMap<String, (String, String)>,
}

/// Whether a record is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Absent,
    Living,
    Deleted,
}

impl Destination {
    pub(super) async fn read(accounts: &Accounts) -> Result<Self, AdminError> {
        let mut here = Self::default();
        for kind in KINDS {
            for state in [None, Some(RecordState::Deleted)] {
                here.read_all(accounts, kind, state).await?;
            }
        }
        Ok(here)
    }

    async fn read_all(
        &mut self,
        accounts: &Accounts,
        kind: RecordKind,
        state: Option<RecordState>,
    ) -> Result<(), AdminError> {
        let all = RecordQuery::all(kind, accounts.now());
        let mut query = RecordQuery { state, limit: PAGE, ..all };
        loop {
            let page = accounts.store().documents(query.clone()).await?;
            query.offset += page.rows.len() as u64;
            let done = page.rows.is_empty() || query.offset >= page.total;
            for document in page.rows {
                self.note(document)?;
            }
            if done {
                return Ok(());
            }
        }
    }

    fn note(&mut self, document: Document) -> Result<(), AdminError> {
        let is_living = document.deleted.is_none();
        if document.kind == RecordKind::Key && is_living {
            self.aliases.extend(document.alias.clone());
            if super::is_imported(&document.id) {
                let record: KeyRecord = document.read()?;
                let shown = record.shown().to_owned();
                self.imported.insert(document.id.clone(), (record.token, shown));
            }
        }
        let place = if is_living { &mut self.living } else { &mut self.deleted };
        place.insert((document.kind, document.id));
        Ok(())
    }

    pub(super) fn place(&self, kind: RecordKind, id: &str) -> Place {
        let key = (kind, id.to_owned());
        if self.living.contains(&key) {
            Place::Living
        } else if self.deleted.contains(&key) {
            Place::Deleted
        } else {
            Place::Absent
        }
    }

    /// Notes a record that was made, or would be.
    pub(super) fn add(&mut self, kind: RecordKind, id: &str) {
        self.living.insert((kind, id.to_owned()));
    }
}
