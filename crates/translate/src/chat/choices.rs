//! Several answers to one request (`n` above 1): Converse returns one at a time, so it is called
//! several times. Every answer is translated separately; this module holds their shared usage and
//! their assembly.

use schema::converse::response::{ConverseResponse, TokenUsage};
use schema::openai::chat::ChatCompletion;
use schema::openai::usage::Usage;

use super::usage::openai;
use crate::parts::usage;

/// Usage of one or more answers, as Bedrock counts it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spent {
    usage: Option<TokenUsage>,
    thought: Option<u64>,
}

impl Spent {
    /// The usage of a complete response.
    pub fn of(response: &ConverseResponse<'_>) -> Self {
        let thought = usage::thought(response.additional_model_response_fields);
        Self::new(Some(response.usage), thought)
    }

    /// Writes the usage into an answer that took more than one call.
    pub fn tell(self, answer: &mut ChatCompletion) {
        if let Some(usage) = self.told() {
            answer.usage = usage;
        }
    }

    pub(super) fn new(usage: Option<TokenUsage>, thought: Option<u64>) -> Self {
        Self { usage, thought }
    }

    /// The sum of both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            usage: either(self.usage, other.usage, usage::sum),
            thought: either(self.thought, other.thought, u64::saturating_add),
        }
    }

    /// The token counts, if known.
    pub fn usage(self) -> Option<TokenUsage> {
        self.usage
    }

    /// The usage in OpenAI's form.
    pub(super) fn told(self) -> Option<Usage> {
        self.usage.map(|usage| openai(usage, self.thought))
    }
}

/// Combines answers to one request into one: choices are numbered in the order given, and the usage
/// is the sum. `None` without answers.
pub fn gather(
    answers: impl IntoIterator<Item = ChatCompletion>,
    spent: Spent,
) -> Option<ChatCompletion> {
    let mut answers = answers.into_iter();
    let mut gathered = answers.next()?;
    gathered.choices.extend(answers.flat_map(|answer| answer.choices));
    for (index, choice) in (0..).zip(&mut gathered.choices) {
        choice.index = index;
    }
    spent.tell(&mut gathered);
    Some(gathered)
}

fn either<T>(one: Option<T>, other: Option<T>, sum: impl FnOnce(T, T) -> T) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(sum(one, other)),
        (one, other) => one.or(other),
    }
}
