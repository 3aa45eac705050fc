//! The request.

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, SeqAccess};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::item::Item;
use super::tool::SentTool;
use crate::openai::cache::{CacheControl, CacheOptions};
use crate::openai::chat::Stop;
use crate::openai::extensions::{GuardrailFields, PerformanceFields};
use crate::openai::format::{FormatKind, JsonSchema};
use crate::openai::list::{TextOrList, text_or_list};
use crate::openai::unknown::{Collector, Unknown};
use crate::{Str, whole};

/// A request for a response. Every optional field accepts null; the names of unknown fields are kept in
/// `extra`.
#[derive(Debug, Clone, Deserialize)]
#[serde(remote = "Self")]
pub struct ResponsesRequest<'a> {
    /// Empty where a stored prompt names the model.
    #[serde(borrow, default, deserialize_with = "crate::text::model_name")]
    pub model: Str<'a>,
    #[serde(borrow)]
    pub input: Option<Input<'a>>,
    #[serde(borrow)]
    pub instructions: Option<Str<'a>>,
    pub stream: Option<bool>,
    /// Obfuscation is never sent.
    #[serde(borrow)]
    pub stream_options: Option<&'a RawValue>,

    #[serde(borrow)]
    pub tools: Option<Vec<SentTool<'a>>>,
    /// Read by [`super::tool::Choice`].
    #[serde(borrow)]
    pub tool_choice: Option<&'a RawValue>,
    pub parallel_tool_calls: Option<bool>,
    #[serde(default, deserialize_with = "whole::optional")]
    pub max_tool_calls: Option<i64>,

    #[serde(default, deserialize_with = "whole::optional")]
    pub max_output_tokens: Option<i64>,
    pub temperature: Option<f64>,
    pub top_p: Option<f64>,
    #[serde(borrow)]
    pub stop: Option<Stop<'a>>,
    #[serde(default, deserialize_with = "whole::optional")]
    pub top_logprobs: Option<i64>,
    #[serde(borrow)]
    pub reasoning: Option<ReasoningOptions<'a>>,
    #[serde(borrow)]
    pub text: Option<TextOptions<'a>>,
    #[serde(borrow)]
    pub include: Option<Vec<Str<'a>>>,
    #[serde(borrow)]
    pub truncation: Option<Str<'a>>,

    pub store: Option<bool>,
    #[serde(borrow)]
    pub previous_response_id: Option<Str<'a>>,
    #[serde(borrow)]
    pub conversation: Option<ConversationRef<'a>>,
    pub background: Option<bool>,
    #[serde(borrow)]
    pub context_management: Option<&'a RawValue>,
    #[serde(borrow)]
    pub prompt: Option<PromptRef<'a>>,

    pub metadata: Option<Map<String, Value>>,
    #[serde(borrow)]
    pub service_tier: Option<Str<'a>>,
    #[serde(borrow)]
    pub safety_identifier: Option<Str<'a>>,
    #[serde(borrow)]
    pub user: Option<Str<'a>>,
    #[serde(borrow)]
    pub prompt_cache_key: Option<Str<'a>>,
    pub prompt_cache_options: Option<CacheOptions>,
    #[serde(borrow)]
    pub prompt_cache_retention: Option<Str<'a>>,
    #[serde(borrow)]
    pub moderation: Option<&'a RawValue>,
    #[serde(borrow)]
    pub image: Option<&'a RawValue>,
    #[serde(borrow)]
    pub access_programs: Option<&'a RawValue>,
    /// Facts about a client, which agents send.
    #[serde(borrow)]
    pub client_metadata: Option<&'a RawValue>,

    /// De facto extension: only this many of the likeliest tokens are considered.
    #[serde(default, deserialize_with = "whole::optional")]
    pub top_k: Option<i64>,
    #[serde(default, deserialize_with = "whole::optional")]
    pub seed: Option<i64>,
    pub frequency_penalty: Option<f64>,
    pub presence_penalty: Option<f64>,
    /// De facto extension: the service chooses the cached content.
    pub cache_control: Option<CacheControl>,
    /// De facto extension: merged into Converse's member of that name.
    #[serde(alias = "additionalModelRequestFields")]
    pub additional_model_request_fields: Option<Map<String, Value>>,
    /// De facto extension: Converse's member of that name.
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

impl<'de: 'a, 'a> Deserialize<'de> for ResponsesRequest<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut extra = Unknown::default();
        let request = Self::deserialize(Collector::new(deserializer, &mut extra))?;
        if request.model.is_empty() && request.prompt.is_none() {
            return Err(D::Error::missing_field("model"));
        }
        Ok(Self { extra, ..request })
    }
}

impl<'a> ResponsesRequest<'a> {
    /// The items of the input; none for a text.
    pub fn items(&self) -> &[Item<'a>] {
        match &self.input {
            None | Some(Input::Text(_)) => &[],
            Some(Input::Items(items)) => items,
        }
    }
}

/// `input`: one text of the user, or items.
#[derive(Debug, Clone)]
pub enum Input<'a> {
    Text(Str<'a>),
    Items(Vec<Item<'a>>),
}

impl<'de: 'a, 'a> Deserialize<'de> for Input<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text_or_list(deserializer)
    }
}

impl<'de> TextOrList<'de> for Input<'de> {
    const EXPECTED: &'static str = "a string or an array of items";

    fn of_text(text: Str<'de>) -> Self {
        Self::Text(text)
    }

    fn of_list<A: SeqAccess<'de>>(mut seq: A) -> Result<Self, A::Error> {
        let mut items = Vec::with_capacity(seq.size_hint().unwrap_or(1).min(64));
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Self::Items(items))
    }
}

/// `reasoning`: the amount of it, and whether it is shown.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct ReasoningOptions<'a> {
    #[serde(borrow)]
    pub effort: Option<Str<'a>>,
    #[serde(borrow)]
    pub summary: Option<Str<'a>>,
    /// The deprecated name of `summary`.
    #[serde(borrow)]
    pub generate_summary: Option<Str<'a>>,
    /// Past reasoning that the model sees, which depends on the items alone.
    #[serde(borrow)]
    pub context: Option<Str<'a>>,
    #[serde(borrow)]
    pub mode: Option<Str<'a>>,
    /// De facto extension: budget for reasoning tokens.
    #[serde(deserialize_with = "whole::optional")]
    pub max_tokens: Option<i64>,
    /// De facto extension.
    pub enabled: Option<bool>,
    /// De facto extension: whether reasoning is hidden from the client.
    pub exclude: Option<bool>,
}

/// `text`: the format of the answer's text, and its length.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct TextOptions<'a> {
    #[serde(borrow)]
    pub format: Option<TextFormat<'a>>,
    #[serde(borrow)]
    pub verbosity: Option<Str<'a>>,
}

/// `text.format`. The schema stands in it, or in a member as in chat completions.
#[derive(Debug, Clone, Deserialize)]
pub struct TextFormat<'a> {
    #[serde(rename = "type")]
    pub kind: FormatKind,
    #[serde(borrow)]
    pub name: Option<Str<'a>>,
    #[serde(borrow)]
    pub description: Option<Str<'a>>,
    #[serde(borrow)]
    pub schema: Option<&'a RawValue>,
    pub strict: Option<bool>,
    #[serde(borrow)]
    pub json_schema: Option<JsonSchema<'a>>,
}

/// `prompt`: a stored prompt, and the values of its variables.
#[derive(Debug, Clone, Deserialize)]
pub struct PromptRef<'a> {
    #[serde(borrow)]
    pub id: Str<'a>,
    #[serde(borrow)]
    pub version: Option<Str<'a>>,
    pub variables: Option<Map<String, Value>>,
}

/// `conversation`: the conversation that a request belongs to.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged, expecting = "expected the id of a conversation, or an object with its id")]
pub enum ConversationRef<'a> {
    /// Its id.
    Id(#[serde(borrow)] Str<'a>),
    /// An object with its id.
    Object {
        #[serde(borrow)]
        id: Str<'a>,
    },
}

impl ConversationRef<'_> {
    /// The id.
    pub fn id(&self) -> &str {
        match self {
            Self::Id(id) | Self::Object { id } => id,
        }
    }
}
