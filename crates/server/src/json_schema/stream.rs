//! Validation of streamed answers, at their end. The client has seen the answer by then: a mismatch is
//! reported in its last event, or the stream ends in an error.

use super::{Conformity, Criterion, OnMismatch, Reasons};
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

    /// Validates a finished answer, and returns what its last event states: nothing for a valid one.
    ///
    /// # Errors
    /// The answer does not match, and the operator has such answers refused.
    pub(crate) async fn judge(&self, answer: &str) -> Result<Option<Conformity>, GatewayError> {
        let conformity = self.criterion.judge(answer, Reasons::Unread).await.conformity();
        match (conformity, self.on_mismatch) {
            (Conformity::Valid, _) => Ok(None),
            (Conformity::Mismatch, OnMismatch::Refuse) => Err(GatewayError::Mismatch),
            (Conformity::Mismatch, OnMismatch::Pass)
            | (Conformity::Unchecked | Conformity::Repaired, _) => Ok(Some(conformity)),
        }
    }
}
