//! A vector in the requested encoding. Floats are passed on as written; only base64 needs their
//! values.

use schema::openai::embeddings::{Embedding, EncodingFormat};
use serde_json::value::RawValue;

use super::unreadable;

#[derive(Debug, Clone, Copy)]
pub(super) struct Encoder {
    pub(super) format: EncodingFormat,
    pub(super) base64: fn(&[u8]) -> String,
}

impl Encoder {
    pub(super) fn encode(self, numbers: &RawValue) -> Result<Embedding, serde_json::Error> {
        let listed = listed(numbers)?;
        Ok(match self.format {
            EncodingFormat::Float => Embedding::Float(numbers.to_owned()),
            EncodingFormat::Base64 => Embedding::Base64((self.base64)(&little_endian(listed)?)),
        })
    }
}

/// The text between the brackets.
fn listed(numbers: &RawValue) -> Result<&str, serde_json::Error> {
    let inside = numbers.get().strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    match inside {
        Some(inside) if !inside.trim_ascii().is_empty() => Ok(inside),
        _ => Err(unreadable("a vector that is no list of numbers")),
    }
}

/// Rounds each number once, from its decimal text to the nearest 32-bit float. The text is valid
/// JSON, so every comma is a separator.
fn little_endian(listed: &str) -> Result<Vec<u8>, serde_json::Error> {
    let mut bytes = Vec::with_capacity(listed.len() / 2);
    for number in listed.split(',') {
        let number: f32 = number
            .trim_ascii()
            .parse()
            .map_err(|_| unreadable("a vector with a stranger in it"))?;
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    Ok(bytes)
}
