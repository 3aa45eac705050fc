//! `GET /v1/models`, with the extra fields that other gateways send beside OpenAI's four.

use serde::ser::Error as _;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

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
    /// `/v1/rerank`.
    pub rerank: bool,
    /// `/v1/images/generations` or `/v1/images/edits`.
    pub images: bool,
    /// Streamed answers.
    pub streaming: bool,
    /// Tool calls.
    pub tools: bool,
    /// Reasoning before an answer.
    pub reasoning: bool,
    /// Values of `reasoning_effort` that differ for the model, from the least to the most.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reasoning_efforts: Vec<&'static str>,
    /// `text`, `image`, `document`, `video`, `audio`.
    pub input_modalities: Vec<String>,
    /// `text`, `embedding`, `score`, `image`, ...
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Prices {
    /// Always `USD`.
    pub currency: &'static str,
    /// Day of the price list, as `2026-11-21`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dated: Option<String>,
    /// Name of the row: model, reach, tier, and the day from which it holds.
    pub row: String,
    /// Origin: `listed`, `operator`, or `assumed` where the places of the calls are not known.
    pub source: &'static str,
    /// Standard prices.
    #[serde(flatten)]
    pub rates: Rates,
    /// For long prompts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub long: Option<LongRates>,
    /// In the service tier `flex`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flex: Option<TierRates>,
    /// In the service tier `priority`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<TierRates>,
    /// In the service tier `ultrafast`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ultrafast: Option<TierRates>,
    /// In batches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch: Option<TierRates>,
}

/// Prices in one service tier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TierRates {
    /// The prices.
    #[serde(flatten)]
    pub rates: Rates,
    /// For long prompts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub long: Option<LongRates>,
}

/// Prices by unit: a million tokens for the first seven, a single unit for the others.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Rates {
    /// A million prompt tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<Dollars>,
    /// A million output tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<Dollars>,
    /// A million prompt tokens read from the cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_read: Option<Dollars>,
    /// A million tokens written to the cache for five minutes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_write: Option<Dollars>,
    /// A million tokens written to the cache for an hour.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_write_1h: Option<Dollars>,
    /// A million audio tokens in the prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_audio: Option<Dollars>,
    /// A million audio tokens in the output.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_audio: Option<Dollars>,
    /// An image in the prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<Dollars>,
    /// An image that is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_image: Option<Dollars>,
    /// A request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<Dollars>,
    /// A query of a reranker: a hundred documents begun.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rerank_query: Option<Dollars>,
    /// A second of video.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub video_second: Option<Dollars>,
    /// A second of audio.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio_second: Option<Dollars>,
    /// A search of the web.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub web_search: Option<Dollars>,
}

/// Prices of prompts above a length.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LongRates {
    /// Length in tokens above which they apply.
    pub above: u64,
    /// The prices.
    #[serde(flatten)]
    pub rates: Rates,
}

/// An amount of dollars as decimal text. It is written as a number, digit for digit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dollars(String);

impl From<String> for Dollars {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl Serialize for Dollars {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        RawValue::from_string(self.0.clone()).map_err(S::Error::custom)?.serialize(serializer)
    }
}
