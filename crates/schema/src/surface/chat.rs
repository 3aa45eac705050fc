//! Chat completions, sent and read.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::Str;
use crate::lenient::{count, or_default};

/// A request.
#[derive(Debug, Serialize)]
pub struct ChatBody<'a> {
    pub model: &'a str,
    pub messages: Vec<SurfaceMessage<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_completion_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f64>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub stop: &'a [Str<'a>],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<ChatTool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_choice: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_format: Option<ResponseFormat<'a>>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream_options: Option<StreamOptions>,
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// Options of a stream.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct StreamOptions {
    pub include_usage: bool,
}

/// A message.
#[derive(Debug, Serialize)]
#[serde(tag = "role", rename_all = "lowercase")]
pub enum SurfaceMessage<'a> {
    System {
        content: String,
    },
    User {
        content: Content<'a>,
    },
    Assistant {
        #[serde(skip_serializing_if = "Option::is_none")]
        content: Option<String>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        tool_calls: Vec<ChatCall<'a>>,
    },
    Tool {
        tool_call_id: &'a str,
        content: String,
    },
}

/// The content of a user's message.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Content<'a> {
    Text(&'a str),
    Parts(Vec<ContentPart<'a>>),
}

/// A part of it.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ContentPart<'a> {
    Text { text: std::borrow::Cow<'a, str> },
    ImageUrl { image_url: ImageUrl },
    InputAudio { input_audio: InputAudio<'a> },
    File { file: FileData<'a> },
}

/// An image as a data URL.
#[derive(Debug, Serialize)]
pub struct ImageUrl {
    pub url: String,
}

/// A recording in base64.
#[derive(Debug, Serialize)]
pub struct InputAudio<'a> {
    pub data: &'a str,
    pub format: &'a str,
}

/// A file as a data URL.
#[derive(Debug, Serialize)]
pub struct FileData<'a> {
    pub filename: std::borrow::Cow<'a, str>,
    pub file_data: String,
}

/// A call.
#[derive(Debug, Serialize)]
pub struct ChatCall<'a> {
    pub id: &'a str,
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub function: CalledFunction<'a>,
}

/// The function of a call.
#[derive(Debug, Serialize)]
pub struct CalledFunction<'a> {
    pub name: &'a str,
    pub arguments: &'a str,
}

/// A tool.
#[derive(Debug, Serialize)]
pub struct ChatTool<'a> {
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub function: FunctionSpec<'a>,
}

/// A function that can be called.
#[derive(Debug, Serialize)]
pub struct FunctionSpec<'a> {
    pub name: &'a str,
    pub description: &'a str,
    pub parameters: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strict: Option<bool>,
}

/// A format by a schema.
#[derive(Debug, Serialize)]
pub struct ResponseFormat<'a> {
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub json_schema: NamedSchema<'a>,
}

/// A schema with its name.
#[derive(Debug, Serialize)]
pub struct NamedSchema<'a> {
    pub name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<&'a str>,
    pub schema: &'a RawValue,
    pub strict: bool,
}

/// A complete answer.
#[derive(Debug, Deserialize)]
pub struct ChatAnswer<'a> {
    #[serde(borrow)]
    pub id: Option<Str<'a>>,
    #[serde(borrow)]
    pub choices: Vec<ChatChoice<'a>>,
    #[serde(default, deserialize_with = "or_default")]
    pub usage: ChatUsage,
}

/// One answer.
#[derive(Debug, Deserialize)]
pub struct ChatChoice<'a> {
    #[serde(borrow)]
    pub message: Said<'a>,
    #[serde(borrow)]
    pub finish_reason: Option<Str<'a>>,
}

/// An event of a stream.
#[derive(Debug, Deserialize)]
pub struct ChatEvent<'a> {
    #[serde(borrow)]
    pub id: Option<Str<'a>>,
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub choices: Vec<EventChoice<'a>>,
    #[serde(default)]
    pub usage: Option<ChatUsage>,
    #[serde(borrow)]
    pub error: Option<SurfaceError<'a>>,
}

/// A piece of one answer.
#[derive(Debug, Deserialize)]
pub struct EventChoice<'a> {
    #[serde(default)]
    pub index: u32,
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub delta: Said<'a>,
    #[serde(borrow)]
    pub finish_reason: Option<Str<'a>>,
}

/// A message, or a piece of one. Reasoning has two names.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Said<'a> {
    #[serde(borrow)]
    pub content: Option<Str<'a>>,
    #[serde(borrow)]
    pub refusal: Option<Str<'a>>,
    #[serde(borrow)]
    pub reasoning: Option<Str<'a>>,
    #[serde(borrow)]
    pub reasoning_content: Option<Str<'a>>,
    #[serde(borrow, deserialize_with = "or_default")]
    pub tool_calls: Vec<SaidCall<'a>>,
}

/// A call, or a piece of one.
#[derive(Debug, Deserialize)]
pub struct SaidCall<'a> {
    pub index: Option<u32>,
    #[serde(borrow)]
    pub id: Option<Str<'a>>,
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub function: SaidFunction<'a>,
}

/// The function of a call, or a piece of it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct SaidFunction<'a> {
    #[serde(borrow)]
    pub name: Option<Str<'a>>,
    #[serde(borrow)]
    pub arguments: Option<Str<'a>>,
}

/// An error within a stream.
#[derive(Debug, Deserialize)]
pub struct SurfaceError<'a> {
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub message: Str<'a>,
    #[serde(borrow, rename = "type")]
    pub kind: Option<Str<'a>>,
    /// A word, or a number.
    pub code: Option<Value>,
}

/// Token counts; those of the prompt include cached ones.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ChatUsage {
    #[serde(deserialize_with = "count")]
    pub prompt_tokens: u64,
    #[serde(deserialize_with = "count")]
    pub completion_tokens: u64,
    #[serde(deserialize_with = "or_default")]
    pub prompt_tokens_details: ReadDetails,
    #[serde(deserialize_with = "or_default")]
    pub completion_tokens_details: WrittenDetails,
}

/// Parts of the prompt's tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ReadDetails {
    #[serde(deserialize_with = "count")]
    pub cached_tokens: u64,
    #[serde(deserialize_with = "count")]
    pub cache_write_tokens: u64,
}

/// Parts of the answer's tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct WrittenDetails {
    #[serde(deserialize_with = "count")]
    pub reasoning_tokens: u64,
}
