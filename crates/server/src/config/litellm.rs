//! LiteLLM's `config.yaml` as it is: entries for Bedrock become names and targets, entries for other
//! providers are skipped, and what has no effect here is named once. Nothing that LiteLLM would start
//! with is a mistake, unless it is about Bedrock and cannot be honoured.

use std::collections::{BTreeMap, BTreeSet};

use super::fields::Fields;
use super::reading::Unset;
use super::tree::{Key, Node, Value};
use super::values;
use crate::bedrock::Timeouts;
use crate::catalogue::is_bedrocks;
use crate::routing::ModelSettings;

mod keys;
mod params;
mod router;

use router::Router;

const LIST: &str = "model_list";

/// Whether a file has this shape.
pub(super) fn is_it(root: &[(Key, Node)]) -> bool {
    root.iter().any(|(key, _)| key.name == LIST)
}

/// What is read and has no effect.
#[derive(Debug, Default)]
struct Passed {
    /// LiteLLM's keys.
    ignored: BTreeSet<String>,
    /// LiteLLM's too, by why they have no effect.
    pointless: BTreeMap<&'static str, BTreeSet<String>>,
    /// Nobody's.
    unknown: BTreeSet<String>,
    /// Names whose provider is not Bedrock.
    skipped: Vec<String>,
}

/// Reads what counts here, and notes what does not.
pub(super) fn read(mut root: Fields<'_>, models: &mut ModelSettings, timeouts: &mut Timeouts) {
    root.reading.treat_unset(Unset::Absent);
    let mut passed = Passed::default();
    match root.take(LIST) {
        Some((_, Node { value: Value::List(entries), .. })) => {
            for (at, entry) in entries.into_iter().enumerate() {
                read_entry(&mut root, at, entry, models, &mut passed);
            }
        }
        Some((_, Node { value: Value::Null, .. })) | None => {}
        Some((_, Node { line, .. })) => {
            root.reading.complain(
                line,
                "model_list is no list".to_owned(),
                "begin each entry with a dash",
            );
        }
    }
    routing(&mut root, models, timeouts, &mut passed);
    root.open("general_settings", |section| {
        if section.line("master_key").is_some() {
            section.reading.notes.push(
                "general_settings.master_key: keys are not checked yet, whoever can connect can spend"
                    .to_owned(),
            );
        }
        passed.rest("general_settings", section, keys::GENERAL);
    });
    for (key, _) in root.rest() {
        if keys::OURS.contains(&key.name.as_str()) {
            let message = format!("{} stands beside model_list, which is LiteLLM's", key.name);
            let remedy =
                "a file has one shape: rename model_list to models and its entries, or use flags";
            root.reading.complain(key.line, message, remedy);
        } else {
            passed.note(key.name, keys::ROOT);
        }
    }
    passed.tell(&mut root.reading.notes);
    root.reading.treat_unset(Unset::Refused);
}

/// How calls are spread, in either of the two sections that LiteLLM looks into.
fn routing(
    root: &mut Fields<'_>,
    models: &mut ModelSettings,
    timeouts: &mut Timeouts,
    passed: &mut Passed,
) {
    let (mut aliases, mut router) = (Vec::new(), Router::default());
    root.open("router_settings", |section| {
        aliases = section.map("model_group_alias").unwrap_or_default();
        router = router::read(section);
        passed.pointless("router_settings", section, keys::ROUTER);
        passed.rest("router_settings", section, &[]);
    });
    let mut module = Router::default();
    root.open("litellm_settings", |section| {
        module = router::read_module(section);
        passed.rest("litellm_settings", section, keys::LITELLM);
    });
    let aliases = group_aliases(root, aliases, models);
    router.or(module).apply(root.reading, models, &aliases, timeouts);
}

fn read_entry(
    root: &mut Fields<'_>,
    at: usize,
    entry: Node,
    models: &mut ModelSettings,
    passed: &mut Passed,
) {
    let (path, line) = (format!("{LIST}[{at}]"), entry.line);
    let Some(entries) = root.entries_of(&path, entry) else { return };
    let mut read = None;
    root.child(format!("{path}."), entries, |section| {
        let name = section.optional("model_name", values::text);
        let params = section.map("litellm_params").unwrap_or_default();
        let information = section.map("model_info").unwrap_or_default();
        passed.rest("model_list", section, keys::ENTRY);
        let Some(name) = name else {
            let message = format!("{path}.model_name is missing");
            section.reading.complain(line, message, "name the model for its callers");
            return;
        };
        if name.matches('*').count() > 1 {
            let message = format!("{path}.model_name has more than one *");
            section.reading.complain(line, message, "give a name with one * at most");
            return;
        }
        match provider(&params) {
            Provider::Bedrock => {
                let mut target = params::read(section, &path, &name, params, passed);
                let base = params::base_model(section, &path, information, passed);
                if let Some((target, _)) = &mut target {
                    target.manner.base_model = base;
                } else {
                    let message = format!("{path}.litellm_params.model is missing");
                    section.reading.complain(line, message, "name a model of Bedrock's");
                }
                read = target.map(|(target, guardrail)| (name, target, guardrail));
            }
            Provider::Other(provider) => passed.skipped.push(format!("{name} ({provider})")),
        }
    });
    if let Some((name, target, guardrail)) = read {
        let group = models.groups.entry(name).or_default();
        group.targets.push(target);
        group.guardrail = guardrail.or(group.guardrail.take());
    }
}

/// Who serves an entry.
enum Provider {
    Bedrock,
    Other(String),
}

/// As LiteLLM finds it: told outright, by the first word of the model, or by a known name.
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
        // What a variable names is for nobody but Bedrock to judge.
        Some("os.environ") => Provider::Bedrock,
        Some(other) => Provider::Other(other.to_owned()),
        None if is_bedrocks(model) => Provider::Bedrock,
        None => Provider::Other("no provider that is known here".to_owned()),
    }
}

/// Further names for groups, each with the name it stands for.
fn group_aliases(
    root: &mut Fields<'_>,
    aliases: Vec<(Key, Node)>,
    models: &mut ModelSettings,
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
        let Some((base, _)) = root.read_node(&path, node, values::text) else { continue };
        match models.groups.get(&base) {
            Some(group) => {
                let group = group.clone();
                models.groups.insert(key.name.clone(), group);
                bases.insert(key.name, base);
            }
            None => {
                let note = format!("line {line}: {path} names {base}, which is not here: left out");
                root.reading.notes.push(note);
            }
        }
    }
    bases
}

impl Passed {
    /// Takes what is left of a section and can be told why.
    fn pointless(
        &mut self,
        name: &str,
        section: &mut Fields<'_>,
        known: &'static [(&'static str, &'static [&'static str])],
    ) {
        for (why, key) in known.iter().flat_map(|(why, keys)| keys.iter().map(|key| (*why, *key))) {
            if section.take(key).is_some() {
                self.pointless.entry(why).or_default().insert(format!("{name}.{key}"));
            }
        }
    }

    /// Takes all that is left of a section.
    fn rest(&mut self, name: &str, section: &mut Fields<'_>, known: &[&str]) {
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
