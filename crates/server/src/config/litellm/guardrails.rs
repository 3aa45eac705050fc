//! Guardrails of a LiteLLM file: `guardrails` with `default_on`, which apply to every name, and those
//! of single entries, by `guardrailConfig` or by `extra_headers`. If a guardrail cannot be applied, the
//! entries it protects are not served; a note alone would leave them unprotected.

use std::collections::BTreeMap;

use super::super::parsers;
use super::super::reader::ConfigReader;
use super::super::section::Section;
use super::super::yaml_tree::{Key, Node, Value};
use super::Passed;
use super::files::Files;
use routing::{GUARDRAIL_ID, GUARDRAIL_VERSION, GroupSettings, Guardrail, GuardrailMode};

const LIST: &str = "guardrails";
const DRAFT: &str = "DRAFT";
const BEDROCK: &str = "bedrock";

/// The guardrail of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum EntryGuardrail {
    /// No guardrail.
    None,
    /// The guardrail that its calls carry.
    On(Guardrail),
    /// A guardrail that cannot be identified: the entry must not be served.
    Unknown,
}

/// Reads the guardrail of one entry, from its `litellm_params`.
pub(super) fn of_entry(
    section: &mut Section<'_>,
    listed: &Listed,
    passed: &mut Passed,
) -> EntryGuardrail {
    let line = section.line("guardrailConfig").or(section.line("extra_headers")).unwrap_or(1);
    let by_headers = by_headers(section, passed);
    let by_config = by_config(section);
    let own = one_of(section, line, by_config, by_headers);
    let by_name = listed.named(section);
    one_of(section, line, own, by_name)
}

/// The one guardrail that two places name; the latter's mode is the stricter.
fn one_of(
    section: &mut Section<'_>,
    line: u64,
    one: EntryGuardrail,
    other: EntryGuardrail,
) -> EntryGuardrail {
    match (one, other) {
        (EntryGuardrail::None, other) | (other, EntryGuardrail::None) => other,
        (EntryGuardrail::On(one), EntryGuardrail::On(other))
            if one.id == other.id && one.version == other.version =>
        {
            EntryGuardrail::On(other)
        }
        (EntryGuardrail::Unknown, _) | (_, EntryGuardrail::Unknown) => EntryGuardrail::Unknown,
        (EntryGuardrail::On(_), EntryGuardrail::On(_)) => {
            let places = ["guardrailConfig", "extra_headers", LIST].map(|name| section.path(name));
            let message = format!("{} name different guardrails", places.join(", "));
            section.reading.complain(line, message, "a call carries one guardrail: keep one");
            EntryGuardrail::Unknown
        }
    }
}

fn by_config(section: &mut Section<'_>) -> EntryGuardrail {
    let path = section.path("guardrailConfig");
    let Some(entries) = section.map("guardrailConfig") else { return EntryGuardrail::None };
    let mut read = EntryGuardrail::Unknown;
    section.child(format!("{path}."), entries, |section| {
        let id = section.optional("guardrailIdentifier", parsers::guardrail_id);
        read = with_version(section, "guardrailVersion", id);
        for (key, _) in section.rest() {
            let note = format!("{} is ignored", section.path(&key.name));
            section.reading.notes.push(note);
        }
    });
    read
}

fn by_headers(section: &mut Section<'_>, passed: &mut Passed) -> EntryGuardrail {
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
    let id = read(section, &format!("{path}.{GUARDRAIL_ID}"), id, parsers::guardrail_id);
    let path = format!("{path}.{GUARDRAIL_VERSION}");
    let version = read(section, &path, version, parsers::guardrail_version);
    match (id, version) {
        (Some(id), Some(version)) => EntryGuardrail::On(default(id, version)),
        (Some(id), None) if !told_version => EntryGuardrail::On(draft(section, &path, id)),
        _ => EntryGuardrail::Unknown,
    }
}

fn read(
    section: &mut Section<'_>,
    path: &str,
    node: Option<Node>,
    read: impl Fn(&Value) -> Result<String, parsers::Expected>,
) -> Option<String> {
    section.read_node(path, node?, read).map(|(value, _)| value)
}

/// Adds the version; without one the working draft is used, as in Bedrock.
fn with_version(
    section: &mut Section<'_>,
    name: &'static str,
    id: Option<String>,
) -> EntryGuardrail {
    let path = section.path(name);
    let is_told = section.line(name).is_some();
    let version = section.optional(name, parsers::guardrail_version);
    match (id, version) {
        (Some(id), Some(version)) => EntryGuardrail::On(default(id, version)),
        (Some(id), None) if !is_told => EntryGuardrail::On(draft(section, &path, id)),
        _ => EntryGuardrail::Unknown,
    }
}

fn draft(section: &mut Section<'_>, path: &str, id: String) -> Guardrail {
    section.reading.notes.push(format!("{path} is not set: {DRAFT} is used"));
    default(id, DRAFT.to_owned())
}

fn default(id: String, version: String) -> Guardrail {
    Guardrail { id, version, mode: GuardrailMode::Default }
}

/// Guardrails of the list at the root, by name.
#[derive(Debug, Default)]
pub(super) struct Listed(Vec<Item>);

#[derive(Debug)]
struct Item {
    name: String,
    line: u64,
    is_on: bool,
    /// `None`: it cannot be applied.
    guardrail: Option<Guardrail>,
}

impl Listed {
    /// Reads the list from all files.
    pub(super) fn read(files: &mut Files, reading: &mut ConfigReader, passed: &mut Passed) -> Self {
        let mut listed = Self::default();
        files.items(reading, LIST, |root, at, item| {
            let (path, line) = (format!("{LIST}[{at}]"), item.line);
            let Some(entries) = root.entries_of(&path, item) else { return };
            root.child(format!("{path}."), entries, |section| {
                listed.0.push(Item::read(section, &path, line, passed));
            });
        });
        listed
    }

    /// All that can be applied, by name: keys and teams may demand them.
    pub(super) fn by_name(&self) -> BTreeMap<String, Guardrail> {
        let named = |item: &Item| Some((item.name.clone(), item.guardrail.clone()?));
        self.0.iter().filter_map(named).collect()
    }

    /// The guardrail of an entry that names some of the list. They hold whatever a caller says.
    fn named(&self, section: &mut Section<'_>) -> EntryGuardrail {
        let line = section.line(LIST).unwrap_or_default();
        let names = section.optional(LIST, parsers::names).unwrap_or_default();
        let mut found = EntryGuardrail::None;
        for name in names {
            let item = self.0.iter().find(|item| item.name == name);
            let Some(guardrail) = item.and_then(|item| item.guardrail.clone()) else {
                return EntryGuardrail::Unknown;
            };
            found = one_of(section, line, found, EntryGuardrail::On(guardrail));
        }
        found
    }

    /// Applies those that are on by default to every name.
    pub(super) fn apply_defaults(
        &self,
        reading: &mut ConfigReader,
        models: &mut BTreeMap<String, GroupSettings>,
    ) {
        let on = self.0.iter().filter(|item| item.is_on);
        let mut on = on.filter_map(|item| Some((item.guardrail.as_ref()?, item.line)));
        let Some((guardrail, line)) = on.next() else { return };
        if on.any(|(other, _)| other != guardrail) {
            let message = format!("{LIST}: more than one guardrail is on by default");
            reading.complain(line, message, "a call carries one guardrail: keep one default_on");
        }
        for (name, group) in models {
            let same = |own: &Guardrail| own.id == guardrail.id && own.version == guardrail.version;
            if group.guardrail.as_ref().is_some_and(|own| !same(own)) {
                let id = &guardrail.id;
                let message = format!(
                    "{name} has a guardrail of its own beside {id}, which is on by default"
                );
                reading.complain(line, message, "a call carries one guardrail: keep one of them");
            }
            group.guardrail = Some(guardrail.clone());
        }
    }
}

impl Item {
    /// Reads one of the list. One that is on by default must be kept: a note is no protection.
    fn read(section: &mut Section<'_>, path: &str, line: u64, passed: &mut Passed) -> Self {
        let name = section.optional("guardrail_name", parsers::text).unwrap_or_default();
        let params = section.map("litellm_params").unwrap_or_default();
        passed.rest(LIST, section, &["guardrail_info"]);
        let mut item = Self { name, line, is_on: false, guardrail: None };
        section.child(format!("{path}.litellm_params."), params, |section| {
            let provider = section.optional("guardrail", parsers::text).unwrap_or_default();
            item.is_on = section.optional("default_on", parsers::boolean).unwrap_or_default();
            if provider == BEDROCK {
                let id = section.optional("guardrailIdentifier", parsers::guardrail_id);
                if let EntryGuardrail::On(guardrail) = with_version(section, "guardrailVersion", id)
                {
                    let mode = GuardrailMode::Mandatory;
                    item.guardrail = Some(Guardrail { mode, ..guardrail });
                }
                section.optional("mode", parsers::names);
                passed.rest("guardrails.litellm_params", section, &MODES_AND_ACCOUNTS);
            } else {
                drop(section.rest());
            }
            item.judge(section.reading, path, &provider);
        });
        item
    }

    fn judge(&self, reading: &mut ConfigReader, path: &str, provider: &str) {
        let Self { name, line, is_on, guardrail } = self;
        if !is_on {
            let note = "is not on by default: it holds for entries that name it, and requests that name it in guardrails are refused";
            reading.notes.push(format!("guardrail {name} {note}"));
        } else if provider != BEDROCK {
            let message = format!("{path}: {provider} guardrails cannot be applied");
            let remedy = "set default_on: false, or use a guardrail of Bedrock's";
            reading.complain(*line, message, remedy);
        } else if guardrail.is_none() {
            let message = format!("{path} is on by default and names no guardrail");
            reading.complain(*line, message, "set guardrailIdentifier and guardrailVersion");
        }
    }
}

/// Safety of LiteLLM's own that `litellm_settings` turns on: none of it is done here, so the start ends.
pub(super) fn of_settings(section: &mut Section<'_>, passed: &mut Passed) {
    let path = section.path("callbacks");
    if let Some((key, node)) = section.take("callbacks") {
        passed.ignored.insert(path.clone());
        let named = section.read_node(&path, node, parsers::names);
        for (name, _) in named
            .into_iter()
            .flat_map(|(names, origin)| names.into_iter().map(move |name| (name, origin.clone())))
        {
            if JUDGES.contains(&name.as_str()) {
                let message = format!("{path}: {name} judges requests, and cannot be applied");
                section.reading.complain(key.line, message, REMOVE);
            }
        }
    }
    let path = section.path(LIST);
    let Some((key, node)) = section.take(LIST) else { return };
    let Value::List(items) = node.value else { return };
    let settings = items.into_iter().filter_map(|item| match item.value {
        Value::Map(entries) => Some(entries),
        _ => None,
    });
    for (Key { name, .. }, node) in settings.flatten() {
        let Value::Map(told) = node.value else { continue };
        let is_on = told.iter().any(|(key, node)| {
            key.name == "default_on" && !matches!(node.value, Value::Bool(false) | Value::Null)
        });
        match is_on {
            true => {
                let message = format!("{path}: {name} is on by default, and cannot be applied");
                section.reading.complain(key.line, message, REMOVE);
            }
            false => drop(passed.ignored.insert(format!("{path}.{name}"))),
        }
    }
}

const REMOVE: &str = "remove it, or use a guardrail of Bedrock's in guardrails at the root";

/// Callbacks of LiteLLM's that refuse or change requests.
const JUDGES: [&str; 12] = [
    "azure_content_safety",
    "banned_keywords",
    "blocked_user_check",
    "detect_prompt_injection",
    "google_text_moderation",
    "hide_secrets",
    "lakera_prompt_injection",
    "llamaguard_moderations",
    "llmguard_moderations",
    "openai_moderations",
    "presidio",
    "prompt_injection",
];

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
