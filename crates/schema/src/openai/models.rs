//! `GET /v1/models`, with the extra fields that other gateways send beside OpenAI's four.

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
    /// The value for `model` in requests.
    pub id: String,
    /// Always `model`.
    pub object: &'static str,
    /// Unix seconds: the start of the model's life, else the date in its id, else that of the catalogue.
    pub created: i64,
    /// The provider.
    pub owned_by: String,
    /// Day of the end of its life, as `2027-03-30`; null if none is announced.
    pub shutdown_date: Option<String>,
    /// Capabilities; absent if unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<Capabilities>,
    /// Context window, in tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context_length: Option<u64>,
    /// Longest output, in tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<u64>,
    /// Stage in its life cycle.
    pub lifecycle: Lifecycle,
    /// Prices of calls by this id; absent if unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prices: Option<Prices>,
    /// The model id in calls to Bedrock, if it is another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stands_for: Option<String>,
}

/// Capabilities of a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Capabilities {
    /// `/v1/chat/completions`.
    pub chat: bool,
    /// `/v1/embeddings`.
    pub embeddings: bool,
    /// Streamed answers.
    pub streaming: bool,
    /// Tool calls.
    pub tools: bool,
    /// `text`, `image`, `document`, `video`, `audio`.
    pub input_modalities: Vec<String>,
    /// `text`, `embedding`, `image`, ...
    pub output_modalities: Vec<String>,
}

/// Stage of a model in its life cycle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Available.
    Active,
    /// Available, with an announced end.
    Legacy,
    /// Past its end: calls are refused.
    EndOfLife,
    /// Unknown.
    Unknown,
}

/// Life cycle of a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lifecycle {
    /// Current stage.
    pub status: Stage,
    /// Day of its end, as `2027-03-30`.
    pub end_of_life: Option<String>,
    /// The recommended replacement.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub successor: Option<String>,
}

/// Prices of calls.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Prices {
    /// Always `USD`.
    pub currency: &'static str,
    /// Day of the price list, as `2026-11-21`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dated: Option<String>,
    /// Standard prices.
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

/// Prices by unit: a million tokens for the first six, a single unit for the others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Rates {
    /// A million prompt tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<f64>,
    /// A million output tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<f64>,
    /// A million prompt tokens read from the cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_read: Option<f64>,
    /// A million tokens written to the cache for five minutes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_write: Option<f64>,
    /// A million tokens written to the cache for an hour.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_write_1h: Option<f64>,
    /// A million audio tokens in the prompt.
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

/// Prices of prompts above a length.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct LongRates {
    /// Length in tokens above which they apply.
    pub above: u64,
    /// The prices.
    #[serde(flatten)]
    pub rates: Rates,
}
