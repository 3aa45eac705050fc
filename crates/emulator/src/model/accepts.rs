//! Checks a JSON value from a user's text against its schema.

use serde_json::{Value, json};

use super::strings;
use crate::json::items;

/// Most schemas examined for one value: a schema may reference itself.
const STEPS: usize = 1_000;

/// Whether `value` is valid for `schema`; `resolved` follows references.
pub(super) fn accepts(schema: &Value, value: &Value, resolved: &impl Fn(&Value) -> Value) -> bool {
    fits(schema, value, resolved, &mut STEPS.clone())
}

fn fits(
    schema: &Value,
    value: &Value,
    resolved: &impl Fn(&Value) -> Value,
    left: &mut usize,
) -> bool {
    let Some(fewer) = left.checked_sub(1) else { return false };
    *left = fewer;
    let schema = &resolved(schema);
    if let Some(only) = schema.get("const") {
        return only == value;
    }
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        return values.contains(value);
    }
    for union in ["anyOf", "oneOf"] {
        let variants = items(schema, union);
        if !variants.is_empty() {
            return variants.iter().any(|variant| fits(variant, value, resolved, left));
        }
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let named = |wanted: &Value| wanted == kind || (wanted == "number" && kind == "integer");
    let typed = match schema.get("type") {
        Some(Value::Array(kinds)) => kinds.iter().any(named),
        Some(wanted) => named(wanted),
        None => true,
    };
    typed && within(schema, value, resolved, left)
}

/// Whether a value of the right type respects the limits of its schema.
fn within(
    schema: &Value,
    value: &Value,
    resolved: &impl Fn(&Value) -> Value,
    left: &mut usize,
) -> bool {
    let count = |key: &str| schema.get(key).and_then(Value::as_u64);
    match value {
        Value::Null | Value::Bool(_) => true,
        Value::Number(number) => {
            let integer = !number.is_f64();
            strings::number(schema, Some(&number.to_string()), integer) == *value
        }
        Value::String(text) => strings::fits(schema, text),
        Value::Array(values) => {
            let length = u64::try_from(values.len()).unwrap_or(u64::MAX);
            let any = json!({});
            let item = schema.get("items").unwrap_or(&any);
            count("minItems").is_none_or(|least| length >= least)
                && count("maxItems").is_none_or(|most| length <= most)
                && values.iter().all(|value| fits(item, value, resolved, left))
        }
        Value::Object(members) => {
            let required = items(schema, "required").iter().filter_map(Value::as_str);
            let known = schema.get("properties").and_then(Value::as_object);
            let closed = schema.get("additionalProperties") == Some(&Value::Bool(false));
            required.into_iter().all(|name| members.contains_key(name))
                && members.iter().all(|(name, member)| {
                    match known.and_then(|known| known.get(name)) {
                        Some(property) => fits(property, member, resolved, left),
                        None => !closed,
                    }
                })
        }
    }
}
