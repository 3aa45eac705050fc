//! LiteLLM's fallbacks of one class: a list of `name: [names]`, where `*` stands for every name without
//! a chain of its own.

use super::super::super::balance::Known;
use super::super::super::parsers;
use super::super::super::reader::ConfigReader;
use super::super::super::section::Section;
use super::super::super::yaml_tree::{Key, Node, Value};

const ALL: &str = "*";

/// The chains of one class. The first chain of a name is used.
#[derive(Debug, Default)]
pub(super) struct Chains {
    /// The key that holds them.
    key: String,
    chains: Vec<(String, Vec<String>)>,
}

impl Chains {
    pub(super) fn read(section: &mut Section<'_>, name: &'static str) -> Self {
        let mut chains = Self { key: section.path(name), chains: Vec::new() };
        let Some((_, node)) = section.take(name) else { return chains };
        for item in chains.items(section, node) {
            let line = item.line;
            match item.value {
                Value::Map(entries) => {
                    for (Key { name, .. }, node) in entries {
                        let names = chains.names(section, node);
                        chains.chains.push((name, names));
                    }
                }
                _ => chains.complain(section, line),
            }
        }
        chains
    }

    /// Adds further names, which apply to all names without a chain of their own.
    pub(super) fn and_for_all(mut self, section: &mut Section<'_>, name: &'static str) -> Self {
        let Some((_, node)) = section.take(name) else { return self };
        let names = self.names(section, node);
        self.chains.push((ALL.to_owned(), names));
        self
    }

    pub(super) fn or(self, other: Self) -> Self {
        if self.chains.is_empty() { other } else { self }
    }

    /// Removes unknown names, with a note.
    pub(super) fn keep(&mut self, reading: &mut ConfigReader, known: Known<'_>, most: usize) {
        let key = &self.key;
        for (name, chain) in &mut self.chains {
            if name != ALL && !known.names.contains(name) {
                reading.notes.push(format!("{key}.{name}: no such model_name here: left out"));
            }
            chain.retain(|fallback| {
                let holds = known.holds(fallback);
                if !holds {
                    let note =
                        format!("{key}.{name} names {fallback}, which is not here: left out");
                    reading.notes.push(note);
                }
                holds
            });
            chain.truncate(most);
        }
    }

    /// The chain of a name, of the name it stands for, or of all names.
    pub(super) fn of(&self, name: &str, base: Option<&String>) -> Vec<String> {
        let own = self.find(name).or_else(|| self.find(base?));
        own.map_or_else(|| self.of_all(), <[String]>::to_vec)
    }

    pub(super) fn of_all(&self) -> Vec<String> {
        self.find(ALL).map(<[String]>::to_vec).unwrap_or_default()
    }

    fn find(&self, name: &str) -> Option<&[String]> {
        self.chains.iter().find(|(key, _)| key == name).map(|(_, names)| names.as_slice())
    }

    fn items(&self, section: &mut Section<'_>, node: Node) -> Vec<Node> {
        match node.value {
            Value::List(items) => items,
            Value::Null => Vec::new(),
            _ => {
                self.complain(section, node.line);
                Vec::new()
            }
        }
    }

    /// Reads names, or mappings that contain a `model` among other changes to the request.
    fn names(&self, section: &mut Section<'_>, node: Node) -> Vec<String> {
        let items = match node.value {
            Value::Text(_) => vec![node],
            _ => self.items(section, node),
        };
        let mut names = Vec::new();
        for item in items {
            let line = item.line;
            let name = match item.value {
                Value::Map(entries) => self.model(section, entries),
                value => parsers::text(&value).ok(),
            };
            match name {
                Some(name) => names.push(name),
                None => self.complain(section, line),
            }
        }
        names
    }

    fn model(&self, section: &mut Section<'_>, entries: Vec<(Key, Node)>) -> Option<String> {
        let mut model = None;
        for (key, node) in entries {
            if key.name == "model" {
                model = parsers::text(&node.value).ok();
            } else {
                let note = format!("{}: {} of a fallback is ignored", self.key, key.name);
                section.reading.notes.push(note);
            }
        }
        model
    }

    fn complain(&self, section: &mut Section<'_>, line: u64) {
        let message = format!("{} is no list of names and their fallbacks", self.key);
        section.reading.complain(line, message, "give [{name: [other, another]}]");
    }
}
