//! Converts keywords of older drafts to draft 2020-12. Tool servers still write draft 4, and
//! families that validate schemas refuse the whole list of tools for one such keyword.
//! (Dokploy/mcp#74, homeassistant-ai/ha-mcp#2361, AlexGladkov/claude-in-mobile#57, 2026.)

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value, json};

use super::walk::each_schema;

/// Bounds that a flag of draft 4 makes exclusive.
const BOUNDS: [(&str, &str); 2] =
    [("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")];

/// Drafts whose keywords have another meaning today.
const OLD_DRAFTS: [&str; 2] = ["json-schema.org/draft-03/", "json-schema.org/draft-04/"];

/// Returns whether a text may hold a keyword of an older draft. A false positive costs only a
/// closer look.
pub(super) fn may_be_older(text: &str) -> bool {
    let is_flag = |value: &str| value.starts_with("true") || value.starts_with("false");
    followed(text, r#""exclusiveMinimum""#, is_flag)
        || followed(text, r#""exclusiveMaximum""#, is_flag)
        || followed(text, r#""required""#, is_flag)
        || followed(text, r#""items""#, |value| value.starts_with('['))
        || followed(text, r#""type""#, |value| value.starts_with(r#""any""#))
        || followed(text, r#""$schema""#, is_old_draft)
        || (text.contains(r#""$ref""#) && followed(text, r#""id""#, |value| value.starts_with('"')))
}

/// Converts a schema and all schemas below it.
pub(super) fn modernise(schema: &mut Value) {
    let old = schema.get("$schema").and_then(Value::as_str).is_some_and(is_old_draft);
    let named = named_places(schema);
    if old && let Value::Object(root) = schema {
        root.shift_remove("$schema");
    }
    each_schema(schema, &mut |members| {
        BOUNDS.iter().for_each(|(flag, bound)| exclusive(members, flag, bound));
        requirements(members);
        tuple(members);
        if members.get("type").is_some_and(|kind| kind == "any") {
            members.shift_remove("type");
        }
        if let Some(Value::String(id)) = members.get("id")
            && (old || named.contains_key(id.as_str()))
        {
            members.shift_remove("id");
        }
        if let Some(Value::String(target)) = members.get_mut("$ref")
            && let Some(pointer) = led_to(target, &named)
        {
            *target = pointer;
        }
    });
}

/// Returns whether the keyword has a matching value anywhere in the text.
fn followed(text: &str, keyword: &str, is: impl Fn(&str) -> bool) -> bool {
    text.match_indices(keyword).any(|(at, _)| {
        let rest = text[at + keyword.len()..].trim_start();
        rest.strip_prefix(':').is_some_and(|value| is(value.trim_start()))
    })
}

fn is_old_draft(text: &str) -> bool {
    let head = &text[..text.floor_char_boundary(64)];
    OLD_DRAFTS.iter().any(|draft| head.contains(draft))
}

/// Converts a flag that makes a bound exclusive to the exclusive bound; a false flag is dropped.
fn exclusive(members: &mut Map<String, Value>, flag: &str, bound: &str) {
    let Some(Value::Bool(is_exclusive)) = members.get(flag) else { return };
    let bounds = members.get(bound).filter(|value| *is_exclusive && value.is_number()).cloned();
    match bounds {
        Some(value) => {
            members.insert(flag.to_owned(), value);
            members.shift_remove(bound);
        }
        None => {
            members.shift_remove(flag);
        }
    }
}

/// Moves the `required` flags of properties to the list of their object.
fn requirements(members: &mut Map<String, Value>) {
    // The object, visited earlier, has already read the flag of its property.
    if members.get("required").is_some_and(Value::is_boolean) {
        members.shift_remove("required");
    }
    let Some(Value::Object(properties)) = members.get_mut("properties") else { return };
    let mut required = Vec::new();
    for (name, property) in properties {
        let Value::Object(property) = property else { continue };
        let Some(Value::Bool(is_required)) = property.get("required") else { continue };
        if *is_required {
            required.push(name.clone());
        }
        property.shift_remove("required");
    }
    if required.is_empty() {
        return;
    }
    if let Value::Array(named) = members.entry("required").or_insert_with(|| json!([])) {
        let known: HashSet<String> =
            named.iter().filter_map(Value::as_str).map(str::to_owned).collect();
        named.extend(required.into_iter().filter(|name| !known.contains(name)).map(Value::from));
    }
}

/// Converts a list of schemas in `items` to `prefixItems`; `additionalItems` becomes `items`.
fn tuple(members: &mut Map<String, Value>) {
    if !members.get("items").is_some_and(Value::is_array) {
        return;
    }
    let rest = members.shift_remove("additionalItems");
    let Some(listed) = members.shift_remove("items") else { return };
    if listed.as_array().is_some_and(|listed| !listed.is_empty()) {
        members.entry("prefixItems").or_insert(listed);
    }
    if let Some(rest) = rest {
        members.insert("items".to_owned(), rest);
    }
}

/// The places of the schemas that a `$ref` names by their `id`.
fn named_places(schema: &Value) -> HashMap<String, String> {
    let mut targets = HashSet::new();
    each_value(schema, &mut Vec::new(), &mut |members, _| {
        if let Some(Value::String(target)) = members.get("$ref") {
            targets.insert(target.as_str());
            targets.insert(before_fragment(target));
        }
    });
    let mut places = HashMap::new();
    each_value(schema, &mut Vec::new(), &mut |members, path| {
        if let Some(Value::String(id)) = members.get("id")
            && (targets.contains(id.as_str()) || targets.contains(before_fragment(id)))
            && !id.trim_end_matches('#').is_empty()
            && !places.contains_key(id)
        {
            let escaped = path.iter().map(|step| step.replace('~', "~0").replace('/', "~1"));
            places.insert(id.clone(), escaped.fold("#".to_owned(), |to, step| to + "/" + &step));
        }
    });
    places
}

/// The JSON pointer for a reference by `id`.
fn led_to(target: &str, named: &HashMap<String, String>) -> Option<String> {
    if let Some(pointer) = named.get(target) {
        return Some(pointer.clone());
    }
    let (id, fragment) = target.split_once('#')?;
    let place =
        named.get(id).or_else(|| named.get(&format!("{id}#"))).filter(|_| !id.is_empty())?;
    Some(format!("{place}{fragment}"))
}

fn before_fragment(target: &str) -> &str {
    target.split('#').next().unwrap_or_default()
}

/// Calls `visit` with every object and its path.
fn each_value<'s, V: FnMut(&'s Map<String, Value>, &[String])>(
    value: &'s Value,
    path: &mut Vec<String>,
    visit: &mut V,
) {
    match value {
        Value::Object(members) => {
            visit(members, path);
            for (name, member) in members {
                path.push(name.clone());
                each_value(member, path, visit);
                path.pop();
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                path.push(index.to_string());
                each_value(item, path, visit);
                path.pop();
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modern(mut schema: Value) -> Value {
        assert!(may_be_older(&schema.to_string()), "{schema}");
        modernise(&mut schema);
        assert!(!may_be_older(&schema.to_string()), "{schema}");
        schema
    }

    #[test]
    fn a_flag_beside_a_bound_is_an_exclusive_bound() {
        for (old, new) in [
            (json!({ "exclusiveMinimum": true, "minimum": 0 }), json!({ "exclusiveMinimum": 0 })),
            (
                json!({ "maximum": 1.5, "exclusiveMaximum": true, "minimum": 1 }),
                json!({ "exclusiveMaximum": 1.5, "minimum": 1 }),
            ),
            (json!({ "minimum": 3, "exclusiveMinimum": false }), json!({ "minimum": 3 })),
            (json!({ "exclusiveMaximum": true }), json!({})),
            (
                json!({ "exclusiveMinimum": 2, "minimum": 1, "exclusiveMaximum": false }),
                json!({ "exclusiveMinimum": 2, "minimum": 1 }),
            ),
        ] {
            for wrap in [
                |inner: Value| json!({ "properties": { "a": inner } }),
                |inner: Value| json!({ "items": { "anyOf": [inner] } }),
                |inner: Value| json!({ "$defs": { "exclusiveMinimum": inner } }),
                |inner: Value| json!({ "definitions": { "d": { "additionalProperties": inner } } }),
            ] {
                assert_eq!(modern(wrap(old.clone())), wrap(new.clone()));
            }
        }
    }

    #[test]
    fn required_properties_are_named_by_their_object() {
        let old = json!({
            "required": true,
            "properties": {
                "a": { "type": "string", "required": true },
                "b": { "type": "string", "required": false },
                "c": { "required": true, "properties": { "d": { "required": true } } },
                "required": { "type": "boolean" },
            },
            "items": { "required": false },
        });
        let new = json!({
            "properties": {
                "a": { "type": "string" },
                "b": { "type": "string" },
                "c": { "properties": { "d": {} }, "required": ["d"] },
                "required": { "type": "boolean" },
            },
            "items": {},
            "required": ["a", "c"],
        });
        assert_eq!(modern(old), new);
        let beside = json!({ "required": ["b"], "properties": { "a": { "required": true }, "b": { "required": true } } });
        assert_eq!(modern(beside)["required"], json!(["b", "a"]));
    }

    #[test]
    fn lists_by_position_and_any_type_are_converted() {
        assert_eq!(
            modern(
                json!({ "items": [{ "type": "number" }, { "type": "any" }], "additionalItems": false })
            ),
            json!({ "prefixItems": [{ "type": "number" }, {}], "items": false })
        );
        assert_eq!(modern(json!({ "type": "array", "items": [] })), json!({ "type": "array" }));
    }

    #[test]
    fn references_by_id_become_pointers() {
        let old = json!({
            "$schema": "http://json-schema.org/draft-04/schema#",
            "id": "http://example.com/root.json",
            "properties": {
                "id": { "type": "string" },
                "a": { "$ref": "#place" },
                "b": { "$ref": "http://example.com/root.json#/definitions/x~y" },
                "c": { "$ref": "street" },
                "d": { "$ref": "#/definitions/x~y" },
            },
            "definitions": {
                "x~y": { "id": "#place", "type": "string" },
                "s": { "id": "street", "type": "string" },
            },
        });
        let new = json!({
            "properties": {
                "id": { "type": "string" },
                "a": { "$ref": "#/definitions/x~0y" },
                "b": { "$ref": "#/definitions/x~y" },
                "c": { "$ref": "#/definitions/s" },
                "d": { "$ref": "#/definitions/x~y" },
            },
            "definitions": {
                "x~y": { "type": "string" },
                "s": { "type": "string" },
            },
        });
        assert_eq!(modern(old), new);
    }

    #[test]
    fn current_schemas_are_left_unchanged() {
        for text in [
            r#"{"exclusiveMinimum": 0, "required": ["a"], "items": {"type": "number"}}"#,
            r#"{"$schema": "http://json-schema.org/draft-07/schema#", "properties": {"id": {"type": "string"}}}"#,
            r#"{"id": "x", "type": ["string", "null"], "description": "\"required\" is said elsewhere"}"#,
        ] {
            assert!(!may_be_older(text), "{text}");
        }
        for text in [
            r#"{"properties":{"a":{"enum":[{"required":true}]}}}"#,
            r##"{"properties":{"id":{"const":"id"},"r":{"$ref":"#/$defs/id"}},"$defs":{"id":{"default":{"id":"x"}}}}"##,
        ] {
            let mut schema: Value = serde_json::from_str(text).unwrap();
            modernise(&mut schema);
            assert_eq!(schema.to_string(), text);
        }
    }
}
