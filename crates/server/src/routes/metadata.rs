//! Metadata that clients keep with a conversation or a batch.

use serde_json::{Map, Value};
use translate::Invalid;

/// Pairs, and the characters of their names and values.
const PAIRS: usize = 16;
const NAME: usize = 64;
const VALUE: usize = 512;

/// Metadata within OpenAI's limits.
///
/// # Errors
/// It is beyond them, or a value is no text.
pub(super) fn checked(metadata: Map<String, Value>) -> Result<Map<String, Value>, Invalid> {
    let is_text = |(name, value): (&String, &Value)| {
        let length = value.as_str().map(|text| text.chars().count());
        name.chars().count() <= NAME && length.is_some_and(|length| length <= VALUE)
    };
    if metadata.len() <= PAIRS && metadata.iter().all(is_text) {
        return Ok(metadata);
    }
    let message = format!(
        "metadata may hold {PAIRS} pairs, names of up to {NAME} characters, and texts of up to {VALUE}."
    );
    Err(Invalid::value("metadata", message))
}
