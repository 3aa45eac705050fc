//! The two JSON formats of this service: keys in alphabetical order, as AWS writes them, with the parts
//! written by a model or a caller left in their own order.

use serde_json::{Map, Value};

/// Members whose content was written elsewhere and keeps its order.
const FOREIGN: [&str; 2] = ["input", "json"];

/// `value` with the keys of every object sorted.
pub(crate) fn sorted(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut members: Vec<(String, Value)> = map.into_iter().collect();
            members.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(
                members
                    .into_iter()
                    .map(|(key, value)| {
                        let keep = FOREIGN.contains(&key.as_str()) && value.is_object();
                        let value = if keep { value } else { sorted(value) };
                        (key, value)
                    })
                    .collect::<Map<_, _>>(),
            )
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        scalar @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => scalar,
    }
}

/// `value` with every key sorted, foreign ones too: equal for equivalent requests.
pub(crate) fn canonical(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut members: Vec<(&String, &Value)> = map.iter().collect();
            members.sort_by_key(|(key, _)| *key);
            members.into_iter().map(|(key, value)| (key.clone(), canonical(value))).collect()
        }
        Value::Array(items) => items.iter().map(canonical).collect(),
        scalar => scalar.clone(),
    }
}

/// `value` in the service's format.
pub(crate) fn bytes(value: &Value) -> Vec<u8> {
    sorted(value.clone()).to_string().into_bytes()
}

/// The items of an array member; empty if absent.
pub(crate) fn items<'a>(value: &'a Value, member: &str) -> &'a [Value] {
    value.get(member).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// A string member; empty if absent.
pub(crate) fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value.get(member).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_are_sorted_except_in_content_of_models() {
        let value = json!({"b": {"d": 1, "c": 2}, "a": [{"z": 1, "y": 2}], "toolUse": {"name": "n", "input": {"q": 1, "p": 2}}});
        assert_eq!(
            sorted(value).to_string(),
            r#"{"a":[{"y":2,"z":1}],"b":{"c":2,"d":1},"toolUse":{"input":{"q":1,"p":2},"name":"n"}}"#
        );
    }
}
