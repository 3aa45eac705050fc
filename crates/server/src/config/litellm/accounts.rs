//! LiteLLM's keys for accounts, which set Outcrop's own: the store, end users, limits of all calls, and what new keys,
//! teams and users are given. Python that guards calls or keys in LiteLLM does not run here, so that it ends the start.

use std::collections::BTreeMap;

use access::Limits;
use access::ledger::FailMode;
use serde_json::Value as Json;

use super::super::account_limits::{budget_of, count, dollars, window};
use super::super::accounts::{self, BudgetStatus};
use super::super::key_rules::{self, RecordDefaults};
use super::super::parsers::{self, Expected};
use super::super::provenance::{Show, ValueOrigin};
use super::super::section::Section;
use super::super::yaml_tree::{Node, Value};
use super::super::{Config, master_key};
use super::Passed;
use crate::disconnect::OnDisconnect;
use bedrock::AccountSecret;

/// Keys that name Python.
const PYTHON: [&str; 3] = ["custom_auth", "custom_key_generate", "custom_key_update"];
const IN_FILE: &str = "leave one of them out";

/// Values of `environment_variables` that concern accounts.
#[derive(Debug, Default)]
pub(super) struct AccountVariables {
    /// The variables with their lines.
    pub(super) told: BTreeMap<String, (String, u64)>,
}

impl AccountVariables {
    /// Variables that are read.
    pub(super) const NAMES: [&str; 2] = ["DATABASE_URL", master_key::VARIABLE];

    /// Sets what no key of the file sets.
    pub(super) fn apply(self, section: &mut Section<'_>, config: &mut Config) {
        for (name, (value, line)) in self.told {
            let secret = AccountSecret::new(value.trim());
            let origin = ValueOrigin::line(&section.reading.file, line);
            if name == master_key::VARIABLE {
                master_key::or_variable(section.reading, config, (secret, origin));
            } else if config.database_url.is_none() {
                section.reading.provenance.tell("database_url", secret.show(), origin);
                config.database_url = Some(secret);
            }
        }
    }
}

/// Reads the keys of `general_settings`.
pub(super) fn general(section: &mut Section<'_>, config: &mut Config) {
    refuse_python(section);
    set(section, "database_url", ("database_url", &mut config.database_url), |value| {
        parsers::secret(value).map(Some)
    });
    let access = &mut config.access;
    let pool = ("access.database.connections", &mut access.database.connections);
    set(section, "database_connection_pool_limit", pool, at_least_two);
    let wait = ("access.database.timeout", &mut access.database.timeout);
    set(section, "database_connection_timeout", wait, parsers::span);
    let mode = ("access.fail_mode", &mut access.fail_mode);
    set(section, "allow_requests_on_db_unavailable", mode, |value| {
        parsers::boolean(value).map(|open| if open { FailMode::Open } else { FailMode::Closed })
    });
    let requires = ("access.require_end_user", &mut access.require_end_user);
    set(section, "enforce_user_param", requires, parsers::boolean);
    let leaves = ("access.on_disconnect", &mut access.on_disconnect);
    set(section, "cancel_on_disconnect", leaves, |value| {
        let cancels = parsers::boolean(value)?;
        Ok(if cancels { OnDisconnect::Cancel } else { OnDisconnect::default() })
    });
    let all = ("access.gateway.max_parallel_requests", &mut access.gateway.max_parallel_requests);
    set(section, "global_max_parallel_requests", all, some(count));
    let each =
        ("access.every_key.max_parallel_requests", &mut access.every_key.max_parallel_requests);
    set(section, "max_parallel_requests", each, some(count));
    end_user_headers(section, config);
}

/// Reads the keys of `litellm_settings`.
pub(super) fn module(section: &mut Section<'_>, config: &mut Config, passed: &mut Passed) {
    let Config { access, admin, .. } = config;
    let most = ("access.gateway.max_budget", &mut access.gateway.max_budget);
    // Zero is LiteLLM's default, and no budget.
    set(section, "max_budget", most, |value| match value {
        Value::Integer(..=0) => Ok(None),
        Value::Float(number) if *number <= 0.0 => Ok(None),
        value => dollars(value).map(Some),
    });
    let span = ("access.gateway.budget_duration", &mut access.gateway.budget_duration);
    set(section, "budget_duration", span, some(window));
    let unknown = &mut access.unknown_end_users;
    let most = ("access.unknown_end_users.max_budget", &mut unknown.max_budget);
    set(section, "max_end_user_budget", most, some(dollars));
    let row = ("access.unknown_end_users.budget_id", &mut unknown.budget_id);
    set(section, "max_end_user_budget_id", row, some(parsers::text));
    let status = ("access.budget_exceeded_status", &mut access.budget_exceeded_status);
    set::<BudgetStatus>(section, "budget_exceeded_status_code", status, accounts::status);
    let zone = ("admin.budget_timezone", &mut admin.budget_timezone);
    set(section, "timezone", zone, accounts::timezone);
    tags(section, &mut access.tags);
    let keys = ("admin.key_defaults", &mut admin.key_defaults);
    defaults(section, "default_key_generate_params", keys, key_rules::of_key);
    section.open("upperbound_key_generate_params", |section| {
        let bounds = &mut admin.key_bounds;
        let key = "admin.key_bounds.max_budget";
        set(section, "max_budget", (key, &mut bounds.max_budget), some(dollars));
        let key = "admin.key_bounds.budget_duration";
        set(section, "budget_duration", (key, &mut bounds.budget_duration), some(window));
        let key = "admin.key_bounds.duration";
        set(section, "duration", (key, &mut bounds.duration), some(key_rules::lifetime));
        let key = "admin.key_bounds.max_parallel_requests";
        let parallel = (key, &mut bounds.max_parallel_requests);
        set(section, "max_parallel_requests", parallel, some(count));
        set(
            section,
            "tpm_limit",
            ("admin.key_bounds.tpm_limit", &mut bounds.tpm_limit),
            some(count),
        );
        set(
            section,
            "rpm_limit",
            ("admin.key_bounds.rpm_limit", &mut bounds.rpm_limit),
            some(count),
        );
    });
    users(section, &mut admin.user_defaults);
    teams(section, &mut admin.team_defaults, passed);
}

/// Reads a key of LiteLLM's into the place of one of Outcrop's.
fn set<T: Show>(
    section: &mut Section<'_>,
    name: &'static str,
    (own, place): (&str, &mut T),
    read: impl Fn(&Value) -> Result<T, Expected>,
) {
    let Some((key, node)) = section.take(name) else { return };
    let path = section.path(name);
    let Some((value, origin)) = section.read_node(&path, node, read) else { return };
    let provenance = &mut section.reading.provenance;
    if !matches!(provenance.origin(own), None | Some(ValueOrigin::Default)) {
        let message = format!("{path} and outcrop.{own} say the same thing twice");
        section.reading.complain(key.line, message, IN_FILE);
        return;
    }
    provenance.tell(own, value.show(), origin);
    *place = value;
}

/// A reader of values that may be absent.
fn some<T>(
    read: impl Fn(&Value) -> Result<T, Expected>,
) -> impl Fn(&Value) -> Result<Option<T>, Expected> {
    move |value| read(value).map(Some)
}

/// Connections to a database: one is too few, because a task writes the ledger with one of its own.
fn at_least_two(value: &Value) -> Result<u32, Expected> {
    match value {
        Value::Integer(1) => Ok(2),
        value => accounts::connections(value),
    }
}

fn refuse_python(section: &mut Section<'_>) {
    for name in PYTHON {
        let Some((key, node)) = section.take(name) else { continue };
        if matches!(node.value, Value::Null) {
            continue;
        }
        let path = section.path(name);
        let message = format!(
            "{path} names Python, which guards calls or keys in LiteLLM and does not run here"
        );
        let remedy = "leave it out, and limit keys with limits of their own, upperbound_key_generate_params and roles";
        section.reading.complain(key.line, message, remedy);
    }
}

/// Reads the headers that name end users; the older key counts where the newer one names none.
fn end_user_headers(section: &mut Section<'_>, config: &mut Config) {
    let older = section.take("user_header_name").map(|(_, node)| node);
    let path = section.path("user_header_mappings");
    let mapped = section.take("user_header_mappings");
    let line = mapped.as_ref().map(|(key, _)| key.line);
    let items = match mapped.map(|(_, node)| node) {
        Some(Node { value: Value::List(items), .. }) => items,
        Some(one) => vec![one],
        None => Vec::new(),
    };
    let mut headers = Vec::new();
    for (at, item) in items.into_iter().enumerate() {
        let path = format!("{path}[{at}]");
        let Some(entries) = section.entries_of(&path, item) else { continue };
        section.child(format!("{path}."), entries, |section| {
            let named = section.optional("header_name", accounts::header_names);
            let role = section.optional("litellm_user_role", parsers::text);
            match role.as_deref() {
                Some("customer") => headers.extend(named.into_iter().flatten()),
                Some("internal_user") => {
                    let note =
                        format!("{path} is ignored, because a call's user is that of its key here");
                    section.reading.notes.push(note);
                }
                _ => {
                    let message =
                        format!("{path}.litellm_user_role is neither customer nor internal_user");
                    section.reading.complain(line.unwrap_or(1), message, "give one of them");
                }
            }
        });
    }
    let path = section.path("user_header_name");
    if headers.is_empty()
        && let Some((named, _)) =
            older.and_then(|node| section.read_node(&path, node, accounts::header_names))
    {
        headers = named;
    }
    if !headers.is_empty() {
        let place = &mut config.access.end_user_headers;
        let origin = ValueOrigin::line(&section.reading.file, line.unwrap_or(1));
        section.reading.provenance.tell("access.end_user_headers", headers.show(), origin);
        place.extend(headers);
    }
}

/// Reads budgets by tag.
fn tags(section: &mut Section<'_>, tags: &mut BTreeMap<String, Limits>) {
    let prefix = section.path("tag_budget_config");
    for (key, node) in section.map("tag_budget_config").unwrap_or_default() {
        let path = format!("{prefix}.{}", key.name);
        let Some(entries) = section.entries_of(&path, node) else { continue };
        let mut limits = Limits::default();
        section.child(format!("{path}."), entries, |section| budget_of(section, &mut limits));
        tags.entry(key.name).or_insert(limits);
    }
}

/// Reads fields of new records, unless Outcrop's own key has some.
fn defaults(
    section: &mut Section<'_>,
    name: &'static str,
    (own, place): (&str, &mut RecordDefaults),
    judge: key_rules::Judge,
) {
    let line = section.line(name);
    if line.is_some() && *place != RecordDefaults::default() {
        let message = format!("{} and outcrop.{own} say the same thing twice", section.path(name));
        section.reading.complain(line.unwrap_or(1), message, IN_FILE);
    }
    key_rules::defaults(section, name, judge, place);
}

fn users(section: &mut Section<'_>, users: &mut RecordDefaults) {
    let own = ("admin.user_defaults", &mut *users);
    defaults(section, "default_internal_user_params", own, |name, value| {
        // Teams that a user may choose on a page of LiteLLM's.
        if name == "available_teams" { Ok(()) } else { key_rules::of_user(name, value) }
    });
    users.remove("available_teams");
    let most = section.optional("max_internal_user_budget", dollars);
    if let Some(Ok(most)) = most.map(|most| most.to_string().parse()) {
        users.or_insert("max_budget", Json::Number(most));
    }
    if let Some(span) = section.optional("internal_user_budget_duration", window) {
        users.or_insert("budget_duration", span.to_string().into());
    }
}

/// Reads fields of new teams. The older key is a list for callbacks of single teams, whose first entry may have a budget
/// for all new ones.
fn teams(section: &mut Section<'_>, teams: &mut RecordDefaults, passed: &mut Passed) {
    let own = ("admin.team_defaults", &mut *teams);
    defaults(section, "default_team_params", own, key_rules::of_team);
    let path = section.path("default_team_settings");
    let Some((_, node)) = section.take("default_team_settings") else { return };
    let Value::List(items) = node.value else { return };
    for (at, item) in items.into_iter().enumerate() {
        let path = format!("{path}[{at}]");
        let Some(entries) = section.entries_of(&path, item) else { continue };
        section.child(format!("{path}."), entries, |section| {
            let most = section.optional("max_budget", dollars);
            if let (0, Some(Ok(most))) = (at, most.map(|most| most.to_string().parse())) {
                teams.or_insert("max_budget", Json::Number(most));
            }
            let names: Vec<_> = section.rest().into_iter().map(|(key, _)| key.name).collect();
            let others = names.into_iter().filter(|name| name != "team_id");
            passed.ignored.extend(others.map(|name| format!("default_team_settings.{name}")));
        });
    }
}

/// Rates of each key on the names of entries, the least where several entries of a name have one.
#[derive(Debug, Default)]
pub(super) struct RatesOnNames {
    rpm: BTreeMap<String, u64>,
    tpm: BTreeMap<String, u64>,
}

impl RatesOnNames {
    /// Reads those of an entry.
    pub(super) fn read(&mut self, section: &mut Section<'_>, name: &str) {
        for (key, rates) in [
            ("default_api_key_rpm_limit", &mut self.rpm),
            ("default_api_key_tpm_limit", &mut self.tpm),
        ] {
            let (line, path) = (section.line(key), section.path(key));
            let Some(limit) = section.optional(key, count) else { continue };
            if name.contains('*') {
                let message =
                    format!("{path} limits the keys of {name}, whose names cannot be told");
                let remedy = "list the names themselves, or give the keys limits";
                section.reading.complain(line.unwrap_or(1), message, remedy);
                continue;
            }
            let rate = rates.entry(name.to_owned()).or_insert(limit);
            *rate = limit.min(*rate);
        }
    }

    /// Adds them, for further names too, to the rates of every key.
    pub(super) fn apply(self, config: &mut Config, aliases: &BTreeMap<String, String>) {
        let every_key = &mut config.access.every_key;
        for (rates, place) in
            [(self.rpm, &mut every_key.model_rpm_limit), (self.tpm, &mut every_key.model_tpm_limit)]
        {
            let named = aliases.iter().filter_map(|(name, base)| Some((name, rates.get(base)?)));
            let named: Vec<_> = named.map(|(name, rate)| (name.clone(), *rate)).collect();
            for (name, rate) in rates.into_iter().chain(named) {
                place.get_or_insert_default().entry(name).or_insert(rate);
            }
        }
    }
}
