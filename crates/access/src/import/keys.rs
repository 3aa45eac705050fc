//! Rows of keys as records.

use serde_json::{Map, Value};

use super::fields::{Fields, is_set};
use super::limits::{CarriedSpend, Reading};
use super::lookup::Lookup;
use super::records::{Unfit, alias, id, read, taken, text_map};
use crate::record::{KeyRecord, Limits, Stamp};
use crate::{Nanodollars, UtcTime};

/// The team of the sessions of LiteLLM's console.
const CONSOLE_TEAM: &str = "litellm-dashboard";
/// Groups of routes that a key may list here.
const ROUTE_GROUPS: &[&str] =
    &["llm_api_routes", "management_routes", "info_routes", "spend_tracking_routes"];

/// A key that may be taken over.
#[derive(Debug)]
pub(super) struct KeyCandidate {
    pub(super) record: KeyRecord,
    /// SHA-256 of the key.
    pub(super) hash: [u8; 32],
    pub(super) spend: CarriedSpend,
}

/// Reads a row. An unfit one is named by what may be shown: a column that is no hash may be the key itself.
pub(super) fn key(
    lookup: &Lookup,
    row: &Fields,
    reading: &mut Reading<'_>,
) -> Result<KeyCandidate, Unfit> {
    let token = row.text("token").unwrap_or_default();
    let Some(hash) = hash_of(&token) else {
        let shown = row.text("key_alias").unwrap_or_else(|| "(no alias)".to_owned());
        let reason = "its token is no SHA-256: LiteLLM does not accept such a key either";
        return Err(Unfit { id: shown, reason: reason.to_owned() });
    };
    let unfit = |reason: String| Unfit { id: token.clone(), reason };
    if row.text("team_id").as_deref() == Some(CONSOLE_TEAM) {
        return Err(unfit("it is a session of LiteLLM's console".to_owned()));
    }
    for column in ["team_id", "user_id"] {
        if row.text(column).is_some() {
            id(row, column).map_err(|e| unfit(e.reason))?;
        }
    }
    let mut metadata = row.object("metadata");
    let limits = reading.limits(row, &mut metadata);
    notes(lookup, row, reading);
    reading.unenforced(row, &metadata);
    let mut spend = reading.spend(row, lookup.window_of(row, &limits));
    lookup.add_windows(reading, &limits, ("key", "virtual_key_spend", &token), &mut spend);
    let record = record(lookup, row, (metadata, limits), reading);
    Ok(KeyCandidate { record: KeyRecord { token, ..record }, hash, spend })
}

/// The 32 bytes of 64 hex digits.
pub(super) fn hash_of(token: &str) -> Option<[u8; 32]> {
    let token = crate::KeyToken::parse(token)?;
    let mut hash = [0; 32];
    for (byte, digits) in hash.iter_mut().zip(token.as_str().as_bytes().chunks(2)) {
        let text = std::str::from_utf8(digits).ok()?;
        *byte = u8::from_str_radix(text, 16).ok()?;
    }
    Some(hash)
}

fn record(
    lookup: &Lookup,
    row: &Fields,
    (mut metadata, limits): (Map<String, Value>, Limits),
    reading: &mut Reading<'_>,
) -> KeyRecord {
    let project = row.text("project_id").and_then(|id| lookup.projects.get(&id).copied());
    let mut blocked = row.flag("blocked");
    if project.is_some_and(|project| project.blocked) && blocked != Some(true) {
        reading.changed("blocked", "true: its project is blocked");
        blocked = Some(true);
    }
    let (temp_budget_increase, temp_budget_expiry) = temporary(&mut metadata, reading);
    let mut record = KeyRecord {
        key_name: shown_name(row),
        key_alias: alias(row.text("key_alias"), "key_alias", reading),
        expires: row.time("expires"),
        models: reading.models(lookup, row),
        aliases: text_map(&row.object("aliases")),
        user_id: row.text("user_id"),
        team_id: row.text("team_id"),
        organization_id: row.text("organization_id"),
        project_id: row.text("project_id"),
        agent_id: row.text("agent_id"),
        budget_id: row.text("budget_id"),
        tags: taken(&mut metadata, "tags"),
        guardrails: taken(&mut metadata, "guardrails"),
        blocked,
        permissions: row.object("permissions"),
        config: row.object("config"),
        allowed_cache_controls: row
            .list("allowed_cache_controls")
            .into_iter()
            .map(Value::from)
            .collect(),
        router_settings: row.document("router_settings").filter(is_set),
        prompts: taken(&mut metadata, "prompts"),
        allowed_routes: row.list("allowed_routes"),
        key_type: row.text("key_type").and_then(|kind| read(Value::from(kind))),
        allowed_passthrough_routes: taken(&mut metadata, "allowed_passthrough_routes"),
        denied_passthrough_routes: taken(&mut metadata, "denied_passthrough_routes"),
        access_group_ids: Some(row.list("access_group_ids")).filter(|list| !list.is_empty()),
        default_estimated_output_tokens: taken(&mut metadata, "default_estimated_output_tokens"),
        tpm_limit_type: taken(&mut metadata, "tpm_limit_type"),
        rpm_limit_type: taken(&mut metadata, "rpm_limit_type"),
        temp_budget_increase,
        temp_budget_expiry,
        limits,
        stamp: Stamp {
            created_at: row.time("created_at").unwrap_or_default(),
            created_by: row.text("created_by").unwrap_or_default(),
            ..Stamp::default()
        },
        ..KeyRecord::default()
    };
    record.metadata = metadata;
    record
}

/// Notes of columns that have another effect here, or none.
fn notes(lookup: &Lookup, row: &Fields, reading: &mut Reading<'_>) {
    let team = row.text("team_id");
    let of_team = team.as_ref().and_then(|id| lookup.organization_of_team.get(id).cloned());
    let organization = row.text("organization_id").or(of_team);
    reading.surroundings(lookup, row, organization.as_deref());
    let has_budget = row.text("user_id").is_some_and(|id| lookup.users_with_budget.contains(&id));
    if team.is_some() && has_budget {
        let text =
            "the budget of its user counts its calls too; LiteLLM's leaves out keys of teams";
        reading.changed("user_id", text);
    }
    if row.text("agent_id").is_some() {
        reading.not_enforced("agent_id", "limits of the agent");
    }
    if row.flag("auto_rotate") == Some(true) {
        reading.not_enforced("auto_rotate", "keys are not rotated by themselves");
    }
    if !row.object("budget_fallbacks").is_empty() {
        reading.changed("budget_fallbacks", "calls over the budget are refused");
    }
    if let Some(kind) = row.text("key_type")
        && read::<crate::KeyType>(Value::from(kind.clone())).is_none()
    {
        reading.not_enforced("key_type", format!("{kind:?} does not exist here"));
    }
    let known = |route: &String| {
        ROUTE_GROUPS.contains(&route.as_str()) || (route.starts_with('/') && !route.contains('*'))
    };
    let unknown: Vec<_> = row.list("allowed_routes").into_iter().filter(|r| !known(r)).collect();
    if !unknown.is_empty() {
        let text = format!("groups and wildcards that grant no route here: {}", unknown.join(", "));
        reading.changed("allowed_routes", text);
    }
}

/// A temporary increase of the budget: both members or none.
fn temporary(
    metadata: &mut Map<String, Value>,
    reading: &mut Reading<'_>,
) -> (Option<Nanodollars>, Option<UtcTime>) {
    let (increase, expiry) = ("temp_budget_increase", "temp_budget_expiry");
    let number = metadata.remove(increase);
    let time = metadata.remove(expiry).as_ref().and_then(super::fields::time);
    let amount = number.as_ref().and_then(Value::as_number);
    let amount = amount.and_then(|number| reading.dollars(number, increase));
    match amount.zip(time) {
        Some((amount, time)) => (Some(amount), Some(time)),
        None => (None, None),
    }
}

/// `sk-...` and the last characters. A version that kept more of the key has it cut.
fn shown_name(row: &Fields) -> String {
    let name = row.text("key_name").unwrap_or_default();
    let last: Vec<char> = name.chars().rev().take(4).collect();
    let last: String = last.into_iter().rev().filter(char::is_ascii_alphanumeric).collect();
    format!("sk-...{last}")
}

/// Fields in which a key that is here already differs from LiteLLM's row, of those that refuse calls.
pub(super) fn differences(theirs: &KeyRecord, ours: &KeyRecord) -> Vec<&'static str> {
    let (a, b) = (theirs, ours);
    let span = |record: &KeyRecord| record.limits.budget_duration.clone();
    let checks = [
        ("blocked", (a.blocked == Some(true)) != (b.blocked == Some(true))),
        ("expires", a.expires != b.expires),
        ("models", a.models != b.models),
        ("team_id", a.team_id != b.team_id),
        ("user_id", a.user_id != b.user_id),
        ("allowed_routes", a.allowed_routes != b.allowed_routes),
        ("max_budget", a.limits.max_budget != b.limits.max_budget),
        ("budget_duration", span(a) != span(b)),
        ("tpm_limit", a.limits.tpm_limit != b.limits.tpm_limit),
        ("rpm_limit", a.limits.rpm_limit != b.limits.rpm_limit),
        ("max_parallel_requests", a.limits.max_parallel_requests != b.limits.max_parallel_requests),
    ];
    checks.into_iter().filter_map(|(name, differs)| differs.then_some(name)).collect()
}
