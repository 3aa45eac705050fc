//! Reads LiteLLM's `config.yaml` unchanged: entries for Bedrock become names and targets, entries for
//! other providers are skipped, and keys without effect here are listed once in a note. A value that
//! LiteLLM starts with is a mistake only if it concerns Bedrock and cannot be honoured.

use std::collections::{BTreeMap, BTreeSet};

use super::provenance::{Show as _, ValueOrigin};
use super::reader::{ConfigReader, FileFormat};
use super::section::Section;
use super::yaml_tree::{self, Key, Node, Repeated, Value};
use super::{Config, MODELS_ONLY, master_key, outcrop_format, parsers, redis};
use bedrock::AccountSpec;
use routing::catalogue::is_bedrocks;
use routing::{GroupSettings, GuardrailMode, Unlisted};

mod accounts;
mod cache;
mod credential_list;
mod defaults;
mod environment;
mod files;
mod guardrails;
mod keys;
mod model_spec;
mod params;
mod prices;
mod router;

use accounts::RatesOnNames;
use credential_list::CredentialList;
use files::Files;
use guardrails::{EntryGuardrail, Listed};
use params::{Deployment, Information};
use router::Router;

const LIST: &str = "model_list";

/// Region of LiteLLM's where no other is told.
const LAST_REGION: &str = "us-west-2";

/// Section for Outcrop's own keys.
const OWN: &str = "outcrop";

/// Root keys that identify a file as LiteLLM's.
const SIGNS: [&str; 7] = [
    LIST,
    "credential_list",
    "environment_variables",
    "general_settings",
    "include",
    "litellm_settings",
    "router_settings",
];

/// Whether a file has LiteLLM's format.
pub(super) fn is_it(root: &[(Key, Node)]) -> bool {
    root.iter().any(|(key, _)| SIGNS.contains(&key.name.as_str()))
}

/// Keys and entries that are read and have no effect.
#[derive(Debug, Default)]
struct Passed {
    /// Known keys of LiteLLM.
    ignored: BTreeSet<String>,
    /// Known keys of LiteLLM, grouped by the reason why they have no effect.
    pointless: BTreeMap<&'static str, BTreeSet<String>>,
    /// Keys of neither LiteLLM nor Outcrop.
    unknown: BTreeSet<String>,
    /// Names whose provider is not Bedrock.
    skipped: Vec<String>,
    /// Names of AWS services that are not served.
    elsewhere: Vec<String>,
    /// Names that need a guardrail that is not specified.
    unguarded: Vec<String>,
}

/// Reads the keys that have an effect here, and notes the others.
pub(super) fn read(root: Vec<(Key, Node)>, reading: &mut ConfigReader, config: &mut Config) {
    for Repeated { name, line, replaced } in yaml_tree::repeated(&root) {
        let note =
            format!("line {line}: {name} stands on line {replaced} too: the later one counts");
        reading.notes.push(note);
    }
    reading.read_as(FileFormat::LiteLlm);
    let mut files = Files::with_included(root, reading);
    own_keys(&mut files, reading, config);
    let mut passed = Passed::default();
    config.last_region = Some(LAST_REGION.to_owned());
    let variables;
    (config.account, variables) = environment::account(&mut files, reading, &mut passed);
    let guardrails = Listed::read(&mut files, reading, &mut passed);
    config.guardrails = guardrails.by_name();
    let credentials = CredentialList::read(&mut files, reading, &mut passed);
    let mut list = ModelList {
        credentials,
        guardrails: &guardrails,
        account: &config.account,
        models: &mut config.models,
        filters: BTreeMap::new(),
        rates: RatesOnNames::default(),
        passed: &mut passed,
    };
    files.items(reading, LIST, |root, at, entry| list.read_entry(root, at, entry));
    let ModelList { filters, rates, .. } = list;
    guardrails.apply_defaults(reading, &mut config.models);
    routing(&mut files, reading, config, (&filters, rates), &mut passed);
    files.each(reading, |root| {
        root.open("general_settings", |section| {
            master_key::read_litellms(section, config);
            accounts::general(section, config);
            let refuses = section.optional("reject_clientside_metadata_tags", parsers::boolean);
            config.refuses_body_tags = refuses.unwrap_or_default();
            passed.pointless("general_settings", section, keys::GENERAL_WITH_REASON);
            passed.rest("general_settings", section, keys::GENERAL);
        });
        for (key, _) in root.rest() {
            if keys::OURS.contains(&key.name.as_str()) {
                let message = format!("{} stands beside LiteLLM's keys", key.name);
                root.reading.complain(key.line, message, "put it into a section called outcrop");
            } else {
                passed.note(key.name, keys::ROOT);
            }
        }
    });
    variables.apply(&mut Section::of_root(Vec::new(), reading), config);
    if config.models.is_empty() {
        reading.notes.push("no model of Bedrock's is listed: no name is served".to_owned());
    }
    passed.tell(&mut reading.notes);
    reading.read_as(FileFormat::Outcrop);
}

/// Reads the section of Outcrop's own keys. A key that is left out has Outcrop's default, except that
/// names that are not listed are refused: a LiteLLM list contains all models that may be used.
fn own_keys(files: &mut Files, reading: &mut ConfigReader, config: &mut Config) {
    reading.read_as(FileFormat::Outcrop);
    let mut own = Vec::new();
    let mut line = 1;
    files.each(reading, |root| {
        line = root.line(LIST).unwrap_or(line);
        own.extend(root.map(OWN).unwrap_or_default());
    });
    let told = own.iter().any(|(key, _)| key.name == MODELS_ONLY);
    outcrop_format::read(Section::of_root(own, reading), config);
    if !told {
        config.models_only = Unlisted::Refused;
        let origin = ValueOrigin::line(&reading.file, line);
        reading.provenance.tell(MODELS_ONLY, config.models_only.show(), origin);
    }
    reading.read_as(FileFormat::LiteLlm);
}

/// Reads the routing settings, from either of the two sections that LiteLLM reads.
fn routing(
    files: &mut Files,
    reading: &mut ConfigReader,
    config: &mut Config,
    (filters, rates): (&BTreeMap<String, bool>, RatesOnNames),
    passed: &mut Passed,
) {
    let (mut aliases, mut router, mut module) = (Vec::new(), Router::default(), Router::default());
    let mut kept = cache::Cache::default();
    files.each(reading, |root| {
        root.open("router_settings", |section| {
            aliases = section.map("model_group_alias").unwrap_or_default();
            router = router::read(section);
            redis::read_litellms(section, config);
            passed.pointless("router_settings", section, keys::ROUTER);
            passed.rest("router_settings", section, &[]);
        });
        root.open("litellm_settings", |section| {
            module = router::read_module(section);
            guardrails::of_settings(section, passed);
            accounts::module(section, config, passed);
            kept = cache::read(section, passed);
            passed.pointless("litellm_settings", section, keys::LITELLM_WITH_REASON);
            passed.rest("litellm_settings", section, keys::LITELLM);
        });
    });
    kept.apply(reading, config);
    let aliases = group_aliases(reading, aliases, &mut config.models);
    rates.apply(config, &aliases);
    router.or(module).apply(reading, config, &aliases, filters);
}

/// Reads the entries of `model_list`.
struct ModelList<'l> {
    credentials: CredentialList,
    guardrails: &'l Listed,
    /// The gateway's own account.
    account: &'l AccountSpec,
    models: &'l mut BTreeMap<String, GroupSettings>,
    /// What entries say of tags, by their name.
    filters: BTreeMap<String, bool>,
    rates: RatesOnNames,
    passed: &'l mut Passed,
}

/// An entry of the list.
struct Entry<'e> {
    path: &'e str,
    name: &'e str,
    line: u64,
    params: Vec<(Key, Node)>,
    information: Vec<(Key, Node)>,
}

impl ModelList<'_> {
    fn read_entry(&mut self, root: &mut Section<'_>, at: usize, entry: Node) {
        let (path, line) = (format!("{LIST}[{at}]"), entry.line);
        let Some(entries) = root.entries_of(&path, entry) else { return };
        root.child(format!("{path}."), entries, |section| {
            let name = section.optional("model_name", parsers::text);
            let params = section.map("litellm_params").unwrap_or_default();
            let information = section.map("model_info").unwrap_or_default();
            self.passed.rest("model_list", section, keys::ENTRY);
            let Some(name) = name else {
                let message = format!("{path}.model_name is missing");
                section.reading.complain(line, message, "name the model for its callers");
                return;
            };
            match provider(&params) {
                Provider::Other(provider) => {
                    self.passed.skipped.push(format!("{name} ({provider})"));
                }
                Provider::Bedrock if name.matches('*').count() > 1 => {
                    let message = format!("{path}.model_name has more than one *");
                    section.reading.complain(line, message, "give a name with one * at most");
                }
                Provider::Bedrock => {
                    let (path, name) = (path.as_str(), name.as_str());
                    self.read_bedrock(section, Entry { path, name, line, params, information });
                }
            }
        });
    }

    fn read_bedrock(&mut self, section: &mut Section<'_>, mut entry: Entry<'_>) {
        let Entry { path, name, line, .. } = entry;
        if self.credentials.fill(section, path, &mut entry.params).is_none() {
            return;
        }
        let information = std::mem::take(&mut entry.information);
        let noted = (&mut self.rates, &mut *self.passed);
        let read = params::read(section, entry, self.guardrails, noted);
        let Information { base_model: base, filters, price } =
            params::information(section, path, information, self.passed);
        if let Some(is_on) = filters {
            self.filters.entry(name.to_owned()).or_insert(is_on);
        }
        let (mut target, guardrail) = match read {
            Deployment::Target(target, guardrail) => (*target, guardrail),
            Deployment::NoModel => {
                let message = format!("{path}.litellm_params.model is missing");
                section.reading.complain(line, message, "name a model of Bedrock's");
                return;
            }
            Deployment::Elsewhere(surface) => {
                self.passed.elsewhere.push(format!("{name} ({surface})"));
                return;
            }
        };
        target.overrides.base_model = target.overrides.base_model.take().or(base);
        target.overrides.price = target.overrides.price.take().or(price);
        target.place = environment::role_for(target.place, self.account);
        let guardrail = match guardrail {
            EntryGuardrail::None => None,
            EntryGuardrail::On(guardrail) => Some(guardrail),
            EntryGuardrail::Unknown => {
                self.passed.unguarded.push(format!("{name} ({path})"));
                return;
            }
        };
        let group = self.models.entry(name.to_owned()).or_default();
        group.targets.push(target);
        match (&mut group.guardrail, guardrail) {
            (_, None) => {}
            (place @ None, Some(guardrail)) => *place = Some(guardrail),
            (Some(own), Some(other)) if own.id == other.id && own.version == other.version => {
                if other.mode == GuardrailMode::Mandatory {
                    own.mode = other.mode;
                }
            }
            (Some(_), Some(other)) => {
                let message = format!("{path}: {name} has another guardrail beside {}", other.id);
                let remedy = "a name has one guardrail: give its entries the same";
                section.reading.complain(line, message, remedy);
            }
        }
    }
}

/// The provider of an entry.
enum Provider {
    Bedrock,
    Other(String),
}

/// Determines the provider as LiteLLM does: from the provider key, the first part of the model, or a
/// known model name.
fn provider(params: &[(Key, Node)]) -> Provider {
    let text = |name: &str| {
        let (_, node) = params.iter().find(|(key, _)| key.name == name)?;
        match &node.value {
            Value::Text(text) => Some(text.as_str()),
            _ => None,
        }
    };
    let model = text("model").unwrap_or_default();
    let first = model.split_once('/').map(|(first, _)| first);
    let told = text("custom_llm_provider").or(first.filter(|_| !model.starts_with("arn:")));
    match told {
        Some("bedrock" | "bedrock_converse") => Provider::Bedrock,
        // The model comes from a variable that is not resolved yet; the Bedrock path checks it.
        Some("os.environ") => Provider::Bedrock,
        Some(other) => Provider::Other(other.to_owned()),
        None if is_bedrocks(model) => Provider::Bedrock,
        None => Provider::Other("no provider that is known here".to_owned()),
    }
}

/// Adds further names for groups; returns each with the name it stands for.
fn group_aliases(
    reading: &mut ConfigReader,
    aliases: Vec<(Key, Node)>,
    models: &mut BTreeMap<String, GroupSettings>,
) -> BTreeMap<String, String> {
    let mut bases = BTreeMap::new();
    for (key, node) in aliases {
        let path = format!("router_settings.model_group_alias.{}", key.name);
        let node = match node.value {
            Value::Map(entries) => {
                let model = entries.into_iter().find(|(key, _)| key.name == "model");
                let Some((_, node)) = model else { continue };
                node
            }
            value => Node { value, line: node.line },
        };
        let line = node.line;
        let mut root = Section::of_root(Vec::new(), reading);
        let Some((base, _)) = root.read_node(&path, node, parsers::text) else { continue };
        match models.get(&base) {
            Some(group) => {
                let group = group.clone();
                models.insert(key.name.clone(), group);
                bases.insert(key.name, base);
            }
            None => {
                let note = format!("line {line}: {path} names {base}, which is not here: left out");
                reading.notes.push(note);
            }
        }
    }
    bases
}

impl Passed {
    /// Removes from a section the keys whose lack of effect has a known reason.
    fn pointless(
        &mut self,
        name: &str,
        section: &mut Section<'_>,
        known: &'static [(&'static str, &'static [&'static str])],
    ) {
        for (why, key) in known.iter().flat_map(|(why, keys)| keys.iter().map(|key| (*why, *key))) {
            if section.take(key).is_some() {
                self.pointless.entry(why).or_default().insert(format!("{name}.{key}"));
            }
        }
    }

    /// Removes all remaining keys of a section.
    fn rest(&mut self, name: &str, section: &mut Section<'_>, known: &[&str]) {
        for (key, _) in section.rest() {
            let listed = known.contains(&key.name.as_str());
            let place = if listed { &mut self.ignored } else { &mut self.unknown };
            place.insert(format!("{name}.{}", key.name));
        }
    }

    fn note(&mut self, name: String, known: &[&str]) {
        let listed = known.contains(&name.as_str());
        let place = if listed { &mut self.ignored } else { &mut self.unknown };
        place.insert(name);
    }

    fn tell(self, notes: &mut Vec<String>) {
        let list = |names: BTreeSet<String>| names.into_iter().collect::<Vec<_>>().join(", ");
        if !self.skipped.is_empty() {
            let skipped = self.skipped.join(", ");
            notes.push(format!("skipped, because only Bedrock is called here: {skipped}"));
        }
        if !self.elsewhere.is_empty() {
            let names = self.elsewhere.join(", ");
            notes.push(format!("skipped, because this AWS service is not served: {names}"));
        }
        if !self.unguarded.is_empty() {
            let names = self.unguarded.join(", ");
            notes.push(format!(
                "not served, because the guardrail it names is not defined: {names}"
            ));
        }
        if !self.ignored.is_empty() {
            notes.push(format!(
                "ignored, because it has no effect here yet: {}",
                list(self.ignored)
            ));
        }
        for (why, names) in self.pointless {
            notes.push(format!("ignored, because {why}: {}", list(names)));
        }
        if !self.unknown.is_empty() {
            notes.push(format!("ignored, because nothing is known of it: {}", list(self.unknown)));
        }
    }
}
