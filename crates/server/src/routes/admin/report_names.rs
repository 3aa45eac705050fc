//! Names in reports: of keys and teams, deleted ones too, and of models without the prefix of a profile.

use std::collections::{BTreeSet, HashMap};

use access::accounts::PastRecord;
use access::ledger::OTHER;
use access::{Accounts, KeyRecord, TeamRecord};
use routing::catalogue::{Catalogue, ModelOverrides};

use super::error::AdminRefusal;
use super::report_scope::MASTER;

/// The text for end users and tags beyond the most that an hour tells apart.
const REST: &str = "other";

/// Names of keys, by their rows.
#[derive(Debug, Default)]
pub(super) struct KeyNames(HashMap<String, PastRecord<KeyRecord>>);

/// Names of teams, by their ids.
#[derive(Debug, Default)]
pub(super) struct TeamNames(HashMap<String, PastRecord<TeamRecord>>);

/// Foundation models of ids that were called.
#[derive(Debug)]
pub(super) struct ModelNames {
    catalogue: Catalogue,
    known: HashMap<String, String>,
}

impl KeyNames {
    /// The names of these rows.
    ///
    /// # Errors
    /// The store fails.
    pub(super) async fn read<'i>(
        accounts: &Accounts,
        ids: impl IntoIterator<Item = &'i str>,
    ) -> Result<Self, AdminRefusal> {
        Ok(Self(accounts.past_records(distinct(ids)).await?))
    }

    /// The token of a row; the id itself where there is no record of it.
    pub(super) fn token<'k>(&'k self, id: &'k str) -> &'k str {
        self.record(id).map_or(id, |key| &key.token)
    }

    /// The alias of a row.
    pub(super) fn alias<'k>(&'k self, id: &'k str) -> Option<&'k str> {
        match self.record(id) {
            Some(key) => key.key_alias.as_deref(),
            None => (id == MASTER).then_some(MASTER),
        }
    }

    /// The alias of a row, else the end of its secret as lists show it, else the id.
    pub(super) fn shown(&self, id: &str) -> String {
        match (self.alias(id), self.record(id)) {
            (Some(alias), _) => alias.to_owned(),
            (None, Some(key)) => key.key_name.clone(),
            (None, None) => id.to_owned(),
        }
    }

    /// The record of a row.
    pub(super) fn record(&self, id: &str) -> Option<&KeyRecord> {
        self.0.get(id).map(|past| &past.record)
    }
}

impl TeamNames {
    /// The names of these teams.
    ///
    /// # Errors
    /// The store fails.
    pub(super) async fn read<'i>(
        accounts: &Accounts,
        ids: impl IntoIterator<Item = &'i str>,
    ) -> Result<Self, AdminRefusal> {
        Ok(Self(accounts.past_records(distinct(ids)).await?))
    }

    /// The alias of a team.
    pub(super) fn alias(&self, id: &str) -> Option<&str> {
        self.0.get(id)?.record.team_alias.as_deref()
    }

    /// The alias of a team, or its id.
    pub(super) fn shown<'t>(&'t self, id: &'t str) -> &'t str {
        self.alias(id).unwrap_or(id)
    }
}

impl ModelNames {
    /// Names of models in this catalogue.
    pub(super) fn of(catalogue: &Catalogue) -> Self {
        Self { catalogue: catalogue.clone(), known: HashMap::new() }
    }

    /// The foundation model of an id; the id itself where it is not known.
    pub(super) fn base(&mut self, id: &str) -> String {
        if let Some(known) = self.known.get(id) {
            return known.clone();
        }
        let resolved = self.catalogue.resolve(id, &ModelOverrides::default());
        let base = resolved.base_model().unwrap_or(id).to_owned();
        self.known.insert(id.to_owned(), base.clone());
        base
    }

    /// Whether a name is that of an id, or of its foundation model.
    pub(super) fn is_named(&mut self, id: &str, name: &str) -> bool {
        id == name || self.base(id) == name
    }
}

/// An end user or a tag as reports show it.
pub(super) fn shown(name: &str) -> &str {
    if name == OTHER { REST } else { name }
}

fn distinct<'i>(ids: impl IntoIterator<Item = &'i str>) -> Vec<String> {
    let ids: BTreeSet<&str> = ids.into_iter().filter(|id| !id.is_empty()).collect();
    ids.into_iter().map(str::to_owned).collect()
}
