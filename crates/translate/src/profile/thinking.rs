//! Settings of reasoning: the fields that request it, the fields that turn it off, and the past
//! reasoning that a model accepts back.

use serde::{Deserialize, Serialize};

/// Field of `additionalModelRequestFields` that requests reasoning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Thinking {
    /// The model does not reason, or the field is unknown.
    None,
    /// The model decides on its own; there is no field.
    Native,
    /// `thinking: {"type": "enabled", "budget_tokens": n}`, at least 1024 and below the token limit.
    Budget,
    /// `thinking: {"type": "adaptive"}`, with the amount in `output_config.effort`.
    Adaptive,
    /// As `Adaptive`, but an explicit token budget is sent as in `Budget`.
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

/// Field that turns reasoning off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ThinkingOff {
    /// No field: reasoning is off unless requested.
    Unsaid,
    /// `thinking: {"type": "disabled"}`; reasoning is on by default.
    Disabled,
    /// `thinking: {"type": "between_tools"}`; reasoning is on by default.
    BetweenTools,
    /// The effort `none`.
    EffortNone,
    /// Not possible: the model always reasons.
    Impossible,
}

/// Handling of reasoning that a model writes between tags at the head of its text. A request's
/// `reasoning_format` overrides the separation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ThinkingTags {
    /// It does not, or this is unknown.
    None,
    /// It may, and the text stays as it is unless the request asks otherwise.
    Kept,
    /// It may, and the reasoning is separated.
    Split,
}

/// Amount of reasoning, from the least to the most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Effort {
    /// Minimal.
    Minimal,
    /// Low.
    Low,
    /// OpenAI's default.
    Medium,
    /// High.
    High,
    /// Above high.
    Xhigh,
    /// The maximum.
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
    pub fn name(self) -> &'static str {
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

/// Past reasoning that a model accepts back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Replay {
    /// None: reasoning in the conversation is refused.
    Never,
    /// Its text, without a signature.
    Plain,
    /// Signed or redacted blocks, unmodified; with reasoning on, a tool turn must have them.
    Signed,
    /// Redacted blocks, which only the provider can read, unmodified; readable text is refused.
    Redacted,
}
