//! The structure of a Converse request, member by member, as the API's model declares it; a mismatch is
//! refused with a JSON pointer to its position.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value};

use crate::error::Refusal;

/// Required type of a value.
#[derive(Debug)]
pub(super) enum Shape {
    Text,
    Integer,
    Number,
    Boolean,
    /// Base64 in a string.
    Blob,
    Anything,
    List(&'static Self),
    Map(&'static Self),
    /// An object with these members and no others.
    Structure(&'static [Member]),
    /// An object with exactly one of these members.
    Union(&'static [Member]),
}

/// One member of a structure or union.
#[derive(Debug)]
pub(super) struct Member {
    name: &'static str,
    required: bool,
    shape: &'static Shape,
}

pub(super) const fn must(name: &'static str, shape: &'static Shape) -> Member {
    Member { name, required: true, shape }
}

pub(super) const fn may(name: &'static str, shape: &'static Shape) -> Member {
    Member { name, required: false, shape }
}

impl Shape {
    /// Checks `value`, which is at `pointer`.
    pub(super) fn check(&self, value: &Value, pointer: &str) -> Result<(), Refusal> {
        match (self, value) {
            (Self::Anything, _)
            | (Self::Text, Value::String(_))
            | (Self::Boolean, Value::Bool(_))
            | (Self::Number, Value::Number(_)) => Ok(()),
            (Self::Integer, Value::Number(number)) if number.is_i64() || number.is_u64() => Ok(()),
            (Self::Blob, Value::String(data)) => match STANDARD.decode(data) {
                Ok(_) => Ok(()),
                Err(_) => Err(Refusal::malformed(pointer, "string is not valid base64")),
            },
            (Self::List(item), Value::Array(values)) => values
                .iter()
                .enumerate()
                .try_for_each(|(index, value)| item.check(value, &format!("{pointer}/{index}"))),
            (Self::Map(item), Value::Object(values)) => values
                .iter()
                .try_for_each(|(key, value)| item.check(value, &format!("{pointer}/{key}"))),
            (Self::Structure(members), Value::Object(values)) => {
                structure(members, values, pointer)
            }
            (Self::Union(members), Value::Object(values)) => {
                structure(members, values, pointer)?;
                let set = values.values().filter(|value| !value.is_null()).count();
                if set == 1 {
                    return Ok(());
                }
                let problem = format!("{set} subschemas matched instead of one");
                Err(Refusal::malformed(pointer, &problem))
            }
            (expected, found) => {
                let (expected, found) = (expected.name(), name_of(found));
                let problem = format!("expected type: {expected}, found: {found}");
                Err(Refusal::malformed(pointer, &problem))
            }
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Text | Self::Blob => "String",
            Self::Integer => "Integer",
            Self::Number => "Number",
            Self::Boolean => "Boolean",
            Self::List(_) => "JSONArray",
            Self::Anything | Self::Map(_) | Self::Structure(_) | Self::Union(_) => "JSONObject",
        }
    }
}

fn structure(
    members: &[Member],
    values: &Map<String, Value>,
    pointer: &str,
) -> Result<(), Refusal> {
    for member in members.iter().filter(|member| member.required) {
        if values.get(member.name).is_none_or(Value::is_null) {
            let problem = format!("required key [{}] not found", member.name);
            return Err(Refusal::malformed(pointer, &problem));
        }
    }
    // A null member counts as an absent one.
    for (key, value) in values.iter().filter(|(_, value)| !value.is_null()) {
        let Some(member) = members.iter().find(|member| member.name == key) else {
            let problem = format!("extraneous key [{key}] is not permitted");
            return Err(Refusal::malformed(pointer, &problem));
        };
        member.shape.check(value, &format!("{pointer}/{key}"))?;
    }
    Ok(())
}

fn name_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "Null",
        Value::Bool(_) => "Boolean",
        Value::Number(number) if number.is_f64() => "Double",
        Value::Number(_) => "Integer",
        Value::String(_) => "String",
        Value::Array(_) => "JSONArray",
        Value::Object(_) => "JSONObject",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const POINT: Shape = Shape::Structure(&[must("x", &Shape::Integer), may("y", &Shape::Number)]);

    const CHOICE: Shape = Shape::Union(&[may("a", &Shape::Text), may("b", &Shape::Blob)]);

    #[test]
    fn the_pointer_leads_to_the_mismatch() {
        let list = Shape::List(&POINT);
        assert!(list.check(&json!([{"x": 1, "y": 0.5}, {"x": 2, "y": null}]), "#").is_ok());
        for (value, expected) in [
            (json!({}), "#: expected type: JSONArray, found: JSONObject"),
            (json!([{"y": 1}]), "#/0: required key [x] not found"),
            (json!([{"x": 1}, {"x": "1"}]), "#/1/x: expected type: Integer, found: String"),
            (json!([{"x": 1, "z": 1}]), "#/0: extraneous key [z] is not permitted"),
        ] {
            let refusal = list.check(&value, "#").expect_err("does not fit");
            assert!(refusal.message.contains(expected), "{}", refusal.message);
        }
        let union = CHOICE;
        assert!(union.check(&json!({"a": "", "b": ""}), "#").is_err());
        assert!(union.check(&json!({"b": "not base64!"}), "#").is_err());
        assert!(union.check(&json!({"b": "AAEC"}), "#").is_ok());
    }
}
