//! The error envelope of Anthropic's API.

use serde::Serialize;

/// `{"type": "error", "error": {...}, "request_id": ...}`.
#[derive(Debug, Clone, Serialize)]
pub struct Envelope<'a> {
    /// Always `error`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub error: ErrorBody<'a>,
    pub request_id: &'a str,
}

/// The error's kind, for programs, and its message, for people.
#[derive(Debug, Clone, Serialize)]
pub struct ErrorBody<'a> {
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub message: &'a str,
}

/// The kind of an error with this HTTP status.
pub fn kind_of(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        504 => "timeout_error",
        503 | 529 => "overloaded_error",
        400..=499 => "invalid_request_error",
        _ => "api_error",
    }
}
