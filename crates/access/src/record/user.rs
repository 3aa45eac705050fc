//! A user: a person inside, who may own keys.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{LimitInput, Limits, Links, Record, RecordKind, Set, Stamp, text};
use crate::{InvalidField, UtcTime};

/// The rights of a user's keys in the admin API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UserRole {
    /// Everything the master key may.
    ProxyAdmin,
    /// Reads everything.
    ProxyAdminViewer,
    /// Own keys.
    InternalUser,
    /// Reads own keys.
    InternalUserViewer,
}

/// Fields of a request to create or update a user.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the names are those of the admin API")]
pub struct UserInput {
    pub user_email: Set<String>,
    pub user_alias: Set<String>,
    pub user_role: Set<UserRole>,
    pub teams: Set<Vec<String>>,
    pub organization_id: Set<String>,
    pub budget_id: Set<String>,
    pub metadata: Set<Map<String, Value>>,
    pub models: Set<Vec<String>>,
    pub blocked: Set<bool>,
    pub allowed_geographies: Set<Vec<String>>,
    pub allowed_operations: Set<Vec<String>>,
    #[serde(flatten)]
    pub limits: LimitInput,
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// A user as it is stored.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the names are those of the admin API")]
pub struct UserRecord {
    pub user_id: String,
    pub user_email: Option<String>,
    pub user_alias: Option<String>,
    pub user_role: Option<UserRole>,
    pub teams: Vec<String>,
    pub organization_id: Option<String>,
    pub budget_id: Option<String>,
    pub metadata: Map<String, Value>,
    pub models: Vec<String>,
    pub blocked: Option<bool>,
    pub allowed_geographies: Option<Vec<String>>,
    pub allowed_operations: Option<Vec<String>>,
    pub limits: Limits,
    pub stamp: Stamp,
}

impl UserRecord {
    /// A new user without limits.
    ///
    /// # Errors
    /// The id has characters that ids may not have.
    pub fn new(user_id: &str) -> Result<Self, InvalidField> {
        Ok(Self { user_id: text::id(user_id, "user_id")?, ..Self::default() })
    }

    /// Merges a request's fields.
    ///
    /// # Errors
    /// The first field whose value cannot be stored. The record is to be dropped then.
    pub fn apply(&mut self, input: UserInput, now: UtcTime) -> Result<(), InvalidField> {
        let UserInput {
            user_email,
            user_alias,
            user_role,
            teams,
            organization_id,
            budget_id,
            metadata,
            models,
            blocked,
            allowed_geographies,
            allowed_operations,
            limits,
            other: _,
        } = input;
        text::alias(user_email, "user_email")?.merge(&mut self.user_email);
        text::alias(user_alias, "user_alias")?.merge(&mut self.user_alias);
        user_role.merge(&mut self.user_role);
        text::list(teams, "teams")?.merge_or_default(&mut self.teams);
        text::reference(organization_id, "organization_id")?.merge(&mut self.organization_id);
        text::reference(budget_id, "budget_id")?.merge(&mut self.budget_id);
        text::metadata(metadata)?.merge_or_default(&mut self.metadata);
        text::list(models, "models")?.merge_or_default(&mut self.models);
        blocked.merge(&mut self.blocked);
        text::list(allowed_geographies, "allowed_geographies")?
            .merge(&mut self.allowed_geographies);
        text::list(allowed_operations, "allowed_operations")?.merge(&mut self.allowed_operations);
        self.limits.apply(limits, now)
    }
}

impl Record for UserRecord {
    const KIND: RecordKind = RecordKind::User;

    fn id(&self) -> String {
        self.user_id.clone()
    }

    fn links(&self) -> Links<'_> {
        Links {
            alias: self.user_email.as_deref(),
            organization: self.organization_id.as_deref(),
            budget: self.budget_id.as_deref(),
            blocked: self.blocked == Some(true),
            ..Links::default()
        }
    }

    fn stamp_mut(&mut self) -> &mut Stamp {
        &mut self.stamp
    }
}
