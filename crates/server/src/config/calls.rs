//! Limits and options of requests that become several calls.

use translate::spent::Spent;

/// Limits for chat requests that become several calls.
#[derive(Debug, Clone)]
pub(crate) struct ChatCalls {
    /// The largest `n`.
    pub(crate) most_choices: u32,
    pub(crate) usage_cost: UsageCost,
}

/// Whether the usage that a caller sees states its cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum UsageCost {
    /// No: the usage has OpenAI's members only.
    #[default]
    Hidden,
    /// In `usage.cost`.
    Shown,
}

impl UsageCost {
    /// The usage as a caller sees it.
    pub(crate) fn shown(self, spent: Spent) -> Spent {
        match self {
            Self::Hidden => spent.at(None),
            Self::Shown => spent,
        }
    }
}

/// Limits for embeddings requests that become several calls.
#[derive(Debug, Clone)]
pub(crate) struct EmbeddingCalls {
    /// Most calls in flight for one request.
    pub(crate) concurrency: usize,
}
