//! Messages and content blocks of requests. A union is an object with exactly one member.

use std::borrow::Cow;

use serde::Serialize;

use super::media::{AudioBlock, DocumentBlock, ImageBlock, SearchResultBlock, VideoBlock};
use super::tool::{ToolResultBlock, ToolUseBlock};

/// One turn. Bedrock requires turns to alternate and to begin with the user.
#[derive(Debug, Clone, Serialize)]
pub struct Message<'a> {
    pub role: Role,
    pub content: Vec<ContentBlock<'a>>,
}

/// The author of a turn. (`system` inside messages exists for the newest models only.)
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    User,
    Assistant,
}

/// A block of a turn.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum ContentBlock<'a> {
    Text(Cow<'a, str>),
    Image(ImageBlock<'a>),
    Document(DocumentBlock<'a>),
    Video(VideoBlock<'a>),
    Audio(AudioBlock<'a>),
    SearchResult(SearchResultBlock<'a>),
    ToolUse(ToolUseBlock<'a>),
    ToolResult(ToolResultBlock<'a>),
    ReasoningContent(ReasoningBlock<'a>),
    CachePoint(CachePoint),
}

/// A past reasoning block of the model, unchanged: readable, or encrypted by the provider.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum ReasoningBlock<'a> {
    ReasoningText(ReasoningText<'a>),
    /// Base64.
    RedactedContent(Cow<'a, str>),
}

/// A readable reasoning block; some families sign theirs and accept them back only with the
/// signature.
#[derive(Debug, Clone, Serialize)]
pub struct ReasoningText<'a> {
    pub text: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signature: Option<Cow<'a, str>>,
}

/// A block of the system prompt.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum SystemBlock<'a> {
    Text(Cow<'a, str>),
    CachePoint(CachePoint),
}

/// A cache point: everything before it may be cached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct CachePoint {
    #[serde(rename = "type")]
    pub kind: CacheKind,
    /// Five minutes by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl: Option<CacheTtl>,
}

/// Lifetime of a cached prefix after its last use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum CacheTtl {
    #[serde(rename = "5m")]
    FiveMinutes,
    #[serde(rename = "1h")]
    OneHour,
}

/// The only kind of cache point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CacheKind {
    Default,
}
