//! `models:` gives names and their targets, each as an id, one mapping, or a list of either. A target
//! is a model of Bedrock's, never another configured name, so that every name can be resolved in one
//! step.

use super::balance::{self, Known, Routing, Scope};
use super::credentials;
use super::model_overrides;
use super::parameters;
use super::provenance::Show as _;
use super::section::Section;
use super::yaml_tree::{Key, Node, Value};
use super::{Config, MODELS_ONLY, parsers};
use bedrock::AccountSpec;
use routing::catalogue::{CrossRegion, EolAliases, ProfileOverrides, region_of};
use routing::{GroupSettings, Guardrail, GuardrailMode, TargetSettings, Unlisted};

/// Longest id that Bedrock accepts, in characters.
const LONGEST: usize = 2048;

/// Reads all keys of the root that concern models.
pub(super) fn read(root: &mut Section<'_>, config: &mut Config) {
    naming(root, config);
    root.set(MODELS_ONLY, &mut config.models_only, |value| {
        parsers::boolean(value).map(|only| if only { Unlisted::Refused } else { Unlisted::Served })
    });
    root.set("unsupported_params", &mut config.unsupported_params, parsers::unsupported);
    root.section("defaults", |section| config.defaults = credentials::place(section));
    let entries = root.map("models").unwrap_or_default();
    let names: Vec<String> = entries.iter().map(|(key, _)| key.name.clone()).collect();
    let known = Known { names: &names, unlisted: config.models_only };
    root.section("routing", |section| {
        balance::read(section, Scope::AllNames, known, &mut config.routing);
    });
    let (balance, fallbacks) = config.routing.clone().split();
    let unsupported = config.unsupported_params;
    let base = GroupSettings { balance, fallbacks, unsupported, ..GroupSettings::default() };
    for (key, node) in entries {
        let name = key.name.clone();
        let mut reader = Reader { root: &mut *root, known, base: &base, name };
        if let Some(group) = reader.group(&key, node, &config.defaults) {
            config.models.insert(key.name, group);
        }
    }
}

fn naming(root: &mut Section<'_>, config: &mut Config) {
    root.set("cross_region", &mut config.cross_region, |value| match value {
        Value::Text(text) if text == "always" => Ok(CrossRegion::Always),
        Value::Text(text) if text == "auto" => Ok(CrossRegion::Auto),
        Value::Text(text) if text == "never" => Ok(CrossRegion::Never),
        _ => Err("always, auto or never"),
    });
    root.set("eol_aliases", &mut config.eol_aliases, |value| match value {
        Value::Text(text) if text == "send" => Ok(EolAliases::Send),
        Value::Text(text) if text == "remap" => Ok(EolAliases::Remap),
        _ => Err("send or remap"),
    });
    root.set("prompt_cache", &mut config.prompt_cache, parsers::prompt_cache);
}

/// Reads the value of one name.
struct Reader<'r, 'f> {
    root: &'r mut Section<'f>,
    known: Known<'r>,
    /// Settings that apply to all names.
    base: &'r GroupSettings,
    name: String,
}

impl Reader<'_, '_> {
    fn group(&mut self, key: &Key, node: Node, defaults: &AccountSpec) -> Option<GroupSettings> {
        let path = format!("models.{}", self.name);
        if self.name.is_empty() || self.name.matches('*').count() > 1 {
            let message = format!("{path} is an empty name, or one with more than one *");
            self.root.reading.complain(key.line, message, "give a name with one * at most");
            return None;
        }
        let mut group = self.base.clone();
        match node.value {
            Value::Map(entries) if entries.iter().any(|(key, _)| key.name == "targets") => {
                self.spread(&path, entries, defaults, &mut group);
            }
            Value::List(items) => self.list(&path, items, defaults, &mut group),
            value => {
                let node = Node { value, line: node.line };
                let target = self.target(&path, node, defaults, Some(&mut group));
                group.targets.extend(target);
            }
        }
        let weightless = group.targets.iter().all(|target| target.weight.0 == 0);
        if weightless && !group.targets.is_empty() {
            let message = format!("{path} has no target with a weight");
            self.root.reading.complain(key.line, message, "give one of them a weight above 0");
        }
        (!group.targets.is_empty()).then_some(group)
    }

    /// Reads a mapping with `targets` and the settings that apply to all of them.
    fn spread(
        &mut self,
        path: &str,
        entries: Vec<(Key, Node)>,
        defaults: &AccountSpec,
        group: &mut GroupSettings,
    ) {
        let (mut listed, known) = (None, self.known);
        self.root.child(format!("{path}."), entries, |section| {
            listed = section.take("targets").map(|(_, node)| node);
            let policy = section.optional("unsupported_params", parsers::unsupported);
            group.unsupported = policy.unwrap_or(group.unsupported);
            about_all(section, known, group);
        });
        match listed {
            Some(Node { value: Value::List(items), .. }) => {
                self.list(&format!("{path}.targets"), items, defaults, group);
            }
            Some(Node { line, .. }) => {
                let message = format!("{path}.targets is no list");
                self.root.reading.complain(line, message, "begin each target with a dash");
            }
            None => {}
        }
    }

    fn list(
        &mut self,
        path: &str,
        items: Vec<Node>,
        defaults: &AccountSpec,
        group: &mut GroupSettings,
    ) {
        for (at, item) in items.into_iter().enumerate() {
            let target = self.target(&format!("{path}[{at}]"), item, defaults, None);
            group.targets.extend(target);
        }
    }

    /// Reads one target. Settings of the name may stand beside its keys if it is the only target.
    fn target(
        &mut self,
        path: &str,
        node: Node,
        defaults: &AccountSpec,
        alone: Option<&mut GroupSettings>,
    ) -> Option<TargetSettings> {
        let (line, known) = (node.line, self.known);
        let mut target = TargetSettings::default();
        match node.value {
            Value::Map(entries) => {
                self.root.child(format!("{path}."), entries, |section| {
                    target = settings(section);
                    if let Some(group) = alone {
                        about_all(section, known, group);
                    }
                });
                if target.model.is_empty() {
                    let message = format!("{path}.model is missing");
                    self.root.reading.complain(line, message, "name a model of Bedrock's");
                    return None;
                }
            }
            Value::Null => {
                let message = format!("{path} is empty");
                self.root.reading.complain(line, message, "name a model of Bedrock's");
                return None;
            }
            value => {
                let node = Node { value, line };
                let (model, origin) = self.root.read_node(path, node, parsers::text)?;
                self.root.reading.provenance.tell(path, model.show(), origin);
                target.model = model;
            }
        }
        let place = target.place;
        let region = place.region.or_else(|| region_of(&target.model).map(ToOwned::to_owned));
        target.place = AccountSpec { region, ..place }.or(defaults);
        self.judge(path, line, &target.model)?;
        Some(target)
    }

    fn judge(&mut self, path: &str, line: u64, model: &str) -> Option<()> {
        let own = self.name.as_str();
        let (wrong, remedy) = if model.chars().count() > LONGEST {
            (format!("names a model with more than {LONGEST} characters"), "name one of Bedrock's")
        } else if model.contains('*') && !own.contains('*') {
            (format!("stands for {model}, and has no * to put there"), "name one model")
        } else if model != own && self.known.names.iter().any(|name| name == model) {
            (format!("stands for {model}, which is a name of yours too"), "name the model itself")
        } else {
            return Some(());
        };
        self.root.reading.complain(line, format!("{path} {wrong}"), remedy);
        None
    }
}

/// Reads the settings that apply to all targets of a name.
fn about_all(section: &mut Section<'_>, known: Known<'_>, group: &mut GroupSettings) {
    group.guardrail = guardrail(section);
    let mut routing = Routing::of(group.balance, std::mem::take(&mut group.fallbacks));
    balance::read(section, Scope::OneName, known, &mut routing);
    (group.balance, group.fallbacks) = routing.split();
}

fn settings(section: &mut Section<'_>) -> TargetSettings {
    let model = section.optional("model", parsers::text).unwrap_or_default();
    let place = credentials::place(section);
    let weight = section.optional("weight", parsers::weight).unwrap_or_default();
    let base_model = section.optional("base_model", parsers::text);
    let wish = section.optional("prompt_cache", parsers::prompt_cache);
    let surface = section.optional("surface", parsers::surface);
    let project = section.optional("project", parsers::text);
    let mut accepts = knobs(section);
    if let Some(wish) = wish {
        accepts.want(wish);
    }
    for (knob, value) in [("surface", surface), ("mantle_project", project)] {
        // A value that was read is one of the knob's.
        if let Some(value) = value
            && let Err(error) = accepts.set(knob, value.into())
        {
            log::error!("{knob} cannot be set: {error}");
        }
    }
    let unsupported = section.optional("unsupported_params", parsers::unsupported);
    let mut target =
        TargetSettings { model, place, weight, unsupported, ..TargetSettings::default() };
    target.overrides.base_model = base_model;
    target.overrides.accepts = accepts;
    target.tags = section.optional("tags", parsers::names).unwrap_or_default();
    target.params = parameters::section(section);
    shaping(section, &mut target);
    target
}

/// Reads a target's order and its limits per minute.
fn shaping(section: &mut Section<'_>, target: &mut TargetSettings) {
    let TargetSettings { order, rpm, tpm, .. } = target;
    *order = section.optional("order", parsers::order).unwrap_or(*order);
    *rpm = section.optional("rpm", parsers::calls).or(*rpm);
    *tpm = section.optional("tpm", parsers::tokens).or(*tpm);
}

fn knobs(section: &mut Section<'_>) -> ProfileOverrides {
    let prefix = section.path("accepts");
    let mut knobs = ProfileOverrides::default();
    for (key, node) in section.map("accepts").unwrap_or_default() {
        let (path, line) = (format!("{prefix}.{}", key.name), node.line);
        let Some(told) = model_overrides::read(section, &path, node) else { continue };
        match knobs.set(&key.name, told.value) {
            Ok(()) => section.reading.provenance.tell(&path, told.shown, told.origin),
            Err(error) => model_overrides::complain(section, line, &path, &error),
        }
    }
    knobs
}

fn guardrail(section: &mut Section<'_>) -> Option<Guardrail> {
    let mut mode = GuardrailMode::default();
    let named = section.guardrail("name a guardrail of the target's account", |section| {
        section.set("mode", &mut mode, |value| match value {
            Value::Text(text) if text == "default" => Ok(GuardrailMode::Default),
            Value::Text(text) if text == "mandatory" => Ok(GuardrailMode::Mandatory),
            _ => Err("default or mandatory"),
        });
    });
    named.map(|(id, version)| Guardrail { id, version, mode })
}
