//! Strict schemas: what a grammar can enforce, and what must be put into words so that it can.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::mend::{into_words, pattern_into_words};
use super::walk::each_schema;

/// Keywords that grammars do not enforce. (Refused keywords as seen live by pydantic-ai and LiteLLM, 2026.)
const REFUSED: [&str; 8] = [
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minItems",
    "maxItems",
    "contains",
];

/// Whether a schema can be enforced.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::parts) enum Held {
    /// It cannot.
    Not,
    /// As it is.
    AsItIs,
    /// Once these keywords are put into words: nobody enforces them then.
    Without(Vec<&'static str>),
}

/// Brings a schema into the shape that a grammar enforces, if that is possible without forbidding what
/// it allows.
pub(in crate::parts) fn hold(schema: &mut Value) -> Held {
    if is_strict(schema) {
        return Held::AsItIs;
    }
    let mut loosened = schema.clone();
    let mut told = Vec::new();
    each_schema(&mut loosened, &mut |members| loosen(members, &mut told));
    if !is_strict(&loosened) {
        return Held::Not;
    }
    *schema = loosened;
    Held::Without(told)
}

fn loosen(members: &mut Map<String, Value>, told: &mut Vec<&'static str>) {
    let mut note = |keyword| {
        if !told.contains(&keyword) {
            told.push(keyword);
        }
    };
    for keyword in REFUSED {
        if members.contains_key(keyword) {
            into_words(members, keyword);
            note(keyword);
        }
    }
    let before = members.contains_key("pattern");
    pattern_into_words(members);
    if before && !members.contains_key("pattern") {
        note("pattern");
    }
}

/// Whether a schema keeps to what grammars can enforce: closed objects, no numeric or size bounds, no
/// look-around, no reference to itself or out of it. (Refused keywords as seen live by pydantic-ai and
/// LiteLLM, 2026.)
fn is_strict(schema: &Value) -> bool {
    is_enforceable(schema) && !refers_badly(schema, schema, &mut Vec::new(), &mut HashSet::new())
}

fn is_enforceable(schema: &Value) -> bool {
    match schema {
        Value::Object(members) => {
            // A member may also be a property that is called like a keyword: then it is a schema.
            let bound = |word: &&str| members.get(*word).is_some_and(|bound| !bound.is_object());
            let pattern = members.get("pattern").and_then(Value::as_str);
            let closed = members.get("additionalProperties") == Some(&Value::Bool(false));
            (!may_be_object(members.get("type")) || closed)
                && !REFUSED.iter().any(bound)
                && !pattern.is_some_and(|pattern| pattern.contains("(?"))
                && members.values().all(is_enforceable)
        }
        Value::Array(items) => items.iter().all(is_enforceable),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
    }
}

pub(super) fn may_be_object(kind: Option<&Value>) -> bool {
    match kind {
        Some(Value::Array(kinds)) => kinds.iter().any(|kind| kind == "object"),
        Some(kind) => kind == "object",
        None => false,
    }
}

/// Follows every `$ref` below `schema`; true for one that leaves the document, points nowhere, or
/// comes back to itself.
pub(super) fn refers_badly<'s>(
    root: &'s Value,
    schema: &'s Value,
    path: &mut Vec<&'s str>,
    sound: &mut HashSet<&'s str>,
) -> bool {
    match schema {
        Value::Object(members) => {
            if let Some(Value::String(target)) = members.get("$ref")
                && !sound.contains(target.as_str())
            {
                let pointed = target.strip_prefix('#').and_then(|pointer| root.pointer(pointer));
                let Some(pointed) = pointed.filter(|_| !path.contains(&target.as_str())) else {
                    return true;
                };
                path.push(target);
                let bad = refers_badly(root, pointed, path, sound);
                path.pop();
                if bad {
                    return true;
                }
                sound.insert(target);
            }
            members.values().any(|member| refers_badly(root, member, path, sound))
        }
        Value::Array(items) => items.iter().any(|item| refers_badly(root, item, path, sound)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn strict_schemas_are_closed_and_unbounded() {
        let closed = |inner: Value| json!({ "type": "object", "properties": { "a": inner }, "additionalProperties": false });
        assert!(is_strict(&closed(json!({ "type": "string", "maxLength": 3 }))));
        assert!(is_strict(&closed(json!({ "type": ["string", "null"] }))));
        // A property may be called like a keyword.
        assert!(is_strict(
            &json!({ "type": "object", "additionalProperties": false, "properties": { "minimum": { "type": "string" } } })
        ));
        assert!(!is_strict(&json!({ "type": "object" })));
        assert!(!is_strict(&closed(json!({ "type": "object" }))));
        assert!(!is_strict(&closed(json!({ "type": ["object", "null"] }))));
        assert!(!is_strict(&closed(json!({ "type": "integer", "minimum": 0 }))));
        assert!(!is_strict(&closed(json!({ "type": "string", "pattern": "(?=x)" }))));
    }

    #[test]
    fn references_must_end_inside_the_schema() {
        let with = |defs: Value| json!({ "anyOf": [{ "$ref": "#/$defs/a" }, { "$ref": "#/$defs/a" }], "$defs": defs });
        assert!(is_strict(&with(
            json!({ "a": { "$ref": "#/$defs/b" }, "b": { "type": "string" } })
        )));
        assert!(!is_strict(&with(
            json!({ "a": { "$ref": "#/$defs/b" }, "b": { "items": { "$ref": "#/$defs/a" } } })
        )));
        assert!(!is_strict(&with(json!({}))));
        assert!(!is_strict(&json!({ "items": { "$ref": "#" } })));
        assert!(!is_strict(&json!({ "$ref": "https://example.com/schema" })));
    }

    #[test]
    fn bounds_are_told_where_they_cannot_be_held() {
        let schema = |inner: Value| json!({ "type": "object", "properties": { "minimum": inner }, "additionalProperties": false });
        let mut bounded =
            schema(json!({ "type": "integer", "minimum": 1, "description": "How many." }));
        assert_eq!(hold(&mut bounded), Held::Without(vec!["minimum"]));
        assert_eq!(
            bounded,
            schema(json!({ "type": "integer", "description": "How many. (minimum: 1)" }))
        );
        assert_eq!(hold(&mut bounded), Held::AsItIs);
        let mut open = json!({ "type": "object", "properties": { "a": { "maximum": 1 } } });
        let before = open.clone();
        assert_eq!(hold(&mut open), Held::Not);
        assert_eq!(open, before);
    }
}
