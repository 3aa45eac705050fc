//! `GET /v1/models`, with the extra fields other gateways send beside OpenAI's four.

use serde::Serialize;

/// A list of models.
#[derive(Debug, Clone, Serialize)]
pub struct ModelList {
    /// Always `list`.
    pub object: &'static str,
    /// The models.
    pub data: Vec<Model>,
}

/// One model.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Model {
    /// What to write into `model`.
    pub id: String,
    /// Always `model`.
    pub object: &'static str,
    /// Unix seconds; 0 where nobody says.
    pub created: i64,
    /// Who made it.
    pub owned_by: String,
    /// Day of the end of its life, as `2027-03-30`; null where none is announced.
    pub shutdown_date: Option<String>,
    /// What it can do; absent where nobody says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<Capabilities>,
    /// Tokens it can hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context_length: Option<u64>,
    /// Tokens it can write.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<u64>,
    /// Where it is in its life.
    pub lifecycle: Lifecycle,
    /// The id Bedrock is called with, where it is another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stands_for: Option<String>,
}

/// What a model can do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Capabilities {
    /// `/v1/chat/completions`.
    pub chat: bool,
    /// `/v1/embeddings`.
    pub embeddings: bool,
    /// Answers as they are made.
    pub streaming: bool,
    /// Tool calls.
    pub tools: bool,
    /// `text`, `image`, `document`, `video`, `audio`.
    pub input_modalities: Vec<String>,
    /// `text`, `embedding`, `image`, ...
    pub output_modalities: Vec<String>,
}

/// Where a model is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Offered.
    Active,
    /// Offered, with an end in sight.
    Legacy,
    /// Past its end: calls are refused.
    EndOfLife,
    /// Nobody says.
    Unknown,
}

/// Where a model is in its life, and until when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lifecycle {
    /// Today's stage.
    pub status: Stage,
    /// Day of its end, as `2027-03-30`.
    pub end_of_life: Option<String>,
    /// What to use instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub successor: Option<String>,
}
