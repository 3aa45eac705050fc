//! Rows of teams, users, memberships, customers, tags and budgets as records.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::fields::{Fields, is_set};
use super::limits::{CarriedSpend, Reading};
use super::lookup::{GATEWAY_USER, Lookup};
use crate::ledger::ScopeKind;
use crate::record::{
    BudgetRecord, CustomerRecord, DEFAULT_USER, Limits, MemberRecord, Record, TagRecord,
    TeamMember, TeamRecord, TeamRole, UserRecord,
};

/// Longest id that is taken over, in bytes.
const LONGEST_ID: usize = 128;
/// Members of `metadata` that limit calls in LiteLLM and not here.
const UNENFORCED: &[&str] = &[
    "allowed_passthrough_routes",
    "denied_passthrough_routes",
    "model_itpm_limit",
    "model_otpm_limit",
    "tag_rpm_limit",
    "enforced_params",
    "policies",
    "require_trace_id",
    "end_user_budget_id",
];

/// A record that may be taken over.
#[derive(Debug)]
pub(super) struct Candidate<R> {
    pub(super) record: R,
    /// The scope whose counters its spend belongs to; budget rows have none.
    pub(super) scope: Option<ScopeKind>,
    pub(super) spend: CarriedSpend,
}

/// A row that cannot be taken over, and the reason.
#[derive(Debug)]
pub(super) struct Unfit {
    pub(super) id: String,
    pub(super) reason: String,
}

/// The conversion of a table's rows.
pub(super) type Convert<R> = fn(&Lookup, &Fields, &mut Reading<'_>) -> Result<Candidate<R>, Unfit>;

pub(super) fn budget(
    _: &Lookup,
    row: &Fields,
    reading: &mut Reading<'_>,
) -> Result<Candidate<BudgetRecord>, Unfit> {
    let budget_id = id(row, "budget_id")?;
    let limits = reading.limits(row, &mut Map::new());
    if row.number("temp_budget_increase").is_some() {
        reading.changed("temp_budget_increase", "not taken over: only keys have one here");
    }
    let record = BudgetRecord { budget_id, limits, ..BudgetRecord::default() };
    Ok(Candidate { record, scope: None, spend: CarriedSpend::default() })
}

pub(super) fn team(
    lookup: &Lookup,
    row: &Fields,
    reading: &mut Reading<'_>,
) -> Result<Candidate<TeamRecord>, Unfit> {
    let team_id = id(row, "team_id")?;
    let mut metadata = row.object("metadata");
    let limits = reading.limits(row, &mut metadata);
    let members = metadata.get("team_member_budget_id").and_then(Value::as_str);
    let members = members.and_then(|id| lookup.budgets.get(id));
    let member_limits = members.map(|budget| budget.limits.clone()).unwrap_or_default();
    if members.is_some() {
        metadata.remove("team_member_budget_id");
    }
    let organization_id = row.text("organization_id");
    reading.surroundings(lookup, row, organization_id.as_deref());
    reading.unenforced(row, &metadata);
    if !row.list("default_team_member_models").is_empty() {
        reading.not_enforced("default_team_member_models", "of members that are added later");
    }
    let mut spend = reading.spend(row, lookup.window_of(row, &limits));
    lookup.add_windows(reading, &limits, ("team", "team_model_spend", &team_id), &mut spend);
    let aliases = row.number("model_id").and_then(|id| lookup.team_models.get(&id.to_string()));
    let record = TeamRecord {
        team_alias: alias(row.text("team_alias"), "team_alias", reading),
        budget_id: None,
        organization_id,
        tags: taken(&mut metadata, "tags"),
        guardrails: taken(&mut metadata, "guardrails"),
        models: reading.models(lookup, row),
        blocked: row.flag("blocked") == Some(true),
        model_aliases: aliases.map(text_map).unwrap_or_default(),
        members_with_roles: members_of(row),
        team_member_permissions: Some(row.list("team_member_permissions"))
            .filter(|list| !list.is_empty()),
        team_member_key_duration: taken(&mut metadata, "team_member_key_duration"),
        router_settings: row.document("router_settings").filter(is_set),
        prompts: taken(&mut metadata, "prompts"),
        object_permission: None,
        access_group_ids: Some(row.list("access_group_ids")).filter(|list| !list.is_empty()),
        allowed_geographies: None,
        allowed_operations: None,
        member_limits,
        metadata,
        limits,
        team_id,
        ..TeamRecord::default()
    };
    Ok(Candidate { record, scope: Some(ScopeKind::Team), spend })
}

pub(super) fn user(
    lookup: &Lookup,
    row: &Fields,
    reading: &mut Reading<'_>,
) -> Result<Candidate<UserRecord>, Unfit> {
    let user_id = id(row, "user_id")?;
    if user_id == GATEWAY_USER {
        let reason =
            "it is LiteLLM's row for the spend of the whole gateway, which is carried over"
                .to_owned();
        return Err(Unfit { id: user_id, reason });
    }
    let mut metadata = row.object("metadata");
    let limits = reading.limits(row, &mut metadata);
    let mut spend = reading.spend(row, lookup.window_of(row, &limits));
    lookup.add_windows(reading, &limits, ("user", "user_model_spend", &user_id), &mut spend);
    let organization_id = row.text("organization_id");
    reading.surroundings(lookup, row, organization_id.as_deref());
    reading.unenforced(row, &metadata);
    let mut user_role = None;
    if let Some(role) = row.text("user_role") {
        if user_id == DEFAULT_USER {
            let text = "not taken over: keys of this user would all be keys of administrators";
            reading.changed("user_role", text);
        } else {
            user_role = read(Value::from(role.clone()));
            if user_role.is_none() {
                reading.changed("user_role", format!("{role:?} does not exist here: no role"));
            }
        }
    }
    let is_inactive = metadata.get("scim_active") == Some(&Value::Bool(false));
    let record = UserRecord {
        user_email: alias(row.text("user_email"), "user_email", reading),
        user_alias: alias(row.text("user_alias"), "user_alias", reading),
        user_role,
        teams: row.list("teams"),
        organization_id,
        models: reading.models(lookup, row),
        blocked: is_inactive.then_some(true),
        metadata,
        limits,
        user_id,
        ..UserRecord::default()
    };
    Ok(Candidate { record, scope: Some(ScopeKind::User), spend })
}

pub(super) fn membership(
    lookup: &Lookup,
    row: &Fields,
    reading: &mut Reading<'_>,
) -> Result<Candidate<MemberRecord>, Unfit> {
    let (team_id, user_id) = (id(row, "team_id")?, id(row, "user_id")?);
    let budgets = lookup.member_budgets(row);
    let [budget, _] = budgets;
    let limits = budget.map(|budget| budget.limits.clone()).unwrap_or_default();
    let models = budget.map(|budget| budget.allowed_models.clone());
    let windowed =
        budgets.into_iter().flatten().find(|budget| budget.limits.budget_duration.is_some());
    let reset = windowed.and_then(|budget| budget.reset);
    let spend = reading.spend(row, (windowed.is_some(), reset));
    let record = MemberRecord {
        team_id,
        user_id,
        allowed_models: models.filter(|list| !list.is_empty()),
        limits,
        ..MemberRecord::default()
    };
    Ok(Candidate { record, scope: Some(ScopeKind::Member), spend })
}

pub(super) fn customer(
    lookup: &Lookup,
    row: &Fields,
    reading: &mut Reading<'_>,
) -> Result<Candidate<CustomerRecord>, Unfit> {
    let user_id = row.text("user_id").unwrap_or_default();
    let new = CustomerRecord::new(&user_id);
    let new = new.map_err(|e| Unfit { id: user_id, reason: e.to_string() })?;
    reading.surroundings(lookup, row, None);
    let mut allowed_model_region = None;
    if let Some(region) = row.text("allowed_model_region") {
        allowed_model_region = read(Value::from(region.clone()));
        if allowed_model_region.is_none() {
            reading
                .not_enforced("allowed_model_region", format!("{region:?} is neither eu nor us"));
        }
    }
    let spend = reading.spend(row, lookup.window_of(row, &Limits::default()));
    let record = CustomerRecord {
        alias: alias(row.text("alias"), "alias", reading),
        blocked: row.flag("blocked") == Some(true),
        budget_id: row.text("budget_id"),
        allowed_model_region,
        default_model: row.text("default_model"),
        models: row.list("models"),
        ..new
    };
    Ok(Candidate { record, scope: Some(ScopeKind::Customer), spend })
}

pub(super) fn tag(
    lookup: &Lookup,
    row: &Fields,
    reading: &mut Reading<'_>,
) -> Result<Candidate<TagRecord>, Unfit> {
    let name = row.text("tag_name").unwrap_or_default();
    let new = TagRecord::new(&name).map_err(|e| Unfit { id: name, reason: e.to_string() })?;
    if !row.list("models").is_empty() {
        let text = "not taken over: they route the tag's calls to deployments by id; here entries of the configuration have tags";
        reading.changed("models", text);
    }
    let spend = reading.spend(row, lookup.window_of(row, &Limits::default()));
    let record =
        TagRecord { description: row.text("description"), budget_id: row.text("budget_id"), ..new };
    Ok(Candidate { record, scope: Some(ScopeKind::Tag), spend })
}

impl Reading<'_> {
    /// Notes limits of the organization, the project and the permission that a row refers to.
    pub(super) fn surroundings(
        &mut self,
        lookup: &Lookup,
        row: &Fields,
        organization: Option<&str>,
    ) {
        if organization.is_some_and(|id| lookup.organizations.contains(id)) {
            self.not_enforced("organization_id", "the organization's models, budget and rates");
        }
        let project = row.text("project_id").and_then(|id| lookup.projects.get(&id).copied());
        if project.is_some_and(|project| project.limiting) {
            self.not_enforced("project_id", "the project's models, budget and rates");
        }
        let permission = row.text("object_permission_id");
        if let Some(columns) = permission.and_then(|id| lookup.permissions.get(&id)) {
            self.not_enforced("object_permission", columns.join(", "));
        }
    }

    /// Notes limits in columns and metadata that no record has a place for.
    pub(super) fn unenforced(&mut self, row: &Fields, metadata: &Map<String, Value>) {
        if !row.list("policies").is_empty() {
            self.not_enforced("policies", row.list("policies").join(", "));
        }
        for name in UNENFORCED {
            if let Some(value) = metadata.get(*name).filter(|value| is_set(value)) {
                self.not_enforced(name, value.to_string());
            }
        }
        if metadata.get("throttle_on_budget_exceeded").is_some_and(is_set) {
            self.changed("throttle_on_budget_exceeded", "calls over the budget are refused");
        }
    }

    /// Models of a row, with those of its access groups. An empty list is all of them, and stays so.
    pub(super) fn models(&mut self, lookup: &Lookup, row: &Fields) -> Vec<String> {
        let mut models = row.list("models");
        let groups = row.list("access_group_ids");
        if models.is_empty() || groups.is_empty() {
            return models;
        }
        let mut added = Vec::new();
        for model in groups.iter().filter_map(|id| lookup.access_groups.get(id)).flatten() {
            if !models.contains(model) {
                models.push(model.clone());
                added.push(model.clone());
            }
        }
        if !added.is_empty() {
            let text =
                format!("models of access groups are listed in models: {}", added.join(", "));
            self.changed("access_group_ids", text);
        }
        models
    }
}

/// An id as LiteLLM has it. Ids that the admin API would refuse are taken over, because keys refer to them.
pub(super) fn id(row: &Fields, column: &str) -> Result<String, Unfit> {
    let id = row.text(column).unwrap_or_default();
    let is_usable = !id.is_empty()
        && id.len() <= LONGEST_ID
        && !id.contains('/')
        && !id.chars().any(char::is_control);
    if is_usable {
        return Ok(id);
    }
    let reason = format!(
        "{column} must have 1 to {LONGEST_ID} bytes without '/' and without control characters"
    );
    Err(Unfit { id, reason })
}

/// A name for people, if it can be stored.
pub(super) fn alias(
    text: Option<String>,
    field: &str,
    reading: &mut Reading<'_>,
) -> Option<String> {
    let text = text?;
    if text.chars().count() > 255 || text.chars().any(char::is_control) {
        reading.changed(field, "not taken over: it is too long, or has control characters");
        return None;
    }
    Some(text)
}

/// A member of `metadata` that has a field of its own here; it stays where it cannot be read.
pub(super) fn taken<T: DeserializeOwned>(
    metadata: &mut Map<String, Value>,
    name: &str,
) -> Option<T> {
    let value = read(metadata.get(name)?.clone())?;
    metadata.remove(name);
    Some(value)
}

pub(super) fn read<T: DeserializeOwned>(value: Value) -> Option<T> {
    serde_json::from_value(value).ok()
}

/// The texts of a map.
pub(super) fn text_map(map: &Map<String, Value>) -> BTreeMap<String, String> {
    map.iter()
        .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
        .collect()
}

/// Members with roles; early versions have two lists.
fn members_of(row: &Fields) -> Vec<TeamMember> {
    let listed = row.document("members_with_roles");
    let listed = listed.as_ref().and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let member = |value: &Value| {
        let text = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
        let role =
            if text("role").as_deref() == Some("admin") { TeamRole::Admin } else { TeamRole::User };
        TeamMember { role, user_id: text("user_id"), user_email: text("user_email") }
    };
    let mut members: Vec<_> = listed.iter().map(member).collect();
    for (column, role) in [("admins", TeamRole::Admin), ("members", TeamRole::User)] {
        for id in row.list(column) {
            if !members.iter().any(|member| member.user_id.as_ref() == Some(&id)) {
                members.push(TeamMember { role, user_id: Some(id), user_email: None });
            }
        }
    }
    members
}

/// The effective limits are asked of the store, by the row a record refers to.
pub(super) trait Limited: Record {
    /// The record's own limits.
    fn own_limits(&self) -> &Limits;
}

macro_rules! limited {
    ($($record:ty),*) => {$(
        impl Limited for $record {
            fn own_limits(&self) -> &Limits {
                &self.limits
            }
        }
    )*};
}

limited!(BudgetRecord, TeamRecord, UserRecord, MemberRecord, CustomerRecord, TagRecord);
