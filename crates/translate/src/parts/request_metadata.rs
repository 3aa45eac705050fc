//! `requestMetadata`: keys by which AWS's invocation logs are searched. OpenAI's `metadata`, `user`
//! and `safety_identifier` go there, under AWS's rules: 16 pairs, 256 characters, a small alphabet.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schema::Str;
use serde_json::{Map, Value};

use crate::Report;

const MOST_PAIRS: usize = 16;
const MOST_CHARACTERS: usize = 256;
/// Replaces a character that AWS refuses.
const STAND_IN: char = '_';

/// The metadata fields of a request.
pub(crate) struct MetadataFields<'a> {
    pub(crate) user: Option<&'a str>,
    pub(crate) safety_identifier: Option<&'a str>,
    pub(crate) metadata: Option<&'a Map<String, Value>>,
    /// The metadata under AWS's own name.
    pub(crate) request_metadata: Option<&'a Map<String, Value>>,
}

/// The pairs that AWS accepts. The caller's identity comes first, then the pairs under AWS's own
/// name. Changed and dropped pairs are reported.
pub(crate) fn request_metadata<'a>(
    said: &MetadataFields<'a>,
    report: &mut Report,
) -> BTreeMap<Str<'a>, Str<'a>> {
    let mut pairs = BTreeMap::new();
    for (name, value) in [("user", said.user), ("safety_identifier", said.safety_identifier)] {
        if let Some(value) = value.filter(|value| !value.is_empty())
            && add(&mut pairs, name, Cow::Borrowed(value)) == Fit::Not
        {
            report.ignore(name);
        }
    }
    for (field, map) in [("request_metadata", said.request_metadata), ("metadata", said.metadata)] {
        for (key, value) in map.into_iter().flatten() {
            let fit = match value {
                Value::Null => continue,
                Value::String(text) => add(&mut pairs, key, Cow::Borrowed(text.as_str())),
                Value::Bool(_) | Value::Number(_) => {
                    add(&mut pairs, key, Cow::Owned(value.to_string()))
                }
                Value::Array(_) | Value::Object(_) => Fit::Not,
            };
            if fit == Fit::Not {
                report.ignore(&format!("{field}.{key}"));
            }
        }
    }
    pairs
}

/// Outcome for a pair: sent unchanged or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fit {
    Whole,
    /// It was changed or dropped.
    Not,
}

fn add<'a>(pairs: &mut BTreeMap<Str<'a>, Str<'a>>, key: &'a str, value: Cow<'a, str>) -> Fit {
    let (key, key_fit) = fitted(Cow::Borrowed(key));
    if key.is_empty() || pairs.len() == MOST_PAIRS || pairs.contains_key(&key) {
        return Fit::Not;
    }
    let (value, value_fit) = fitted(value);
    pairs.insert(key, value);
    if (key_fit, value_fit) == (Fit::Whole, Fit::Whole) { Fit::Whole } else { Fit::Not }
}

/// Text reduced to AWS's pattern `[a-zA-Z0-9\s:_@$#=/+,-.]{0,256}`.
fn fitted(text: Cow<'_, str>) -> (Str<'_>, Fit) {
    if text.len() <= MOST_CHARACTERS && text.chars().all(is_allowed) {
        let text = match text {
            Cow::Borrowed(text) => text.into(),
            Cow::Owned(text) => text.into(),
        };
        return (text, Fit::Whole);
    }
    let kept = text.chars().map(|c| if is_allowed(c) { c } else { STAND_IN });
    (kept.take(MOST_CHARACTERS).collect::<String>().into(), Fit::Not)
}

fn is_allowed(c: char) -> bool {
    c.is_ascii_alphanumeric() || c.is_ascii_whitespace() || ":_@$#=/+,-.".contains(c)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sent(metadata: &Value) -> (BTreeMap<String, String>, Vec<String>) {
        let mut report = Report::default();
        let said = MetadataFields {
            user: Some("auth0|7"),
            safety_identifier: Some("s-1"),
            metadata: metadata.as_object(),
            request_metadata: None,
        };
        let pairs = request_metadata(&said, &mut report);
        let pairs = pairs.iter().map(|(key, value)| (key.to_string(), value.to_string()));
        (pairs.collect(), report.ignored().to_vec())
    }

    #[test]
    fn allowed_metadata_is_sent_unchanged() {
        let (pairs, ignored) =
            sent(&json!({ "team": "a b:c@d", "n": 3, "on": true, "empty": "", "none": null }));
        let wanted = [
            ("empty", ""),
            ("n", "3"),
            ("on", "true"),
            ("safety_identifier", "s-1"),
            ("team", "a b:c@d"),
            ("user", "auth0_7"),
        ];
        let wanted = wanted.map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(pairs, BTreeMap::from(wanted));
        assert_eq!(ignored, ["user"]);
    }

    #[test]
    fn metadata_that_aws_refuses_is_changed_and_reported() {
        let mut metadata = Map::new();
        for (key, value) in [
            ("", json!("x")),
            ("grüße", json!("x")),
            ("long", json!("é".repeat(300))),
            ("list", json!([1])),
            ("user", json!("another")),
        ] {
            metadata.insert(key.to_owned(), value);
        }
        metadata.extend((0..20).map(|n| (format!("k{n}"), json!("v"))));
        let (pairs, ignored) = sent(&Value::Object(metadata));
        assert_eq!(pairs.len(), MOST_PAIRS);
        for (key, value) in &pairs {
            assert!((1..=256).contains(&key.len()) && value.len() <= 256, "{key}");
            assert!(key.chars().chain(value.chars()).all(is_allowed), "{key}: {value}");
        }
        assert_eq!(pairs["user"], "auth0_7", "who asks is not overwritten");
        for name in [
            "metadata.",
            "metadata.grüße",
            "metadata.long",
            "metadata.list",
            "metadata.user",
            "metadata.k19",
        ] {
            assert!(ignored.iter().any(|ignored| ignored == name), "{name}: {ignored:?}");
        }
    }
}
