//! The response and the items of its output.

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::openai::annotation::Outcrop;
use crate::openai::usage::CostUsd;

/// The `object` of a response.
pub const RESPONSE_OBJECT: &str = "response";

/// A response, as a body and in events. All members are always present but the last two: strict clients
/// require them.
#[derive(Debug, Clone, Serialize)]
pub struct ResponseObject<'r> {
    pub id: &'r str,
    pub object: &'static str,
    /// Unix seconds.
    pub created_at: u32,
    pub completed_at: Option<u32>,
    pub status: Status,
    pub background: bool,
    pub error: Option<ResponseError<'r>>,
    pub incomplete_details: Option<IncompleteDetails>,
    pub model: &'r str,
    pub output: &'r [OutputItem],
    pub usage: Option<ResponseUsage>,
    #[serde(flatten)]
    pub request: &'r RequestEcho,
    /// The tier that served the call.
    pub service_tier: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcrop: Option<&'r Outcrop>,
}

/// The members of a response that repeat those of its request.
#[derive(Debug, Clone, Default, Serialize)]
pub struct RequestEcho {
    pub frequency_penalty: f64,
    pub instructions: Option<String>,
    pub max_output_tokens: Option<i64>,
    pub max_tool_calls: Option<i64>,
    pub metadata: Map<String, Value>,
    pub parallel_tool_calls: bool,
    pub presence_penalty: f64,
    pub previous_response_id: Option<String>,
    /// The stored prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt: Option<EchoedPrompt>,
    pub prompt_cache_key: Option<String>,
    pub reasoning: EchoedReasoning,
    pub safety_identifier: Option<String>,
    pub store: bool,
    pub temperature: f64,
    pub text: Box<RawValue>,
    pub tool_choice: Box<RawValue>,
    pub tools: Vec<Box<RawValue>>,
    pub top_logprobs: i64,
    pub top_p: f64,
    pub truncation: String,
    /// OpenAI's schema has no null here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conversation: Option<EchoedConversation>,
}

/// The `prompt` of a response.
#[derive(Debug, Clone, Serialize)]
pub struct EchoedPrompt {
    pub id: String,
    pub version: Option<String>,
    pub variables: Option<Map<String, Value>>,
}

/// The `conversation` of a response.
#[derive(Debug, Clone, Serialize)]
pub struct EchoedConversation {
    pub id: String,
}

/// The `reasoning` of a response.
#[derive(Debug, Clone, Default, Serialize)]
pub struct EchoedReasoning {
    pub effort: Option<String>,
    pub summary: Option<String>,
}

/// The state of a response or of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Queued,
    InProgress,
    Completed,
    Incomplete,
    Failed,
    Cancelled,
}

/// The failure of a response.
#[derive(Debug, Clone, Serialize)]
pub struct ResponseError<'r> {
    pub code: &'r str,
    pub message: &'r str,
}

/// Why a response is not complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct IncompleteDetails {
    pub reason: IncompleteReason,
}

/// The reasons for an incomplete response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum IncompleteReason {
    MaxOutputTokens,
    ContentFilter,
}

/// Token counts: the input includes cached tokens, the output includes reasoning.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct ResponseUsage {
    pub input_tokens: u64,
    pub input_tokens_details: InputDetails,
    pub output_tokens: u64,
    pub output_tokens_details: OutputDetails,
    pub total_tokens: u64,
    /// De facto extension: the cost in US dollars.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<CostUsd>,
}

/// The parts of the input that were read from the cache or written to it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct InputDetails {
    pub cached_tokens: u64,
    pub cache_write_tokens: u64,
}

/// The reasoning part of the output; 0 where it is not known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct OutputDetails {
    pub reasoning_tokens: u64,
}

/// An item of the output.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum OutputItem {
    Message {
        id: String,
        status: Status,
        role: &'static str,
        content: Vec<OutputPart>,
    },
    FunctionCall {
        id: String,
        status: Status,
        call_id: String,
        name: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        namespace: Option<String>,
        arguments: String,
    },
    CustomToolCall {
        id: String,
        status: Status,
        call_id: String,
        name: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        namespace: Option<String>,
        input: String,
    },
    Reasoning {
        id: String,
        summary: Vec<SummaryPart>,
        #[serde(skip_serializing_if = "Option::is_none")]
        encrypted_content: Option<String>,
    },
    LocalShellCall {
        id: String,
        status: Status,
        call_id: String,
        action: Box<RawValue>,
    },
    ShellCall {
        id: String,
        status: Status,
        call_id: String,
        action: Box<RawValue>,
        environment: Option<()>,
    },
    ApplyPatchCall {
        id: String,
        status: Status,
        call_id: String,
        operation: Box<RawValue>,
    },
    ToolSearchCall {
        id: String,
        status: Status,
        call_id: String,
        execution: &'static str,
        arguments: Box<RawValue>,
    },
}

impl OutputItem {
    /// Its id.
    pub fn id(&self) -> &str {
        match self {
            Self::Message { id, .. }
            | Self::FunctionCall { id, .. }
            | Self::CustomToolCall { id, .. }
            | Self::Reasoning { id, .. }
            | Self::LocalShellCall { id, .. }
            | Self::ShellCall { id, .. }
            | Self::ApplyPatchCall { id, .. }
            | Self::ToolSearchCall { id, .. } => id,
        }
    }
}

/// A part of a message in an answer.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum OutputPart {
    OutputText { text: String, annotations: Vec<TextAnnotation>, logprobs: [(); 0] },
}

/// A part of a reasoning summary.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum SummaryPart {
    SummaryText { text: String },
}

/// A web page that a text cites; positions are counted in Unicode code points of the text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum TextAnnotation {
    UrlCitation { start_index: u64, end_index: u64, url: String, title: String },
}

/// The `object` of a compacted conversation.
pub const COMPACTION_OBJECT: &str = "response.compaction";

/// A compacted conversation.
#[derive(Debug, Clone, Serialize)]
pub struct CompactionObject<'r> {
    pub id: &'r str,
    pub object: &'static str,
    /// Unix seconds.
    pub created_at: u32,
    pub output: Vec<CompactedItem<'r>>,
    pub usage: ResponseUsage,
}

/// An item of a compacted conversation.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum CompactedItem<'r> {
    /// A message of the user, as it was sent.
    Message { id: String, status: Status, role: &'static str, content: &'r RawValue },
    /// The summary of the rest.
    Compaction { id: String, encrypted_content: &'r str },
}
