//! Parses JSON bodies into typed requests. The path of a wrong field is determined only after a
//! failure: a valid request is parsed once, without tracking.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::error::Category;

use crate::error::GatewayError;

/// Longest part of a parse error that is quoted, in bytes.
const QUOTED: usize = 300;

/// A body that is not a valid request: the field and the kind of the mistake.
#[derive(Debug)]
pub(crate) struct Mistake {
    message: String,
    param: Option<String>,
    code: Option<&'static str>,
}

impl From<Mistake> for GatewayError {
    fn from(Mistake { message, param, code }: Mistake) -> Self {
        Self::Json { message, param, code }
    }
}

/// Parses a body; an error names the field (`param`) and the kind of mistake (`code`).
pub(crate) fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Mistake> {
    serde_json::from_slice(body).map_err(|error| explain::<T>(body, &error))
}

fn explain<'a, T: Deserialize<'a>>(body: &'a [u8], error: &serde_json::Error) -> Mistake {
    match error.classify() {
        Category::Io | Category::Syntax | Category::Eof => Mistake {
            message: format!("The body of the request is not valid JSON: {error}."),
            param: None,
            code: None,
        },
        Category::Data => {
            let mut deserializer = serde_json::Deserializer::from_slice(body);
            let path = serde_path_to_error::deserialize::<_, T>(&mut deserializer)
                .err()
                .map(|error| error.path().to_string())
                .filter(|path| path != ".");
            mistake(&error.to_string(), path)
        }
    }
}

fn mistake(text: &str, path: Option<String>) -> Mistake {
    // serde_json ends its messages with the position, which a JSON client cannot use.
    let text = text.rsplit_once(" at line ").map_or(text, |(text, _)| text);
    // The text may quote a value in full, and the value may be very long.
    let text = &text[..text.floor_char_boundary(QUOTED)];
    let quoted = |prefix| text.strip_prefix(prefix)?.strip_suffix('`');
    let below = |field: &str| match &path {
        Some(path) => format!("{path}.{field}"),
        None => field.to_owned(),
    };
    let (missing, twice) = (quoted("missing field `"), quoted("duplicate field `"));
    let (param, code) = match (missing, twice) {
        (Some(field), _) => (Some(below(field)), "missing_required_parameter"),
        (None, Some(field)) => (Some(below(field)), "invalid_value"),
        (None, None) if text.starts_with("invalid type") => (path, "invalid_type"),
        (None, None) => (path, "invalid_value"),
    };
    let text = in_words_of_json(text);
    let message = match &param {
        Some(param) => format!("Invalid request at '{param}': {text}."),
        None => format!("Invalid request: {text}."),
    };
    Mistake { message, param, code: Some(code) }
}

/// Rewrites serde's type names in JSON's terms, for callers of other languages.
fn in_words_of_json(text: &str) -> Cow<'_, str> {
    let told = text.strip_prefix("invalid type: ").and_then(|rest| rest.rsplit_once(", expected "));
    let Some((found, expected)) = told else { return Cow::Borrowed(text) };
    let found = match found {
        "map" => "object",
        "sequence" => "array",
        other => other,
    };
    let expected = match expected {
        "a sequence" => "an array",
        "a map" => "an object",
        "f64" => "a number",
        other if other.starts_with("struct ") => "an object",
        other => other,
    };
    Cow::Owned(format!("invalid type: {found}, expected {expected}"))
}

#[cfg(test)]
mod tests {
    use schema::openai::chat::ChatRequest;

    use super::*;

    #[test]
    fn a_mistake_names_its_field() {
        for (body, param, code) in [
            ("{", None, None),
            ("", None, None),
            ("[]", None, Some("invalid_type")),
            ("{}", Some("model"), Some("missing_required_parameter")),
            (r#"{"model":"m"}"#, Some("messages"), Some("missing_required_parameter")),
            (r#"{"model":1,"messages":[]}"#, Some("model"), Some("invalid_type")),
            (
                r#"{"model":"m","messages":[{"role":"wizard"}]}"#,
                Some("messages[0].role"),
                Some("invalid_value"),
            ),
            (
                r#"{"model":"m","messages":[{"role":"user","content":[{"type":"text"}]}]}"#,
                Some("messages[0].content[0].text"),
                Some("missing_required_parameter"),
            ),
            (r#"{"model":"m","messages":[],"stop":[1]}"#, Some("stop[0]"), Some("invalid_type")),
            (r#"{"model":"m","model":"m","messages":[]}"#, Some("model"), Some("invalid_value")),
        ] {
            match parse::<ChatRequest<'_>>(body.as_bytes()) {
                Err(Mistake { param: found, code: found_code, .. }) => {
                    assert_eq!((found.as_deref(), found_code), (param, code), "{body}");
                }
                other => panic!("{body}: {other:?}"),
            }
        }
    }

    #[test]
    fn types_are_named_in_json_terms() {
        for (body, told) in [
            (r#"{"model":"m","messages":{}}"#, "invalid type: object, expected an array"),
            (r#"{"model":"m","messages":[],"top_p":"x"}"#, r#"string "x", expected a number"#),
            (r#"{"model":"m","messages":[],"max_tokens":1.5}"#, "`1.5`, expected an integer"),
            (
                r#"{"model":"m","messages":[],"thinking":"on"}"#,
                r#"string "on", expected an object"#,
            ),
        ] {
            match parse::<ChatRequest<'_>>(body.as_bytes()) {
                Err(Mistake { message, .. }) => {
                    assert!(message.contains(told), "{message}");
                }
                other => panic!("{body}: {other:?}"),
            }
        }
    }

    #[test]
    fn tracked_fields_may_hold_raw_json() {
        let body = r#"{"model":"m","messages":[],"tools":[{"type":"function","function":{"name":"f","parameters":{"b":1,"a":2}}}],"seed":"x"}"#;
        match parse::<ChatRequest<'_>>(body.as_bytes()) {
            Err(Mistake { param, .. }) => assert_eq!(param.as_deref(), Some("seed")),
            other => panic!("{other:?}"),
        }
    }
}
