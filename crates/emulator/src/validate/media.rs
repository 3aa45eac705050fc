//! Images, documents, video and audio: permitted roles and models, and agreement of content and declared
//! format.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Place, blocks};
use crate::{
    error::Refusal,
    json::{items, text},
    model::tokens,
    models::{Family, Model},
};

const KINDS: [(&str, char); 4] =
    [("image", 'i'), ("document", 'd'), ("video", 'v'), ("audio", 'a')];
const IMAGE_BYTES: usize = 3_932_160;
const DOCUMENT_BYTES: usize = 4_718_592;

/// Checks all media of a request.
pub(super) fn check(model: &Model, body: &Value) -> Result<(), Refusal> {
    let messages = items(body, "messages");
    for place in blocks(body) {
        let role = messages.get(place.message).map(|message| text(message, "role"));
        let path = place.path();
        one(model, place.content, &path, role == Some("user"))?;
        let result = place.content.get("toolResult").map(|result| items(result, "content"));
        for (index, part) in result.unwrap_or_default().iter().enumerate() {
            one(model, part, &format!("{path}.toolResult.content.{index}"), true)?;
        }
    }
    messages.iter().try_for_each(counts)?;
    names(body)
}

fn one(model: &Model, block: &Value, path: &str, from_user: bool) -> Result<(), Refusal> {
    for (kind, medium) in KINDS {
        let Some(content) = block.get(kind) else { continue };
        if !model.sees(medium) {
            return Err(Refusal::validation(format!(
                "This model doesn't support the {kind} content block that you provided. Update the content block and try again."
            )));
        }
        if !from_user {
            return Err(Refusal::validation(format!(
                "The {kind} content block at {path} is only supported in a message with the user role. Update the role and try again."
            )));
        }
        source(model, kind, content, path)?;
    }
    Ok(())
}

fn source(model: &Model, kind: &str, content: &Value, path: &str) -> Result<(), Refusal> {
    let source = content.get("source").unwrap_or(&Value::Null);
    // Claude reads documents from S3 but no images, as recorded.
    let stored = source.get("s3Location").is_some() && kind != "document";
    if stored && model.family != Family::Nova {
        return Err(Refusal::validation(
            "This model doesn't support the s3Uri field. Remove s3Uri and try again.",
        ));
    }
    let Some(data) = source.get("bytes").and_then(Value::as_str) else { return Ok(()) };
    if data.is_empty() {
        return Err(Refusal::validation(format!(
            "The bytes field in the source at {path}.{kind} is empty. Add content and try again."
        )));
    }
    let (limit, unit) = match kind {
        "image" => (IMAGE_BYTES, "image"),
        "document" => (DOCUMENT_BYTES, "document"),
        _ => return Ok(()),
    };
    if tokens::decoded_len(data) > limit {
        return Err(Refusal::from_model(&format!(
            "{path}: {unit} exceeds the maximum size of {limit} bytes"
        )));
    }
    if kind == "image" { format_matches(content, data, path) } else { Ok(()) }
}

fn format_matches(content: &Value, data: &str, path: &str) -> Result<(), Refusal> {
    let declared = text(content, "format");
    // The first bytes are sufficient; decoding megabytes would be waste.
    let head = data.get(..data.len().min(24)).and_then(tokens::decode).unwrap_or_default();
    match sniff(&head) {
        Some(found) if found == declared => Ok(()),
        Some(found) => Err(Refusal::from_model(&format!(
            "{path}.image.source.base64: The image was specified using the image/{declared} media type, but the image appears to be a image/{found} image"
        ))),
        None => Err(Refusal::from_model("Could not process image")),
    }
}

fn sniff(head: &[u8]) -> Option<&'static str> {
    match head {
        [0x89, b'P', b'N', b'G', ..] => Some("png"),
        [0xff, 0xd8, 0xff, ..] => Some("jpeg"),
        [b'G', b'I', b'F', b'8', ..] => Some("gif"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("webp"),
        _ => None,
    }
}

fn counts(message: &Value) -> Result<(), Refusal> {
    let content = items(message, "content");
    let count = |kind: &str| content.iter().filter(|block| block.get(kind).is_some()).count();
    if count("image") > 20 {
        return Err(Refusal::validation("Too many images in a message. The maximum is 20."));
    }
    if count("document") > 5 {
        return Err(Refusal::validation("Too many documents in a message. The maximum is 5."));
    }
    if count("document") > 0 && count("text") + count("toolResult") == 0 {
        return Err(Refusal::validation(
            "A message with a document must also have a text block. Add a text block and try again.",
        ));
    }
    Ok(())
}

fn names(body: &Value) -> Result<(), Refusal> {
    let mut seen = BTreeSet::new();
    for Place { content, .. } in blocks(body) {
        let Some(document) = content.get("document") else { continue };
        let name = text(document, "name");
        let allowed = |c: char| c.is_ascii_alphanumeric() || " -_()[]".contains(c);
        let fits = (1..=200).contains(&name.len()) && name.chars().all(allowed);
        if !fits || name.contains("  ") {
            return Err(Refusal::validation(
                "The document name can only contain alphanumeric characters, whitespace characters, hyphens, parentheses, and square brackets. The name can't contain more than one consecutive whitespace character.",
            ));
        }
        if !seen.insert(name) {
            return Err(Refusal::validation(format!(
                "Duplicate document names are not allowed: {name}. Update the name and try again."
            )));
        }
    }
    Ok(())
}
