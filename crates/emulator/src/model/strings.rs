//! Scalars within a schema's limits: lengths, ranges, formats and patterns.

use regex_lite::Regex;
use serde_json::{Number, Value};

use super::pattern;
use crate::json::text;

/// Whether a schema demands a string of a special form, not just words.
pub(super) fn is_special(schema: &Value) -> bool {
    schema.get("pattern").is_some()
        || matches!(
            text(schema, "format"),
            "date"
                | "date-time"
                | "time"
                | "email"
                | "uri"
                | "url"
                | "uuid"
                | "ipv4"
                | "hostname"
                | "duration"
        )
}

/// A string of that form: the first one in `said`, otherwise an example.
pub(super) fn special(schema: &Value, said: &str) -> String {
    let (expression, example) = match text(schema, "format") {
        "date" => (r"\d{4}-\d{2}-\d{2}", "2026-01-15"),
        "date-time" => (
            r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})",
            "2026-01-15T12:00:00Z",
        ),
        "time" => (r"\d{2}:\d{2}:\d{2}(Z|[+-]\d{2}:\d{2})", "12:00:00Z"),
        "email" => (r"[\w.+-]+@[\w-]+(\.[\w-]+)+", "someone@example.com"),
        "uri" | "url" => (r#"[a-z][a-z0-9+.-]*://[^\s"'<>)]+"#, "https://example.com/"),
        "uuid" => (
            r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}",
            "6fa459ea-ee8a-4ca4-894e-db77e160355e",
        ),
        "ipv4" => (r"\d{1,3}(\.\d{1,3}){3}", "192.0.2.1"),
        "hostname" => (r"[a-z0-9-]+(\.[a-z0-9-]+)+", "example.com"),
        "duration" => (r"P(\d+[YMWD])*(T(\d+[HMS])+)?", "P1D"),
        _ => return patterned(schema, said),
    };
    let found = Regex::new(expression).ok().and_then(|regex| regex.find(said));
    match found {
        Some(found) if !found.as_str().is_empty() => found.as_str().to_owned(),
        _ => example.to_owned(),
    }
}

/// Whether `value` respects every limit of `schema`.
pub(super) fn fits(schema: &Value, value: &str) -> bool {
    let length = u64::try_from(value.chars().count()).unwrap_or(u64::MAX);
    let bound = |key: &str| schema.get(key).and_then(Value::as_u64);
    let matches = match schema.get("pattern").and_then(Value::as_str) {
        Some(pattern) => Regex::new(pattern).is_ok_and(|regex| regex.is_match(value)),
        None => true,
    };
    let formed =
        !is_special(schema) || schema.get("pattern").is_some() || special(schema, value) == value;
    matches
        && formed
        && bound("minLength").is_none_or(|least| length >= least)
        && bound("maxLength").is_none_or(|most| length <= most)
}

/// `value` truncated or padded to the length that `schema` demands.
pub(super) fn fit(schema: &Value, value: String) -> String {
    let bound = |key: &str| {
        schema.get(key).and_then(Value::as_u64).and_then(|length| usize::try_from(length).ok())
    };
    let mut value = value;
    if value.is_empty() && bound("maxLength") != Some(0) {
        value.push_str("text");
    }
    if let Some(least) = bound("minLength") {
        let missing = least.min(100_000).saturating_sub(value.chars().count());
        value.extend(std::iter::repeat_n('.', missing));
    }
    if let Some(most) = bound("maxLength")
        && let Some((end, _)) = value.char_indices().nth(most)
    {
        value.truncate(end);
    }
    value
}

/// A number in the range of `schema`: `found` if it is one, moved into the range if necessary.
pub(super) fn number(schema: &Value, found: Option<&str>, integer: bool) -> Value {
    let bound = |key: &str| schema.get(key).and_then(Value::as_f64);
    let step = if integer { 1.0 } else { 0.001 };
    let least = bound("minimum").or_else(|| bound("exclusiveMinimum").map(|bound| bound + step));
    let most = bound("maximum").or_else(|| bound("exclusiveMaximum").map(|bound| bound - step));
    let start =
        found.and_then(|text| text.parse::<f64>().ok()).or_else(|| bound("default")).unwrap_or(1.0);
    // Beyond 53 bits a whole number would be written as a fraction.
    let mut value = if integer { start.trunc().clamp(-9e15, 9e15) } else { start };
    if let Some(most) = most {
        value = value.min(if integer { most.floor() } else { most });
    }
    if let Some(least) = least {
        value = value.max(if integer { least.ceil() } else { least });
    }
    if let Some(multiple) = bound("multipleOf").filter(|multiple| *multiple > 0.0) {
        let below = (value / multiple).floor() * multiple;
        value = if least.is_some_and(|least| below < least) { below + multiple } else { below };
    }
    // Whole numbers are written without a fraction, regardless of the schema's type.
    if value.fract() == 0.0 && value.abs() <= 9e15 {
        let whole = value as i64;
        return Value::from(whole);
    }
    Number::from_f64(value).map_or(Value::from(1), Value::Number)
}

fn patterned(schema: &Value, said: &str) -> String {
    let pattern = text(schema, "pattern");
    let regex = Regex::new(pattern).ok();
    let words =
        said.split_whitespace().map(|word| word.trim_matches(|c: char| ".,;:?!\"'`()".contains(c)));
    let found = words.filter(|word| !word.is_empty()).find(|word| {
        regex.as_ref().is_some_and(|regex| regex.is_match(word)) && fits(schema, word)
    });
    match found {
        Some(word) => word.to_owned(),
        None => pattern::example(pattern),
    }
}
