//! A key's record: all of a key but its secret.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value};

use super::limits::{money, whole};
use super::{LimitInput, Limits, Links, Record, RecordKind, Set, Stamp, text};
use crate::{InvalidField, Nanodollars, UtcTime, WrittenSpan};

/// The preset of routes of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyType {
    /// Calls of models and of its own information.
    Default,
    /// Calls of models only.
    LlmApi,
    /// Management only.
    Management,
    /// Reading only.
    ReadOnly,
}

/// The treatment of parameters that a model does not support.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnsupportedParams {
    /// They are left out, and answers name them.
    Warn,
    /// They are left out.
    Drop,
    /// The request is refused.
    Reject,
}

/// The meaning of a rate limit among the keys of a team.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitType {
    /// The sum over a team's keys may not exceed the team's limit.
    GuaranteedThroughput,
    /// No such sum.
    BestEffortThroughput,
    /// No such sum.
    Dynamic,
}

/// Fields of a request to create or update a key. `key` and `duration` of creation are read by the caller of
/// [`KeyRecord::apply`] too; fields unknown here are in `other`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the names are those of the admin API")]
pub struct KeyInput {
    pub key_alias: Set<String>,
    pub duration: Set<String>,
    pub models: Set<Vec<String>>,
    pub aliases: Set<BTreeMap<String, String>>,
    pub user_id: Set<String>,
    pub team_id: Set<String>,
    pub organization_id: Set<String>,
    pub project_id: Set<String>,
    pub agent_id: Set<String>,
    pub budget_id: Set<String>,
    pub metadata: Set<Map<String, Value>>,
    pub tags: Set<Vec<String>>,
    pub guardrails: Set<Vec<String>>,
    pub blocked: Set<bool>,
    pub permissions: Set<Map<String, Value>>,
    pub config: Set<Map<String, Value>>,
    pub allowed_cache_controls: Set<Vec<Value>>,
    pub router_settings: Set<Value>,
    pub object_permission: Set<Value>,
    pub prompts: Set<Vec<String>>,
    pub allowed_routes: Set<Vec<String>>,
    pub key_type: Set<KeyType>,
    pub allowed_passthrough_routes: Set<Vec<String>>,
    pub denied_passthrough_routes: Set<Vec<String>>,
    pub access_group_ids: Set<Vec<String>>,
    pub default_estimated_output_tokens: Set<Number>,
    pub tpm_limit_type: Set<LimitType>,
    pub rpm_limit_type: Set<LimitType>,
    pub temp_budget_increase: Set<Number>,
    pub temp_budget_expiry: Set<UtcTime>,
    /// Geographies whose profiles the key may call, such as `eu`; null is all. Ours.
    pub allowed_geographies: Set<Vec<String>>,
    /// Native operations the key may call; null is all. Ours.
    pub allowed_operations: Set<Vec<String>>,
    /// Prefixes below which the objects in S3 that its calls name must be; null is what the configuration admits. Ours.
    pub allowed_s3_prefixes: Set<Vec<String>>,
    /// Whether media by URL are fetched for it, where the configuration fetches them; null is yes. Ours.
    pub allow_media_fetch: Set<bool>,
    /// The treatment of parameters that a model does not support, for all its calls. Ours.
    pub unsupported_params: Set<UnsupportedParams>,
    #[serde(flatten)]
    pub limits: LimitInput,
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// A key as it is stored. Null is a field that was not set.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the names are those of the admin API")]
pub struct KeyRecord {
    /// The id of the row, the same over every regeneration: counters and the ledger refer to it.
    pub id: String,
    /// The handle of the present secret.
    pub token: String,
    /// `sk-...` and the last four characters of the present secret.
    pub key_name: String,
    /// The id that logs show, part of the key and of the access key id.
    pub public_id: String,
    /// Whether the key has an AWS key pair: of an imported one no secret was shown.
    pub has_aws_pair: bool,
    pub key_alias: Option<String>,
    pub expires: Option<UtcTime>,
    pub models: Vec<String>,
    pub aliases: BTreeMap<String, String>,
    pub user_id: Option<String>,
    pub team_id: Option<String>,
    pub organization_id: Option<String>,
    pub project_id: Option<String>,
    pub agent_id: Option<String>,
    pub budget_id: Option<String>,
    pub metadata: Map<String, Value>,
    pub tags: Option<Vec<String>>,
    pub guardrails: Option<Vec<String>>,
    pub blocked: Option<bool>,
    pub permissions: Map<String, Value>,
    pub config: Map<String, Value>,
    pub allowed_cache_controls: Vec<Value>,
    pub router_settings: Option<Value>,
    pub object_permission: Option<Value>,
    pub prompts: Option<Vec<String>>,
    pub allowed_routes: Vec<String>,
    pub key_type: Option<KeyType>,
    pub allowed_passthrough_routes: Option<Vec<String>>,
    pub denied_passthrough_routes: Option<Vec<String>>,
    pub access_group_ids: Option<Vec<String>>,
    pub default_estimated_output_tokens: Option<u64>,
    pub tpm_limit_type: Option<LimitType>,
    pub rpm_limit_type: Option<LimitType>,
    pub temp_budget_increase: Option<Nanodollars>,
    pub temp_budget_expiry: Option<UtcTime>,
    pub allowed_geographies: Option<Vec<String>>,
    pub allowed_operations: Option<Vec<String>>,
    pub allowed_s3_prefixes: Option<Vec<String>>,
    pub allow_media_fetch: Option<bool>,
    pub unsupported_params: Option<UnsupportedParams>,
    pub limits: Limits,
    pub stamp: Stamp,
}

impl KeyRecord {
    /// Merges a request's fields. Fields in `other` are left to the caller, and so is the check that the records it
    /// refers to exist.
    ///
    /// # Errors
    /// The first field whose value cannot be stored. The record is to be dropped then.
    pub fn apply(&mut self, input: KeyInput, now: UtcTime) -> Result<(), InvalidField> {
        let KeyInput {
            key_alias,
            duration,
            models,
            aliases,
            user_id,
            team_id,
            organization_id,
            project_id,
            agent_id,
            budget_id,
            metadata,
            tags,
            guardrails,
            blocked,
            permissions,
            config,
            allowed_cache_controls,
            router_settings,
            object_permission,
            prompts,
            allowed_routes,
            key_type,
            allowed_passthrough_routes,
            denied_passthrough_routes,
            access_group_ids,
            default_estimated_output_tokens,
            tpm_limit_type,
            rpm_limit_type,
            temp_budget_increase,
            temp_budget_expiry,
            allowed_geographies,
            allowed_operations,
            allowed_s3_prefixes,
            allow_media_fetch,
            unsupported_params,
            limits,
            other: _,
        } = input;
        text::alias(key_alias, "key_alias")?.merge(&mut self.key_alias);
        let span =
            duration.empty_is_null().try_map(|text| WrittenSpan::of_key(&text, "duration"))?;
        span.try_map(|span| Ok::<_, InvalidField>(span.after(now)))?.merge(&mut self.expires);
        text::list(models, "models")?.merge_or_default(&mut self.models);
        aliases.merge_or_default(&mut self.aliases);
        text::reference(user_id, "user_id")?.merge(&mut self.user_id);
        text::reference(team_id, "team_id")?.merge(&mut self.team_id);
        text::reference(organization_id, "organization_id")?.merge(&mut self.organization_id);
        text::reference(project_id, "project_id")?.merge(&mut self.project_id);
        text::reference(agent_id, "agent_id")?.merge(&mut self.agent_id);
        text::reference(budget_id, "budget_id")?.merge(&mut self.budget_id);
        text::metadata(metadata)?.merge_or_default(&mut self.metadata);
        text::list(tags, "tags")?.merge(&mut self.tags);
        text::list(guardrails, "guardrails")?.merge(&mut self.guardrails);
        blocked.merge(&mut self.blocked);
        permissions.merge_or_default(&mut self.permissions);
        config.merge_or_default(&mut self.config);
        allowed_cache_controls.merge_or_default(&mut self.allowed_cache_controls);
        router_settings.merge(&mut self.router_settings);
        object_permission.merge(&mut self.object_permission);
        prompts.merge(&mut self.prompts);
        enumerated(allowed_routes)?.merge_or_default(&mut self.allowed_routes);
        key_type.merge(&mut self.key_type);
        text::list(allowed_passthrough_routes, "allowed_passthrough_routes")?
            .merge(&mut self.allowed_passthrough_routes);
        text::list(denied_passthrough_routes, "denied_passthrough_routes")?
            .merge(&mut self.denied_passthrough_routes);
        text::list(access_group_ids, "access_group_ids")?.merge(&mut self.access_group_ids);
        let output = default_estimated_output_tokens
            .try_map(|n| whole(&n, "default_estimated_output_tokens"))?;
        output.merge(&mut self.default_estimated_output_tokens);
        tpm_limit_type.merge(&mut self.tpm_limit_type);
        rpm_limit_type.merge(&mut self.rpm_limit_type);
        temp_budget_increase
            .try_map(|n| money(&n, "temp_budget_increase"))?
            .merge(&mut self.temp_budget_increase);
        temp_budget_expiry.merge(&mut self.temp_budget_expiry);
        if self.temp_budget_increase.is_some() != self.temp_budget_expiry.is_some() {
            let message = "temp_budget_increase and temp_budget_expiry must be sent together";
            return Err(InvalidField::new("temp_budget_expiry", message));
        }
        text::list(allowed_geographies, "allowed_geographies")?
            .merge(&mut self.allowed_geographies);
        text::list(allowed_operations, "allowed_operations")?.merge(&mut self.allowed_operations);
        prefixes(allowed_s3_prefixes)?.merge(&mut self.allowed_s3_prefixes);
        allow_media_fetch.merge(&mut self.allow_media_fetch);
        unsupported_params.merge(&mut self.unsupported_params);
        self.limits.apply(limits, now)
    }

    /// The alias, or the last characters: the name that messages may show.
    pub fn shown(&self) -> &str {
        self.key_alias.as_deref().unwrap_or(&self.key_name)
    }

    /// The end user that all its calls are for, if `metadata.end_user` names one.
    pub fn end_user(&self) -> Option<&str> {
        self.metadata.get("end_user")?.as_str().filter(|id| !id.is_empty())
    }

    /// The state, as `/key/list` filters by it.
    pub fn status(&self, now: UtcTime) -> &'static str {
        if self.blocked == Some(true) {
            "revoked"
        } else if self.expires.is_some_and(|at| at <= now) {
            "expired"
        } else {
            "active"
        }
    }

    /// The limits in force: with a temporary increase of the budget while it lasts.
    pub fn limits_at(&self, now: UtcTime) -> Limits {
        let mut limits = self.limits.clone();
        if let Some(more) = self.budget_increase_at(now) {
            limits.max_budget = limits.max_budget.map(|max| max.plus(more));
        }
        limits
    }

    /// The temporary increase of the budget, while it lasts.
    pub(crate) fn budget_increase_at(&self, now: UtcTime) -> Option<Nanodollars> {
        self.temp_budget_increase.filter(|_| self.temp_budget_expiry.is_some_and(|end| now < end))
    }
}

/// Prefixes name a bucket at least.
fn prefixes(list: Set<Vec<String>>) -> Result<Set<Vec<String>>, InvalidField> {
    const FIELD: &str = "allowed_s3_prefixes";
    let list = text::list(list, FIELD)?;
    let names_bucket = |prefix: &String| {
        prefix.strip_prefix("s3://").is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'))
    };
    if list.value().is_some_and(|list| !list.iter().all(names_bucket)) {
        let message = "allowed_s3_prefixes holds prefixes such as s3://bucket/folder/";
        return Err(InvalidField::new(FIELD, message));
    }
    Ok(list)
}

/// Routes are named one by one: a wildcard grants what is added later.
fn enumerated(routes: Set<Vec<String>>) -> Result<Set<Vec<String>>, InvalidField> {
    let routes = text::list(routes, "allowed_routes")?;
    if routes.value().is_some_and(|list| list.iter().any(|route| route.contains('*'))) {
        return Err(InvalidField::new(
            "allowed_routes",
            "allowed_routes may not contain wildcards",
        ));
    }
    Ok(routes)
}

impl Record for KeyRecord {
    const KIND: RecordKind = RecordKind::Key;

    fn id(&self) -> String {
        self.id.clone()
    }

    fn links(&self) -> Links<'_> {
        Links {
            alias: self.key_alias.as_deref(),
            team: self.team_id.as_deref(),
            user: self.user_id.as_deref(),
            organization: self.organization_id.as_deref(),
            budget: self.budget_id.as_deref(),
            expires: self.expires,
            blocked: self.blocked == Some(true),
        }
    }

    fn stamp_mut(&mut self) -> &mut Stamp {
        &mut self.stamp
    }
}
