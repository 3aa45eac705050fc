//! A team, and a user's membership of one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{LimitInput, Limits, Links, Record, RecordKind, Set, Stamp, text};
use crate::{InvalidField, UtcTime};

/// The role of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TeamRole {
    /// May change the team's keys and members.
    Admin,
    /// May use the team's keys.
    User,
}

/// An entry of `members_with_roles`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TeamMember {
    /// The role in the team.
    pub role: TeamRole,
    /// The user's id.
    #[serde(default)]
    pub user_id: Option<String>,
    /// The user's address.
    #[serde(default)]
    pub user_email: Option<String>,
}

/// Fields of a request to create or update a team.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the names are those of the admin API")]
pub struct TeamInput {
    pub team_alias: Set<String>,
    pub organization_id: Set<String>,
    pub budget_id: Set<String>,
    pub metadata: Set<Map<String, Value>>,
    pub tags: Set<Vec<String>>,
    pub guardrails: Set<Vec<String>>,
    pub models: Set<Vec<String>>,
    pub blocked: Set<bool>,
    pub model_aliases: Set<BTreeMap<String, String>>,
    pub members_with_roles: Set<Vec<TeamMember>>,
    pub team_member_permissions: Set<Vec<String>>,
    pub team_member_key_duration: Set<String>,
    pub router_settings: Set<Value>,
    pub prompts: Set<Vec<String>>,
    pub object_permission: Set<Value>,
    pub access_group_ids: Set<Vec<String>>,
    pub allowed_geographies: Set<Vec<String>>,
    pub allowed_operations: Set<Vec<String>>,
    /// Limits of each member, under their own names without `team_member_`.
    #[serde(skip)]
    pub member_limits: LimitInput,
    #[serde(flatten)]
    pub limits: LimitInput,
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// A team as it is stored.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the names are those of the admin API")]
pub struct TeamRecord {
    pub team_id: String,
    pub team_alias: Option<String>,
    pub organization_id: Option<String>,
    pub budget_id: Option<String>,
    pub metadata: Map<String, Value>,
    pub tags: Option<Vec<String>>,
    pub guardrails: Option<Vec<String>>,
    pub models: Vec<String>,
    pub blocked: bool,
    pub model_aliases: BTreeMap<String, String>,
    pub members_with_roles: Vec<TeamMember>,
    pub team_member_permissions: Option<Vec<String>>,
    pub team_member_key_duration: Option<String>,
    pub router_settings: Option<Value>,
    pub prompts: Option<Vec<String>>,
    pub object_permission: Option<Value>,
    pub access_group_ids: Option<Vec<String>>,
    pub allowed_geographies: Option<Vec<String>>,
    pub allowed_operations: Option<Vec<String>>,
    pub member_limits: Limits,
    pub limits: Limits,
    pub stamp: Stamp,
}

/// Fields of a request to add or update a member.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct MemberInput {
    /// Models the member may call with the team's keys; null is the team's.
    pub allowed_models: Set<Vec<String>>,
    /// Limits; the HTTP layer puts `max_budget_in_team` into `max_budget`.
    #[serde(flatten)]
    pub limits: LimitInput,
}

/// A user's membership of a team, with limits of its own.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MemberRecord {
    /// The team.
    pub team_id: String,
    /// The user.
    pub user_id: String,
    /// Models the member may call with the team's keys; null is the team's.
    pub allowed_models: Option<Vec<String>>,
    /// Limits of the member's calls with the team's keys.
    pub limits: Limits,
    /// Times.
    pub stamp: Stamp,
}

impl TeamRecord {
    /// A new team without limits.
    ///
    /// # Errors
    /// The id has characters that ids may not have.
    pub fn new(team_id: &str) -> Result<Self, InvalidField> {
        Ok(Self { team_id: text::id(team_id, "team_id")?, ..Self::default() })
    }

    /// Merges a request's fields.
    ///
    /// # Errors
    /// The first field whose value cannot be stored. The record is to be dropped then.
    pub fn apply(&mut self, input: TeamInput, now: UtcTime) -> Result<(), InvalidField> {
        let TeamInput {
            team_alias,
            organization_id,
            budget_id,
            metadata,
            tags,
            guardrails,
            models,
            blocked,
            model_aliases,
            members_with_roles,
            team_member_permissions,
            team_member_key_duration,
            router_settings,
            prompts,
            object_permission,
            access_group_ids,
            allowed_geographies,
            allowed_operations,
            member_limits,
            limits,
            other: _,
        } = input;
        text::alias(team_alias, "team_alias")?.merge(&mut self.team_alias);
        text::reference(organization_id, "organization_id")?.merge(&mut self.organization_id);
        text::reference(budget_id, "budget_id")?.merge(&mut self.budget_id);
        text::metadata(metadata)?.merge_or_default(&mut self.metadata);
        text::list(tags, "tags")?.merge(&mut self.tags);
        text::list(guardrails, "guardrails")?.merge(&mut self.guardrails);
        text::list(models, "models")?.merge_or_default(&mut self.models);
        blocked.merge_or_default(&mut self.blocked);
        model_aliases.merge_or_default(&mut self.model_aliases);
        members_with_roles.merge_or_default(&mut self.members_with_roles);
        text::list(team_member_permissions, "team_member_permissions")?
            .merge(&mut self.team_member_permissions);
        team_member_key_duration.empty_is_null().merge(&mut self.team_member_key_duration);
        router_settings.merge(&mut self.router_settings);
        prompts.merge(&mut self.prompts);
        object_permission.merge(&mut self.object_permission);
        text::list(access_group_ids, "access_group_ids")?.merge(&mut self.access_group_ids);
        text::list(allowed_geographies, "allowed_geographies")?
            .merge(&mut self.allowed_geographies);
        text::list(allowed_operations, "allowed_operations")?.merge(&mut self.allowed_operations);
        self.member_limits.apply(member_limits, now)?;
        self.limits.apply(limits, now)
    }

    /// The role of a user in the team.
    pub fn role_of(&self, user_id: &str) -> Option<TeamRole> {
        let is = |member: &&TeamMember| member.user_id.as_deref() == Some(user_id);
        self.members_with_roles.iter().find(is).map(|member| member.role)
    }
}

impl Record for TeamRecord {
    const KIND: RecordKind = RecordKind::Team;

    fn id(&self) -> String {
        self.team_id.clone()
    }

    fn links(&self) -> Links<'_> {
        Links {
            alias: self.team_alias.as_deref(),
            organization: self.organization_id.as_deref(),
            budget: self.budget_id.as_deref(),
            blocked: self.blocked,
            ..Links::default()
        }
    }

    fn stamp_mut(&mut self) -> &mut Stamp {
        &mut self.stamp
    }
}

impl MemberRecord {
    /// The id of a membership: both ids, with a character between them that ids do not have.
    pub fn id_of(team_id: &str, user_id: &str) -> String {
        format!("{team_id}/{user_id}")
    }

    /// Merges a request's fields.
    ///
    /// # Errors
    /// The first field whose value cannot be stored.
    pub fn apply(&mut self, input: MemberInput, now: UtcTime) -> Result<(), InvalidField> {
        let MemberInput { allowed_models, limits } = input;
        text::list(allowed_models, "allowed_models")?.merge(&mut self.allowed_models);
        self.limits.apply(limits, now)
    }
}

impl Record for MemberRecord {
    const KIND: RecordKind = RecordKind::Member;

    fn id(&self) -> String {
        Self::id_of(&self.team_id, &self.user_id)
    }

    fn links(&self) -> Links<'_> {
        Links { team: Some(&self.team_id), user: Some(&self.user_id), ..Links::default() }
    }

    fn stamp_mut(&mut self) -> &mut Stamp {
        &mut self.stamp
    }
}
