//! State that all sections of a file share while they are read: the environment that values may refer
//! to, and the problems, notes and sources found so far.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::problems::{Problem, Problems};
use super::provenance::{Provenance, ValueOrigin};
use super::yaml_tree::{Node, Value};
use crate::files;
use bedrock::AccountSecret;

/// Prefix of a value that names a variable.
const MARK: &str = "os.environ/";

/// A file being read.
#[derive(Debug)]
pub(super) struct ConfigReader {
    pub(super) file: PathBuf,
    environment: HashMap<String, String>,
    shape: FileFormat,
    pub(super) problems: Problems,
    pub(super) provenance: Provenance,
    /// Remarks for the operator that are not errors.
    pub(super) notes: Vec<String>,
    /// Files that values were read from.
    pub(super) files: Vec<PathBuf>,
}

/// The format by whose rules a file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileFormat {
    /// Outcrop's: a value has the type of its key, and a variable that a value names must be set.
    Outcrop,
    /// LiteLLM's, as Python reads it: quoted text counts as the number or boolean it spells; empty text
    /// and unset variables count as left out.
    LiteLlm,
}

impl ConfigReader {
    pub(super) fn new(file: PathBuf, environment: HashMap<String, String>) -> Self {
        Self {
            file,
            environment,
            shape: FileFormat::Outcrop,
            problems: Problems::default(),
            provenance: Provenance::default(),
            notes: Vec::new(),
            files: Vec::new(),
        }
    }

    /// Applies the rules of this format from now on.
    pub(super) fn read_as(&mut self, shape: FileFormat) {
        self.shape = shape;
    }

    /// The format whose rules apply.
    pub(super) fn shape(&self) -> FileFormat {
        self.shape
    }

    /// A variable of the environment. A blank one counts as unset, because `${NAME:-}` in a compose
    /// file passes an optional variable on that way.
    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        let value = self.environment.get(name).map(String::as_str);
        value.filter(|value| !value.trim().is_empty())
    }

    /// A secret of the environment, with the name of its variable: `NAME`, or the file that `NAME_FILE` names.
    pub(super) fn secret_variable(&mut self, name: &str) -> Option<(AccountSecret, String)> {
        if let Some(value) = self.variable(name) {
            return Some((AccountSecret::new(value.trim()), name.to_owned()));
        }
        let by_file = format!("{name}_FILE");
        let path = self.variable(&by_file)?;
        match files::read_text(path.as_ref()) {
            Ok(text) => Some((AccountSecret::new(text.trim()), by_file)),
            Err(error) => {
                let message = format!("{by_file}: {path}: {error}");
                self.problems.add(Problem::general(message, "name a readable file"));
                None
            }
        }
    }

    /// Reads `part` of the configuration as if it were in `file`.
    pub(super) fn within<T>(&mut self, file: &Path, part: impl FnOnce(&mut Self) -> T) -> T {
        let outer = std::mem::replace(&mut self.file, file.to_owned());
        let read = part(self);
        self.file = outer;
        read
    }

    pub(super) fn complain(&mut self, line: u64, message: String, remedy: impl Into<String>) {
        self.problems.add(Problem::at(&self.file, line, message, remedy));
    }

    /// Resolves a value and its source: `os.environ/NAME` is replaced by the variable, or by the
    /// content of the file that `NAME_FILE` names. `None` for null, and if the variable is not set.
    pub(super) fn given(&mut self, key: &str, node: Node) -> Option<(Node, ValueOrigin)> {
        let line = node.line;
        let name = match &node.value {
            Value::Null => return None,
            Value::Text(text) if text.is_empty() && self.shape == FileFormat::LiteLlm => {
                return None;
            }
            Value::Text(text) => text.strip_prefix(MARK),
            _ => None,
        };
        let Some(name) = name else {
            return Some((node, ValueOrigin::line(&self.file, line)));
        };
        let by_file = format!("{name}_FILE");
        let (text, name) = match (self.variable(name), self.variable(&by_file)) {
            (Some(text), _) => (text.to_owned(), name.to_owned()),
            (None, Some(path)) => {
                let path = PathBuf::from(path);
                (self.content(key, line, &path)?, by_file)
            }
            (None, None) => {
                let state =
                    if self.environment.contains_key(name) { "is blank" } else { "is not set" };
                let message = format!("{key} is to come from {name}, which {state}");
                match self.shape {
                    FileFormat::Outcrop => self.complain(line, message, format!("set {name}")),
                    FileFormat::LiteLlm => self.notes.push(format!("{message}: left out")),
                }
                return None;
            }
        };
        let node = Node { value: Value::Text(text), line };
        Some((node, ValueOrigin::Environment(name)))
    }

    /// The content of a file, without the newline at its end.
    pub(super) fn content(&mut self, key: &str, line: u64, path: &Path) -> Option<String> {
        self.files.push(path.to_owned());
        match files::read_text(path) {
            Ok(text) => Some(text.trim_end_matches(['\r', '\n']).to_owned()),
            Err(error) => {
                let message = format!("{key}: {} cannot be read: {error}", path.display());
                self.complain(line, message, "name a file that holds the value and nothing else");
                None
            }
        }
    }
}
