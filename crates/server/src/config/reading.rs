//! What all sections of a file share while they are read: the environment values may point into, and
//! what has been found so far, good and bad.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::ledger::{Ledger, Origin};
use super::problems::{Problem, Problems};
use super::tree::{Node, Value};
use crate::files;

/// A value that names a variable.
const MARK: &str = "os.environ/";

/// A file being read.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) file: PathBuf,
    environment: HashMap<String, String>,
    unset: Unset,
    pub(super) problems: Problems,
    pub(super) ledger: Ledger,
    /// What an operator should know, and can live with.
    pub(super) notes: Vec<String>,
    /// Files that values were read from.
    pub(super) files: Vec<PathBuf>,
}

/// What becomes of a value that names a variable which is not set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unset {
    /// It is a mistake.
    Refused,
    /// The key counts as left out.
    Absent,
}

impl Reading {
    pub(super) fn new(file: PathBuf, environment: HashMap<String, String>) -> Self {
        Self {
            file,
            environment,
            unset: Unset::Refused,
            problems: Problems::default(),
            ledger: Ledger::default(),
            notes: Vec::new(),
            files: Vec::new(),
        }
    }

    /// From now on unset variables are treated so.
    pub(super) fn treat_unset(&mut self, unset: Unset) {
        self.unset = unset;
    }

    /// A variable of the environment.
    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        self.environment.get(name).map(String::as_str)
    }

    pub(super) fn complain(&mut self, line: u64, message: String, remedy: impl Into<String>) {
        self.problems.add(Problem::at(&self.file, line, message, remedy));
    }

    /// A value as it counts, and who told it: what `os.environ/NAME` names stands in its place, or the
    /// content of the file that `NAME_FILE` names. `None` for null, and where the variable is not set.
    pub(super) fn given(&mut self, key: &str, node: Node) -> Option<(Node, Origin)> {
        let line = node.line;
        let name = match &node.value {
            Value::Null => return None,
            Value::Text(text) => text.strip_prefix(MARK),
            _ => None,
        };
        let Some(name) = name else {
            return Some((node, Origin::line(&self.file, line)));
        };
        let by_file = format!("{name}_FILE");
        let (text, name) = match (self.environment.get(name), self.environment.get(&by_file)) {
            (Some(text), _) => (text.clone(), name.to_owned()),
            (None, Some(path)) => {
                let path = PathBuf::from(path);
                (self.content(key, line, &path)?, by_file)
            }
            (None, None) => {
                let message = format!("{key} is to come from {name}, which is not set");
                match self.unset {
                    Unset::Refused => self.complain(line, message, format!("set {name}")),
                    Unset::Absent => self.notes.push(format!("{message}: left out")),
                }
                return None;
            }
        };
        let node = Node { value: Value::Text(text), line };
        Some((node, Origin::Environment(name)))
    }

    /// What a file holds, without the newline at its end.
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
