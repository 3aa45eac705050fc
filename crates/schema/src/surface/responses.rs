//! Responses, sent and read.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::chat::{ReadDetails, SurfaceError, WrittenDetails};
use crate::Str;
use crate::lenient::{count, or_default};

/// A request. Nothing of it is stored upstream.
#[derive(Debug, Serialize)]
pub struct ResponsesBody<'a> {
    pub model: &'a str,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub instructions: String,
    pub input: Vec<InputItem<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<FlatTool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_choice: Option<Value>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub text: Map<String, Value>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub include: &'static [&'static str],
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub metadata: Map<String, Value>,
    pub store: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub stream: bool,
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// An item of the conversation.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum InputItem<'a> {
    Message { role: &'static str, content: InputContent<'a> },
    Reasoning { summary: [(); 0], encrypted_content: &'a str },
    FunctionCall { call_id: &'a str, name: &'a str, arguments: &'a str },
    FunctionCallOutput { call_id: &'a str, output: InputContent<'a> },
}

/// The content of a message, or the output of a call.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum InputContent<'a> {
    Text(Cow<'a, str>),
    Parts(Vec<InputPart<'a>>),
}

/// A part of it.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum InputPart<'a> {
    InputText { text: Cow<'a, str> },
    InputImage { image_url: String },
    InputFile { filename: Cow<'a, str>, file_data: String },
}

/// A tool.
#[derive(Debug, Serialize)]
pub struct FlatTool<'a> {
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub name: &'a str,
    pub description: &'a str,
    pub parameters: &'a RawValue,
    pub strict: bool,
}

/// A complete response, or the response of a stream's event.
#[derive(Debug, Deserialize)]
pub struct ResponsesAnswer<'a> {
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub id: Str<'a>,
    #[serde(borrow)]
    pub status: Option<Str<'a>>,
    #[serde(borrow)]
    pub error: Option<SurfaceError<'a>>,
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub incomplete_details: Incomplete<'a>,
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub output: Vec<OutputItem<'a>>,
    #[serde(default, deserialize_with = "or_default")]
    pub usage: ResponsesUsage,
}

/// The reason of an incomplete response.
#[derive(Debug, Default, Deserialize)]
pub struct Incomplete<'a> {
    #[serde(borrow)]
    pub reason: Option<Str<'a>>,
}

/// An item of the answer, by its type.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct OutputItem<'a> {
    #[serde(borrow, rename = "type")]
    pub kind: Str<'a>,
    #[serde(borrow, deserialize_with = "or_default")]
    pub content: Vec<OutputPart<'a>>,
    #[serde(borrow, deserialize_with = "or_default")]
    pub summary: Vec<OutputPart<'a>>,
    #[serde(borrow)]
    pub encrypted_content: Option<Str<'a>>,
    #[serde(borrow)]
    pub call_id: Option<Str<'a>>,
    #[serde(borrow)]
    pub name: Option<Str<'a>>,
    #[serde(borrow)]
    pub arguments: Option<Str<'a>>,
}

/// A part of an item: text, or a refusal.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct OutputPart<'a> {
    #[serde(borrow)]
    pub text: Option<Str<'a>>,
    #[serde(borrow)]
    pub refusal: Option<Str<'a>>,
}

/// An event of a stream, by its type.
#[derive(Debug, Deserialize)]
pub struct ResponsesEvent<'a> {
    #[serde(borrow, rename = "type", default, deserialize_with = "or_default")]
    pub kind: Str<'a>,
    #[serde(default)]
    pub output_index: u32,
    #[serde(borrow)]
    pub delta: Option<Str<'a>>,
    #[serde(borrow)]
    pub item: Option<OutputItem<'a>>,
    #[serde(borrow)]
    pub response: Option<ResponsesAnswer<'a>>,
    /// Of an event `error`.
    #[serde(borrow)]
    pub message: Option<Str<'a>>,
    /// Of an event `error`: a word, or a number.
    pub code: Option<Value>,
    #[serde(borrow)]
    pub error: Option<SurfaceError<'a>>,
}

/// Token counts; those of the input include cached ones.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ResponsesUsage {
    #[serde(deserialize_with = "count")]
    pub input_tokens: u64,
    #[serde(deserialize_with = "count")]
    pub output_tokens: u64,
    #[serde(deserialize_with = "or_default")]
    pub input_tokens_details: ReadDetails,
    #[serde(deserialize_with = "or_default")]
    pub output_tokens_details: WrittenDetails,
}
