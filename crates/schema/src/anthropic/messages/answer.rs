//! The complete answer: a message.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::openai::annotation::Outcrop;

/// A complete answer.
#[derive(Debug, Clone, Serialize)]
pub struct Message {
    pub id: String,
    /// Always `message`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Always `assistant`.
    pub role: &'static str,
    pub model: String,
    pub content: Vec<AnswerBlock>,
    pub stop_reason: StopReason,
    pub stop_sequence: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_details: Option<StopDetails>,
    pub usage: Usage,
    /// Bedrock's own values that this API has no field for.
    #[serde(skip_serializing_if = "Outcrop::is_empty")]
    pub outcrop: Outcrop,
}

/// A block of an answer.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum AnswerBlock {
    Text {
        text: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        citations: Option<Vec<Box<RawValue>>>,
    },
    Thinking {
        thinking: String,
        signature: String,
    },
    RedactedThinking {
        data: String,
    },
    ToolUse {
        id: String,
        name: String,
        input: Box<RawValue>,
    },
}

/// The reason for the end of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    EndTurn,
    ToolUse,
    MaxTokens,
    StopSequence,
    Refusal,
    PauseTurn,
    ModelContextWindowExceeded,
}

/// Details of a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct StopDetails {
    /// Always `refusal`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub category: Option<&'static str>,
    pub explanation: Option<&'static str>,
}

impl StopDetails {
    /// The details of a refusal without a known category.
    pub const REFUSAL: Self = Self { kind: "refusal", category: None, explanation: None };
}

/// Token counts. `input_tokens` excludes tokens read from the cache or written to it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Usage {
    pub input_tokens: u64,
    pub cache_creation_input_tokens: u64,
    pub cache_read_input_tokens: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_creation: Option<CacheCreation>,
    pub output_tokens: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_tokens_details: Option<OutputDetails>,
    /// The tier that served a complete answer: `standard` or `priority`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_tier: Option<&'static str>,
    /// Cost of the answer, where the operator has it shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<crate::openai::usage::CostUsd>,
}

/// Tokens written to the cache, by lifetime.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct CacheCreation {
    pub ephemeral_5m_input_tokens: u64,
    pub ephemeral_1h_input_tokens: u64,
}

/// Parts of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct OutputDetails {
    pub thinking_tokens: u64,
}
