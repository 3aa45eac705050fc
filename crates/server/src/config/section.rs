//! Reads a section: each key is read once, wrong values become problems, and keys that remain at the
//! end are unknown.

use super::parsers::{self, Expected, reread};
use super::provenance::{Show, ValueOrigin};
use super::reader::{ConfigReader, FileFormat};
use super::yaml_tree::{Key, Node, Value};
use bedrock::AccountSecret;
use routing::suggestions::nearest;

/// A section being read.
pub(super) struct Section<'r> {
    pub(super) reading: &'r mut ConfigReader,
    /// Path of the section, with a dot at its end; empty at the root.
    prefix: String,
    entries: Vec<(Key, Node)>,
    known: Vec<&'static str>,
}

impl<'r> Section<'r> {
    pub(super) fn of_root(entries: Vec<(Key, Node)>, reading: &'r mut ConfigReader) -> Self {
        Self { reading, prefix: String::new(), entries, known: Vec::new() }
    }

    /// Path of a key of this section.
    pub(super) fn path(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// Reads a key into `place`; a missing or null key leaves `place` unchanged. The value is noted in
    /// both cases.
    pub(super) fn set<T: Show>(
        &mut self,
        name: &'static str,
        place: &mut T,
        read: impl Fn(&Value) -> Result<T, Expected>,
    ) {
        let origin = match self.read(name, read) {
            Some((value, origin)) => {
                *place = value;
                origin
            }
            None => ValueOrigin::Default,
        };
        let path = self.path(name);
        self.reading.provenance.tell(&path, place.show(), origin);
    }

    /// Reads an optional key, which is noted only if it is present.
    pub(super) fn optional<T: Show>(
        &mut self,
        name: &'static str,
        read: impl Fn(&Value) -> Result<T, Expected>,
    ) -> Option<T> {
        let (value, origin) = self.read(name, read)?;
        let path = self.path(name);
        self.reading.provenance.tell(&path, value.show(), origin);
        Some(value)
    }

    /// Reads a secret from its key, or from the file that a second key names.
    pub(super) fn secret(
        &mut self,
        name: &'static str,
        name_of_file: &'static str,
    ) -> Option<AccountSecret> {
        let line = self.line(name_of_file);
        let told = self.optional(name, parsers::secret);
        let Some(path) = self.optional(name_of_file, parsers::path) else { return told };
        let key = self.path(name_of_file);
        let line = line.unwrap_or_default();
        if told.is_some() {
            let message = format!("{key} and {} say the same thing twice", self.path(name));
            self.reading.complain(line, message, "leave one of them out");
            return told;
        }
        self.reading.content(&key, line, &path).map(AccountSecret::new)
    }

    /// Reads the id and version of a guardrail, and its other keys with `read`.
    pub(super) fn guardrail(
        &mut self,
        remedy: &'static str,
        read: impl FnOnce(&mut Section<'_>),
    ) -> Option<(String, String)> {
        let line = self.line("guardrail").unwrap_or_default();
        let path = self.path("guardrail");
        let entries = self.map("guardrail")?;
        let (mut id, mut version) = (None, None);
        self.child(format!("{path}."), entries, |section| {
            id = section.optional("id", parsers::guardrail_id);
            version = section.optional("version", parsers::guardrail_version);
            read(section);
        });
        let both = id.zip(version);
        if both.is_none() {
            self.reading.complain(line, format!("{path} needs an id and a version"), remedy);
        }
        both
    }

    /// Reads a section of keys, even if it is missing.
    pub(super) fn section(&mut self, name: &'static str, read: impl FnOnce(&mut Section<'_>)) {
        // The defaults of a missing section are noted as well.
        let entries = self.map(name).unwrap_or_default();
        self.child(format!("{}{name}.", self.prefix), entries, read);
    }

    /// Reads a section only if it is present.
    pub(super) fn open(&mut self, name: &'static str, read: impl FnOnce(&mut Section<'_>)) {
        if let Some(entries) = self.map(name) {
            self.child(format!("{}{name}.", self.prefix), entries, read);
        }
    }

    /// Reads entries as a section of its own.
    pub(super) fn child(
        &mut self,
        prefix: String,
        entries: Vec<(Key, Node)>,
        read: impl FnOnce(&mut Section<'_>),
    ) {
        let reading = &mut *self.reading;
        let mut section = Section { reading, prefix, entries, known: Vec::new() };
        read(&mut section);
        section.finish();
    }

    /// The entries of a section whose keys the operator chooses; `None` if it is missing.
    pub(super) fn map(&mut self, name: &'static str) -> Option<Vec<(Key, Node)>> {
        let (_, node) = self.take(name)?;
        let path = self.path(name);
        self.entries_of(&path, node)
    }

    /// The entries of a node that should be a section.
    pub(super) fn entries_of(&mut self, path: &str, node: Node) -> Option<Vec<(Key, Node)>> {
        match node.value {
            Value::Null => None,
            Value::Map(entries) => Some(entries),
            other @ (Value::Bool(_)
            | Value::Integer(_)
            | Value::Float(_)
            | Value::Text(_)
            | Value::List(_)) => {
                let message = format!("{path} is a section, and holds {}", other.kind());
                self.reading.complain(node.line, message, "indent its keys below it");
                None
            }
        }
    }

    /// Takes a key out, with its line.
    pub(super) fn take(&mut self, name: &'static str) -> Option<(Key, Node)> {
        self.known.push(name);
        let at = self.entries.iter().position(|(key, _)| key.name == name)?;
        Some(self.entries.remove(at))
    }

    /// Takes out all keys that were not read so far.
    pub(super) fn rest(&mut self) -> Vec<(Key, Node)> {
        std::mem::take(&mut self.entries)
    }

    /// The line of a key, if it is present.
    pub(super) fn line(&self, name: &str) -> Option<u64> {
        self.entries.iter().find(|(key, _)| key.name == name).map(|(key, _)| key.line)
    }

    /// Reads a value that may come from the environment.
    pub(super) fn read_node<T>(
        &mut self,
        path: &str,
        node: Node,
        read: impl Fn(&Value) -> Result<T, Expected>,
    ) -> Option<(T, ValueOrigin)> {
        let (node, origin) = self.reading.given(path, node)?;
        let is_loose = self.reading.shape() == FileFormat::LiteLlm
            || matches!(origin, ValueOrigin::Environment(_));
        let result = read(&node.value).or_else(|expected| {
            let other = if is_loose { reread(&node.value) } else { None };
            other.ok_or(expected).and_then(|value| read(&value))
        });
        match result {
            Ok(value) => Some((value, origin)),
            Err(expected) => {
                let found = match origin {
                    // What a variable holds may be a secret.
                    ValueOrigin::Environment(name) => format!("the value of {name}"),
                    _ if expected == parsers::SECRET => node.value.kind().to_owned(),
                    _ => node.value.quoted(),
                };
                let message = format!("{path}: {found} is not {expected}");
                self.reading.complain(node.line, message, "");
                None
            }
        }
    }

    /// Reports all keys that were not read as unknown.
    pub(super) fn finish(mut self) {
        for (key, _) in self.rest() {
            let message = format!("{} is not a key", self.path(&key.name));
            let remedy = match self.closest(&key.name) {
                Some(known) => format!("did you mean {}?", self.path(known)),
                None => format!("known here: {}", self.known.join(", ")),
            };
            self.reading.complain(key.line, message, remedy);
        }
    }

    fn read<T>(
        &mut self,
        name: &'static str,
        read: impl Fn(&Value) -> Result<T, Expected>,
    ) -> Option<(T, ValueOrigin)> {
        let (_, node) = self.take(name)?;
        let path = self.path(name);
        self.read_node(&path, node, read)
    }

    fn closest(&self, name: &str) -> Option<&'static str> {
        let name = name.replace('-', "_").to_ascii_lowercase();
        nearest(&name, self.known.iter().copied())
    }
}
