//! The master key: `master_key` of Outcrop's format, `general_settings.master_key` of LiteLLM's, or
//! LiteLLM's variable. A key that is configured but cannot be read refuses all callers; it never lets
//! them in.

use super::provenance::{Show as _, ValueOrigin};
use super::reader::ConfigReader;
use super::section::Section;
use super::yaml_tree::Value;
use super::{Config, Problem, Sources, parsers};
use crate::master_key::MasterKey;
use bedrock::AccountSecret;

const NAME: &str = "master_key";
/// LiteLLM's variable.
pub(super) const VARIABLE: &str = "LITELLM_MASTER_KEY";
/// Remedy for a key that cannot be sent in a header.
const PLAIN: &str = "give one of visible ASCII characters without spaces";

/// Reads Outcrop's key.
pub(super) fn read(root: &mut Section<'_>, config: &mut Config) {
    let line = root.line(NAME).or_else(|| root.line("master_key_file"));
    let Some(key) = root.secret(NAME, "master_key_file") else { return };
    if !is_sendable(&key) {
        let path = root.path(NAME);
        let message = format!("{path} cannot be sent in a header");
        root.reading.complain(line.unwrap_or(1), message, PLAIN);
    }
    config.master_key = Some(MasterKey::Key(key));
}

/// Reads LiteLLM's key, in `general_settings`.
pub(super) fn read_litellms(section: &mut Section<'_>, config: &mut Config) {
    let Some((key, node)) = section.take(NAME) else { return };
    let path = section.path(NAME);
    let wanted = match &node.value {
        Value::Null => return,
        Value::Text(text) => text.strip_prefix("os.environ/").unwrap_or_default().to_owned(),
        _ => String::new(),
    };
    if config.master_key.is_some() {
        let message = format!("{path} and outcrop.{NAME} say the same thing twice");
        section.reading.complain(key.line, message, "leave one of them out");
        return;
    }
    let notes = section.reading.notes.len();
    match section.read_node(&path, node, parsers::secret) {
        Some((secret, _)) if !is_sendable(&secret) => {
            let message = format!("{path} cannot be sent in a header");
            section.reading.complain(key.line, message, PLAIN);
        }
        Some((secret, origin)) => {
            section.reading.provenance.tell(&path, secret.show(), origin);
            config.master_key = Some(MasterKey::Key(secret));
        }
        None => {
            section.reading.notes.truncate(notes);
            let note = match wanted.as_str() {
                "" => format!("{path} is blank: every call is refused"),
                name => format!(
                    "{path} is to come from {name}, which is not set: every call is refused until it is"
                ),
            };
            config.master_key = Some(MasterKey::Missing(note));
        }
    }
}

/// Applies LiteLLM's variable of a file's own, if no key of the file gives a key.
pub(super) fn or_variable(
    reading: &mut ConfigReader,
    config: &mut Config,
    (key, origin): (AccountSecret, ValueOrigin),
) {
    if matches!(config.master_key, Some(MasterKey::Key(_))) {
        return;
    }
    if !is_sendable(&key) {
        let message = format!("environment_variables.{VARIABLE} cannot be sent in a header");
        reading.problems.add(Problem::general(message, PLAIN));
    }
    reading.provenance.tell(NAME, key.show(), origin);
    config.master_key = Some(MasterKey::Key(key));
}

/// Applies LiteLLM's variable if no file gives a key.
pub(super) fn apply(config: &mut Config, sources: &Sources, reading: &mut ConfigReader) {
    if matches!(config.master_key, Some(MasterKey::Key(_))) {
        return;
    }
    let Some((_, value)) = sources.first_set(&[VARIABLE]) else {
        if let Some(MasterKey::Missing(note)) = &config.master_key {
            reading.notes.push(note.clone());
        }
        return;
    };
    let key = AccountSecret::new(value.trim());
    if !is_sendable(&key) {
        let message = format!("{VARIABLE} cannot be sent in a header");
        reading.problems.add(Problem::general(message, PLAIN));
    }
    reading.provenance.tell(NAME, key.show(), ValueOrigin::Environment(VARIABLE.to_owned()));
    config.master_key = Some(MasterKey::Key(key));
}

fn is_sendable(key: &AccountSecret) -> bool {
    key.reveal().bytes().all(|byte| byte.is_ascii_graphic())
}
