//! Texts that the request log must not keep, replaced in every string of a body.

use std::borrow::Cow;
use std::sync::Arc;

use regex::Regex;

/// What stands in place of a text.
const REDACTED: &str = "[redacted]";

/// Patterns by name.
const NAMED: &[(&str, &str)] = &[
    ("email", r"(?i)[a-z0-9._%+-]+@[a-z0-9.-]+\.[a-z]{2,}"),
    ("phone", r"\+?\d[\d ().-]{7,}\d"),
    ("card", r"\b(?:\d[ -]?){12,18}\d\b"),
    ("ip", r"\b(?:\d{1,3}\.){3}\d{1,3}\b"),
    ("aws_key", r"\b(?:AKIA|ASIA|ABSK)[A-Za-z0-9+/=_-]{12,}"),
    ("api_key", r"\bsk-[A-Za-z0-9_-]{16,}"),
];

/// A pattern, as the operator wrote it.
#[derive(Debug, Clone)]
pub(crate) struct RedactedPattern {
    pub(crate) written: String,
    regex: Regex,
}

impl RedactedPattern {
    /// A named pattern or a regular expression.
    ///
    /// # Errors
    /// It is neither.
    pub(crate) fn parse(written: &str) -> Result<Self, String> {
        let named = NAMED.iter().find(|(name, _)| *name == written).map(|(_, regex)| *regex);
        let regex = Regex::new(named.unwrap_or(written)).map_err(|error| error.to_string())?;
        if regex.is_match("") {
            return Err("it matches the empty text".to_owned());
        }
        Ok(Self { written: written.to_owned(), regex })
    }
}

/// All patterns of a request log.
#[derive(Debug, Clone, Default)]
pub(crate) struct Redaction(pub(crate) Arc<[RedactedPattern]>);

impl PartialEq for Redaction {
    fn eq(&self, other: &Self) -> bool {
        let written =
            |one: &Self| one.0.iter().map(|pattern| pattern.written.clone()).collect::<Vec<_>>();
        written(self) == written(other)
    }
}

impl Eq for Redaction {}

impl Redaction {
    /// The text without what the patterns match.
    pub(super) fn apply<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut text = Cow::Borrowed(text);
        for pattern in &*self.0 {
            if let Cow::Owned(replaced) = pattern.regex.replace_all(&text, REDACTED) {
                text = Cow::Owned(replaced);
            }
        }
        text
    }
}
