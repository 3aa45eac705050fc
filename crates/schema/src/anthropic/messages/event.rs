//! The events of a streamed answer. Each is written with its name before it.

use serde::Serialize;
use serde_json::value::RawValue;

use super::answer::{StopDetails, StopReason, Usage};
use crate::openai::annotation::Outcrop;

/// One event; its `type` is its name too.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event<'a> {
    MessageStart {
        message: Opening<'a>,
    },
    Ping,
    ContentBlockStart {
        index: u32,
        content_block: StartedBlock<'a>,
    },
    ContentBlockDelta {
        index: u32,
        delta: BlockDelta<'a>,
    },
    ContentBlockStop {
        index: u32,
    },
    MessageDelta {
        delta: Ending<'a>,
        usage: Usage,
        #[serde(skip_serializing_if = "Option::is_none")]
        outcrop: Option<&'a Outcrop>,
    },
    MessageStop,
}

impl Event<'_> {
    /// Its name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::MessageStart { .. } => "message_start",
            Self::Ping => "ping",
            Self::ContentBlockStart { .. } => "content_block_start",
            Self::ContentBlockDelta { .. } => "content_block_delta",
            Self::ContentBlockStop { .. } => "content_block_stop",
            Self::MessageDelta { .. } => "message_delta",
            Self::MessageStop => "message_stop",
        }
    }
}

/// The message before its content.
#[derive(Debug, Clone, Serialize)]
pub struct Opening<'a> {
    pub id: &'a str,
    /// Always `message`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Always `assistant`.
    pub role: &'static str,
    pub model: &'a str,
    /// Always empty.
    pub content: [(); 0],
    /// Always null.
    pub stop_reason: Option<StopReason>,
    /// Always null.
    pub stop_sequence: Option<&'a str>,
    pub usage: Usage,
}

/// A block before its content.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum StartedBlock<'a> {
    Text {
        text: &'static str,
        /// Empty, where the first piece is a citation.
        #[serde(skip_serializing_if = "Option::is_none")]
        citations: Option<[(); 0]>,
    },
    Thinking {
        thinking: &'static str,
        signature: &'static str,
    },
    RedactedThinking {
        data: &'a str,
    },
    ToolUse {
        id: &'a str,
        name: &'a str,
        input: Empty,
    },
}

/// An object without members.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Empty {}

/// A piece of a block.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum BlockDelta<'a> {
    TextDelta { text: &'a str },
    ThinkingDelta { thinking: &'a str },
    SignatureDelta { signature: &'a str },
    InputJsonDelta { partial_json: &'a str },
    CitationsDelta { citation: &'a RawValue },
}

/// The end of the message.
#[derive(Debug, Clone, Serialize)]
pub struct Ending<'a> {
    pub stop_reason: StopReason,
    pub stop_sequence: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_details: Option<StopDetails>,
}
