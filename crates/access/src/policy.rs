//! Rules of what a caller may do: models, routes, and what a key may hand on to another.

use std::collections::BTreeMap;

use crate::ledger::ScopeKind;
use crate::principal::Level;
use crate::record::{KeyRecord, KeyType, Limits};
use crate::{Caller, Holder, InvalidField};

const ALL_TEAM: &str = "all-team-models";
const ALL: &str = "all-proxy-models";
/// Grants no model.
const NO_MODELS: &str = "no-default-models";

/// A model after it was resolved.
#[derive(Debug, Clone, Copy)]
pub struct ModelFacts<'m> {
    /// The name in the request, for messages.
    pub asked: &'m str,
    /// Names that a list may grant it by: the operator's name if it is one, the id of the target, and the id without
    /// the prefix of a profile.
    pub names: &'m [&'m str],
    /// The geographies that hold every place where the call may run: `global`, the prefix of a profile, or those of
    /// the region. One of them must be granted.
    pub geographies: &'m [&'m str],
}

/// The group of a route, as lists of routes name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouteGroup {
    /// Calls of models: `llm_api_routes`.
    Models,
    /// Reading records: `info_routes`.
    Information,
    /// Reading spend: `spend_tracking_routes`.
    Spend,
    /// Changing records: `management_routes`.
    Management,
}

/// A route that is called.
#[derive(Debug, Clone, Copy)]
pub struct CallRoute<'r> {
    /// Its name or path, as lists name it.
    pub name: &'r str,
    /// Its group.
    pub group: RouteGroup,
}

impl RouteGroup {
    const fn listed_as(self) -> &'static str {
        match self {
            Self::Models => "llm_api_routes",
            Self::Information => "info_routes",
            Self::Spend => "spend_tracking_routes",
            Self::Management => "management_routes",
        }
    }
}

impl CallRoute<'_> {
    /// Whether it changes no record and calls no model.
    pub(crate) fn reads(&self) -> bool {
        matches!(self.group, RouteGroup::Information | RouteGroup::Spend)
    }

    pub(crate) fn granted_to(&self, key: &KeyRecord) -> bool {
        let reads = self.reads();
        let of_type = match key.key_type.unwrap_or(KeyType::Default) {
            KeyType::Default => true,
            KeyType::LlmApi => self.group == RouteGroup::Models,
            KeyType::Management => self.group != RouteGroup::Models,
            KeyType::ReadOnly => reads,
        };
        let named = |route: &String| route == self.name || route == self.group.listed_as();
        of_type && (key.allowed_routes.is_empty() || key.allowed_routes.iter().any(named))
    }
}

/// Whether a key's lists of passthrough routes grant a path of Bedrock's own API. An entry stands for itself and all below
/// it.
pub(crate) fn passes_through(key: &KeyRecord, path: &str) -> bool {
    let named =
        |entry: &String| stands_below(path, entry.trim_end_matches('*').trim_end_matches('/'));
    let lists = |list: &Option<Vec<String>>| list.as_deref().unwrap_or_default().iter().any(named);
    let allows_all = key.allowed_passthrough_routes.as_ref().is_none_or(Vec::is_empty);
    (allows_all || lists(&key.allowed_passthrough_routes)) && !lists(&key.denied_passthrough_routes)
}

/// Whether a level grants a model that has these names. An empty list grants all.
pub(crate) fn grants(level: &Level<'_>, caller: &Caller, names: &[&str]) -> bool {
    let Some(list) = level.models else { return true };
    list.is_empty()
        || list.iter().any(|entry| match entry.as_str() {
            ALL => true,
            // The team's own level judges the model; without a team there is no such model.
            ALL_TEAM => level.kind == ScopeKind::Key && has_team(caller),
            pattern => names.iter().any(|name| matches(pattern, name)),
        })
}

/// Whether a list grants every model; of the team's models, the team's own level judges.
pub(crate) fn grants_all_models(list: &[String]) -> bool {
    list.iter().any(|entry| entry == ALL || entry == ALL_TEAM || entry == "*")
}

fn has_team(caller: &Caller) -> bool {
    caller.principal.holder().is_some_and(|holder| holder.team.is_some())
}

/// Whether a pattern, in which `*` stands for any characters, matches a whole name.
fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    true
}

/// Checks that a key grants no more than its creator has: models, routes, geographies, operations, limits, budget,
/// expiry, and what the creator must put up with, such as guardrails. It is asked at creation, update and
/// regeneration.
///
/// # Errors
/// The first field that grants more.
pub fn within(child: &KeyRecord, creator: &Holder) -> Result<(), InvalidField> {
    let parent = &creator.key;
    let routes_of_type =
        parent.key_type.is_none_or(|kind| kind == KeyType::Default || kind == KeyType::Management);
    let later = match (child.expires, parent.expires) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(child), Some(parent)) => child > parent,
    };
    let end_user = |key: &KeyRecord| key.metadata.get("end_user").cloned();
    let checks = [
        ("models", subset(&child.models, &parent.models)),
        ("allowed_routes", routes_of_type && subset(&child.allowed_routes, &parent.allowed_routes)),
        (
            "allowed_geographies",
            narrower(child.allowed_geographies.as_deref(), parent.allowed_geographies.as_deref()),
        ),
        (
            "allowed_operations",
            narrower(child.allowed_operations.as_deref(), parent.allowed_operations.as_deref()),
        ),
        (
            "allowed_passthrough_routes",
            routes_within(
                child.allowed_passthrough_routes.as_deref(),
                parent.allowed_passthrough_routes.as_deref(),
            ),
        ),
        (
            "denied_passthrough_routes",
            keeps(
                child.denied_passthrough_routes.as_deref(),
                parent.denied_passthrough_routes.as_deref(),
            ),
        ),
        (
            "allowed_s3_prefixes",
            below(child.allowed_s3_prefixes.as_deref(), parent.allowed_s3_prefixes.as_deref()),
        ),
        (
            "allow_media_fetch",
            parent.allow_media_fetch != Some(false) || child.allow_media_fetch == Some(false),
        ),
        (
            "unsupported_params",
            parent.unsupported_params.is_none()
                || child.unsupported_params == parent.unsupported_params,
        ),
        ("guardrails", keeps(child.guardrails.as_deref(), parent.guardrails.as_deref())),
        ("tags", keeps(child.tags.as_deref(), parent.tags.as_deref())),
        ("team_id", parent.team_id.is_none() || child.team_id == parent.team_id),
        ("duration", !later),
        ("metadata", end_user(parent).is_none() || end_user(child) == end_user(parent)),
    ];
    first_failed(&checks)?;
    let limits = parent.limits.or(&creator.key_budget);
    limits_within(&child.limits, &limits)?;
    let budgeted = limits.max_budget.is_some();
    first_failed(&[(
        "temp_budget_increase",
        !budgeted || child.temp_budget_increase <= parent.temp_budget_increase,
    )])
}

/// Checks that limits are as narrow as others, field by field.
fn limits_within(child: &Limits, parent: &Limits) -> Result<(), InvalidField> {
    let renewed = parent.max_budget.is_some()
        && child.budget_duration.is_some()
        && child.budget_duration != parent.budget_duration;
    let windows = |limits: &Limits| limits.budget_limits.clone().unwrap_or_default();
    let (own_windows, own_models) = (windows(child), child.model_max_budget.clone());
    let in_windows = windows(parent).iter().all(|rule| {
        own_windows.iter().any(|own| own.duration == rule.duration && lower(own.max, rule.max))
    });
    let by_model = parent.model_max_budget.iter().flatten().all(|(model, rule)| {
        let own = own_models.as_ref().and_then(|models| models.get(model));
        own.is_some_and(|own| own.duration == rule.duration && lower(own.max, rule.max))
    });
    first_failed(&[
        ("max_budget", lower(child.max_budget, parent.max_budget)),
        ("budget_duration", !renewed),
        ("budget_limits", in_windows),
        ("model_max_budget", by_model),
        ("strict_budget", parent.strict_budget != Some(true) || child.strict_budget == Some(true)),
        ("tpm_limit", lower(child.tpm_limit, parent.tpm_limit)),
        ("rpm_limit", lower(child.rpm_limit, parent.rpm_limit)),
        ("tpd_limit", lower(child.tpd_limit, parent.tpd_limit)),
        ("max_parallel_requests", lower(child.max_parallel_requests, parent.max_parallel_requests)),
        ("model_tpm_limit", rates_within(&child.model_tpm_limit, &parent.model_tpm_limit)),
        ("model_rpm_limit", rates_within(&child.model_rpm_limit, &parent.model_rpm_limit)),
    ])
}

fn first_failed(checks: &[(&'static str, bool)]) -> Result<(), InvalidField> {
    match checks.iter().find(|(_, within)| !within) {
        Some((param, _)) => {
            Err(InvalidField::new(param, format!("{param} exceeds what the creating key has")))
        }
        None => Ok(()),
    }
}

/// Whether a limit is at most another. A missing one is no limit.
fn lower<T: PartialOrd>(child: Option<T>, parent: Option<T>) -> bool {
    match (child, parent) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(child), Some(parent)) => child <= parent,
    }
}

type RatesByModel = Option<BTreeMap<String, u64>>;

fn rates_within(child: &RatesByModel, parent: &RatesByModel) -> bool {
    let own = |model| child.as_ref().and_then(|models| models.get(model)).copied();
    parent.iter().flatten().all(|(model, limit)| lower(own(model), Some(*limit)))
}

/// Whether a list has all entries of another.
fn keeps(child: Option<&[String]>, parent: Option<&[String]>) -> bool {
    let own = child.unwrap_or_default();
    parent.unwrap_or_default().iter().all(|entry| own.contains(entry))
}

/// Whether each entry is granted by a list. An empty list is everything.
fn subset(child: &[String], parent: &[String]) -> bool {
    let all =
        |list: &[String]| list.is_empty() || list.iter().any(|entry| entry == ALL || entry == "*");
    let granted =
        |entry: &String| parent.iter().any(|pattern| pattern == entry || matches(pattern, entry));
    all(parent) || (!all(child) && child.iter().all(|entry| entry == NO_MODELS || granted(entry)))
}

/// Whether routes are within others. An empty or missing list is everything.
fn routes_within(child: Option<&[String]>, parent: Option<&[String]>) -> bool {
    let parent = parent.filter(|list| !list.is_empty());
    narrower(child.filter(|list| !list.is_empty()), parent)
}

/// Whether each prefix is below one of a list. A missing list is everything.
fn below(child: Option<&[String]>, parent: Option<&[String]>) -> bool {
    let (Some(parent), child) = (parent, child) else { return true };
    let is_below = |prefix: &String| parent.iter().any(|of| stands_below(prefix, of));
    child.is_some_and(|child| child.iter().all(is_below))
}

/// Whether a path is a prefix or below it. Names that merely begin with the last part of a prefix are not.
fn stands_below(path: &str, prefix: &str) -> bool {
    let rest = path.strip_prefix(prefix);
    rest.is_some_and(|rest| rest.is_empty() || prefix.ends_with('/') || rest.starts_with('/'))
}

/// Whether a list is within another. A missing list is everything.
fn narrower(child: Option<&[String]>, parent: Option<&[String]>) -> bool {
    match (child, parent) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(child), Some(parent)) => child.iter().all(|entry| parent.contains(entry)),
    }
}

#[cfg(test)]
mod tests;
