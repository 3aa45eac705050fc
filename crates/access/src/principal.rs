//! The identity behind a request, with the records above it.

use std::borrow::Cow;
use std::sync::Arc;

use crate::UtcTime;
use crate::ledger::ScopeKind;
use crate::policy::grants_all_models;
use crate::record::{
    CustomerRecord, KeyRecord, Limits, MemberRecord, TagRecord, TeamRecord, UserRecord,
};

/// The party that a request is admitted for and accounted to.
#[derive(Debug, Clone, PartialEq)]
pub enum Principal {
    /// A caller without a key of the gateway's.
    Anonymous,
    /// The holder of the master key.
    Master,
    /// The holder of the read-only key: it reads all records, and calls no model.
    Viewer,
    /// The holder of a key.
    Key(Arc<Holder>),
}

impl Principal {
    /// The holder of its key; none for other principals.
    pub fn holder(&self) -> Option<&Arc<Holder>> {
        match self {
            Self::Key(holder) => Some(holder),
            Self::Master | Self::Viewer | Self::Anonymous => None,
        }
    }
}

/// A key with the team and user above it, as they were at one time.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Holder {
    /// The key.
    pub key: KeyRecord,
    /// Its team.
    pub team: Option<TeamRecord>,
    /// The membership of its user in its team.
    pub member: Option<MemberRecord>,
    /// Its user.
    pub user: Option<UserRecord>,
    /// Limits of the key's budget row.
    pub key_budget: Limits,
    /// Limits of the key, with those of its budget row and of every key, without a temporary increase.
    pub key_limits: Limits,
    /// Limits of the membership, with those that the team gives every member.
    pub member_limits: Limits,
    /// Limits of the team, with those of its budget row.
    pub team_limits: Limits,
    /// Limits of the user, with those of the budget row.
    pub user_limits: Limits,
}

/// The end user of a call.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Customer {
    /// The id.
    pub id: String,
    /// The record, where there is one.
    pub record: Option<CustomerRecord>,
    /// The record's limits with those of its budget row, or the default ones.
    pub limits: Limits,
}

/// A tag of a call.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CallTag {
    /// The name.
    pub name: String,
    /// The record, where there is one.
    pub record: Option<TagRecord>,
    /// The record's limits with those of its budget row, or the configured ones.
    pub limits: Limits,
}

/// The caller of one request: the principal with the end user and the tags of the call.
#[derive(Debug, Clone, PartialEq)]
pub struct Caller {
    /// The principal.
    pub principal: Principal,
    /// The end user.
    pub customer: Option<Arc<Customer>>,
    /// The tags of the call and of the key and team.
    pub tags: Vec<Arc<CallTag>>,
}

impl From<Principal> for Caller {
    fn from(principal: Principal) -> Self {
        Self { principal, customer: None, tags: Vec::new() }
    }
}

/// A level of policy, with what it says.
pub(crate) struct Level<'c> {
    pub(crate) kind: ScopeKind,
    /// Models that may be called; absent says no word on it.
    pub(crate) models: Option<&'c [String]>,
    pub(crate) geographies: Option<Vec<&'c str>>,
    pub(crate) operations: Option<&'c [String]>,
    pub(crate) blocked: bool,
}

impl Level<'_> {
    /// Whether it restricts models or geographies at all.
    pub(crate) fn restricts_models(&self) -> bool {
        self.geographies.is_some() || self.models.is_some_and(|list| !list.is_empty())
    }

    /// Whether its list of native operations names one; absent without a list.
    pub(crate) fn lists(&self, operation: &str) -> Option<bool> {
        self.operations.map(|list| list.iter().any(|one| one == operation))
    }

    /// Whether it grants every model in every geography, as far as it has a say.
    pub(crate) fn grants_all(&self) -> bool {
        !self.restricts_models()
            || (self.geographies.is_none() && self.models.is_some_and(grants_all_models))
    }
}

impl Caller {
    /// The levels of policy, the key first.
    pub(crate) fn levels(&self) -> Vec<Level<'_>> {
        let mut levels = Vec::new();
        if let Some(holder) = self.principal.holder() {
            holder.levels(&mut levels);
        }
        if let Some(record) = self.customer.as_ref().and_then(|customer| customer.record.as_ref()) {
            levels.push(Level {
                kind: ScopeKind::Customer,
                models: Some(&record.models),
                geographies: record.allowed_model_region.map(|rule| vec![rule.prefix()]),
                operations: None,
                blocked: record.blocked,
            });
        }
        for record in self.tags.iter().filter_map(|tag| tag.record.as_ref()) {
            levels.push(Level {
                kind: ScopeKind::Tag,
                models: Some(&record.models),
                geographies: None,
                operations: None,
                blocked: false,
            });
        }
        levels
    }
}

impl Holder {
    /// The limits of the key in force: with a temporary increase of its budget while it lasts.
    pub fn key_limits_at(&self, now: UtcTime) -> Cow<'_, Limits> {
        match self.key.budget_increase_at(now) {
            Some(more) => {
                let own = Limits {
                    max_budget: self.key.limits.max_budget.map(|max| max.plus(more)),
                    ..self.key_limits.clone()
                };
                Cow::Owned(own.or(&self.key_limits))
            }
            None => Cow::Borrowed(&self.key_limits),
        }
    }

    fn levels<'h>(&'h self, levels: &mut Vec<Level<'h>>) {
        let texts = |list: &'h Option<Vec<String>>| {
            list.as_ref().map(|list| list.iter().map(String::as_str).collect::<Vec<_>>())
        };
        let Self { key, team, member, user, .. } = self;
        levels.push(Level {
            kind: ScopeKind::Key,
            models: Some(&key.models),
            geographies: texts(&key.allowed_geographies),
            operations: key.allowed_operations.as_deref(),
            blocked: key.blocked == Some(true),
        });
        if let Some(team) = team {
            levels.push(Level {
                kind: ScopeKind::Team,
                models: Some(&team.models),
                geographies: texts(&team.allowed_geographies),
                operations: team.allowed_operations.as_deref(),
                blocked: team.blocked,
            });
        }
        if let Some(member) = member {
            levels.push(Level {
                kind: ScopeKind::Member,
                models: member.allowed_models.as_deref(),
                geographies: None,
                operations: None,
                blocked: false,
            });
        }
        if let Some(user) = user {
            levels.push(Level {
                kind: ScopeKind::User,
                // They are those of personal keys: `no-default-models` leaves a user the models of teams.
                models: team.is_none().then_some(user.models.as_slice()),
                geographies: texts(&user.allowed_geographies),
                operations: user.allowed_operations.as_deref(),
                blocked: user.blocked == Some(true),
            });
        }
    }
}
