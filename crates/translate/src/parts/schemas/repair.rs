//! Repair of tool schemas. Bedrock requires an object at the root without combinators; some
//! families accept less. The meaning of a schema is kept: merged where two notations are
//! equivalent, wrapped where the root is not an object, moved into the description where no other
//! way is left.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use super::inline::inline;
use super::older::modernise;
use super::walk::{each_schema, pointed};
use crate::parts::tools::Form;
use crate::profile::{Profile, SchemaPatterns, SchemaReferences, SchemaRoot};

/// Keywords whose null is a client's notation for an absent value. (`default`, `const` and `enum`
/// may really be null.)
const NEVER_NULL: [&str; 17] = [
    "type",
    "properties",
    "required",
    "items",
    "description",
    "title",
    "format",
    "pattern",
    "$defs",
    "definitions",
    "additionalProperties",
    "anyOf",
    "oneOf",
    "allOf",
    "not",
    "minLength",
    "maxLength",
];

/// Keywords at the root whose constraints a list of properties cannot express.
pub(super) const DECIDING: [&str; 9] =
    ["anyOf", "oneOf", "allOf", "not", "enum", "const", "if", "dependentSchemas", "$ref"];

/// Keywords at the root without constraints on arguments.
const ANNOTATIONS: [&str; 6] = ["$schema", "$id", "$comment", "title", "examples", "default"];

/// A repaired schema.
pub(super) struct RepairedSchema {
    pub(super) schema: Value,
    /// Constraints that were moved into text.
    pub(super) words: Vec<String>,
    pub(super) form: Form,
}

/// Repairs a schema for a model of this profile.
pub(super) fn mend(mut schema: Value, profile: &Profile) -> RepairedSchema {
    each_schema(&mut schema, &mut drop_nulls);
    modernise(&mut schema);
    let mut root = match schema {
        Value::Object(members) => members,
        other => Map::from_iter([("const".to_owned(), other)]),
    };
    follow_root_reference(&mut root);
    merge_all_of(&mut root);
    let mut form = Form::Plain;
    if describes_object(&root) {
        type_as_object(&mut root);
    } else {
        root = wrap(root);
        form = Form::Value;
    }
    let mut schema = Value::Object(root);
    if profile.schema_references == SchemaReferences::Inlined
        || profile.schema_root == SchemaRoot::Bare
    {
        inline(&mut schema);
    }
    if profile.schema_patterns == SchemaPatterns::Plain {
        each_schema(&mut schema, &mut pattern_into_words);
    }
    let mut words = Vec::new();
    if profile.schema_root == SchemaRoot::Bare
        && let Value::Object(root) = &mut schema
    {
        words = bare(root);
    }
    RepairedSchema { schema, words, form }
}

fn drop_nulls(members: &mut Map<String, Value>) {
    members.retain(|keyword, value| !(value.is_null() && NEVER_NULL.contains(&keyword.as_str())));
    for named in ["properties", "$defs", "definitions"] {
        if let Some(Value::Object(schemas)) = members.get_mut(named) {
            schemas.values_mut().filter(|schema| schema.is_null()).for_each(|schema| {
                *schema = json!({});
            });
        }
    }
}

/// Replaces a root that is only a reference by its definition; keywords beside the reference are
/// kept.
fn follow_root_reference(root: &mut Map<String, Value>) {
    // A chain of references is bounded by the number of definitions; the limit also ends a cycle.
    for _ in 0..8 {
        let Some(Value::String(target)) = root.get("$ref") else { return };
        let whole = Value::Object(root.clone());
        let pointed = pointed(&whole, target);
        let Some(Value::Object(pointed)) = pointed.filter(|_| target != "#") else { return };
        root.shift_remove("$ref");
        let beside = std::mem::replace(root, pointed.clone());
        root.extend(beside);
    }
}

/// Merges the parts of an `allOf` that only list properties into one list.
fn merge_all_of(root: &mut Map<String, Value>) {
    const LISTS: [&str; 5] = ["type", "properties", "required", "description", "title"];
    let Some(Value::Array(parts)) = root.get("allOf") else { return };
    let whole = Value::Object(root.clone());
    let mut merged = root.clone();
    merged.shift_remove("allOf");
    for part in parts {
        let target = part.get("$ref").and_then(Value::as_str).filter(|target| *target != "#");
        let part = match target {
            Some(target) => pointed(&whole, target),
            None => Some(part),
        };
        let Some(Value::Object(part)) = part else { return };
        let typed = part.get("type").is_none_or(|kind| kind == "object");
        if !typed || part.keys().any(|keyword| !LISTS.contains(&keyword.as_str())) {
            return;
        }
        if !add_properties(&mut merged, part) {
            return;
        }
    }
    if let Some(Value::Array(required)) = merged.get_mut("required") {
        let mut known = HashSet::new();
        required.retain(|name| known.insert(name.clone()));
    }
    *root = merged;
}

/// Adds the properties of a part. False if both have different schemas for the same property.
fn add_properties(merged: &mut Map<String, Value>, part: &Map<String, Value>) -> bool {
    if let Some(Value::Object(more)) = part.get("properties") {
        let Value::Object(known) = merged.entry("properties").or_insert_with(|| json!({})) else {
            return false;
        };
        for (name, schema) in more {
            if known.get(name).is_some_and(|other| other != schema) {
                return false;
            }
            known.entry(name.as_str()).or_insert_with(|| schema.clone());
        }
    }
    if let Some(Value::Array(more)) = part.get("required") {
        let Value::Array(known) = merged.entry("required").or_insert_with(|| json!([])) else {
            return false;
        };
        known.extend(more.iter().cloned());
    }
    if let Some(description) = part.get("description") {
        merged.entry("description").or_insert_with(|| description.clone());
    }
    // A closed part would forbid the properties of the other parts.
    !merged.contains_key("additionalProperties")
}

/// Returns whether a root can be kept once its type is set.
fn describes_object(root: &Map<String, Value>) -> bool {
    let typed = match root.get("type") {
        None => true,
        Some(Value::Array(kinds)) => kinds.iter().any(|kind| kind == "object"),
        Some(kind) => kind == "object",
    };
    typed && !DECIDING.iter().any(|keyword| root.contains_key(*keyword))
}

/// Restricts a root that allows other types to the object.
fn type_as_object(root: &mut Map<String, Value>) {
    match root.get_mut("type") {
        Some(kind) => *kind = Value::from("object"),
        None => {
            root.shift_insert(0, "type".to_owned(), Value::from("object"));
        }
    }
}

/// Wraps a root into an object with one member. Definitions stay at the root, so that references to
/// them remain valid; other references are adjusted to the new place.
fn wrap(mut root: Map<String, Value>) -> Map<String, Value> {
    let mut outer = Map::new();
    outer.insert("type".to_owned(), Value::from("object"));
    outer.insert("properties".to_owned(), Value::Null);
    outer.insert("required".to_owned(), json!([Form::Value.member()]));
    for definitions in ["$schema", "$defs", "definitions"] {
        if let Some(value) = root.shift_remove(definitions) {
            outer.insert(definitions.to_owned(), value);
        }
    }
    outer["properties"] = json!({ Form::Value.member(): root });
    let mut whole = Value::Object(outer);
    each_schema(&mut whole, &mut |members| {
        if let Some(Value::String(target)) = members.get_mut("$ref")
            && let Some(pointer) = target.strip_prefix('#')
            && !["/$defs/", "/definitions/"].iter().any(|known| pointer.starts_with(known))
            && (pointer.is_empty() || pointer.starts_with('/'))
        {
            *target = format!("#/properties/{}{pointer}", Form::Value.member());
        }
    });
    match whole {
        Value::Object(whole) => whole,
        _ => Map::new(),
    }
}

/// Moves a pattern with look-around or back-references into the description: no grammar supports
/// them, nor do the regular expressions of every family.
pub(super) fn pattern_into_words(members: &mut Map<String, Value>) {
    if members.get("pattern").and_then(Value::as_str).is_some_and(is_beyond_grammars) {
        into_words(members, "pattern");
    }
}

/// Returns whether a pattern has look-around (`(?=`, `(?!`, `(?<=`, `(?<!`) or back-references
/// (`\1`, `\k<name>`, `(?P=name)`). (Refused as seen live by pydantic-ai and LiteLLM, 2026.)
pub(super) fn is_beyond_grammars(pattern: &str) -> bool {
    let mut escaped = false;
    let back = pattern.chars().any(|letter| {
        let refers = escaped && matches!(letter, '1'..='9' | 'k');
        escaped = !escaped && letter == '\\';
        refers
    });
    back || ["(?=", "(?!", "(?<", "(?P="].iter().any(|sign| pattern.contains(sign))
}

/// Removes a keyword from a schema and adds it to the description.
pub(super) fn into_words(members: &mut Map<String, Value>, keyword: &str) {
    if let Some(value) = members.shift_remove(keyword) {
        describe(members, &format!("({keyword}: {value})"));
    }
}

/// Adds a sentence to a schema's description.
pub(super) fn describe(members: &mut Map<String, Value>, words: &str) {
    match members.get_mut("description") {
        Some(Value::String(said)) if !said.is_empty() => {
            said.push(' ');
            said.push_str(words);
        }
        _ => {
            members.insert("description".to_owned(), Value::from(words));
        }
    }
}

/// Keeps type, properties and required; returns the other keywords as text.
fn bare(root: &mut Map<String, Value>) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut rest = Map::new();
    for (keyword, value) in std::mem::take(root) {
        match (keyword.as_str(), &value) {
            ("type" | "properties" | "required", _) => {
                root.insert(keyword, value);
            }
            ("description", Value::String(said)) => words.push(said.clone()),
            ("additionalProperties", Value::Bool(true)) => {}
            ("additionalProperties", Value::Bool(false)) => {
                words.push("No other arguments are accepted.".to_owned());
            }
            (known, _) if ANNOTATIONS.contains(&known) => {}
            _ => {
                rest.insert(keyword, value);
            }
        }
    }
    root.entry("properties").or_insert_with(|| json!({}));
    if !rest.is_empty() {
        let rest = Value::Object(rest);
        words.push(format!("The arguments also obey this JSON Schema: {rest}"));
    }
    words
}
