//! JSON Schemas on their way to Bedrock: kept byte for byte where they can be, mended at the root
//! where they must be, and judged for what a grammar can enforce.

use std::borrow::Cow;
use std::collections::HashSet;

use schema::Raw;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::Invalid;

/// The deepest nesting accepted in raw JSON: what the parser itself allows everywhere else.
const MAX_DEPTH: usize = 128;

/// The only member of a schema's root that decides anything here.
#[derive(Deserialize)]
struct SchemaRoot<'a> {
    #[serde(rename = "type", borrow, default, deserialize_with = "present")]
    kind: Option<&'a RawValue>,
}

/// Null is there, and is not nothing.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    Deserialize::deserialize(deserializer).map(Some)
}

/// The schema as it came, byte for byte. Bedrock wants an object at the root: a root that does not
/// say its type is told to be one, and one that may also be something else is held to it.
pub(super) fn input_schema<'a>(
    parameters: Option<&'a RawValue>,
    param: &str,
) -> Result<Raw<'a>, Invalid> {
    let complain = |message: &'static str| {
        Invalid::value(format!("{param}.parameters"), message)
            .with_code("invalid_function_parameters")
    };
    let Some(parameters) = parameters.filter(|raw| raw.get() != "null") else {
        return owned(r#"{"type":"object","properties":{}}"#.to_owned())
            .map_err(|_| complain("The schema is not valid JSON."));
    };
    let text = parameters.get();
    if !text.starts_with('{') {
        return Err(complain("The parameters of a tool are a JSON Schema object."));
    }
    if too_deep(text) {
        return Err(complain("The schema is nested too deeply; 128 levels are the limit."));
    }
    let root: SchemaRoot<'_> = serde_json::from_str(text)
        .map_err(|_| complain("The schema gives a member of its root twice."))?;
    match root.kind.map(RawValue::get) {
        Some(r#""object""#) => return Ok(Cow::Borrowed(parameters)),
        Some(kind) if kind == "null" || (kind.starts_with('[') && kind.contains(r#""object""#)) => {
            let mut schema: Value = serde_json::from_str(text)
                .map_err(|_| complain("The schema is not valid JSON."))?;
            schema["type"] = Value::from("object");
            return owned(schema.to_string())
                .map_err(|_| complain("The schema is not valid JSON."));
        }
        Some(_) => return Err(complain("The parameters of a tool are of type object.")),
        None => {}
    }
    let rest = text[1..].trim_start();
    let comma = if rest.starts_with('}') { "" } else { "," };
    owned(format!(r#"{{"type":"object"{comma}{rest}"#))
        .map_err(|_| complain("The schema is not valid JSON."))
}

/// Raw JSON of our own making.
pub(super) fn owned<'a>(text: String) -> Result<Raw<'a>, serde_json::Error> {
    RawValue::from_string(text).map(Cow::Owned)
}

/// Raw JSON has no depth limit of its own, and what reads it next may recurse.
pub(super) fn too_deep(json: &str) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    json.bytes().any(|byte| {
        match (in_string, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (_, b'"') => in_string = !in_string,
            (false, b'{' | b'[') => depth += 1,
            (false, b'}' | b']') => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth > MAX_DEPTH
    })
}

/// Whether a schema keeps to what grammars can enforce: closed objects, no numeric or size bounds, no
/// look-around, no reference to itself or out of it. (Refused keywords as seen live by pydantic-ai and
/// LiteLLM, 2026.)
pub(super) fn is_strict(schema: &Value) -> bool {
    is_enforceable(schema) && !refers_badly(schema, schema, &mut Vec::new(), &mut HashSet::new())
}

fn is_enforceable(schema: &Value) -> bool {
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

fn may_be_object(kind: Option<&Value>) -> bool {
    match kind {
        Some(Value::Array(kinds)) => kinds.iter().any(|kind| kind == "object"),
        Some(kind) => kind == "object",
        None => false,
    }
}

/// Follows every `$ref` below `schema`; true for one that leaves the document, points nowhere, or
/// comes back to itself.
fn refers_badly<'s>(
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
    fn schemas_keep_their_bytes_and_get_a_type() {
        let raw = |text: &'static str| -> &'static RawValue { serde_json::from_str(text).unwrap() };
        let of = |text| input_schema(Some(raw(text)), "t").map(|raw| raw.get().to_owned());
        let kept = r#"{ "type": "object", "properties": {"z": {}, "a": {}} }"#;
        assert_eq!(of(kept).unwrap(), kept);
        assert_eq!(of(r#"{"properties":{}}"#).unwrap(), r#"{"type":"object","properties":{}}"#);
        assert_eq!(of("{ }").unwrap(), r#"{"type":"object"}"#);
        assert_eq!(of("null").unwrap(), r#"{"type":"object","properties":{}}"#);
        for kind in ["null", r#"["object","null"]"#] {
            let text = format!(r#"{{"z":1,"type":{kind},"a":2}}"#);
            assert_eq!(of(text.leak()).unwrap(), r#"{"z":1,"type":"object","a":2}"#);
        }
        for refused in ["[]", r#"{"type":"string"}"#, r#"{"type":["string","null"]}"#] {
            assert_eq!(of(refused).unwrap_err().code, "invalid_function_parameters", "{refused}");
        }
    }

    #[test]
    fn depth_is_counted_outside_strings() {
        assert!(!too_deep(&"[".repeat(128)));
        assert!(too_deep(&"[".repeat(129)));
        assert!(!too_deep(&format!("\"{}\"", "[".repeat(500))));
        assert!(!too_deep(&format!("\"\\\"{}\"", "[".repeat(500))));
    }
}
