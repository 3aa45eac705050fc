//! Forms (`multipart/form-data`) as JSON, so that the parsers of JSON read both: fields become members, and files
//! objects with their content in base64, which is how Bedrock's bodies hold it.

use std::borrow::Cow;

use actix_web::HttpRequest;
use actix_web::http::header::{CONTENT_TYPE, HeaderMap};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use memchr::memmem;
use translate::Invalid;

use crate::error::GatewayError;
use crate::offload::Offload;

pub(crate) mod stream;

const MULTIPART: &str = "multipart/form-data";
/// Most parts of a form, and the longest headers of one, in bytes.
const PARTS: usize = 128;
const HEADERS: usize = 8 * 1024;
const BLANK_LINE: &[u8] = b"\r\n\r\n";

/// Whether a body is declared as a form.
pub(crate) fn is_form(headers: &HeaderMap) -> bool {
    declared(headers).is_some()
}

/// The body of a request as JSON, if it is a form and its API takes forms. `scalars` names the fields that are
/// numbers or truth values.
///
/// # Errors
/// The form cannot be read.
pub(crate) async fn as_json(
    http: &HttpRequest,
    body: Bytes,
    scalars: Option<&'static [&'static str]>,
    offload: &Offload,
) -> Result<Bytes, GatewayError> {
    let (Some(scalars), Some(declared)) = (scalars, declared(http.headers())) else {
        return Ok(body);
    };
    let boundary = parameter(declared, "boundary").map(Cow::into_owned);
    let length = body.len();
    let written = async move {
        let boundary = boundary.ok_or_else(|| broken("its content type names no boundary"))?;
        Ok::<_, Invalid>(written(&parts(&body, &boundary)?, scalars))
    };
    Ok(offload.run(length, written).await??.into())
}

pub(crate) fn declared(headers: &HeaderMap) -> Option<&str> {
    let declared = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let essence = declared.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case(MULTIPART).then_some(declared)
}

fn broken(how: &str) -> Invalid {
    let message = format!("The form in the request's body cannot be read: {how}.");
    Invalid { message: message.into(), param: None, code: "invalid_body" }
}

/// One part of a form.
#[derive(Debug, PartialEq, Eq)]
struct Part<'b> {
    name: Cow<'b, str>,
    /// The name of a file; a part without one is a field.
    filename: Option<Cow<'b, str>>,
    content_type: Option<&'b str>,
    content: &'b [u8],
}

/// The parts of a form, in order.
fn parts<'b>(body: &'b [u8], boundary: &str) -> Result<Vec<Part<'b>>, Invalid> {
    let delimiter = format!("\r\n--{boundary}");
    let (delimiter, first) = (delimiter.as_bytes(), delimiter.trim_start().as_bytes());
    // The first delimiter may begin the body, or follow a preamble.
    let mut rest = match body.strip_prefix(first) {
        Some(rest) => rest,
        None => {
            after(body, delimiter).ok_or_else(|| broken("its boundary does not occur in it"))?
        }
    };
    let finder = memmem::Finder::new(delimiter);
    let mut parts = Vec::new();
    while !rest.starts_with(b"--") {
        if parts.len() == PARTS {
            return Err(broken("it has too many parts"));
        }
        let whole = after(rest, b"\r\n").ok_or_else(|| broken("a boundary is cut off"))?;
        let end = finder.find(whole).ok_or_else(|| broken("its last part is not ended"))?;
        let (part, next) = (&whole[..end], &whole[end + delimiter.len()..]);
        parts.push(self::part(part)?);
        rest = next;
    }
    Ok(parts)
}

fn after<'b>(body: &'b [u8], found: &[u8]) -> Option<&'b [u8]> {
    body.get(memmem::find(body, found)? + found.len()..)
}

fn part(part: &[u8]) -> Result<Part<'_>, Invalid> {
    let length = memmem::find(part, BLANK_LINE).filter(|length| *length <= HEADERS);
    let length = length.ok_or_else(|| broken("a part has no headers"))?;
    let headers = std::str::from_utf8(&part[..length])
        .map_err(|_| broken("the headers of a part are not UTF-8"))?;
    let header = |wanted: &str| {
        let mut lines = headers.split("\r\n").filter_map(|line| line.split_once(':'));
        lines.find_map(|(name, value)| {
            name.trim().eq_ignore_ascii_case(wanted).then_some(value.trim())
        })
    };
    let disposition = header("content-disposition").unwrap_or_default();
    let name = parameter(disposition, "name").ok_or_else(|| broken("a part has no name"))?;
    Ok(Part {
        name,
        filename: parameter(disposition, "filename"),
        content_type: header("content-type"),
        content: &part[length + BLANK_LINE.len()..],
    })
}

/// A parameter of a header's value, quoted or not.
fn parameter<'h>(value: &'h str, wanted: &str) -> Option<Cow<'h, str>> {
    let mut rest = value.split_once(';')?.1;
    loop {
        let (name, after) = rest.split_once('=')?;
        let (value, next) = match after.trim_start().strip_prefix('"') {
            Some(quoted) => unquoted(quoted)?,
            None => {
                let end = after.find(';').unwrap_or(after.len());
                (Cow::Borrowed(after[..end].trim()), &after[end..])
            }
        };
        if name.trim_start_matches([';', ' ', '\t']).trim_end().eq_ignore_ascii_case(wanted) {
            return Some(value);
        }
        rest = next;
    }
}

/// A quoted text whose first quote was read, and what follows its last. Browsers write a quote in it as `%22`,
/// others as `\"`.
fn unquoted(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let mut escaped = false;
    let end = text.char_indices().find(|(_, c)| {
        let is_end = *c == '"' && !escaped;
        escaped = *c == '\\' && !escaped;
        is_end
    });
    let (end, _) = end?;
    let (value, rest) = (&text[..end], &text[end + 1..]);
    let value = match value.contains("\\\"") || value.contains("%22") {
        true => Cow::Owned(value.replace("\\\"", "\"").replace("%22", "\"")),
        false => Cow::Borrowed(value),
    };
    Some((value, rest))
}

/// The name of a field, and whether it is one of a list: `image[]` and `image[0]` are.
fn listed(name: &str) -> (&str, bool) {
    match name.strip_suffix(']').and_then(|name| name.split_once('[')) {
        Some((list, index)) if index.bytes().all(|byte| byte.is_ascii_digit()) => (list, true),
        Some(_) | None => (name, false),
    }
}

/// The parts as the members of a JSON object. Repeated fields are lists.
fn written(parts: &[Part<'_>], scalars: &[&str]) -> Vec<u8> {
    let content: usize = parts.iter().map(|part| part.content.len()).sum();
    let mut text = String::with_capacity(content / 3 * 4 + 64 * (parts.len() + 1));
    let mut done: Vec<&str> = Vec::with_capacity(parts.len());
    text.push('{');
    for part in parts {
        let (name, in_list) = listed(&part.name);
        if done.contains(&name) {
            continue;
        }
        if !done.is_empty() {
            text.push(',');
        }
        done.push(name);
        quoted(&mut text, name);
        text.push(':');
        let mut same = parts.iter().filter(|other| listed(&other.name).0 == name).peekable();
        let _own = same.next();
        match in_list || same.peek().is_some() {
            false => value(&mut text, part, scalars.contains(&name)),
            true => {
                text.push('[');
                value(&mut text, part, scalars.contains(&name));
                for other in same {
                    text.push(',');
                    value(&mut text, other, scalars.contains(&name));
                }
                text.push(']');
            }
        }
    }
    text.push('}');
    text.into_bytes()
}

fn value(text: &mut String, part: &Part<'_>, is_scalar: bool) {
    if let Some(filename) = &part.filename {
        text.push_str("{\"filename\":");
        quoted(text, filename);
        if let Some(content_type) = part.content_type {
            text.push_str(",\"content_type\":");
            quoted(text, content_type);
        }
        text.push_str(",\"data\":\"");
        STANDARD.encode_string(part.content, text);
        text.push_str("\"}");
        return;
    }
    let content = String::from_utf8_lossy(part.content);
    let is_written = is_scalar
        && (matches!(content.as_ref(), "true" | "false")
            || serde_json::from_str::<serde_json::Number>(&content).is_ok());
    match is_written {
        true => text.push_str(&content),
        false => quoted(text, &content),
    }
}

fn quoted(text: &mut String, value: &str) {
    // A text is always JSON.
    text.push_str(&serde_json::to_string(value).unwrap_or_else(|_| "\"\"".to_owned()));
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(body: &str, scalars: &[&str]) -> Result<Value, Invalid> {
        let body = body.replace('\n', "\r\n");
        let written = written(&parts(body.as_bytes(), "B")?, scalars);
        Ok(serde_json::from_slice(&written).unwrap())
    }

    fn field(name: &str, value: &str) -> String {
        format!("--B\nContent-Disposition: form-data; name=\"{name}\"\n\n{value}\n")
    }

    #[test]
    fn fields_are_texts_and_files_are_objects() {
        let file = "--B\ncontent-disposition: form-data; name=file; filename=\"a \\\"b\\\" %22c%22.wav\"\nContent-Type: audio/wav\n\n\u{0}--B\nx\n";
        let form = format!(
            "preamble\n{}{file}{}--B--\nepilogue",
            field("model", "5"),
            field("é\"", "a\"\\")
        );
        // The name of the last field ends at its quote.
        let read = read(&form, &["temperature"]).unwrap();
        assert_eq!(read["model"], "5");
        assert_eq!(read["file"]["filename"], "a \"b\" \"c\".wav");
        assert_eq!(read["file"]["content_type"], "audio/wav");
        let data = STANDARD.decode(read["file"]["data"].as_str().unwrap()).unwrap();
        assert_eq!(data, b"\x00--B\r\nx");
        assert_eq!(read["é"], "a\"\\");
    }

    #[test]
    fn named_fields_are_numbers_or_truth_values() {
        let form =
            [field("t", "0.5"), field("s", "true"), field("n", "x"), field("o", "1")].concat();
        let read = read(&format!("{form}--B--"), &["t", "s", "n"]).unwrap();
        assert_eq!(read, json!({ "t": 0.5, "s": true, "n": "x", "o": "1" }));
    }

    #[test]
    fn repeated_fields_are_lists() {
        let names = ["image[]", "a", "image[]", "b[0]", "c[type]", "d", "d"];
        let form: String = names.iter().map(|name| field(name, name)).collect();
        let read = read(&format!("{form}--B--"), &[]).unwrap();
        assert_eq!(
            read,
            json!({ "image": ["image[]", "image[]"], "a": "a", "b": ["b[0]"], "c[type]": "c[type]", "d": ["d", "d"] })
        );
    }

    #[test]
    fn broken_forms_are_refused() {
        let many: String = (0..=PARTS).map(|at| field(&at.to_string(), "")).collect();
        for body in [
            "",
            "no boundary",
            "--B",
            "--B\nContent-Disposition: form-data; name=\"a\"\n\nnot ended",
            "--B\n\n\n--B--",
            "--B\nContent-Disposition: form-data\n\nx\n--B--",
            &format!("{many}--B--"),
        ] {
            let refused = read(body, &[]).unwrap_err();
            assert_eq!((refused.param, refused.code), (None, "invalid_body"), "{body}");
        }
        assert_eq!(read("--B--", &[]).unwrap(), json!({}));
    }

    #[test]
    fn boundaries_are_read_as_clients_write_them() {
        for (value, expected) in [
            ("multipart/form-data; boundary=abc", Some("abc")),
            ("multipart/form-data; charset=utf-8; Boundary=\"a b\"", Some("a b")),
            ("multipart/form-data;boundary=abc;x=y", Some("abc")),
            ("multipart/form-data", None),
            ("multipart/form-data; boundary", None),
        ] {
            assert_eq!(parameter(value, "boundary").as_deref(), expected, "{value}");
        }
    }
}
