//! The requested format of an answer, kept verbatim beside the request to the model, so that the
//! answer is validated against the caller's own schema.

use std::sync::Arc;

/// The requested format of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// A JSON object with any members.
    Object,
    /// JSON that is valid against this JSON Schema, kept verbatim.
    Schema(Arc<str>),
}
