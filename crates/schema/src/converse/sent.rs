//! The body of a Converse request read again, by which it is translated for another API.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::Str;

/// A Converse request as it would be sent. Its guardrail is applied elsewhere by then.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SentRequest<'a> {
    #[serde(borrow)]
    pub messages: Vec<SentMessage<'a>>,
    #[serde(borrow, default)]
    pub system: Vec<SentSystem<'a>>,
    #[serde(borrow, default)]
    pub inference_config: SentInference<'a>,
    #[serde(borrow)]
    pub tool_config: Option<SentTools<'a>>,
    #[serde(borrow)]
    pub output_config: Option<SentOutput<'a>>,
    #[serde(default)]
    pub additional_model_request_fields: Map<String, Value>,
    #[serde(default)]
    pub request_metadata: Map<String, Value>,
}

/// One turn.
#[derive(Debug, Deserialize)]
pub struct SentMessage<'a> {
    pub role: SentRole,
    #[serde(borrow)]
    pub content: Vec<SentBlock<'a>>,
}

/// The author of a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SentRole {
    User,
    Assistant,
}

/// A block of a turn.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SentBlock<'a> {
    Text(#[serde(borrow)] Str<'a>),
    Image(#[serde(borrow)] SentMedium<'a>),
    Document(#[serde(borrow)] SentMedium<'a>),
    Video(#[serde(borrow)] SentMedium<'a>),
    Audio(#[serde(borrow)] SentMedium<'a>),
    SearchResult(#[serde(borrow)] SentSearchResult<'a>),
    ToolUse(#[serde(borrow)] SentCall<'a>),
    ToolResult(#[serde(borrow)] SentResult<'a>),
    ReasoningContent(#[serde(borrow)] SentReasoning<'a>),
    CachePoint(serde::de::IgnoredAny),
}

/// Media; of a document also its name.
#[derive(Debug, Deserialize)]
pub struct SentMedium<'a> {
    #[serde(borrow)]
    pub format: Str<'a>,
    #[serde(borrow)]
    pub name: Option<Str<'a>>,
    #[serde(borrow)]
    pub source: SentSource<'a>,
}

/// The place of the bytes.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SentSource<'a> {
    /// Base64.
    Bytes(#[serde(borrow)] Str<'a>),
    Text(#[serde(borrow)] Str<'a>),
    S3Location(serde::de::IgnoredAny),
}

/// A search result.
#[derive(Debug, Deserialize)]
pub struct SentSearchResult<'a> {
    #[serde(borrow)]
    pub source: Str<'a>,
    #[serde(borrow)]
    pub title: Str<'a>,
    #[serde(borrow)]
    pub content: Vec<SentPassage<'a>>,
}

/// A passage of a search result.
#[derive(Debug, Deserialize)]
pub struct SentPassage<'a> {
    #[serde(borrow)]
    pub text: Str<'a>,
}

/// A call by the assistant.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SentCall<'a> {
    #[serde(borrow)]
    pub tool_use_id: Str<'a>,
    #[serde(borrow)]
    pub name: Str<'a>,
    #[serde(borrow)]
    pub input: &'a RawValue,
}

/// The result of a call.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SentResult<'a> {
    #[serde(borrow)]
    pub tool_use_id: Str<'a>,
    #[serde(borrow)]
    pub content: Vec<SentBlock<'a>>,
}

/// Past reasoning.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SentReasoning<'a> {
    ReasoningText(#[serde(borrow)] SentPassage<'a>),
    RedactedContent(#[serde(borrow)] Str<'a>),
}

/// A block of the system prompt.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SentSystem<'a> {
    Text(#[serde(borrow)] Str<'a>),
    CachePoint(serde::de::IgnoredAny),
}

/// Limits and sampling.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SentInference<'a> {
    pub max_tokens: Option<u32>,
    pub temperature: Option<f64>,
    pub top_p: Option<f64>,
    #[serde(borrow)]
    pub stop_sequences: Vec<Str<'a>>,
}

/// The tools and their choice.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SentTools<'a> {
    #[serde(borrow)]
    pub tools: Vec<SentTool<'a>>,
    #[serde(borrow)]
    pub tool_choice: Option<SentChoice<'a>>,
}

/// A tool.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SentTool<'a> {
    ToolSpec(#[serde(borrow)] SentSpec<'a>),
    SystemTool(#[serde(borrow)] SentSystemTool<'a>),
    CachePoint(serde::de::IgnoredAny),
}

/// A tool of the client.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SentSpec<'a> {
    #[serde(borrow)]
    pub name: Str<'a>,
    #[serde(borrow)]
    pub description: Str<'a>,
    #[serde(borrow)]
    pub input_schema: SentSchema<'a>,
    #[serde(default)]
    pub strict: Option<bool>,
}

/// The schema of a tool.
#[derive(Debug, Deserialize)]
pub struct SentSchema<'a> {
    #[serde(borrow)]
    pub json: &'a RawValue,
}

/// A tool of Converse itself.
#[derive(Debug, Deserialize)]
pub struct SentSystemTool<'a> {
    #[serde(borrow)]
    pub name: Str<'a>,
}

/// The tool choice.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SentChoice<'a> {
    Auto {},
    Any {},
    Tool {
        #[serde(borrow)]
        name: Str<'a>,
    },
}

/// The required format of the answer.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SentOutput<'a> {
    #[serde(borrow)]
    pub text_format: SentFormat<'a>,
}

/// The format's structure.
#[derive(Debug, Deserialize)]
pub struct SentFormat<'a> {
    #[serde(borrow)]
    pub structure: SentStructure<'a>,
}

/// The only structure.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SentStructure<'a> {
    #[serde(borrow)]
    pub json_schema: SentJsonSchema<'a>,
}

/// A schema as text.
#[derive(Debug, Deserialize)]
pub struct SentJsonSchema<'a> {
    #[serde(borrow)]
    pub schema: Str<'a>,
    #[serde(borrow)]
    pub name: Option<Str<'a>>,
    #[serde(borrow)]
    pub description: Option<Str<'a>>,
}
