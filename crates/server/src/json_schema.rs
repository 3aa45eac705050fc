//! Validates answers that were requested as JSON, against the caller's schema and not against the one that
//! the model received: a schema is rewritten for some models and only part of the prompt for others, and
//! the caller's guarantee must hold all the same.

mod judge;
mod patterns;
mod schema_cost;
mod stream;
mod validation_cost;
mod validators;

pub(crate) use judge::{Criterion, Reasons};
pub(crate) use stream::StreamValidator;
pub(crate) use validators::Validators;

/// The operator's settings for answers that were requested as JSON.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct StructuredSettings {
    pub(crate) repair: Repair,
    pub(crate) on_mismatch: OnMismatch,
}

/// Whether a model gets a repair call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Repair {
    /// No repair call: it costs as much as the first call.
    Off,
    /// Once, if any JSON object is accepted: only the prompt holds the model to that format.
    #[default]
    Objects,
    /// Once, with the mismatches of its answer; never in a stream, where the client has seen the first
    /// answer.
    Once,
}

/// Treatment of an answer that does not match the request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum OnMismatch {
    /// It is passed on and marked as a mismatch.
    #[default]
    Pass,
    /// The caller gets an error.
    Refuse,
}

/// Result of validating an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ValidationResult {
    /// It matches the request.
    Valid,
    /// It does not match, with reasons if the caller needs them. They may quote the answer, and are for the
    /// model only.
    Mismatch(Vec<String>),
    /// It cannot be validated: the schema is not usable, or validation would take too long.
    Unchecked,
}

impl ValidationResult {
    pub(crate) fn conformity(&self) -> Conformity {
        match self {
            Self::Valid => Conformity::Valid,
            Self::Mismatch(_) => Conformity::Mismatch,
            Self::Unchecked => Conformity::Unchecked,
        }
    }
}

/// Conformity of an answer to its format, for the caller. A later one matters more: it counts for several
/// answers together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Conformity {
    /// The answer matches the request.
    Valid,
    /// The answer of the repair call matches it.
    Repaired,
    /// The answer cannot be validated.
    Unchecked,
    /// The answer does not match the request.
    Mismatch,
}

impl Conformity {
    /// The value in headers and chunks.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Repaired => "repaired",
            Self::Unchecked => "unchecked",
            Self::Mismatch => "mismatch",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Conformity::{Mismatch, Repaired, Unchecked, Valid};

    #[test]
    fn the_answer_that_matters_most_counts() {
        for (one, other, counts) in [
            (None, Some(Valid), Some(Valid)),
            (Some(Repaired), Some(Valid), Some(Repaired)),
            (Some(Repaired), Some(Unchecked), Some(Unchecked)),
            (Some(Mismatch), Some(Unchecked), Some(Mismatch)),
            (Some(Mismatch), None, Some(Mismatch)),
        ] {
            assert_eq!(one.max(other), counts);
        }
    }
}
