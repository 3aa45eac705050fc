//! Validation of streamed answers, at their end. The client has seen the answer by then: a mismatch is
//! reported in its last event, or the stream ends in an error.

use super::{Criterion, OnMismatch, Reasons, ValidationResult};
use crate::error::GatewayError;

/// Validates the answers of a stream.
#[derive(Debug)]
pub(crate) struct StreamValidator {
    criterion: Criterion,
    on_mismatch: OnMismatch,
}

impl StreamValidator {
    pub(crate) fn new(criterion: Criterion, on_mismatch: OnMismatch) -> Self {
        Self { criterion, on_mismatch }
    }

    /// Validates a finished answer, and returns the word for its last event: none for a valid one.
    ///
    /// # Errors
    /// The answer does not match, and the operator has such answers refused.
    pub(crate) async fn judge(&self, answer: &str) -> Result<Option<&'static str>, GatewayError> {
        let result = self.criterion.judge(answer, Reasons::Unread).await;
        match (&result, self.on_mismatch) {
            (ValidationResult::Valid, _) => Ok(None),
            (ValidationResult::Mismatch(_), OnMismatch::Refuse) => Err(GatewayError::Mismatch),
            (ValidationResult::Mismatch(_), OnMismatch::Pass)
            | (ValidationResult::Unchecked, _) => Ok(Some(result.word())),
        }
    }
}
