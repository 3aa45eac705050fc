//! Schemas for answers: the keywords that a grammar supports, according to the API's documentation. All
//! others are refused, not ignored.

use std::collections::HashSet;

use serde_json::{Map, Value};

use crate::{error::Refusal, json::text};

const PLACE: &str = "output_config.format.schema";

/// Longest chain of references.
const LONGEST_CHAIN: usize = 16;

/// Bounds that no grammar supports.
const UNCOUNTED: [&str; 8] = [
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "maxItems",
    "contains",
    "uniqueItems",
];

/// Checks the schema of an answer.
pub(super) fn check(schema: &Value) -> Result<(), Refusal> {
    one(schema)?;
    references(schema, schema, &mut Vec::new(), &mut HashSet::new())
}

fn refuse(what: &str) -> Result<(), Refusal> {
    Err(Refusal::from_model(&format!("{PLACE}: {what}")))
}

fn one(schema: &Value) -> Result<(), Refusal> {
    let Some(members) = schema.as_object() else { return Ok(()) };
    let kind = text(schema, "type");
    if kind == "object" && members.get("additionalProperties") != Some(&Value::Bool(false)) {
        return refuse("For 'object' type, 'additionalProperties' must be explicitly set to false");
    }
    if let Some(keyword) = UNCOUNTED.iter().find(|keyword| members.contains_key(**keyword)) {
        return refuse(&format!("For '{kind}' type, property '{keyword}' is not supported"));
    }
    if members.get("minItems").and_then(Value::as_u64).is_some_and(|least| least > 1) {
        return refuse("For 'array' type, 'minItems' values other than 0 or 1 are not supported");
    }
    let looks = ["(?=", "(?!", "(?<"].iter().any(|sign| text(schema, "pattern").contains(sign));
    if looks {
        return refuse("Invalid regex in pattern field: lookaround is not supported");
    }
    children(members).try_for_each(one)
}

/// A grammar expands references: each must lead into the schema, and must end.
fn references<'s>(
    root: &'s Value,
    schema: &'s Value,
    path: &mut Vec<&'s str>,
    sound: &mut HashSet<&'s str>,
) -> Result<(), Refusal> {
    let Some(members) = schema.as_object() else { return Ok(()) };
    let target = members.get("$ref").and_then(Value::as_str);
    if let Some(target) = target.filter(|target| !sound.contains(target)) {
        // Longer chains do not occur in practice, and would exhaust the stack.
        if path.len() >= LONGEST_CHAIN || path.contains(&target) {
            return refuse("Circular references are not supported");
        }
        let pointed = target.strip_prefix('#').and_then(|pointer| root.pointer(pointer));
        let Some(pointed) = pointed else { return refuse("External references are not supported") };
        path.push(target);
        references(root, pointed, path, sound)?;
        path.pop();
        sound.insert(target);
    }
    children(members).try_for_each(|child| references(root, child, path, sound))
}

fn children(members: &Map<String, Value>) -> impl Iterator<Item = &Value> {
    let named = ["properties", "$defs", "definitions"]
        .into_iter()
        .filter_map(|key| members.get(key).and_then(Value::as_object))
        .flat_map(Map::values);
    let listed = ["anyOf", "allOf", "oneOf"]
        .into_iter()
        .filter_map(|key| members.get(key).and_then(Value::as_array))
        .flatten();
    named.chain(listed).chain(members.get("items"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn schemas_beyond_a_grammar_are_refused() {
        let object = |inner: Value| json!({ "type": "object", "properties": { "a": inner }, "additionalProperties": false });
        for fine in [
            json!({ "type": "string", "maxLength": 3, "enum": ["a"] }),
            json!({ "type": "array", "minItems": 1, "items": { "type": "integer" } }),
            json!({ "anyOf": [{ "type": "string", "pattern": "^a" }, { "type": "null" }] }),
            // A property may have the name of a keyword.
            object(json!({ "type": "string" })),
        ] {
            assert!(check(&object(fine.clone())).is_ok(), "{fine}");
        }
        for refused in [
            json!({ "type": "object", "properties": {} }),
            json!({ "type": "integer", "minimum": 1 }),
            json!({ "type": "array", "minItems": 2 }),
            json!({ "type": "string", "pattern": "^(?!a)" }),
            json!({ "anyOf": [{ "type": "number", "multipleOf": 2 }] }),
            json!({ "$ref": "#" }),
            json!({ "$ref": "https://example.com/a" }),
        ] {
            assert!(check(&object(refused.clone())).is_err(), "{refused}");
        }
        let link =
            |at: usize| (format!("d{at}"), json!({ "$ref": format!("#/$defs/d{}", at + 1) }));
        let chain: Map<String, Value> = (0..100_000).map(link).collect();
        assert!(check(&json!({ "$ref": "#/$defs/d0", "$defs": chain })).is_err());
    }
}
