//! Defaults of new keys, teams and users for fields that a request leaves out, and the bounds of keys.

use std::fmt;

use access::{
    KeyInput, KeyRecord, LimitInput, Limits, Nanodollars, TeamInput, TeamRecord, UserInput,
    UserRecord, UtcTime, WrittenSpan,
};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json};

use super::account_limits::{count, dollars, window};
use super::accounts::AdminSettings;
use super::parameters;
use super::parsers::{self, Expected, reread};
use super::reader::FileFormat;
use super::section::Section;
use super::yaml_tree::{Node, Value};

/// Fields of records by their names in the admin API.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct RecordDefaults(Map<String, Json>);

/// Most that a key is given. A key without the field gets the bound.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct KeyBounds {
    /// Dollars a window.
    pub(crate) max_budget: Option<Nanodollars>,
    /// The window of a budget.
    pub(crate) budget_duration: Option<WrittenSpan>,
    /// The time until the key expires.
    pub(crate) duration: Option<WrittenSpan>,
    /// Calls at the same time.
    pub(crate) max_parallel_requests: Option<u64>,
    /// Tokens a minute.
    pub(crate) tpm_limit: Option<u64>,
    /// Requests a minute.
    pub(crate) rpm_limit: Option<u64>,
}

/// Reads one field of a record by itself; the error says why it cannot be stored.
pub(super) type Judge = fn(&str, &Json) -> Result<(), String>;

impl RecordDefaults {
    /// The fields and their values.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Json)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// Adds a field unless it is there.
    pub(super) fn or_insert(&mut self, name: &str, value: Json) {
        self.0.entry(name).or_insert(value);
    }

    /// Takes a field out.
    pub(super) fn remove(&mut self, name: &str) {
        self.0.shift_remove(name);
    }
}

/// By hand: on one line, as the fields are no settings of their own.
impl fmt::Debug for RecordDefaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Json::Object(self.0.clone()), f)
    }
}

/// Reads the keys of the section `admin` that concern new records.
pub(super) fn read(section: &mut Section<'_>, admin: &mut AdminSettings) {
    defaults(section, "key_defaults", of_key, &mut admin.key_defaults);
    section.section("key_bounds", |section| bounds(section, &mut admin.key_bounds));
    defaults(section, "team_defaults", of_team, &mut admin.team_defaults);
    defaults(section, "user_defaults", of_user, &mut admin.user_defaults);
}

/// Reads the most that keys are given.
fn bounds(section: &mut Section<'_>, bounds: &mut KeyBounds) {
    section.set("max_budget", &mut bounds.max_budget, |value| dollars(value).map(Some));
    section.set("budget_duration", &mut bounds.budget_duration, |value| window(value).map(Some));
    section.set("duration", &mut bounds.duration, |value| lifetime(value).map(Some));
    let parallel = &mut bounds.max_parallel_requests;
    section.set("max_parallel_requests", parallel, |value| count(value).map(Some));
    section.set("tpm_limit", &mut bounds.tpm_limit, |value| count(value).map(Some));
    section.set("rpm_limit", &mut bounds.rpm_limit, |value| count(value).map(Some));
}

/// Reads fields of records, each of which must be one that can be stored.
pub(super) fn defaults(
    section: &mut Section<'_>,
    name: &'static str,
    judge: Judge,
    place: &mut RecordDefaults,
) {
    let prefix = section.path(name);
    for (key, node) in section.map(name).unwrap_or_default() {
        let path = format!("{prefix}.{}", key.name);
        let Some((node, origin)) = section.reading.given(&path, node) else { continue };
        let line = node.line;
        let other = if section.reading.shape() == FileFormat::LiteLlm {
            reread(&node.value).map(|value| Node { value, line })
        } else {
            None
        };
        let Some(mut value) = parameters::json(section.reading, &path, node) else { continue };
        let mut judged = judge(&key.name, &value);
        if let (Err(_), Some(other)) = (&judged, other)
            && let Some(other) = parameters::json(section.reading, &path, other)
            && judge(&key.name, &other).is_ok()
        {
            (value, judged) = (other, Ok(()));
        }
        match judged {
            Ok(()) => {
                section.reading.provenance.tell(&path, value.to_string(), origin);
                place.0.insert(key.name, value);
            }
            Err(wrong) => {
                let message = format!("{path}: {wrong}");
                section.reading.complain(line, message, "give what the admin API takes there");
            }
        }
    }
}

/// Judges a field of new keys.
pub(super) fn of_key(name: &str, value: &Json) -> Result<(), String> {
    if matches!(name, "key_alias" | "temp_budget_increase" | "temp_budget_expiry") {
        return Err("a field of one key alone".to_owned());
    }
    let input: KeyInput = alone(name, value)?;
    known(&input.other)?;
    KeyRecord::default().apply(input, UtcTime::default()).map_err(|wrong| wrong.message)
}

/// Judges a field of new teams.
pub(super) fn of_team(name: &str, value: &Json) -> Result<(), String> {
    let of_members = ["budget", "budget_duration", "rpm_limit", "tpm_limit"];
    let of_member = name.strip_prefix("team_member_").filter(|name| of_members.contains(name));
    if let Some(name) = of_member {
        let name = if name == "budget" { "max_budget" } else { name };
        let input: LimitInput = alone(name, value)?;
        let applied = Limits::default().apply(input, UtcTime::default());
        return applied.map_err(|wrong| wrong.message);
    }
    if matches!(name, "team_alias" | "members_with_roles") {
        return Err("a field of one team alone".to_owned());
    }
    let input: TeamInput = alone(name, value)?;
    known(&input.other)?;
    TeamRecord::default().apply(input, UtcTime::default()).map_err(|wrong| wrong.message)
}

/// Judges a field of new users.
pub(super) fn of_user(name: &str, value: &Json) -> Result<(), String> {
    if matches!(name, "user_email" | "user_alias") {
        return Err("a field of one user alone".to_owned());
    }
    let input: UserInput = alone(name, value)?;
    known(&input.other)?;
    UserRecord::default().apply(input, UtcTime::default()).map_err(|wrong| wrong.message)
}

fn alone<I: DeserializeOwned>(name: &str, value: &Json) -> Result<I, String> {
    let fields = Map::from_iter([(name.to_owned(), value.clone())]);
    serde_json::from_value(Json::Object(fields)).map_err(|error| error.to_string())
}

fn known(other: &Map<String, Json>) -> Result<(), String> {
    if other.is_empty() { Ok(()) } else { Err("no such field is known here".to_owned()) }
}

/// The time until a key expires.
pub(super) fn lifetime(value: &Value) -> Result<WrittenSpan, Expected> {
    let text = parsers::text(value).ok();
    let span = text.and_then(|text| WrittenSpan::of_budget(&text, "duration").ok());
    span.ok_or("a time such as 12h, 30d or 1mo")
}
