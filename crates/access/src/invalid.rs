//! Refusals of values that a caller sent to be stored.

/// A value that cannot be stored, with the field it stands in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct InvalidField {
    /// The field's name in the request.
    pub param: &'static str,
    /// The reason, for the caller. It never repeats a key.
    pub message: String,
}

impl InvalidField {
    pub(crate) fn new(param: &'static str, message: impl Into<String>) -> Self {
        Self { param, message: message.into() }
    }
}
