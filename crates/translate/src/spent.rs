//! Usage of one or more answers to one request, as Bedrock counts it.

use schema::converse::response::{ConverseResponse, TokenUsage};

use crate::parts::usage;

/// Usage of one or more answers, as Bedrock counts it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spent {
    pub(crate) usage: Option<TokenUsage>,
    /// Tokens of reasoning, where the model reports them.
    pub(crate) thought: Option<u64>,
}

impl Spent {
    /// The usage of a complete response.
    pub fn of(response: &ConverseResponse<'_>) -> Self {
        let thought = usage::thought(response.additional_model_response_fields);
        Self::new(Some(response.usage), thought)
    }

    pub(crate) fn new(usage: Option<TokenUsage>, thought: Option<u64>) -> Self {
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
}

fn either<T>(one: Option<T>, other: Option<T>, sum: impl FnOnce(T, T) -> T) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(sum(one, other)),
        (one, other) => one.or(other),
    }
}
