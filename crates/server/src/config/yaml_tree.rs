//! YAML as a tree that keeps line numbers. serde stops at the first wrong value; a tree can be walked
//! to the end, so that an operator sees every mistake at once.

use std::fmt;
use std::path::Path;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{DuplicateKeyPolicy, Options, Spanned};

use super::problems::{Problem, Problems};

/// Longest text that is quoted back, in bytes.
const QUOTED: usize = 80;

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) value: Value,
    pub(super) line: u64,
}

/// A YAML value.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// A key with its line.
#[derive(Debug, Clone)]
pub(super) struct Key {
    pub(super) name: String,
    pub(super) line: u64,
    /// Line of an earlier value under the same key. YAML readers disagree on which of the two counts;
    /// here the later one does, as in Python.
    pub(super) replaced: Option<u64>,
}

/// A key that occurs twice in one section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Repeated {
    pub(super) name: String,
    /// Line of the value that is used.
    pub(super) line: u64,
    /// Line of the value that is discarded.
    pub(super) replaced: u64,
}

impl Value {
    /// The type of the value, for complaints.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "true or false",
            Self::Integer(_) | Self::Float(_) => "a number",
            Self::Text(_) => "text",
            Self::List(_) => "a list",
            Self::Map(_) => "a section",
        }
    }

    /// The value itself where it is short and cannot hold a password, as a URL may; else its kind.
    pub(super) fn quoted(&self) -> String {
        match self {
            Self::Bool(value) => value.to_string(),
            Self::Integer(number) => number.to_string(),
            Self::Float(number) => number.to_string(),
            Self::Text(text) if text.len() <= QUOTED && !text.contains(['@', '?']) => {
                format!("{text:?}")
            }
            Self::Null | Self::Text(_) | Self::List(_) | Self::Map(_) => self.kind().to_owned(),
        }
    }
}

/// Parses the root of a file: a map, empty for an empty file. A syntax error hides all other problems.
pub(super) fn parse(file: &Path, text: &str, problems: &mut Problems) -> Option<Vec<(Key, Node)>> {
    let mut options = Options::default();
    options.duplicate_keys = DuplicateKeyPolicy::LastWins;
    match serde_saphyr::from_str_with_options::<Option<Spanned<Value>>>(text, options) {
        Ok(None) => Some(Vec::new()),
        Ok(Some(node)) => match node.value {
            Value::Null => Some(Vec::new()),
            Value::Map(entries) => Some(entries),
            other @ (Value::Bool(_)
            | Value::Integer(_)
            | Value::Float(_)
            | Value::Text(_)
            | Value::List(_)) => {
                let message = format!("the file holds {}", other.kind());
                let remedy = "it must be keys and values, as in config/outcrop.example.yaml";
                problems.add(Problem::at(file, node.referenced.line(), message, remedy));
                None
            }
        },
        Err(error) => {
            let line = error.location().map_or(0, |location| location.line());
            let text = error.to_string();
            let first = text.lines().next().unwrap_or("unreadable");
            let first = first.strip_prefix("error: ").unwrap_or(first);
            let message = format!("cannot read YAML: {first}");
            problems.add(Problem::at(file, line, message, "correct the YAML"));
            None
        }
    }
}

/// Finds every key that occurs twice in its section, in `entries` and all sections below.
pub(super) fn repeated(entries: &[(Key, Node)]) -> Vec<Repeated> {
    let mut found = Vec::new();
    for (Key { name, line, replaced }, node) in entries {
        if let Some(replaced) = *replaced {
            found.push(Repeated { name: name.clone(), line: *line, replaced });
        }
        repeated_below(&node.value, &mut found);
    }
    found
}

fn repeated_below(value: &Value, found: &mut Vec<Repeated>) {
    match value {
        Value::Map(entries) => found.extend(repeated(entries)),
        Value::List(items) => items.iter().for_each(|item| repeated_below(&item.value, found)),
        Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Float(_) | Value::Text(_) => {}
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Integer(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(i64::try_from(value).map_or(Value::Text(value.to_string()), Value::Integer))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element::<Spanned<Value>>()? {
            items.push(node(item));
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries = Vec::<(Key, Node)>::new();
        while let Some(key) = map.next_key::<Spanned<String>>()? {
            let value = node(map.next_value()?);
            let (name, line) = (key.value, key.referenced.line());
            match entries.iter_mut().find(|(earlier, _)| earlier.name == name) {
                Some((earlier, place)) => {
                    (earlier.replaced, earlier.line) = (Some(earlier.line), line);
                    *place = value;
                }
                None => entries.push((Key { name, line, replaced: None }, value)),
            }
        }
        Ok(Value::Map(entries))
    }
}

fn node(spanned: Spanned<Value>) -> Node {
    Node { line: spanned.referenced.line(), value: spanned.value }
}
