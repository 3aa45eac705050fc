//! Masks the gateway's account and role in AWS's error messages.

use bytes::Bytes;
use serde_json::{Map, Value};
use translate::errors::mask;

/// The body of an error with its texts masked; the same bytes if there is nothing to mask.
pub(crate) fn masked(body: &Bytes) -> Bytes {
    let Ok(mut members) = serde_json::from_slice::<Map<String, Value>>(body) else {
        let text = String::from_utf8_lossy(body);
        let told = mask(&text);
        return if told == text { body.clone() } else { Bytes::from(told.into_owned()) };
    };
    let mut changed = false;
    for value in members.values_mut() {
        changed |= hide(value);
    }
    if !changed {
        return body.clone();
    }
    Bytes::from(Value::Object(members).to_string())
}

/// Masks all texts of a value; true if one was changed.
fn hide(value: &mut Value) -> bool {
    match value {
        Value::String(text) => {
            let told = mask(text);
            if told == *text {
                return false;
            }
            *text = told.into_owned();
            true
        }
        Value::Array(items) => items.iter_mut().fold(false, |changed, item| hide(item) | changed),
        Value::Object(members) => {
            members.values_mut().fold(false, |changed, member| hide(member) | changed)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_accounts_and_roles_are_masked() {
        let role = "arn:aws:sts::123456789012:assumed-role/gateway/i-0abc";
        let text = format!("User: {role} is not authorized to perform: bedrock:InvokeModel");
        for body in [
            serde_json::json!({ "message": text }),
            serde_json::json!({ "Message": text, "code": "AccessDenied" }),
            serde_json::json!({ "__type": "x", "detail": [{ "originalMessage": text }] }),
        ] {
            let told = masked(&Bytes::from(body.to_string()));
            let told = std::str::from_utf8(&told).unwrap();
            assert!(!told.contains("123456789012") && !told.contains("assumed-role"), "{told}");
            assert!(told.contains("is not authorized to perform: bedrock:InvokeModel"), "{told}");
        }
        let told = masked(&Bytes::from(text.clone()));
        assert!(!told.windows(12).any(|window| window == b"123456789012"));
        for body in [r#"{ "message" : "Too many tokens" }"#, "", "[1]", "no JSON"] {
            let body = Bytes::copy_from_slice(body.as_bytes());
            assert_eq!(masked(&body), body);
        }
    }
}
