//! A request with a large image.

use serde_json::json;

/// A question about an image of a million bytes.
pub(crate) fn picture() -> String {
    let data = format!("data:image/png;base64,iVBORw0KGgoA{}", "AAAA".repeat(333_333));
    json!({ "model": "m", "messages": [{ "role": "user", "content": [
        { "type": "text", "text": "What is this?" },
        { "type": "image_url", "image_url": { "url": data } },
    ] }] })
    .to_string()
}
