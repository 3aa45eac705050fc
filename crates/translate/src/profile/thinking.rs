//! The knobs of thinking: how a model is asked for it, how it is told not to, and what of its past
//! thoughts it takes back.

use serde::{Deserialize, Serialize};

/// How a model is asked to think, by members of `additionalModelRequestFields`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Thinking {
    /// It does not think, or nobody knows how to ask.
    None,
    /// It thinks as it likes; there is no field.
    Native,
    /// `thinking: {"type": "enabled", "budget_tokens": n}`, at least 1024 and below the token limit.
    Budget,
    /// `thinking: {"type": "adaptive"}`, and how much by `output_config.effort`.
    Adaptive,
    /// As `Adaptive`, but a budget of tokens that is named goes as `Budget` has it.
    AdaptiveOrBudget,
    /// `reasoning_effort: "..."`.
    Effort,
    /// `reasoning: {"effort": "..."}`.
    NestedEffort,
    /// `reasoningConfig: {"type": "enabled", "maxReasoningEffort": "..."}`.
    ReasoningConfig,
    /// `reasoning_config: "..."`.
    ConfigWord,
}

/// How a model is told not to think.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ThinkingOff {
    /// By asking for nothing.
    Unsaid,
    /// By `thinking: {"type": "disabled"}`; it thinks unless told so.
    Disabled,
    /// By `thinking: {"type": "between_tools"}`; it thinks unless told so.
    BetweenTools,
    /// By the effort `none`.
    EffortNone,
    /// It cannot be told: it always thinks.
    Impossible,
}

/// Whether a model writes thinking between tags at the head of its text, and whether that is told apart.
/// A request's `reasoning_format` has the last word on the latter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ThinkingTags {
    /// It does not, or nobody knows.
    None,
    /// It may, and what it writes stays as it is unless the request wants it otherwise.
    Kept,
    /// It may, and it is told apart.
    Split,
}

/// How much thinking, from the least to the most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Effort {
    /// Hardly any.
    Minimal,
    /// Little.
    Low,
    /// What OpenAI takes where nothing is said.
    Medium,
    /// Much.
    High,
    /// More than that.
    Xhigh,
    /// All there is.
    Max,
}

impl Effort {
    /// The level of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "minimal" => Self::Minimal,
            "low" => Self::Low,
            "medium" => Self::Medium,
            "high" => Self::High,
            "xhigh" => Self::Xhigh,
            "max" => Self::Max,
            _ => return None,
        })
    }

    /// Its name on the wire.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Minimal => "minimal",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Xhigh => "xhigh",
            Self::Max => "max",
        }
    }
}

/// What of its past thoughts a model takes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Replay {
    /// Nothing: reasoning in the conversation is refused.
    Never,
    /// Their text, without a signature.
    Plain,
    /// Signed or redacted thoughts, unmodified; while it thinks, a tool turn must have them.
    Signed,
    /// What only the provider can read, unmodified; readable text is refused.
    Redacted,
}
