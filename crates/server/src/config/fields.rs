//! Taking a section apart: each key is read once, what is wrong with it is noted, and what is left
//! over at the end is unknown.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::problems::{Problem, Problems};
use super::tree::{Key, Node, Root, Value};

/// What a reader expected, for a complaint.
type Expected = &'static str;

/// A section being read.
pub(super) struct Fields<'p> {
    file: PathBuf,
    /// Path of the section, with a dot at its end; empty at the root.
    prefix: String,
    entries: Vec<(Key, Node)>,
    known: Vec<&'static str>,
    problems: &'p mut Problems,
}

impl<'p> Fields<'p> {
    pub(super) fn of_root(root: Root, problems: &'p mut Problems) -> Self {
        Self {
            file: root.file,
            prefix: String::new(),
            entries: root.entries,
            known: Vec::new(),
            problems,
        }
    }

    /// Reads a key into `place`; a missing or null key leaves it as it is.
    pub(super) fn set<T>(
        &mut self,
        name: &'static str,
        place: &mut T,
        read: impl Fn(&Value) -> Result<T, Expected>,
    ) {
        let Some((_, node)) = self.take(name) else { return };
        if matches!(node.value, Value::Null) {
            return;
        }
        match read(&node.value) {
            Ok(value) => *place = value,
            Err(expected) => {
                let found = node.value.kind();
                let message = format!("{}{name} cannot be {found} like this", self.prefix);
                self.complain(node.line, message, format!("give {expected}"));
            }
        }
    }

    /// Reads a section of keys.
    pub(super) fn section(&mut self, name: &'static str, read: impl FnOnce(&mut Fields<'_>)) {
        let Some((_, node)) = self.take(name) else { return };
        match node.value {
            Value::Null => {}
            Value::Map(entries) => {
                let mut section = Fields {
                    file: self.file.clone(),
                    prefix: format!("{}{name}.", self.prefix),
                    entries,
                    known: Vec::new(),
                    problems: self.problems,
                };
                read(&mut section);
                section.finish();
            }
            other @ (Value::Bool(_)
            | Value::Integer(_)
            | Value::Float(_)
            | Value::Text(_)
            | Value::List) => {
                let message =
                    format!("{}{name} is a section, and holds {}", self.prefix, other.kind());
                self.complain(node.line, message, "indent its keys below it".to_owned());
            }
        }
    }

    /// Reads a section whose keys are the operator's to choose. Each value is read with its key and
    /// all keys; a complaint is what is wrong and what to do about it.
    pub(super) fn entries(
        &mut self,
        name: &'static str,
        mut read: impl FnMut(&[Key], &str, &Value) -> Result<(), (String, String)>,
    ) {
        self.section(name, |section| {
            let (keys, nodes): (Vec<Key>, Vec<Node>) =
                std::mem::take(&mut section.entries).into_iter().unzip();
            for (key, node) in keys.iter().zip(&nodes) {
                if let Err((wrong, remedy)) = read(&keys, &key.name, &node.value) {
                    let message = format!("{}{} {wrong}", section.prefix, key.name);
                    section.complain(node.line, message, remedy);
                }
            }
        });
    }

    /// Whatever was not read is unknown.
    pub(super) fn finish(mut self) {
        for (key, _) in std::mem::take(&mut self.entries) {
            let message = format!("{}{} is not a key", self.prefix, key.name);
            let remedy = match self.closest(&key.name) {
                Some(known) => format!("did you mean {}{known}?", self.prefix),
                None => format!("known here: {}", self.known.join(", ")),
            };
            self.complain(key.line, message, remedy);
        }
    }

    fn take(&mut self, name: &'static str) -> Option<(Key, Node)> {
        self.known.push(name);
        let at = self.entries.iter().position(|(key, _)| key.name == name)?;
        Some(self.entries.remove(at))
    }

    fn complain(&mut self, line: u64, message: String, remedy: String) {
        self.problems.add(Problem::at(&self.file, line, message, remedy));
    }

    fn closest(&self, name: &str) -> Option<&'static str> {
        let name = name.replace('-', "_").to_ascii_lowercase();
        self.known
            .iter()
            .copied()
            .map(|known| (distance(known, &name), known))
            .filter(|&(distance, known)| distance <= known.len().div_ceil(3))
            .min()
            .map(|(_, known)| known)
    }
}

/// HOST:PORT.
pub(super) fn address(value: &Value) -> Result<SocketAddr, Expected> {
    match value {
        Value::Text(text) => text.parse().ok(),
        _ => None,
    }
    .ok_or("an address such as 127.0.0.1:4000")
}

/// Text, not empty.
pub(super) fn text(value: &Value) -> Result<String, Expected> {
    match value {
        Value::Text(text) if !text.is_empty() => Ok(text.clone()),
        _ => Err("text, in quotes if YAML would read it as something else"),
    }
}

/// A path of a file.
pub(super) fn path(value: &Value) -> Result<PathBuf, Expected> {
    text(value).map(PathBuf::from)
}

/// true or false.
pub(super) fn boolean(value: &Value) -> Result<bool, Expected> {
    match value {
        Value::Bool(value) => Ok(*value),
        _ => Err("true or false"),
    }
}

/// A whole number from 1.
pub(super) fn count(value: &Value) -> Result<usize, Expected> {
    match value {
        Value::Integer(number) if *number > 0 => usize::try_from(*number).ok(),
        _ => None,
    }
    .ok_or("a whole number from 1")
}

/// Seconds, whole or not; zero is allowed.
pub(super) fn seconds(value: &Value) -> Result<Duration, Expected> {
    const EXPECTED: Expected = "seconds, such as 30 or 0.5";
    match value {
        Value::Integer(whole) => {
            u64::try_from(*whole).map(Duration::from_secs).map_err(|_| EXPECTED)
        }
        Value::Float(seconds) => Duration::try_from_secs_f64(*seconds).map_err(|_| EXPECTED),
        _ => Err(EXPECTED),
    }
}

/// Levenshtein's, for suggestions.
fn distance(left: &str, right: &str) -> usize {
    let mut row: Vec<usize> = (0..=right.chars().count()).collect();
    for (i, a) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in right.chars().enumerate() {
            let substituted = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}
