//! The error envelope of Anthropic's API.

use serde::Serialize;

/// `{"type": "error", "error": {...}, "request_id": ...}`; events have no id.
#[derive(Debug, Clone, Serialize)]
pub struct Envelope<'a> {
    /// Always `error`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub error: ErrorBody<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<&'a str>,
}

/// The error's kind, for programs, and its message, for people.
#[derive(Debug, Clone, Serialize)]
pub struct ErrorBody<'a> {
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<ErrorDetails>,
}

/// Facts of an error that clients act on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ErrorDetails {
    /// The error among those of its kind.
    pub error_code: &'static str,
    /// The fields that are not supported.
    pub unsupported: &'static [&'static str],
}
