//! One record as a line of JSON: the facts of the access line, and `request` and `response`. A stream of events is
//! one object, in which the pieces of each text are joined: a pattern that must not be kept may span pieces.

use serde_json::{Map, Value};

use super::redact::Redaction;
use super::{Content, Exchange};

/// Longer texts without a space are media or ciphertext, of which the size is kept.
const OPAQUE: usize = 2 * 1024;
/// Members whose values are pieces of one text in the events of a stream.
const PIECES: &[&str] = &[
    "arguments",
    "content",
    "delta",
    "input",
    "partial_json",
    "reasoning",
    "reasoning_content",
    "refusal",
    "signature",
    "text",
    "thinking",
];
/// Data of the last event of OpenAI's streams.
const DONE: &str = "[DONE]";

/// Appends the line of a record.
pub(super) fn render(exchange: &Exchange, redact: &Redaction, lines: &mut String) {
    let Exchange { facts, request, response } = exchange;
    let (request, response) = (shown(request, redact), shown(response, redact));
    let time = access::Clock::default().now();
    lines.push_str(&format!(
        "{{\"time\":\"{time}\",{facts},\"request\":{request},\"response\":{response}}}\n"
    ));
}

/// A body as JSON.
fn shown(content: &Content, redact: &Redaction) -> Value {
    if content.size == 0 {
        return Value::Null;
    }
    let left_out = || Value::from(format!("[{} bytes]", content.size));
    if content.pieces.is_empty() {
        return left_out();
    }
    let body = content.pieces.concat();
    let Ok(text) = str::from_utf8(&body) else { return left_out() };
    let mut value = match serde_json::from_str(text) {
        Ok(value) => value,
        Err(_) if content.kind.starts_with("text/event-stream") => joined(text),
        Err(_) => Value::from(text),
    };
    redacted(&mut value, redact);
    value
}

/// The events of a stream as one object: of each member the last value, and of texts that come in pieces the whole.
fn joined(text: &str) -> Value {
    let mut whole = Value::Null;
    for line in text.lines() {
        let Some(data) = line.strip_prefix("data:").map(str::trim).filter(|data| *data != DONE)
        else {
            continue;
        };
        if let Ok(event) = serde_json::from_str(data) {
            join(&mut whole, event, "");
        }
    }
    whole
}

fn join(whole: &mut Value, part: Value, name: &str) {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => {
            for (name, value) in part {
                match whole.get_mut(&name) {
                    Some(old) => join(old, value, &name),
                    None => {
                        whole.insert(name, value);
                    }
                }
            }
        }
        (Value::Array(whole), Value::Array(part)) => {
            for (at, value) in part.into_iter().enumerate() {
                let at = value
                    .get("index")
                    .and_then(Value::as_u64)
                    .map_or(at, |index| usize::try_from(index).unwrap_or(at).min(whole.len()));
                match whole.get_mut(at) {
                    Some(old) => join(old, value, name),
                    None => whole.push(value),
                }
            }
        }
        (Value::String(whole), Value::String(part)) if PIECES.contains(&name) => {
            whole.push_str(&part);
        }
        (_, Value::Null) => {}
        (whole, part) => *whole = part,
    }
}

fn redacted(value: &mut Value, redact: &Redaction) {
    match value {
        Value::String(text) => {
            if text.len() > OPAQUE && !text.contains(' ') {
                *text = format!("[{} bytes]", text.len());
            } else if let std::borrow::Cow::Owned(replaced) = redact.apply(text) {
                *text = replaced;
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| redacted(value, redact)),
        Value::Object(members) => {
            let names: Vec<String> = members.keys().cloned().collect();
            for name in names {
                redact_member(members, &name, redact);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Redacts a member; its name too, which a caller may choose.
fn redact_member(members: &mut Map<String, Value>, name: &str, redact: &Redaction) {
    let Some(mut value) = members.remove(name) else { return };
    redacted(&mut value, redact);
    members.insert(redact.apply(name).into_owned(), value);
}
