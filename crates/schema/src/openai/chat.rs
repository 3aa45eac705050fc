//! `POST /v1/chat/completions`: the request and the complete response.

use serde::de::{Deserializer, SeqAccess};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::annotation::{Annotation, Outcrop};
use super::cache::{CacheControl, CacheOptions};
use super::extensions::{GuardrailFields, PerformanceFields};
use super::format::ResponseFormat;
use super::list::{TextOrList, text_or_list};
use super::message::{self, Message};
use super::reasoning::{Detail, ReasoningField, ReasoningFormat, ThinkingField};
use super::tool::{
    AnsweredCall, AnsweredFunction, FunctionDefinition, Tool, ToolChoice, ToolChoiceField,
};
use super::unknown::{Collector, Unknown};
use super::usage::Usage;
use crate::{Str, whole};

/// A chat request. Every optional field accepts null; the names of unknown fields are kept in
/// `extra`.
#[derive(Debug, Clone, Deserialize)]
#[serde(remote = "Self")]
pub struct ChatRequest<'a> {
    #[serde(borrow, deserialize_with = "crate::text::model_name")]
    pub model: Str<'a>,
    #[serde(borrow, deserialize_with = "message::conversation")]
    pub messages: Vec<Message<'a>>,
    pub stream: Option<bool>,
    pub stream_options: Option<StreamOptions>,

    #[serde(default, deserialize_with = "whole::optional")]
    pub max_tokens: Option<i64>,
    #[serde(default, deserialize_with = "whole::optional")]
    pub max_completion_tokens: Option<i64>,
    pub temperature: Option<f64>,
    pub top_p: Option<f64>,
    /// De facto extension: only this many of the likeliest tokens are considered.
    #[serde(default, deserialize_with = "whole::optional")]
    pub top_k: Option<i64>,
    #[serde(borrow)]
    pub stop: Option<Stop<'a>>,
    #[serde(default, deserialize_with = "whole::optional")]
    pub n: Option<i64>,

    #[serde(borrow)]
    pub tools: Option<Vec<Tool<'a>>>,
    #[serde(borrow)]
    pub tool_choice: Option<ToolChoiceField<'a>>,
    #[serde(borrow)]
    pub functions: Option<Vec<FunctionDefinition<'a>>>,
    #[serde(borrow)]
    pub function_call: Option<ToolChoice<'a>>,
    pub parallel_tool_calls: Option<bool>,
    #[serde(borrow)]
    pub response_format: Option<ResponseFormat<'a>>,

    #[serde(borrow)]
    pub reasoning_effort: Option<Str<'a>>,
    /// De facto extension: handling of reasoning that a model writes into its text.
    pub reasoning_format: Option<ReasoningFormat>,
    #[serde(borrow)]
    pub verbosity: Option<Str<'a>>,
    /// De facto extension, in the form of Anthropic's API.
    #[serde(borrow)]
    pub thinking: Option<ThinkingField<'a>>,
    /// De facto extension, in OpenRouter's form.
    #[serde(borrow)]
    pub reasoning: Option<ReasoningField<'a>>,
    #[serde(borrow)]
    pub service_tier: Option<Str<'a>>,
    pub frequency_penalty: Option<f64>,
    pub presence_penalty: Option<f64>,
    #[serde(default, deserialize_with = "whole::optional")]
    pub seed: Option<i64>,
    pub logprobs: Option<bool>,
    #[serde(default, deserialize_with = "whole::optional")]
    pub top_logprobs: Option<i64>,
    #[serde(borrow)]
    pub logit_bias: Option<&'a RawValue>,
    #[serde(borrow)]
    pub user: Option<Str<'a>>,
    #[serde(borrow)]
    pub safety_identifier: Option<Str<'a>>,
    pub metadata: Option<Map<String, Value>>,
    #[serde(borrow)]
    pub modalities: Option<Vec<Str<'a>>>,
    #[serde(borrow)]
    pub audio: Option<&'a RawValue>,
    #[serde(borrow)]
    pub prediction: Option<&'a RawValue>,
    #[serde(borrow)]
    pub moderation: Option<&'a RawValue>,
    #[serde(borrow)]
    pub web_search_options: Option<&'a RawValue>,
    #[serde(borrow)]
    pub prompt_cache_key: Option<Str<'a>>,
    pub prompt_cache_options: Option<CacheOptions>,
    #[serde(borrow)]
    pub prompt_cache_retention: Option<Str<'a>>,
    pub store: Option<bool>,

    /// De facto extension: the service chooses the cached content.
    pub cache_control: Option<CacheControl>,
    /// De facto extension: merged into Converse's member of that name.
    #[serde(alias = "additionalModelRequestFields")]
    pub additional_model_request_fields: Option<Map<String, Value>>,
    /// De facto extension: Converse's member of that name, JSON pointers into the model's own
    /// response.
    #[serde(borrow, alias = "additionalModelResponseFieldPaths")]
    pub additional_model_response_field_paths: Option<Vec<Str<'a>>>,
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
    /// De facto extension of LiteLLM: values of the variables of a stored prompt.
    #[serde(alias = "promptVariables")]
    pub prompt_variables: Option<Map<String, Value>>,
    /// Anthropic's betas, by name: a list, or a text separated by commas.
    #[serde(borrow)]
    pub anthropic_beta: Option<&'a RawValue>,
    /// De facto extension, of LiteLLM: what targets are chosen by.
    #[serde(borrow)]
    pub tags: Option<&'a RawValue>,

    /// Fields unknown here.
    #[serde(skip)]
    pub extra: Unknown<'a>,
}

impl<'de: 'a, 'a> Deserialize<'de> for ChatRequest<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut extra = Unknown::default();
        let request = Self::deserialize(Collector::new(deserializer, &mut extra))?;
        Ok(Self { extra, ..request })
    }
}

/// `stream_options`; obfuscation is never sent, so only usage matters.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub struct StreamOptions {
    pub include_usage: Option<bool>,
    pub include_obfuscation: Option<bool>,
    /// De facto extension: usage in every chunk.
    pub continuous_usage_stats: Option<bool>,
}

/// `stop`: one sequence or several.
#[derive(Debug, Clone, PartialEq)]
pub enum Stop<'a> {
    One(Str<'a>),
    Many(Vec<Str<'a>>),
}

impl<'a> Stop<'a> {
    /// The sequences, in either form.
    pub fn sequences(&self) -> &[Str<'a>] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

/// The reason for the end of an answer. Clients accept only these five values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FinishReason {
    Stop,
    Length,
    ToolCalls,
    ContentFilter,
    FunctionCall,
}

/// `chat.completion`: a complete response.
#[derive(Debug, Clone, Serialize)]
pub struct ChatCompletion {
    pub id: String,
    pub object: &'static str,
    pub created: u32,
    pub model: String,
    pub choices: Vec<Choice>,
    /// The tier that served the call, where one was requested.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_tier: Option<String>,
    pub usage: Usage,
}

/// The `object` of a complete response.
pub const COMPLETION_OBJECT: &str = "chat.completion";

/// One of the answers.
#[derive(Debug, Clone, Serialize)]
pub struct Choice {
    pub index: u32,
    pub message: AnsweredMessage,
    pub finish_reason: FinishReason,
    pub logprobs: Option<()>,
    #[serde(skip_serializing_if = "Outcrop::is_empty")]
    pub outcrop: Outcrop,
}

/// The assistant's message. `content` and `refusal` are present even when null; `tool_calls` is
/// absent without calls, because clients test for its presence.
#[derive(Debug, Clone, Serialize)]
pub struct AnsweredMessage {
    pub role: &'static str,
    pub content: Option<String>,
    pub refusal: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub annotations: Vec<Annotation>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning_content: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reasoning_details: Vec<Detail<'static>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<AnsweredCall>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub function_call: Option<AnsweredFunction>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Stop<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text_or_list(deserializer)
    }
}

impl<'de> TextOrList<'de> for Stop<'de> {
    const EXPECTED: &'static str = "a string or an array of strings";

    fn of_text(text: Str<'de>) -> Self {
        Self::One(text)
    }

    fn of_list<A: SeqAccess<'de>>(mut seq: A) -> Result<Self, A::Error> {
        let mut all = Vec::new();
        while let Some(one) = seq.next_element()? {
            all.push(one);
        }
        Ok(Stop::Many(all))
    }
}
