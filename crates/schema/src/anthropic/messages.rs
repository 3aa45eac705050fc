//! `POST /v1/messages`: the request, the complete answer and its events.

use serde::Deserialize;
use serde::de::Deserializer;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::openai::extensions::{GuardrailFields, PerformanceFields};
use crate::openai::unknown::{Collector, Unknown};
use crate::{Str, whole};

pub mod answer;
pub mod content;
pub mod event;
pub mod native;
pub mod tool;

use content::{CacheControl, Content};
use tool::{Tool, ToolChoice};

/// A messages request. Every optional field accepts null; the names of unknown fields are kept in
/// `extra`.
#[derive(Debug, Clone, Deserialize)]
#[serde(remote = "Self")]
pub struct MessagesRequest<'a> {
    #[serde(borrow, deserialize_with = "crate::text::model_name")]
    pub model: Str<'a>,
    #[serde(borrow)]
    pub messages: Vec<Message<'a>>,
    /// Required, except where tokens are only counted.
    #[serde(default, deserialize_with = "whole::optional")]
    pub max_tokens: Option<i64>,
    #[serde(borrow)]
    pub system: Option<Content<'a>>,
    #[serde(borrow)]
    pub stop_sequences: Option<Vec<Str<'a>>>,
    pub stream: Option<bool>,
    pub temperature: Option<f64>,
    pub top_p: Option<f64>,
    #[serde(default, deserialize_with = "whole::optional")]
    pub top_k: Option<i64>,
    #[serde(borrow)]
    pub tools: Option<Vec<Tool<'a>>>,
    #[serde(borrow)]
    pub tool_choice: Option<ToolChoice<'a>>,
    #[serde(borrow)]
    pub thinking: Option<Thinking<'a>>,
    #[serde(borrow)]
    pub output_config: Option<OutputConfig<'a>>,
    /// The former place of `output_config.format`.
    #[serde(borrow)]
    pub output_format: Option<OutputFormat<'a>>,
    /// Caches the whole request.
    #[serde(borrow)]
    pub cache_control: Option<CacheControl<'a>>,
    pub metadata: Option<Map<String, Value>>,
    #[serde(borrow)]
    pub service_tier: Option<Str<'a>>,
    #[serde(borrow)]
    pub context_management: Option<&'a RawValue>,
    #[serde(borrow)]
    pub compaction: Option<&'a RawValue>,
    #[serde(borrow)]
    pub safeguards: Option<&'a RawValue>,
    #[serde(borrow)]
    pub mcp_servers: Option<&'a RawValue>,
    /// Names of betas: a list, or a text with commas. Most clients send them in a header.
    #[serde(borrow, alias = "betas")]
    pub anthropic_beta: Option<&'a RawValue>,
    #[serde(borrow)]
    pub anthropic_version: Option<&'a RawValue>,

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
    /// De facto extension of LiteLLM: values of the variables of a stored prompt.
    #[serde(alias = "promptVariables")]
    pub prompt_variables: Option<Map<String, Value>>,
    /// De facto extension of LiteLLM: tags by which targets are chosen.
    #[serde(borrow)]
    pub tags: Option<&'a RawValue>,

    /// Fields unknown here.
    #[serde(skip)]
    pub extra: Unknown<'a>,
}

impl<'de: 'a, 'a> Deserialize<'de> for MessagesRequest<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut extra = Unknown::default();
        let request = Self::deserialize(Collector::new(deserializer, &mut extra))?;
        Ok(Self { extra, ..request })
    }
}

/// One message.
#[derive(Debug, Clone, Deserialize)]
pub struct Message<'a> {
    pub role: Role,
    #[serde(borrow)]
    pub content: Content<'a>,
    /// Settings from this message on.
    #[serde(borrow)]
    pub output_config: Option<&'a RawValue>,
}

/// The author of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    User,
    Assistant,
    /// Instructions within the conversation.
    System,
}

impl Role {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::System => "system",
        }
    }
}

/// `thinking`.
#[derive(Debug, Clone, Deserialize)]
pub struct Thinking<'a> {
    /// `enabled`, `adaptive`, `disabled` or `between_tools`.
    #[serde(borrow, rename = "type")]
    pub kind: Str<'a>,
    #[serde(default, deserialize_with = "whole::optional")]
    pub budget_tokens: Option<i64>,
    #[serde(borrow)]
    pub display: Option<Str<'a>>,
}

/// `output_config`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct OutputConfig<'a> {
    /// `low`, `medium`, `high`, `xhigh` or `max`.
    #[serde(borrow)]
    pub effort: Option<Str<'a>>,
    #[serde(borrow)]
    pub format: Option<OutputFormat<'a>>,
    #[serde(borrow)]
    pub task_budget: Option<&'a RawValue>,
}

/// The required format of the answer.
#[derive(Debug, Clone, Deserialize)]
pub struct OutputFormat<'a> {
    /// `json_schema`.
    #[serde(borrow, rename = "type")]
    pub kind: Str<'a>,
    #[serde(borrow)]
    pub schema: Option<&'a RawValue>,
}
