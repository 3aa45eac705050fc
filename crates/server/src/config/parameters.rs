//! Parameters of a target for requests that do not give them, in the words of a chat request. Each is read by
//! the reader of requests, so that a value which no request could have is found at the start.

use std::sync::Arc;

use serde_json::{Map, Value as Json};
use translate::chat::Defaults;

use super::parsers::reread;
use super::provenance::ValueOrigin;
use super::reader::{ConfigReader, FileFormat};
use super::section::Section;
use super::yaml_tree::{Node, Value};

/// Reads the section `params`.
pub(super) fn section(section: &mut Section<'_>) -> Option<Arc<Defaults>> {
    let prefix = section.path("params");
    let entries = section.map("params")?;
    let mut members = Map::new();
    section.child(format!("{prefix}."), entries, |section| {
        for name in Defaults::NAMES {
            member(section, name, name, &mut members);
        }
    });
    read(members)
}

/// Reads the key `name` as a member of a request.
pub(super) fn member(
    section: &mut Section<'_>,
    name: &'static str,
    member: &'static str,
    members: &mut Map<String, Json>,
) {
    let Some((key, node)) = section.take(name) else { return };
    let (path, line) = (section.path(name), key.line);
    let Some((node, origin)) = section.reading.given(&path, node) else { return };
    let is_loose = section.reading.shape() == FileFormat::LiteLlm
        || matches!(origin, ValueOrigin::Environment(_));
    let other = if is_loose { reread(&node.value) } else { None };
    let Some(value) = json(section.reading, &path, node) else { return };
    let fitting = fits(member, value).or_else(|wrong| {
        let other = other.map(|value| Node { value, line });
        let other = other.and_then(|node| json(section.reading, &path, node));
        other.ok_or(()).and_then(|value| fits(member, value).map_err(|_| ())).map_err(|()| wrong)
    });
    match fitting {
        Ok(value) => {
            section.reading.provenance.tell(&path, value.to_string(), origin);
            members.insert(member.to_owned(), value);
        }
        Err(wrong) => {
            let message = format!("{path}: {wrong}");
            section.reading.complain(line, message, "give what a chat request may hold there");
        }
    }
}

/// What members make of a request that does not give them.
pub(super) fn read(members: Map<String, Json>) -> Option<Arc<Defaults>> {
    if members.is_empty() {
        return None;
    }
    // Each was read on its own, and none depends on another.
    Defaults::read(members).ok().map(Arc::new)
}

fn fits(member: &str, value: Json) -> Result<Json, String> {
    Defaults::read(Map::from_iter([(member.to_owned(), value.clone())])).map(|_| value)
}

/// A node as JSON, with variables' values in the place of their names. `None` where nothing is given.
pub(super) fn json(reading: &mut ConfigReader, path: &str, node: Node) -> Option<Json> {
    let (node, _) = reading.given(path, node)?;
    Some(match node.value {
        Value::Null => return None,
        Value::Bool(value) => value.into(),
        Value::Integer(value) => value.into(),
        Value::Float(value) => value.into(),
        Value::Text(value) => value.into(),
        Value::List(items) => {
            let items = items.into_iter().filter_map(|item| json(reading, path, item));
            Json::Array(items.collect())
        }
        Value::Map(entries) => {
            let entries = entries.into_iter().filter_map(|(key, node)| {
                let value = json(reading, &format!("{path}.{}", key.name), node)?;
                Some((key.name, value))
            });
            Json::Object(entries.collect())
        }
    })
}
