//! Rules of what a caller may do: models, routes, and what a key may hand on to another.

use crate::ledger::ScopeKind;
use crate::principal::Level;
use crate::record::{KeyRecord, KeyType, Limits};
use crate::{Caller, Holder, InvalidField, Nanodollars, Principal};

const ALL_TEAM: &str = "all-team-models";
const ALL: &str = "all-proxy-models";

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
    pub(crate) fn granted_to(&self, key: &KeyRecord) -> bool {
        let reads = matches!(self.group, RouteGroup::Information | RouteGroup::Spend);
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

fn has_team(caller: &Caller) -> bool {
    match &caller.principal {
        Principal::Key(holder) => holder.team.is_some(),
        Principal::Master | Principal::Anonymous => false,
    }
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

/// Checks that a key grants no more than its creator has: models, routes, geographies, operations, limits, budget and
/// expiry. It is asked at creation, update and regeneration.
///
/// # Errors
/// The first field that grants more.
pub fn within(child: &KeyRecord, creator: &Holder) -> Result<(), InvalidField> {
    let parent = &creator.key;
    let refuse =
        |param| Err(InvalidField::new(param, format!("{param} exceeds what the creating key has")));
    if !subset(&child.models, &parent.models) {
        return refuse("models");
    }
    let routes_of_type =
        parent.key_type.is_none_or(|kind| kind == KeyType::Default || kind == KeyType::Management);
    if !routes_of_type || !subset(&child.allowed_routes, &parent.allowed_routes) {
        return refuse("allowed_routes");
    }
    if !narrower(child.allowed_geographies.as_deref(), parent.allowed_geographies.as_deref()) {
        return refuse("allowed_geographies");
    }
    if !narrower(child.allowed_operations.as_deref(), parent.allowed_operations.as_deref()) {
        return refuse("allowed_operations");
    }
    if parent.team_id.is_some() && child.team_id != parent.team_id {
        return refuse("team_id");
    }
    let later = match (child.expires, parent.expires) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(child), Some(parent)) => child > parent,
    };
    if later {
        return refuse("duration");
    }
    limits_within(&child.limits, &parent.limits.or(&creator.key_budget))
}

/// Checks that limits are as narrow as others, field by field.
fn limits_within(child: &Limits, parent: &Limits) -> Result<(), InvalidField> {
    let number = |child: Option<u64>, parent: Option<u64>| match (child, parent) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(child), Some(parent)) => child <= parent,
    };
    let money = |amount: Option<Nanodollars>| amount.map(|amount| amount.nano().unsigned_abs());
    let renewed = parent.max_budget.is_some()
        && child.budget_duration.is_some()
        && child.budget_duration != parent.budget_duration;
    let checks = [
        ("max_budget", number(money(child.max_budget), money(parent.max_budget))),
        ("budget_duration", !renewed),
        ("tpm_limit", number(child.tpm_limit, parent.tpm_limit)),
        ("rpm_limit", number(child.rpm_limit, parent.rpm_limit)),
        ("tpd_limit", number(child.tpd_limit, parent.tpd_limit)),
        (
            "max_parallel_requests",
            number(child.max_parallel_requests, parent.max_parallel_requests),
        ),
    ];
    match checks.into_iter().find(|(_, within)| !within) {
        Some((param, _)) => {
            Err(InvalidField::new(param, format!("{param} exceeds what the creating key has")))
        }
        None => Ok(()),
    }
}

/// Whether each entry is granted by a list. An empty list is everything.
fn subset(child: &[String], parent: &[String]) -> bool {
    let all =
        |list: &[String]| list.is_empty() || list.iter().any(|entry| entry == ALL || entry == "*");
    let granted =
        |entry: &String| parent.iter().any(|pattern| pattern == entry || matches(pattern, entry));
    all(parent) || (!all(child) && child.iter().all(granted))
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
