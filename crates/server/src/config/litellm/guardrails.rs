//! Guardrails of a LiteLLM file: `guardrails` with `default_on`, which hold for every name, and those of
//! single entries, by `guardrailConfig` or by `extra_headers`. One that cannot be kept stops what it was
//! to protect: a note is no protection.

use super::super::fields::Fields;
use super::super::reading::Reading;
use super::super::tree::Node;
use super::super::values;
use super::Passed;
use super::files::Files;
use crate::routing::{GUARDRAIL_ID, GUARDRAIL_VERSION, Guardrail, GuardrailMode, ModelSettings};

const LIST: &str = "guardrails";
const DRAFT: &str = "DRAFT";
const BEDROCK: &str = "bedrock";

/// What an entry says of its guardrail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum EntryGuardrail {
    /// It names none.
    None,
    /// Its calls carry this one.
    On(Guardrail),
    /// It names one that cannot be told: the entry must not be served.
    Unknown,
}

/// Reads the guardrail of one entry, from its `litellm_params`.
pub(super) fn of_entry(section: &mut Fields<'_>, passed: &mut Passed) -> EntryGuardrail {
    let line = section.line("guardrailConfig").unwrap_or_default();
    let by_headers = by_headers(section, passed);
    match (by_config(section), by_headers) {
        (EntryGuardrail::None, other) | (other, EntryGuardrail::None) => other,
        (one, other) if one == other => one,
        _ => {
            let message = format!(
                "{} and {} name different guardrails",
                section.path("guardrailConfig"),
                section.path("extra_headers")
            );
            section.reading.complain(line, message, "keep one of them");
            EntryGuardrail::Unknown
        }
    }
}

fn by_config(section: &mut Fields<'_>) -> EntryGuardrail {
    let path = section.path("guardrailConfig");
    let Some(entries) = section.map("guardrailConfig") else { return EntryGuardrail::None };
    let mut read = EntryGuardrail::Unknown;
    section.child(format!("{path}."), entries, |section| {
        let id = section.optional("guardrailIdentifier", values::guardrail_id);
        read = with_version(section, "guardrailVersion", id);
        for (key, _) in section.rest() {
            let note = format!("{} is ignored", section.path(&key.name));
            section.reading.notes.push(note);
        }
    });
    read
}

fn by_headers(section: &mut Fields<'_>, passed: &mut Passed) -> EntryGuardrail {
    let path = section.path("extra_headers");
    let Some(entries) = section.map("extra_headers") else { return EntryGuardrail::None };
    let (mut id, mut version) = (None, None);
    for (key, node) in entries {
        let name = key.name.to_ascii_lowercase();
        if name == GUARDRAIL_ID.as_str() {
            id = Some(node);
        } else if name == GUARDRAIL_VERSION.as_str() {
            version = Some(node);
        } else {
            passed.ignored.insert(format!("litellm_params.extra_headers.{}", key.name));
        }
    }
    if id.is_none() && version.is_none() {
        return EntryGuardrail::None;
    }
    let told_version = version.is_some();
    let id = read(section, &format!("{path}.{GUARDRAIL_ID}"), id, values::guardrail_id);
    let path = format!("{path}.{GUARDRAIL_VERSION}");
    let version = read(section, &path, version, values::guardrail_version);
    match (id, version) {
        (Some(id), Some(version)) => EntryGuardrail::On(default(id, version)),
        (Some(id), None) if !told_version => EntryGuardrail::On(draft(section, &path, id)),
        _ => EntryGuardrail::Unknown,
    }
}

fn read(
    section: &mut Fields<'_>,
    path: &str,
    node: Option<Node>,
    read: impl Fn(&super::super::tree::Value) -> Result<String, values::Expected>,
) -> Option<String> {
    section.read_node(path, node?, read).map(|(value, _)| value)
}

/// A guardrail whose version is not told is the working draft, as Bedrock has it.
fn with_version(
    section: &mut Fields<'_>,
    name: &'static str,
    id: Option<String>,
) -> EntryGuardrail {
    let path = section.path(name);
    let is_told = section.line(name).is_some();
    let version = section.optional(name, values::guardrail_version);
    match (id, version) {
        (Some(id), Some(version)) => EntryGuardrail::On(default(id, version)),
        (Some(id), None) if !is_told => EntryGuardrail::On(draft(section, &path, id)),
        _ => EntryGuardrail::Unknown,
    }
}

fn draft(section: &mut Fields<'_>, path: &str, id: String) -> Guardrail {
    section.reading.notes.push(format!("{path} is not told: {DRAFT} is used"));
    default(id, DRAFT.to_owned())
}

fn default(id: String, version: String) -> Guardrail {
    Guardrail { id, version, mode: GuardrailMode::Default }
}

/// Reads `guardrails` and applies those that are on by default to every name.
pub(super) fn apply_defaults(
    files: &mut Files,
    reading: &mut Reading,
    models: &mut ModelSettings,
    passed: &mut Passed,
) {
    let mut on = Vec::new();
    files.items(reading, LIST, |root, at, item| {
        let (path, line) = (format!("{LIST}[{at}]"), item.line);
        let Some(entries) = root.entries_of(&path, item) else { return };
        root.child(format!("{path}."), entries, |section| {
            let guardrail = listed(section, &path, line, passed);
            on.extend(guardrail.map(|guardrail| (guardrail, line)));
        });
    });
    let Some(((guardrail, line), others)) = on.split_first() else { return };
    if others.iter().any(|(other, _)| other != guardrail) {
        let message = format!("{LIST}: more than one guardrail is on by default");
        reading.complain(*line, message, "a call carries one guardrail: keep one default_on");
    }
    for (name, group) in &mut models.groups {
        let same = |own: &Guardrail| own.id == guardrail.id && own.version == guardrail.version;
        if group.guardrail.as_ref().is_some_and(|own| !same(own)) {
            let id = &guardrail.id;
            let message =
                format!("{name} has a guardrail of its own beside {id}, which is on by default");
            reading.complain(*line, message, "a call carries one guardrail: keep one of them");
        }
        group.guardrail = Some(guardrail.clone());
    }
}

/// One guardrail of the list, if it is on by default. It holds whatever a caller says, as in LiteLLM.
fn listed(
    section: &mut Fields<'_>,
    path: &str,
    line: u64,
    passed: &mut Passed,
) -> Option<Guardrail> {
    let name = section.optional("guardrail_name", values::text).unwrap_or_default();
    let params = section.map("litellm_params").unwrap_or_default();
    passed.rest(LIST, section, &["guardrail_info"]);
    let mut on = None;
    section.child(format!("{path}.litellm_params."), params, |section| {
        let provider = section.optional("guardrail", values::text).unwrap_or_default();
        let is_on = section.optional("default_on", values::boolean).unwrap_or_default();
        if !is_on {
            let note = "is not on by default: requests that name it in guardrails are refused";
            section.reading.notes.push(format!("guardrail {name} {note}"));
            drop(section.rest());
            return;
        }
        if provider != BEDROCK {
            let message = format!("{path}: {provider} guardrails cannot be applied");
            let remedy = "set default_on: false, or use a guardrail of Bedrock's";
            section.reading.complain(line, message, remedy);
            drop(section.rest());
            return;
        }
        let id = section.optional("guardrailIdentifier", values::guardrail_id);
        match with_version(section, "guardrailVersion", id) {
            EntryGuardrail::On(guardrail) => {
                on = Some(Guardrail { mode: GuardrailMode::Mandatory, ..guardrail });
            }
            EntryGuardrail::None | EntryGuardrail::Unknown => {
                let message = format!("{path} is on by default and names no guardrail");
                let remedy = "set guardrailIdentifier and guardrailVersion";
                section.reading.complain(line, message, remedy);
            }
        }
        section.optional("mode", values::names);
        passed.rest("guardrails.litellm_params", section, &MODES_AND_ACCOUNTS);
    });
    on
}

/// Keys whose meaning a guardrail on the call does not have: it judges question and answer, with the
/// credentials of the call.
const MODES_AND_ACCOUNTS: [&str; 8] = [
    "aws_access_key_id",
    "aws_bedrock_runtime_endpoint",
    "aws_profile_name",
    "aws_region_name",
    "aws_role_name",
    "aws_secret_access_key",
    "aws_session_name",
    "mask_request_content",
];
