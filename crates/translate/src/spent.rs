//! Usage of one or more answers to one request, as Bedrock counts it.

use schema::converse::response::{ConverseResponse, ServedTier, TokenUsage};
use schema::openai::usage::CostUsd;

use crate::parts::usage;

/// Usage of one or more answers, as Bedrock counts it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spent {
    pub(crate) usage: Option<TokenUsage>,
    /// Tokens of reasoning, where the model reports them.
    pub(crate) thought: Option<u64>,
    tier: BilledTier,
    pub(crate) cost: Option<CostUsd>,
}

/// The service tier that an answer was served in, which decides its price.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum BilledTier {
    /// The default.
    #[default]
    Standard,
    /// `flex`.
    Flex,
    /// `priority`.
    Priority,
    /// `reserved`.
    Reserved,
    /// A tier added after this build, whose price is not known.
    Unknown,
}

impl BilledTier {
    /// The tier of an answer; without one it is the default.
    pub(crate) fn of(served: Option<&ServedTier<'_>>) -> Self {
        served.map_or(Self::Standard, |served| Self::named(&served.kind))
    }

    /// The name in rows of calls.
    pub fn name(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Flex => "flex",
            Self::Priority => "priority",
            Self::Reserved => "reserved",
            Self::Unknown => "unknown",
        }
    }

    /// The tier by Bedrock's name.
    pub fn named(name: &str) -> Self {
        match name {
            "default" => Self::Standard,
            "flex" => Self::Flex,
            "priority" => Self::Priority,
            "reserved" => Self::Reserved,
            _ => Self::Unknown,
        }
    }
}

impl Spent {
    /// Returns whether the answers were served before those of others.
    pub(crate) fn is_priority(&self) -> bool {
        self.tier == BilledTier::Priority
    }

    /// The usage of a complete response.
    pub fn of(response: &ConverseResponse<'_>) -> Self {
        let thought = usage::thought(response.additional_model_response_fields);
        let tier = BilledTier::of(response.service_tier.as_ref());
        Self::new(Some(response.usage), thought, tier)
    }

    /// The usage of an answer that was not translated.
    pub fn counted(usage: Option<TokenUsage>, tier: BilledTier) -> Self {
        Self::new(usage, None, tier)
    }

    pub(crate) fn new(usage: Option<TokenUsage>, thought: Option<u64>, tier: BilledTier) -> Self {
        Self { usage, thought, tier, cost: None }
    }

    /// The sum of both. It has no cost if one of them has usage without a cost.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let cost = match (self.usage, other.usage) {
            (None, _) => other.cost,
            (_, None) => self.cost,
            _ => self.cost.zip(other.cost).and_then(|(one, other)| one.plus(other)),
        };
        Self {
            usage: either(self.usage, other.usage, usage::sum),
            thought: either(self.thought, other.thought, u64::saturating_add),
            tier: self.tier,
            cost,
        }
    }

    /// The same usage with its cost, or without one.
    #[must_use]
    pub fn at(self, cost: Option<CostUsd>) -> Self {
        Self { cost, ..self }
    }

    /// The tier that served the answer; of several answers, that of the first.
    pub fn tier(self) -> BilledTier {
        self.tier
    }

    /// The cost, if it was computed and every part has a price.
    pub fn cost(self) -> Option<CostUsd> {
        self.cost
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_has_a_cost_only_if_every_usage_has() {
        let usage = TokenUsage { input_tokens: 1, ..TokenUsage::default() };
        let spent = Spent::new(Some(usage), None, BilledTier::Standard);
        let (none, one, two) =
            (Spent::default(), spent.at(Some(CostUsd(1))), spent.at(Some(CostUsd(2))));
        assert_eq!(one.and(two).cost(), Some(CostUsd(3)));
        assert_eq!(
            (none.and(one).cost(), one.and(none).cost()),
            (Some(CostUsd(1)), Some(CostUsd(1)))
        );
        assert_eq!(one.and(spent).cost(), None);
        assert_eq!(spent.at(Some(CostUsd(u64::MAX))).and(one).cost(), None);
    }
}
