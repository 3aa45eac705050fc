//! Files that a request names by the ids of `/v1/files`: their content is put in their place, in the form that each
//! API has for content, so that such a request is like any other from then on.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::TryStreamExt as _;
use futures_util::stream::{self, StreamExt as _};
use memchr::memmem;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use translate::Invalid;

use crate::error::{FileRefusal, GatewayError};
use crate::file_store::{FileRecord, FileStore, is_file_id};
use crate::media::MediaSettings;

/// The beginning of an id as a JSON text.
const MARK: &[u8] = b"\"file-";
const ID: &str = "file_id";
/// Files that are read at a time.
const AT_ONCE: usize = 4;
/// Types by the ends of names.
const TYPES: [(&str, &str); 15] = [
    ("pdf", "application/pdf"),
    ("png", "image/png"),
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("gif", "image/gif"),
    ("webp", "image/webp"),
    ("txt", "text/plain"),
    ("md", "text/markdown"),
    ("csv", "text/csv"),
    ("html", "text/html"),
    ("doc", "application/msword"),
    ("docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    ("xls", "application/vnd.ms-excel"),
    ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    ("json", "application/json"),
];
const NO_TYPE: &str = "application/octet-stream";

/// A file that was read.
struct ReadFile {
    filename: String,
    media_type: String,
    content: Bytes,
}

/// The body with the content of the files that it names; absent where it names none.
///
/// # Errors
/// The caller has no such file, or they are too many or too large together.
pub(super) async fn filled(
    body: &Bytes,
    files: &FileStore,
    limits: &MediaSettings,
) -> Result<Option<Bytes>, GatewayError> {
    if memmem::find(body, MARK).is_none() {
        return Ok(None);
    }
    // What is no JSON is refused by the reader of requests, which knows its place.
    let Ok(mut request) = serde_json::from_slice::<Value>(body) else { return Ok(None) };
    let mut ids = BTreeMap::new();
    visit(&mut request, &mut |_, id, _| {
        ids.insert(id.to_owned(), ());
        Ok(())
    })?;
    if ids.is_empty() {
        return Ok(None);
    }
    if ids.len() > limits.max_urls {
        let message = format!("A request names {} files at most here.", limits.max_urls);
        return Err(Invalid::value(ID, message).into());
    }
    let read = stream::iter(ids.keys()).map(|id| read(files, id, limits.max_mib.bytes()));
    let read: Vec<ReadFile> = read.buffered(AT_ONCE).try_collect().await?;
    let total: usize = read.iter().map(|file| file.content.len()).sum();
    if total > limits.max_mib.bytes() {
        return Err(too_large(limits.max_mib.bytes()));
    }
    let read: BTreeMap<&str, ReadFile> = ids.keys().map(String::as_str).zip(read).collect();
    visit(&mut request, &mut |member, id, place| match read.get(id) {
        Some(file) => put(member, file, place),
        None => Ok(()),
    })?;
    let filled = serde_json::to_vec(&request);
    let filled = filled.map_err(|error| GatewayError::Internal(error.to_string()))?;
    Ok(Some(filled.into()))
}

async fn read(files: &FileStore, id: &str, longest: usize) -> Result<ReadFile, GatewayError> {
    let FileRecord { filename, content_type, bytes, .. } = files.find(id).await?;
    if bytes > longest as u64 {
        return Err(too_large(longest));
    }
    let content = files.open(id, None).await?.bytes(longest).await.map_err(FileRefusal::from)?;
    let ending = filename.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
    let by_name = TYPES.iter().find(|(known, _)| ending.as_deref() == Some(known));
    let declared = content_type.filter(|declared| declared != NO_TYPE);
    let media_type = by_name.map(|(_, kind)| (*kind).to_owned()).or(declared);
    Ok(ReadFile { filename, media_type: media_type.unwrap_or_else(|| NO_TYPE.to_owned()), content })
}

fn too_large(longest: usize) -> GatewayError {
    let message = format!("The files of a request have {longest} bytes together at most here.");
    Invalid::value(ID, message).into()
}

/// The kinds of objects that name files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Member {
    /// `file` of a part of a chat message.
    ChatFile,
    /// An `input_file` of responses.
    InputFile,
    /// An `input_image` of responses.
    InputImage,
    /// A `source` of Anthropic's, in a document.
    Document,
    /// The same in an image.
    Image,
}

type Found<'f> = dyn FnMut(Member, &str, &mut Map<String, Value>) -> Result<(), Invalid> + 'f;

/// Finds every object that names a file of the store.
fn visit(value: &mut Value, found: &mut Found<'_>) -> Result<(), Invalid> {
    match value {
        Value::Array(items) => items.iter_mut().try_for_each(|item| visit(item, found)),
        Value::Object(members) => {
            let kind = members.get("type").and_then(Value::as_str).unwrap_or_default();
            let place = match kind {
                "file" if members.contains_key("file") => Some((Member::ChatFile, "file")),
                "document" => Some((Member::Document, "source")),
                "image" => Some((Member::Image, "source")),
                _ => None,
            };
            let own = match kind {
                "input_file" => Some(Member::InputFile),
                "input_image" => Some(Member::InputImage),
                _ => None,
            };
            if let Some(member) = own {
                named(member, members, found)?;
            }
            if let Some((member, name)) = place
                && let Some(Value::Object(below)) = members.get_mut(name)
            {
                named(member, below, found)?;
            }
            members.values_mut().try_for_each(|value| visit(value, found))
        }
        _ => Ok(()),
    }
}

fn named(
    member: Member,
    place: &mut Map<String, Value>,
    found: &mut Found<'_>,
) -> Result<(), Invalid> {
    let id = place.get(ID).and_then(Value::as_str).filter(|id| is_file_id(id));
    match id.map(ToOwned::to_owned) {
        Some(id) => found(member, &id, place),
        None => Ok(()),
    }
}

/// Puts the content of a file where its id stands.
fn put(member: Member, file: &ReadFile, place: &mut Map<String, Value>) -> Result<(), Invalid> {
    let ReadFile { filename, media_type, content } = file;
    let url = || format!("data:{media_type};base64,{}", STANDARD.encode(content));
    place.shift_remove(ID);
    match member {
        Member::ChatFile | Member::InputFile => {
            place.entry("filename").or_insert_with(|| json!(filename));
            place.insert("file_data".into(), json!(url()));
        }
        Member::InputImage => {
            place.insert("image_url".into(), json!(url()));
        }
        Member::Document if media_type.starts_with("text/") => {
            let text = std::str::from_utf8(content)
                .map_err(|_| Invalid::value(ID, "A document of text is not UTF-8."))?;
            place.insert("type".into(), json!("text"));
            place.insert("media_type".into(), json!("text/plain"));
            place.insert("data".into(), json!(text));
        }
        Member::Document | Member::Image => {
            place.insert("type".into(), json!("base64"));
            place.insert("media_type".into(), json!(media_type));
            place.insert("data".into(), json!(STANDARD.encode(content)));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &str = "file-0123456789abcdef0123456789abcdef";

    #[test]
    fn each_api_gets_content_in_its_own_form() {
        let pdf = ReadFile {
            filename: "a.pdf".to_owned(),
            media_type: "application/pdf".to_owned(),
            content: Bytes::from_static(b"%PDF"),
        };
        let data = "data:application/pdf;base64,JVBERg==";
        for (sent, expected) in [
            (
                json!({ "type": "file", "file": { "file_id": KNOWN } }),
                json!({ "type": "file", "file": { "filename": "a.pdf", "file_data": data } }),
            ),
            (
                json!([{ "type": "input_file", "file_id": KNOWN, "filename": "own.pdf" }]),
                json!([{ "type": "input_file", "filename": "own.pdf", "file_data": data }]),
            ),
            (
                json!({ "type": "input_image", "detail": "low", "file_id": KNOWN }),
                json!({ "type": "input_image", "detail": "low", "image_url": data }),
            ),
            (
                json!({ "type": "document", "source": { "type": "file", "file_id": KNOWN } }),
                json!({ "type": "document", "source": {
                    "type": "base64", "media_type": "application/pdf", "data": "JVBERg==",
                } }),
            ),
            (
                json!({ "type": "text", "text": KNOWN, "file_id": KNOWN }),
                json!({ "type": "text", "text": KNOWN, "file_id": KNOWN }),
            ),
            (
                json!({ "type": "file", "file": { "file_id": "https://example.com/a.pdf" } }),
                json!({ "type": "file", "file": { "file_id": "https://example.com/a.pdf" } }),
            ),
        ] {
            let mut request = json!({ "messages": [{ "content": [sent] }] });
            visit(&mut request, &mut |member, id, place| {
                assert_eq!(id, KNOWN);
                put(member, &pdf, place)
            })
            .unwrap();
            assert_eq!(request, json!({ "messages": [{ "content": [expected] }] }));
        }
        let text = ReadFile {
            filename: "a.md".to_owned(),
            media_type: "text/markdown".to_owned(),
            content: Bytes::from_static(b"# Granite"),
        };
        let mut request =
            json!({ "type": "document", "source": { "type": "file", "file_id": KNOWN } });
        visit(&mut request, &mut |member, _, place| put(member, &text, place)).unwrap();
        let source = json!({ "type": "text", "media_type": "text/plain", "data": "# Granite" });
        assert_eq!(request["source"], source);
    }
}
