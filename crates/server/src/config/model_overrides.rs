//! An operator's model facts and profile fields: converts YAML values to the catalogue's.

use super::parsers;
use super::provenance::{Show as _, ValueOrigin};
use super::section::Section;
use super::yaml_tree::{Node, Value};
use routing::suggestions::nearest;

/// A value in the catalogue's form.
pub(super) struct Told {
    pub(super) value: toml::Value,
    /// The value as YAML would write it, in one line.
    pub(super) shown: String,
    pub(super) origin: ValueOrigin,
}

/// Reads a value, which may come from the environment. `None` means that it counts as left out, or that
/// a problem was reported.
pub(super) fn read(section: &mut Section<'_>, path: &str, node: Node) -> Option<Told> {
    let (mut node, origin) = section.reading.given(path, node)?;
    if let (Value::Text(text), ValueOrigin::Environment(_)) = (&node.value, &origin) {
        node.value = parsers::reread(&node.value).unwrap_or(Value::Text(text.clone()));
    }
    let value = toml(node)?;
    Some(Told { shown: shown(&value), value, origin })
}

/// Reports the catalogue's error on a value; the remedy is the name that was probably meant.
pub(super) fn complain(section: &mut Section<'_>, line: u64, path: &str, error: &str) {
    // serde's text: unknown field `x`, expected one of `y`, `z`.
    let mut quoted = error.split('`').skip(1).step_by(2);
    let meant = quoted.next().and_then(|wrong| nearest(wrong, quoted));
    let remedy = match meant {
        Some(meant) => format!("did you mean {meant}?"),
        None => "give one of its values, as in config/models.toml".to_owned(),
    };
    let message = format!("{path}: {}", error.replace('\n', " "));
    section.reading.complain(line, message, remedy);
}

fn toml(node: Node) -> Option<toml::Value> {
    Some(match node.value {
        Value::Null => return None,
        Value::Bool(value) => value.into(),
        Value::Integer(value) => value.into(),
        Value::Float(value) => value.into(),
        Value::Text(value) => value.into(),
        Value::List(items) => items.into_iter().filter_map(toml).collect::<Vec<_>>().into(),
        Value::Map(entries) => {
            let entries = entries.into_iter();
            let table: toml::Table =
                entries.filter_map(|(key, node)| Some((key.name, toml(node)?))).collect();
            table.into()
        }
    })
}

fn shown(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => text.show(),
        toml::Value::Array(items) => {
            let items: Vec<_> = items.iter().map(shown).collect();
            format!("[{}]", items.join(", "))
        }
        toml::Value::Table(table) => {
            let entries: Vec<_> =
                table.iter().map(|(key, value)| format!("{key}: {}", shown(value))).collect();
            format!("{{ {} }}", entries.join(", "))
        }
        toml::Value::Integer(number) => number.to_string(),
        toml::Value::Float(number) => number.to_string(),
        toml::Value::Boolean(truth) => truth.to_string(),
        toml::Value::Datetime(moment) => moment.to_string(),
    }
}
