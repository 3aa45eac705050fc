//! Answers that were asked to be JSON, judged by what the caller asked for and not by what the model was
//! told: a schema is rewritten for some models and only put into words for others, and none of that may
//! cost the caller the promise.

mod burden;
mod effort;
mod judge;
mod patterns;
mod validators;
mod watch;

pub(crate) use judge::{Criterion, Reasons};
pub(crate) use validators::Validators;
pub(crate) use watch::{End, Shown, Watch};

use schema::openai::chat::{Choice, FinishReason};

/// What the operator wants of answers that were asked to be JSON.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct StructuredSettings {
    pub(crate) repair: Repair,
    pub(crate) on_mismatch: OnMismatch,
}

/// Whether a model may try again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Repair {
    /// It may not: a second call costs as much as the first.
    Off,
    /// Once, where any JSON object will do: nothing but words holds the model to that.
    #[default]
    Objects,
    /// Once, with what is wrong with its answer; never in a stream, where the first has been seen.
    Once,
}

/// What becomes of an answer that is not what was asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum OnMismatch {
    /// It is passed on, and said to be what it is.
    #[default]
    Pass,
    /// The caller gets an error.
    Refuse,
}

/// What was found out about an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Finding {
    /// It is what was asked for.
    Valid,
    /// It is not, for these reasons, where they are read. They may quote it, and are for the model's eyes.
    Mismatch(Vec<String>),
    /// Nobody can tell: the schema cannot be judged by, or not in bounded time.
    Unchecked,
}

impl Finding {
    /// The word for it, in headers and chunks.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Mismatch(_) => "mismatch",
            Self::Unchecked => "unchecked",
        }
    }
}

/// The text that can be judged: none where the model was stopped, refused, or called a tool. Then the
/// finish reason says what there is to say.
pub(crate) fn judgeable(choice: &Choice) -> Option<&str> {
    let message = &choice.message;
    let is_whole = choice.finish_reason == FinishReason::Stop
        && message.tool_calls.is_empty()
        && message.function_call.is_none()
        && message.refusal.is_none();
    message.content.as_deref().filter(|_| is_whole)
}
