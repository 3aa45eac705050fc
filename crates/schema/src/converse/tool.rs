//! Tools, calls and results. Schemas and inputs are raw JSON: their order and notation are kept.

use std::borrow::Cow;

use serde::Serialize;

use super::media::{DocumentBlock, ImageBlock, SearchResultBlock, VideoBlock};
use super::message::CachePoint;
use crate::Raw;

/// `toolConfig`: at least one tool, and the tool choice.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ToolConfig<'a> {
    pub tools: Vec<Tool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_choice: Option<ToolChoice<'a>>,
}

/// One entry of the tool list.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Tool<'a> {
    ToolSpec(ToolSpec<'a>),
    SystemTool(SystemTool<'a>),
    CachePoint(CachePoint),
}

/// A tool that the client runs. Name `[a-zA-Z0-9_-]{1,64}`, description not empty.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ToolSpec<'a> {
    pub name: Cow<'a, str>,
    pub description: Cow<'a, str>,
    pub input_schema: InputSchema<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strict: Option<bool>,
}

/// A tool that the service itself runs, by name.
#[derive(Debug, Clone, Serialize)]
pub struct SystemTool<'a> {
    pub name: Cow<'a, str>,
}

/// `{"json": schema}`.
#[derive(Debug, Clone, Serialize)]
pub struct InputSchema<'a> {
    pub json: Raw<'a>,
}

/// The tool choice. "None" does not exist: the tools are left out instead.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum ToolChoice<'a> {
    Auto {},
    Any {},
    Tool { name: Cow<'a, str> },
}

/// A call by the assistant. `input` is a JSON object.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ToolUseBlock<'a> {
    pub tool_use_id: Cow<'a, str>,
    pub name: Cow<'a, str>,
    pub input: Raw<'a>,
}

/// The result of a call.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ToolResultBlock<'a> {
    pub tool_use_id: Cow<'a, str>,
    pub content: Vec<ToolResultContent<'a>>,
}

/// A block of a result.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum ToolResultContent<'a> {
    Text(Cow<'a, str>),
    Image(ImageBlock<'a>),
    Document(DocumentBlock<'a>),
    Video(VideoBlock<'a>),
    SearchResult(SearchResultBlock<'a>),
}
