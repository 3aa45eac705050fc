//! Several answers to one question (`n` above 1): Converse gives one at a time, so it is asked several
//! times. Every answer is translated by itself; here is what they have in common.

use schema::converse::response::{ConverseResponse, TokenUsage};
use schema::openai::chat::ChatCompletion;
use schema::openai::usage::Usage;

use crate::parts::usage;

/// What answers cost together, as Bedrock counts it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spent {
    usage: Option<TokenUsage>,
    thought: Option<u64>,
}

impl Spent {
    /// What a whole answer cost.
    pub fn of(response: &ConverseResponse<'_>) -> Self {
        let thought = usage::thought(response.additional_model_response_fields);
        Self::new(Some(response.usage), thought)
    }

    /// Tells it with an answer that more than one call has gone into.
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

    /// The token counts, as far as any are known.
    pub fn usage(self) -> Option<TokenUsage> {
        self.usage
    }

    /// The same as clients are told it.
    pub(super) fn told(self) -> Option<Usage> {
        self.usage.map(|usage| usage::openai(usage, self.thought))
    }
}

/// Puts answers to one question into one: its choices are counted in the order given, and its usage is what
/// all of them cost. `None` where there are none.
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
