//! The body of InvokeModel for models that read Anthropic's own, and the parts of its answers that
//! the gateway reads. Their other parts pass as they came.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::lenient::{count, or_default};
use crate::{Raw, Str};

/// The version that Bedrock requires.
pub const VERSION: &str = "bedrock-2023-05-31";
/// Beginning of the names of Bedrock's own members in answers.
pub const OWN_MEMBERS: &str = "amazon-bedrock-";
/// The action of a guardrail.
pub const GUARDRAIL_ACTION: &str = "amazon-bedrock-guardrailAction";
/// The trace of a guardrail.
pub const TRACE: &str = "amazon-bedrock-trace";

/// A request. Members are in the order in which a model reads them.
#[derive(Debug, Clone, Serialize)]
pub struct NativeRequest<'a> {
    pub anthropic_version: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub anthropic_beta: Vec<String>,
    pub max_tokens: u32,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<Raw<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_choice: Option<Raw<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system: Option<NativeContent<'a>>,
    pub messages: Vec<NativeMessage<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stop_sequences: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_k: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thinking: Option<Raw<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_config: Option<Raw<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context_management: Option<Raw<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compaction: Option<Raw<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub safeguards: Option<Raw<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Raw<'a>>,
}

/// One message.
#[derive(Debug, Clone, Serialize)]
pub struct NativeMessage<'a> {
    pub role: &'static str,
    pub content: NativeContent<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_config: Option<&'a RawValue>,
}

/// Text, or blocks as they are written.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum NativeContent<'a> {
    Text(Str<'a>),
    Blocks(Vec<Raw<'a>>),
}

/// An answer, as far as it is read.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct NativeAnswer<'a> {
    /// `message`.
    #[serde(borrow, rename = "type")]
    pub kind: Option<Str<'a>>,
    #[serde(borrow)]
    pub content: Vec<NativeBlock<'a>>,
    #[serde(borrow)]
    pub stop_reason: Option<Str<'a>>,
    #[serde(deserialize_with = "or_default")]
    pub usage: NativeUsage,
}

/// A block of an answer, as far as it is read.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct NativeBlock<'a> {
    #[serde(borrow, rename = "type")]
    pub kind: Str<'a>,
    #[serde(borrow)]
    pub text: Option<Str<'a>>,
    #[serde(borrow)]
    pub id: Option<Str<'a>>,
    #[serde(borrow)]
    pub thinking: Option<Str<'a>>,
    #[serde(borrow)]
    pub signature: Option<Str<'a>>,
    #[serde(borrow)]
    pub data: Option<Str<'a>>,
}

/// Token counts of an answer. A count that is not given is `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct NativeUsage {
    pub input_tokens: Option<u64>,
    pub output_tokens: Option<u64>,
    pub cache_read_input_tokens: Option<u64>,
    pub cache_creation_input_tokens: Option<u64>,
    pub cache_creation: Option<NativeCacheCreation>,
    pub output_tokens_details: Option<NativeOutputDetails>,
}

/// Tokens written to the cache, by lifetime.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct NativeCacheCreation {
    #[serde(deserialize_with = "count")]
    pub ephemeral_5m_input_tokens: u64,
    #[serde(deserialize_with = "count")]
    pub ephemeral_1h_input_tokens: u64,
}

/// Parts of the output.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct NativeOutputDetails {
    pub thinking_tokens: Option<u64>,
}

/// An event, as far as it is read.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct NativeEvent<'a> {
    #[serde(borrow, rename = "type")]
    pub kind: Str<'a>,
    #[serde(borrow)]
    pub message: Option<NativeAnswer<'a>>,
    #[serde(borrow)]
    pub content_block: Option<NativeBlock<'a>>,
    #[serde(borrow)]
    pub delta: Option<NativeDelta<'a>>,
    #[serde(deserialize_with = "or_default")]
    pub usage: NativeUsage,
    #[serde(borrow)]
    pub error: Option<NativeError<'a>>,
    /// Bedrock's own counts, with the last event.
    #[serde(rename = "amazon-bedrock-invocationMetrics")]
    pub metrics: Option<InvocationMetrics>,
}

/// A piece of a block, or the end of the message, as far as it is read.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct NativeDelta<'a> {
    #[serde(borrow)]
    pub text: Option<Str<'a>>,
    #[serde(borrow)]
    pub thinking: Option<Str<'a>>,
    #[serde(borrow)]
    pub signature: Option<Str<'a>>,
    #[serde(borrow)]
    pub stop_reason: Option<Str<'a>>,
}

/// An error within a stream.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct NativeError<'a> {
    #[serde(borrow, rename = "type")]
    pub kind: Str<'a>,
    #[serde(borrow)]
    pub message: Str<'a>,
}

/// `amazon-bedrock-invocationMetrics`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct InvocationMetrics {
    pub input_token_count: Option<u64>,
    pub output_token_count: Option<u64>,
    pub cache_read_input_token_count: Option<u64>,
    pub cache_write_input_token_count: Option<u64>,
}
