//! Checks of texts that callers choose.

use serde_json::{Map, Value};

use super::Set;
use crate::InvalidField;

/// Longest id, in bytes.
const ID: usize = 128;
/// Longest alias, in characters.
const ALIAS: usize = 255;
/// Longest metadata as JSON, in bytes.
const METADATA: usize = 64 * 1024;
/// Most models, tags or routes of a record.
const LIST: usize = 1000;

/// Reads an id that a caller chose.
pub(super) fn id(text: &str, param: &'static str) -> Result<String, InvalidField> {
    let usual = |b: u8| b.is_ascii_alphanumeric() || b"._:@-".contains(&b);
    if text.is_empty() || text.len() > ID || !text.bytes().all(usual) {
        let message = format!(
            "{param} must have 1 to {ID} characters of A-Z, a-z, 0-9, '.', '_', ':', '@', '-'"
        );
        return Err(InvalidField::new(param, message));
    }
    Ok(text.to_owned())
}

/// An id that refers to another record; an empty one is null.
pub(super) fn reference(
    sent: Set<String>,
    param: &'static str,
) -> Result<Set<String>, InvalidField> {
    sent.empty_is_null().try_map(|text| id(&text, param))
}

/// Reads an id of an end user: any text without control characters, as applications have them.
pub(super) fn customer_id(text: &str, param: &'static str) -> Result<String, InvalidField> {
    if text.is_empty() || text.len() > 256 || text.chars().any(char::is_control) {
        let message = format!("{param} must have 1 to 256 bytes without control characters");
        return Err(InvalidField::new(param, message));
    }
    Ok(text.to_owned())
}

/// Reads an alias; an empty one is null.
pub(super) fn alias(sent: Set<String>, param: &'static str) -> Result<Set<String>, InvalidField> {
    sent.empty_is_null().try_map(|text| {
        if text.chars().count() > ALIAS || text.chars().any(char::is_control) {
            let message =
                format!("{param} must have at most {ALIAS} characters without control characters");
            return Err(InvalidField::new(param, message));
        }
        Ok(text)
    })
}

/// Reads a list of names.
pub(super) fn list(
    sent: Set<Vec<String>>,
    param: &'static str,
) -> Result<Set<Vec<String>>, InvalidField> {
    sent.try_map(|list| {
        let long = list.len() > LIST || list.iter().any(|item| item.len() > 1024);
        if long {
            let message = format!("{param} must have at most {LIST} entries of at most 1024 bytes");
            return Err(InvalidField::new(param, message));
        }
        Ok(list)
    })
}

/// Reads metadata.
pub(super) fn metadata(
    sent: Set<Map<String, Value>>,
) -> Result<Set<Map<String, Value>>, InvalidField> {
    sent.try_map(|map| {
        let length = serde_json::to_vec(&map).map_or(usize::MAX, |bytes| bytes.len());
        if length > METADATA {
            return Err(InvalidField::new("metadata", "metadata must have at most 64 KiB"));
        }
        Ok(map)
    })
}
