//! `POST /v1/completions`: the request, the complete response and its chunks, which have one shape.

use serde::de::Deserializer;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::annotation::Outcrop;
use super::chat::{FinishReason, Stop, StreamOptions};
use super::embeddings::Input;
use super::extensions::{GuardrailFields, PerformanceFields};
use super::unknown::{Collector, Unknown};
use super::usage::Usage;
use crate::{Str, whole};

/// A completions request. Every optional field accepts null; the names of unknown fields are kept in
/// `extra`.
#[derive(Debug, Clone, Deserialize)]
#[serde(remote = "Self")]
pub struct CompletionRequest<'a> {
    #[serde(borrow, deserialize_with = "crate::text::model_name")]
    pub model: Str<'a>,
    /// Texts, or the tokens of texts; each is completed.
    #[serde(borrow)]
    pub prompt: Option<Input<'a>>,
    /// The text behind the completion.
    #[serde(borrow)]
    pub suffix: Option<Str<'a>>,
    pub stream: Option<bool>,
    pub stream_options: Option<StreamOptions>,

    #[serde(default, deserialize_with = "whole::optional")]
    pub max_tokens: Option<i64>,
    pub temperature: Option<f64>,
    pub top_p: Option<f64>,
    /// De facto extension: only this many of the likeliest tokens are considered.
    #[serde(default, deserialize_with = "whole::optional")]
    pub top_k: Option<i64>,
    #[serde(borrow)]
    pub stop: Option<Stop<'a>>,
    #[serde(default, deserialize_with = "whole::optional")]
    pub n: Option<i64>,
    #[serde(default, deserialize_with = "whole::optional")]
    pub best_of: Option<i64>,
    /// The answer begins with the prompt.
    pub echo: Option<bool>,
    /// A number of tokens, or a boolean of other services.
    #[serde(borrow)]
    pub logprobs: Option<&'a RawValue>,
    #[serde(borrow)]
    pub logit_bias: Option<&'a RawValue>,
    pub frequency_penalty: Option<f64>,
    pub presence_penalty: Option<f64>,
    #[serde(default, deserialize_with = "whole::optional")]
    pub seed: Option<i64>,
    #[serde(borrow)]
    pub user: Option<Str<'a>>,

    #[serde(borrow)]
    pub safety_identifier: Option<Str<'a>>,
    pub metadata: Option<Map<String, Value>>,
    #[serde(borrow)]
    pub service_tier: Option<Str<'a>>,
    #[serde(borrow)]
    pub prompt_cache_key: Option<Str<'a>>,
    /// De facto extension: merged into Converse's member of that name.
    #[serde(alias = "additionalModelRequestFields")]
    pub additional_model_request_fields: Option<Map<String, Value>>,
    /// De facto extension: Converse's member of that name.
    #[serde(borrow, alias = "guardrailConfig")]
    pub guardrail_config: Option<GuardrailFields<'a>>,
    /// De facto extension of LiteLLM: guardrails by name. Read only to be refused.
    #[serde(borrow)]
    pub guardrails: Option<&'a RawValue>,
    /// De facto extension: Converse's member of that name.
    #[serde(borrow, alias = "performanceConfig")]
    pub performance_config: Option<PerformanceFields<'a>>,
    /// De facto extension: Converse's member of that name.
    #[serde(alias = "requestMetadata")]
    pub request_metadata: Option<Map<String, Value>>,
    /// De facto extension, of LiteLLM: what targets are chosen by.
    #[serde(borrow)]
    pub tags: Option<&'a RawValue>,

    /// Fields unknown here.
    #[serde(skip)]
    pub extra: Unknown<'a>,
}

impl<'de: 'a, 'a> Deserialize<'de> for CompletionRequest<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut extra = Unknown::default();
        let request = Self::deserialize(Collector::new(deserializer, &mut extra))?;
        Ok(Self { extra, ..request })
    }
}

/// `text_completion`: a complete response.
#[derive(Debug, Clone, Serialize)]
pub struct Completion {
    pub id: String,
    pub object: &'static str,
    pub created: u32,
    pub model: String,
    pub choices: Vec<CompletionChoice>,
    pub usage: Usage,
}

/// The `object` of complete responses and of chunks.
pub const TEXT_COMPLETION_OBJECT: &str = "text_completion";

/// One of the answers.
#[derive(Debug, Clone, Serialize)]
pub struct CompletionChoice {
    pub text: String,
    pub index: u32,
    pub logprobs: Option<()>,
    pub finish_reason: FinishReason,
    #[serde(skip_serializing_if = "Outcrop::is_empty")]
    pub outcrop: Outcrop,
}

/// One event of a stream. `usage` is absent unless requested; then it is null in all but the last.
#[derive(Debug, Clone, Serialize)]
pub struct CompletionChunk<'a> {
    pub id: &'a str,
    pub object: &'static str,
    pub created: u32,
    pub model: &'a str,
    /// One choice, or none in the usage chunk.
    pub choices: &'a [CompletionDelta<'a>],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Option<Usage>>,
}

/// The text that an event adds to one answer.
#[derive(Debug, Clone, Serialize)]
pub struct CompletionDelta<'a> {
    pub text: &'a str,
    pub index: u32,
    pub logprobs: Option<()>,
    pub finish_reason: Option<FinishReason>,
    /// Present only with the finish reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcrop: Option<&'a Outcrop>,
}
