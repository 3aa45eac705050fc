//! The files of one LiteLLM configuration: the named file and those it includes with `include`. Every
//! value keeps its file and line.

use std::path::{Path, PathBuf};

use super::super::parsers;
use super::super::reader::ConfigReader;
use super::super::section::Section;
use super::super::yaml_tree::{self, Key, Node, Value};

const INCLUDE: &str = "include";

/// Most files of one configuration; the limit also ends a cycle of includes.
const MOST: usize = 64;

/// The parts of each file that are still to be read.
pub(super) struct Files(Vec<File>);

struct File {
    path: PathBuf,
    root: Vec<(Key, Node)>,
}

impl Files {
    /// Reads `root` and all files it includes, directly or indirectly. Lists under one key are
    /// concatenated; of other values under one key the last is used, which is how LiteLLM merges files.
    pub(super) fn with_included(root: Vec<(Key, Node)>, reading: &mut ConfigReader) -> Self {
        let mut files = Self(vec![File { path: reading.file.clone(), root }]);
        let mut at = 0;
        while let Some(file) = files.0.get_mut(at) {
            let included = reading.within(&file.path, |reading| {
                let mut root = Section::of_root(std::mem::take(&mut file.root), reading);
                let names = root.optional(INCLUDE, parsers::names).unwrap_or_default();
                let line = root.line(INCLUDE).unwrap_or_default();
                file.root = root.rest();
                names.into_iter().map(|name| (line, name)).collect::<Vec<_>>()
            });
            let (from, directory) = (file.path.clone(), directory_of(&file.path));
            for (line, name) in included {
                files.include(reading, &from, line, directory.join(name));
            }
            at += 1;
        }
        files.keep_last_values();
        files
    }

    fn include(&mut self, reading: &mut ConfigReader, from: &Path, line: u64, path: PathBuf) {
        if self.0.len() == MOST || self.0.iter().any(|file| file.path == path) {
            return;
        }
        let text = reading.within(from, |reading| reading.content(INCLUDE, line, &path));
        let Some(text) = text else { return };
        if let Some(root) = yaml_tree::parse(&path, &text, &mut reading.problems) {
            self.0.push(File { path, root });
        }
    }

    fn keep_last_values(&mut self) {
        for at in (1..self.0.len()).rev() {
            let (earlier, later) = self.0.split_at_mut(at);
            for (key, node) in &later[0].root {
                if matches!(node.value, Value::List(_)) {
                    continue;
                }
                for file in &mut *earlier {
                    file.root.retain(|(other, _)| other.name != key.name);
                }
            }
        }
    }

    /// Reads from each file in turn; entries that `read` leaves remain for later.
    pub(super) fn each(
        &mut self,
        reading: &mut ConfigReader,
        mut read: impl FnMut(&mut Section<'_>),
    ) {
        for file in &mut self.0 {
            reading.within(&file.path, |reading| {
                let mut root = Section::of_root(std::mem::take(&mut file.root), reading);
                read(&mut root);
                file.root = root.rest();
            });
        }
    }

    /// Passes the items of a root list, from all files, to `read`, each with its index over all files.
    pub(super) fn items(
        &mut self,
        reading: &mut ConfigReader,
        name: &'static str,
        mut read: impl FnMut(&mut Section<'_>, usize, Node),
    ) {
        let mut at = 0;
        self.each(reading, |root| match root.take(name) {
            Some((_, Node { value: Value::List(items), .. })) => {
                for item in items {
                    read(root, at, item);
                    at += 1;
                }
            }
            Some((_, Node { value: Value::Null, .. })) | None => {}
            Some((_, Node { line, .. })) => {
                let message = format!("{name} is no list");
                root.reading.complain(line, message, "begin each entry with a dash");
            }
        });
    }
}

fn directory_of(file: &Path) -> PathBuf {
    file.parent().map(Path::to_owned).unwrap_or_default()
}
