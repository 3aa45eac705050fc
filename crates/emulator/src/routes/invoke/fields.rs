//! Members of the makers' bodies, refused where a maker's schema has no place for them.

use serde_json::Value;

use crate::error::Refusal;

/// Refuses members that a schema does not know.
pub(super) fn members(body: &Value, known: &[&str]) -> Result<(), Refusal> {
    let Some(members) = body.as_object() else {
        return Err(Refusal::malformed("#", "expected type: JSONObject"));
    };
    match members.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => {
            Err(Refusal::malformed("#", &format!("extraneous key [{key}] is not permitted")))
        }
        None => Ok(()),
    }
}

/// A required string that is not empty.
pub(super) fn string<'a>(body: &'a Value, member: &str) -> Result<&'a str, Refusal> {
    match body.get(member) {
        None => Err(Refusal::malformed("#", &format!("required key [{member}] not found"))),
        Some(Value::String(text)) if text.is_empty() => {
            let pointer = format!("#/{member}");
            Err(Refusal::malformed(&pointer, "expected minLength: 1, actualLength: 0"))
        }
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(Refusal::malformed(&format!("#/{member}"), "expected type: String")),
    }
}
