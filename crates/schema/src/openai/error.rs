//! The error envelope. All four keys are always present: typed clients require them.

use serde::Serialize;

/// `{"error": {...}}`, as an HTTP body and as the last event of a broken stream.
#[derive(Debug, Clone, Serialize)]
pub struct Envelope<'a> {
    pub error: ErrorBody<'a>,
}

/// The error, for people (`message`) and for programs (`type`, `param`, `code`).
#[derive(Debug, Clone, Serialize)]
pub struct ErrorBody<'a> {
    pub message: &'a str,
    #[serde(rename = "type")]
    pub kind: &'a str,
    pub param: Option<&'a str>,
    pub code: Option<&'a str>,
}
