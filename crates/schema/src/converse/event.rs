//! The events of ConverseStream. The kind is the frame's `:event-type` header, the rest its JSON
//! payload; padding (`p`) and unknown members are ignored.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::response::{ServedTier, StopReason, TokenUsage, is_server_side};
use crate::Str;
use crate::lenient::or_default;

/// One event of a stream.
#[derive(Debug, Clone)]
pub enum StreamEvent<'a> {
    MessageStart,
    ContentBlockStart(BlockStart<'a>),
    ContentBlockDelta(BlockDelta<'a>),
    ContentBlockStop(BlockStop),
    MessageStop(MessageStop<'a>),
    Metadata(Metadata<'a>),
    /// An event added after this build.
    Unknown,
}

impl<'a> StreamEvent<'a> {
    /// Reads an event from its `:event-type` and payload.
    ///
    /// # Errors
    /// The payload of a known event is not the expected JSON.
    pub fn parse(event_type: &str, payload: &'a [u8]) -> Result<Self, serde_json::Error> {
        Ok(match event_type {
            "contentBlockDelta" => Self::ContentBlockDelta(serde_json::from_slice(payload)?),
            "contentBlockStart" => Self::ContentBlockStart(serde_json::from_slice(payload)?),
            "contentBlockStop" => Self::ContentBlockStop(serde_json::from_slice(payload)?),
            "messageStart" => Self::MessageStart,
            "messageStop" => Self::MessageStop(serde_json::from_slice(payload)?),
            "metadata" => Self::Metadata(serde_json::from_slice(payload)?),
            _ => Self::Unknown,
        })
    }
}

/// The start of a block. Tool calls have this event; text and reasoning do not.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BlockStart<'a> {
    pub content_block_index: u32,
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub start: Start<'a>,
}

/// The block that begins; empty for an unknown kind.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Start<'a> {
    #[serde(borrow)]
    pub tool_use: Option<ToolUseStart<'a>>,
}

/// Id and name of a call; its arguments follow in deltas.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ToolUseStart<'a> {
    #[serde(borrow)]
    pub tool_use_id: Str<'a>,
    #[serde(borrow)]
    pub name: Str<'a>,
    #[serde(borrow, rename = "type")]
    pub kind: Option<Str<'a>>,
}

impl ToolUseStart<'_> {
    /// True for tools that Bedrock runs itself.
    pub fn is_server_side(&self) -> bool {
        is_server_side(self.kind.as_deref())
    }
}

/// The next piece of a block.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BlockDelta<'a> {
    pub content_block_index: u32,
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub delta: Delta<'a>,
}

/// A delta; exactly one member is set, or none for an unknown kind.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Delta<'a> {
    #[serde(borrow)]
    pub text: Option<Str<'a>>,
    #[serde(borrow)]
    pub tool_use: Option<ToolUseDelta<'a>>,
    #[serde(borrow)]
    pub reasoning_content: Option<ReasoningDelta<'a>>,
    /// A citation of the block's text; it comes before the text.
    #[serde(borrow)]
    pub citation: Option<&'a RawValue>,
}

/// A piece of a call's JSON arguments, cut anywhere.
#[derive(Debug, Clone, Deserialize)]
pub struct ToolUseDelta<'a> {
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub input: Str<'a>,
}

/// A piece of reasoning, or the signature at its end.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ReasoningDelta<'a> {
    #[serde(borrow)]
    pub text: Option<Str<'a>>,
    #[serde(borrow)]
    pub signature: Option<Str<'a>>,
    #[serde(borrow)]
    pub redacted_content: Option<Str<'a>>,
}

/// The end of a block.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BlockStop {
    pub content_block_index: u32,
}

/// The end of the answer; usage still follows.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MessageStop<'a> {
    #[serde(default, deserialize_with = "or_default")]
    pub stop_reason: StopReason,
    /// The requested fields of the model's own response.
    #[serde(borrow)]
    pub additional_model_response_fields: Option<&'a RawValue>,
}

/// The usage of the answer.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Metadata<'a> {
    /// As in a complete response.
    #[serde(borrow)]
    pub trace: Option<&'a RawValue>,
    #[serde(deserialize_with = "or_default")]
    pub usage: TokenUsage,
    /// Present only where a tier was requested.
    #[serde(borrow, deserialize_with = "or_default")]
    pub service_tier: Option<ServedTier<'a>>,
}
