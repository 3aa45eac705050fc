//! The client's mistakes, as values: what is wrong, where, and what to do.

use std::borrow::Cow;

/// A request that cannot be translated. Always the caller's to mend: HTTP 400.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Invalid {
    /// For people: what is wrong and what to send instead.
    pub message: Cow<'static, str>,
    /// Path of the field, such as `messages[2].content[0].image_url`.
    pub param: Option<String>,
    /// For programs, such as `invalid_value`.
    pub code: &'static str,
}

impl Invalid {
    /// A value that is of the right type and still cannot stand.
    pub fn value(param: impl Into<String>, message: impl Into<Cow<'static, str>>) -> Self {
        Self { message: message.into(), param: Some(param.into()), code: "invalid_value" }
    }

    /// The same complaint under a code of its own.
    #[must_use]
    pub fn with_code(mut self, code: &'static str) -> Self {
        self.code = code;
        self
    }
}
