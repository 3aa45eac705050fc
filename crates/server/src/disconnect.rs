//! The treatment of answers whose client has left. Bedrock bills a call in full once it has accepted it, so that reading
//! on costs no more and tells exactly what the call cost; ending it frees its connection and leaves an estimate.

use std::time::Duration;

/// Longest time for which an answer is read after its client has left.
pub(crate) const LONGEST: Duration = Duration::from_secs(60);

/// Longest time that an answer takes in the background.
pub(crate) const IN_BACKGROUND: Duration = Duration::from_secs(3600);

/// The treatment of answers whose client has left.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum OnDisconnect {
    /// Whole answers are awaited, streams are ended.
    #[default]
    Auto,
    /// All are ended.
    Cancel,
    /// All are read to their end.
    Drain,
}

/// Forms of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AnswerForm {
    Whole,
    Stream,
}

impl OnDisconnect {
    /// Whether such an answer is read on.
    pub(crate) fn drains(self, form: AnswerForm) -> bool {
        match self {
            Self::Auto => form == AnswerForm::Whole,
            Self::Cancel => false,
            Self::Drain => true,
        }
    }
}
