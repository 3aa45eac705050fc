//! A schema in the form that an answer grammar accepts: closed objects, without the keywords that
//! the model's family refuses, which move into descriptions. The grammar may allow more than the
//! original; the answer is validated against the original afterwards.

use serde_json::{Map, Value};

use super::older::modernise;
use super::repair::{into_words, pattern_into_words};
use super::strict::{Looseness, may_be_object, refers_badly};
use super::walk::each_schema;

/// Keywords that no family's grammar can express.
const UNKNOWN: [&str; 13] = [
    "uniqueItems",
    "minProperties",
    "maxProperties",
    "not",
    "if",
    "then",
    "else",
    "dependentSchemas",
    "dependentRequired",
    "dependencies",
    "propertyNames",
    "unevaluatedProperties",
    "unevaluatedItems",
];

/// Keywords that leave objects open by design.
const OPEN: [&str; 2] = ["patternProperties", "additionalItems"];

/// The schema without the `refused` keywords; `None` if a grammar cannot express it: maps with
/// arbitrary keys, roots that are not plain objects, recursive definitions, more optional
/// properties than the limit.
pub(in crate::parts) fn native(schema: &Value, refused: &[String]) -> Option<Value> {
    let root = schema.as_object()?;
    let decides = ["anyOf", "oneOf", "allOf", "$ref"].iter().any(|word| root.contains_key(*word));
    if root.get("type").and_then(Value::as_str) != Some("object") || decides {
        return None;
    }
    let mut native = schema.clone();
    modernise(&mut native);
    let mut fits = true;
    each_schema(&mut native, &mut |members| fits &= adapt(members, refused));
    let is_small = Looseness::of(&native).with(Looseness::default()).is_some();
    (fits && is_small && !refers_badly(&native)).then_some(native)
}

/// Adapts one schema. False if that would change its meaning.
fn adapt(members: &mut Map<String, Value>, refused: &[String]) -> bool {
    for keyword in refused {
        // Every grammar supports a list with at least one item.
        let at_most_one = members.get(keyword).and_then(Value::as_u64).is_some_and(|n| n <= 1);
        if !(keyword == "minItems" && at_most_one) {
            into_words(members, keyword);
        }
    }
    for keyword in UNKNOWN {
        into_words(members, keyword);
    }
    pattern_into_words(members);
    if !members.contains_key("anyOf")
        && let Some(shapes) = members.shift_remove("oneOf")
    {
        members.insert("anyOf".to_owned(), shapes);
    }
    if OPEN.iter().any(|keyword| members.contains_key(*keyword)) {
        return false;
    }
    let several = members.get("allOf").and_then(Value::as_array).is_some_and(|all| all.len() > 1);
    let is_object = may_be_object(members.get("type")) || members.contains_key("properties");
    !several && (!is_object || close(members))
}

/// Closes an object that lists its properties. An object without listed properties is a map, and
/// stays open.
fn close(members: &mut Map<String, Value>) -> bool {
    match members.get("additionalProperties") {
        Some(Value::Bool(false)) => true,
        Some(_) => false,
        None => {
            let lists = members.get("properties").and_then(Value::as_object);
            let lists = lists.is_some_and(|properties| !properties.is_empty());
            if lists {
                members.insert("additionalProperties".to_owned(), Value::Bool(false));
            }
            lists
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::Profile;

    fn rewritten(schema: &Value) -> Option<String> {
        native(schema, &Profile::default().refused_keywords).map(|schema| schema.to_string())
    }

    fn object(inner: &Value) -> Value {
        json!({ "type": "object", "properties": { "z": inner, "a": { "type": "string" } }, "required": ["z"] })
    }

    #[test]
    fn refused_keywords_move_into_the_description() {
        for (inner, sent) in [
            (
                json!({ "type": "integer", "minimum": 1 }),
                r#"{"type":"integer","description":"(minimum: 1)"}"#,
            ),
            (
                json!({ "type": "number", "exclusiveMaximum": 2, "description": "Small." }),
                r#"{"type":"number","description":"Small. (exclusiveMaximum: 2)"}"#,
            ),
            (
                json!({ "type": "array", "items": { "type": "string" }, "minItems": 2, "maxItems": 3 }),
                r#"{"type":"array","items":{"type":"string"},"description":"(minItems: 2) (maxItems: 3)"}"#,
            ),
            (json!({ "type": "array", "minItems": 1 }), r#"{"type":"array","minItems":1}"#),
            (
                json!({ "type": "array", "uniqueItems": true }),
                r#"{"type":"array","description":"(uniqueItems: true)"}"#,
            ),
            (
                json!({ "type": "string", "maxLength": 3, "format": "date" }),
                r#"{"type":"string","maxLength":3,"format":"date"}"#,
            ),
            (
                json!({ "type": "string", "pattern": "^(?=a)" }),
                r#"{"type":"string","description":"(pattern: \"^(?=a)\")"}"#,
            ),
            (
                json!({ "type": "string", "pattern": "^a+$" }),
                r#"{"type":"string","pattern":"^a+$"}"#,
            ),
            (
                json!({ "oneOf": [{ "type": "string" }, { "type": "null" }] }),
                r#"{"anyOf":[{"type":"string"},{"type":"null"}]}"#,
            ),
            (
                json!({ "type": "object", "properties": { "minimum": { "type": "string" } } }),
                r#"{"type":"object","properties":{"minimum":{"type":"string"}},"additionalProperties":false}"#,
            ),
        ] {
            let whole = rewritten(&object(&inner)).unwrap();
            let expected = format!(
                r#"{{"type":"object","properties":{{"z":{sent},"a":{{"type":"string"}}}},"required":["z"],"additionalProperties":false}}"#
            );
            assert_eq!(whole, expected);
        }
    }

    #[test]
    fn schemas_that_a_grammar_would_change_are_not_native() {
        for inner in [
            json!({ "type": "object" }),
            json!({ "type": "object", "additionalProperties": { "type": "string" } }),
            json!({ "type": "object", "properties": { "a": {} }, "additionalProperties": true }),
            json!({ "type": ["object", "null"] }),
            json!({ "patternProperties": { "^x": {} } }),
            json!({ "allOf": [{ "properties": { "a": {} } }, { "properties": { "b": {} } }] }),
            json!({ "$ref": "#" }),
            json!({ "$ref": "https://example.com/x" }),
        ] {
            assert_eq!(rewritten(&object(&inner)), None, "{inner}");
        }
        for root in [
            json!({ "type": "array" }),
            json!({ "anyOf": [], "type": "object" }),
            json!({ "$ref": "#/$defs/a", "$defs": { "a": { "type": "object" } } }),
            json!({}),
            json!(true),
        ] {
            assert_eq!(rewritten(&root), None, "{root}");
        }
    }

    #[test]
    fn refused_keywords_come_from_the_models_row() {
        let schema = object(&json!({ "type": "integer", "minimum": 1, "maximum": 3 }));
        let sent = native(&schema, &["maximum".to_owned()]).unwrap();
        assert_eq!(
            sent["properties"]["z"],
            json!({ "type": "integer", "minimum": 1, "description": "(maximum: 3)" })
        );
    }
}
