//! An estimate of token counts: about four characters per token, the same for every operation.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;

use crate::json::items;

/// Tokens of a turn besides its content.
const TURN: u64 = 4;

/// Tokens of a text.
pub(crate) fn of_text(text: &str) -> u64 {
    u64::try_from(text.chars().count().div_ceil(4)).unwrap_or(u64::MAX)
}

/// Tokens of a whole Converse request.
pub(crate) fn of_request(body: &Value) -> u64 {
    let system: u64 = items(body, "system").iter().map(of_value).sum();
    let tools: u64 = body.get("toolConfig").map_or(0, of_value);
    let messages: u64 = items(body, "messages").iter().map(of_message).sum();
    system + tools + messages
}

/// Tokens of one message.
pub(crate) fn of_message(message: &Value) -> u64 {
    TURN + items(message, "content").iter().map(of_value).sum::<u64>()
}

/// Tokens of any part of a request; media count by their decoded size, not by their base64.
pub(crate) fn of_value(value: &Value) -> u64 {
    match value {
        Value::Null => 0,
        Value::Bool(_) => 1,
        Value::Number(number) => of_text(&number.to_string()),
        Value::String(text) => of_text(text),
        Value::Array(values) => values.iter().map(of_value).sum(),
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| match (name.as_str(), value.as_str()) {
                ("bytes", Some(data)) => of_media(data),
                ("cachePoint", _) => 0,
                ("text" | "name" | "format" | "status", Some(text)) => of_text(text),
                _ => 1 + of_value(value),
            })
            .sum(),
    }
}

/// Decoded size of base64 `data`, without decoding it.
pub(crate) fn decoded_len(data: &str) -> usize {
    let padding = data.bytes().rev().take_while(|byte| *byte == b'=').count();
    (data.len() / 4 * 3).saturating_sub(padding)
}

/// The decoded bytes, when they are valid base64.
pub(crate) fn decode(data: &str) -> Option<Vec<u8>> {
    STANDARD.decode(data).ok()
}

fn of_media(data: &str) -> u64 {
    u64::try_from(decoded_len(data) / 750).unwrap_or(u64::MAX).clamp(64, 1_600)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn four_characters_are_a_token_and_media_count_by_size() {
        assert_eq!(of_text(""), 0);
        assert_eq!(of_text("abcde"), 2);
        let body = json!({"messages": [{"role": "user", "content": [{"text": "abcdefgh"}]}]});
        assert_eq!(of_request(&body), 6);
        let image = json!({"image": {"format": "png", "source": {"bytes": "A".repeat(4_000_000)}}});
        assert!(of_value(&image) < 1_700);
        assert_eq!(decoded_len("aGVsbG8="), 5);
    }
}
