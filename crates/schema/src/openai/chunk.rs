//! One event of a streamed chat response. All fields are borrowed: a chunk lives only until it is
//! written to the wire.

use serde::Serialize;

use super::annotation::{Annotation, Outcrop};
use super::chat::FinishReason;
use super::reasoning::Detail;
use super::tool::CallKind;
use super::usage::Usage;

/// `chat.completion.chunk`. `usage` is absent unless requested; then it is null in all but the
/// last.
#[derive(Debug, Clone, Serialize)]
pub struct Chunk<'a> {
    pub id: &'a str,
    pub object: &'static str,
    pub created: u32,
    pub model: &'a str,
    /// One choice, or none in the usage chunk.
    pub choices: &'a [ChunkChoice<'a>],
    /// The tier that served the call: in the last chunks, where one was requested.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_tier: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Option<Usage>>,
}

/// The `object` of every chunk; SDK helpers drop events with another value.
pub const CHUNK_OBJECT: &str = "chat.completion.chunk";

/// The changes of one choice.
#[derive(Debug, Clone, Serialize)]
pub struct ChunkChoice<'a> {
    pub index: u32,
    pub delta: Delta<'a>,
    pub finish_reason: Option<FinishReason>,
    pub logprobs: Option<()>,
    /// Present only with the finish reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcrop: Option<&'a Outcrop>,
}

/// New text, or the start or continuation of a tool call.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Delta<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning_content: Option<&'a str>,
    /// All annotations of the answer at once: clients' accumulators would lose or refuse later
    /// ones.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub annotations: &'a [Annotation],
    /// A complete reasoning block.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning_details: Option<[Detail<'a>; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_calls: Option<[CallDelta<'a>; 1]>,
    /// Deprecated form, for callers that sent `functions`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub function_call: Option<FunctionDelta<'a>>,
}

/// A piece of a tool call. `id`, `type` and the name are sent exactly once, because SDKs
/// concatenate them.
#[derive(Debug, Clone, Serialize)]
pub struct CallDelta<'a> {
    pub index: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<&'a str>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<CallKind>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub function: Option<FunctionDelta<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub custom: Option<CustomDelta<'a>>,
}

/// Name (first piece only) and the next piece of the arguments.
#[derive(Debug, Clone, Serialize)]
pub struct FunctionDelta<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<&'a str>,
    pub arguments: &'a str,
}

/// Name (first piece only) and the next piece of a free-form input.
#[derive(Debug, Clone, Serialize)]
pub struct CustomDelta<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<&'a str>,
    pub input: &'a str,
}
