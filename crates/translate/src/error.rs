//! Client errors as values: the fault, its place in the request, and the remedy.

use std::borrow::Cow;

/// A request that cannot be translated. The fault is always the caller's: HTTP 400.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Invalid {
    /// Human-readable: the fault and what to send instead.
    pub message: Cow<'static, str>,
    /// Path of the field, such as `messages[2].content[0].image_url`.
    pub param: Option<String>,
    /// Machine-readable, such as `invalid_value`.
    pub code: &'static str,
}

impl Invalid {
    /// A value of the right type that is not acceptable.
    pub fn value(param: impl Into<String>, message: impl Into<Cow<'static, str>>) -> Self {
        Self { message: message.into(), param: Some(param.into()), code: "invalid_value" }
    }

    /// The same error with another code.
    #[must_use]
    pub fn with_code(mut self, code: &'static str) -> Self {
        self.code = code;
        self
    }
}
