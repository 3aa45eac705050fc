//! Whether a schema may be enforced by OpenAI's strict mode, which refuses objects that are open or have optional
//! properties. Others are sent without it, and the gateway validates the answer.

use serde_json::Value;

/// Whether every object of a schema is closed and requires all of its properties.
pub(super) fn is_strict(schema: &Value) -> bool {
    match schema {
        Value::Object(members) => {
            let is_object = members.contains_key("properties")
                || members.get("type").is_some_and(|kind| names(kind, "object"));
            if is_object {
                let closed = members.get("additionalProperties") == Some(&Value::Bool(false));
                let required = members.get("required").and_then(Value::as_array);
                let requires = |name: &String| {
                    required.is_some_and(|all| all.iter().any(|one| one == name.as_str()))
                };
                let properties = members.get("properties").and_then(Value::as_object);
                if !closed || !properties.is_none_or(|all| all.keys().all(requires)) {
                    return false;
                }
            }
            members.values().all(is_strict)
        }
        Value::Array(items) => items.iter().all(is_strict),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
    }
}

fn names(kind: &Value, wanted: &str) -> bool {
    kind == wanted || kind.as_array().is_some_and(|kinds| kinds.iter().any(|kind| kind == wanted))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_closed_objects_without_optional_properties_are_strict() {
        let inner = json!({ "type": ["object", "null"], "properties": { "b": { "type": "string" } }, "required": ["b"], "additionalProperties": false });
        let whole = |inner: &Value| json!({ "type": "object", "properties": { "a": inner }, "required": ["a"], "additionalProperties": false });
        assert!(is_strict(&whole(&inner)));
        for lost in ["required", "additionalProperties"] {
            let mut open = inner.clone();
            open.as_object_mut().unwrap().remove(lost);
            assert!(!is_strict(&whole(&open)), "{lost}");
        }
        assert!(!is_strict(&json!({ "type": "object" })));
    }
}
