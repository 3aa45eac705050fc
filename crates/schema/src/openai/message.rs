//! One message of a conversation. A single wide shape for all roles, because clients send every
//! field on every role; which of them mean something where is the translator's business.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::cache::CacheControl;
use super::content::Content;
use super::tool::{FunctionCall, ToolCall};
use crate::Str;

/// Who speaks. An unknown role is an error: guessing would put words in somebody's mouth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    System,
    Developer,
    User,
    Assistant,
    Tool,
    /// Deprecated form of `tool`, addressed by name.
    Function,
}

/// A message as clients send it, the common extensions of replayed answers included.
#[derive(Debug, Clone, Deserialize)]
pub struct Message<'a> {
    pub role: Role,
    #[serde(borrow)]
    pub content: Option<Content<'a>>,
    #[serde(borrow)]
    pub name: Option<Str<'a>>,
    #[serde(borrow)]
    pub tool_calls: Option<Vec<ToolCall<'a>>>,
    #[serde(borrow)]
    pub tool_call_id: Option<Str<'a>>,
    #[serde(borrow)]
    pub function_call: Option<FunctionCall<'a>>,
    #[serde(borrow)]
    pub refusal: Option<Str<'a>>,
    #[serde(borrow)]
    pub audio: Option<&'a RawValue>,
    #[serde(borrow)]
    pub reasoning_content: Option<&'a RawValue>,
    #[serde(borrow)]
    pub reasoning_signature: Option<&'a RawValue>,
    #[serde(borrow)]
    pub reasoning: Option<&'a RawValue>,
    #[serde(borrow)]
    pub reasoning_details: Option<&'a RawValue>,
    #[serde(borrow)]
    pub thinking_blocks: Option<&'a RawValue>,
    pub cache_control: Option<CacheControl>,
}
