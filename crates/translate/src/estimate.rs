//! A rough token count, for models without a token counter. It errs towards more: four characters a
//! token, a few tokens a turn, media by their size.

use serde_json::Value;

/// Tokens of a message beside its content.
const TURN: u64 = 4;
/// Bytes of a media file that count as one token, and the fewest tokens of a media file.
const MEDIA_BYTES: usize = 750;
const LEAST_MEDIA: u64 = 85;

/// Tokens of a CountTokens body, of a request in Anthropic's form, or of any part of one.
pub fn tokens(value: &Value) -> u64 {
    match value {
        Value::Null => 0,
        Value::Bool(_) => 1,
        Value::Number(number) => of_text(&number.to_string()),
        Value::String(text) => of_text(text),
        Value::Array(values) => values.iter().map(tokens).sum(),
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| match (name.as_str(), value) {
                ("bytes", Value::String(data)) => of_media(data),
                // The base64 of an image in Anthropic's form.
                ("data", Value::String(data)) if members.contains_key("media_type") => {
                    of_media(data)
                }
                ("anthropic_version" | "max_tokens", _) => 0,
                ("role", _) => TURN,
                ("text", value) => tokens(value),
                ("cachePoint" | "input" | "converse" | "messages" | "content", value) => {
                    if name == "cachePoint" { 0 } else { tokens(value) }
                }
                (name, value) => of_text(name) + tokens(value),
            })
            .sum(),
    }
}

fn of_text(text: &str) -> u64 {
    u64::try_from(text.chars().count().div_ceil(4)).unwrap_or(u64::MAX)
}

/// `data` is base64: four characters are three bytes.
fn of_media(data: &str) -> u64 {
    u64::try_from(data.len() / 4 * 3 / MEDIA_BYTES).unwrap_or(u64::MAX).max(LEAST_MEDIA)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn text_counts_by_its_length_and_media_by_their_size() {
        let body = |content: Value| json!({ "input": { "converse": { "messages": [{ "role": "user", "content": content }] } } });
        assert_eq!(tokens(&body(json!([{ "text": "abcdefgh" }]))), TURN + 2);
        let cached = json!([{ "text": "abcdefgh" }, { "cachePoint": { "type": "default" } }]);
        assert_eq!(tokens(&body(cached)), TURN + 2);
        let image = |bytes: usize| json!([{ "image": { "format": "png", "source": { "bytes": "A".repeat(bytes) } } }]);
        let small = tokens(&body(image(4)));
        assert!(small > LEAST_MEDIA && small < 2 * LEAST_MEDIA);
        assert!(tokens(&body(image(4_000_000))) > 3_900);
    }

    #[test]
    fn a_request_in_a_models_own_form_counts_as_the_same_request() {
        let native = json!({ "anthropic_version": "bedrock-2023-05-31", "max_tokens": 1, "messages": [{ "role": "user", "content": "abcdefgh" }] });
        assert_eq!(tokens(&native), TURN + 2);
    }
}
