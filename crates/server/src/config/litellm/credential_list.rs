//! `credential_list`: shared credentials that entries name with `litellm_credential_name`. An entry's
//! own values take precedence.

use std::collections::BTreeMap;

use super::super::parsers;
use super::super::reader::ConfigReader;
use super::super::section::Section;
use super::super::yaml_tree::{Key, Node};
use super::Passed;
use super::files::Files;

const LIST: &str = "credential_list";
const NAME: &str = "litellm_credential_name";

/// The values of every credential, by its name.
#[derive(Debug, Default)]
pub(super) struct CredentialList(BTreeMap<String, Vec<(Key, Node)>>);

impl CredentialList {
    /// Reads the list from all files.
    pub(super) fn read(files: &mut Files, reading: &mut ConfigReader, passed: &mut Passed) -> Self {
        let mut list = Self::default();
        files.items(reading, LIST, |root, at, item| {
            let (path, line) = (format!("{LIST}[{at}]"), item.line);
            let Some(entries) = root.entries_of(&path, item) else { return };
            root.child(format!("{path}."), entries, |section| {
                let name = section.optional("credential_name", parsers::text);
                let credential = section.map("credential_values").unwrap_or_default();
                passed.rest(LIST, section, &["credential_info"]);
                match name {
                    Some(name) => drop(list.0.insert(name, credential)),
                    None => {
                        let message = format!("{path}.credential_name is missing");
                        section.reading.complain(line, message, "name it, so that entries can");
                    }
                }
            });
        });
        list
    }

    /// Adds to an entry's parameters the values of the credential it names, unless the entry sets them
    /// itself. `None` if the credential does not exist; without it another account would be called.
    pub(super) fn fill(
        &self,
        section: &mut Section<'_>,
        path: &str,
        params: &mut Vec<(Key, Node)>,
    ) -> Option<()> {
        let Some(at) = params.iter().position(|(key, _)| key.name == NAME) else { return Some(()) };
        let (key, node) = params.remove(at);
        let path = format!("{path}.litellm_params.{NAME}");
        let Some((name, _)) = section.read_node(&path, node, parsers::text) else {
            return Some(());
        };
        let Some(credential) = self.0.get(&name) else {
            let message = format!("{path}: no credential {name:?} in {LIST}");
            section.reading.complain(key.line, message, "add it, or correct the name");
            return None;
        };
        for (key, node) in credential {
            if params.iter().all(|(own, _)| own.name != key.name) {
                params.push((key.clone(), node.clone()));
            }
        }
        Some(())
    }
}
