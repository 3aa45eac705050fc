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
    /// What calls by this id cost; absent where nobody says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prices: Option<Prices>,
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

/// What calls cost.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Prices {
    /// Always `USD`.
    pub currency: &'static str,
    /// Day on which it was so, as `2026-11-21`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dated: Option<String>,
    /// Usually.
    #[serde(flatten)]
    pub rates: Rates,
    /// For long prompts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub long: Option<LongRates>,
    /// In the service tier `flex`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flex: Option<Rates>,
    /// In the service tier `priority`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<Rates>,
    /// In batches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch: Option<Rates>,
}

/// What a unit costs: a million tokens of the first six, one of the others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Rates {
    /// A million tokens of the prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<f64>,
    /// A million tokens of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<f64>,
    /// A million tokens of the prompt that were cached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_read: Option<f64>,
    /// A million tokens put into the cache for five minutes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_write: Option<f64>,
    /// A million tokens put into the cache for an hour.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_write_1h: Option<f64>,
    /// A million tokens of audio in the prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_audio: Option<f64>,
    /// An image in the prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<f64>,
    /// A request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<f64>,
    /// A second of video.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub video_second: Option<f64>,
    /// A second of audio.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio_second: Option<f64>,
}

/// What a unit costs in prompts above a length.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct LongRates {
    /// Tokens.
    pub above: u64,
    /// Then.
    #[serde(flatten)]
    pub rates: Rates,
}
