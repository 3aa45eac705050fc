//! Settings of tools: schemas, choices and streaming per model family.

use serde::{Deserialize, Serialize};

/// Keywords allowed at the root of a tool's schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SchemaRoot {
    /// Any beside `type: object`, except combinators such as `anyOf` that choose between shapes.
    Any,
    /// Only `type`, `properties` and `required`.
    Bare,
}

/// Handling of references to definitions in a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SchemaReferences {
    /// References are kept.
    Kept,
    /// The model does not resolve references: definitions are copied to their places of use.
    Inlined,
}

/// Regular expressions allowed in a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SchemaPatterns {
    /// Any.
    Any,
    /// Only those without look-around.
    Plain,
}

/// Method that constrains calls to their schemas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StrictTools {
    /// Not supported.
    Unserved,
    /// By `toolSpec.strict`.
    Native,
}

/// Streaming of answers where tools are declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolStreaming {
    /// As without tools.
    Streamed,
    /// The model refuses to stream: the complete response is fetched and replayed as a stream.
    Whole,
}

/// Call ids that a model accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CallIds {
    /// All that Bedrock accepts.
    Any,
    /// Nine letters and digits.
    Nine,
}

/// Tool names that a model can call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolNames {
    /// All that Bedrock accepts.
    Any,
    /// Letters, digits and underscores: calls of names with a hyphen come out malformed.
    NoHyphens,
}

/// Content that an assistant turn may hold beside calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BesideToolCall {
    /// Anything.
    Anything,
    /// Reasoning, but no text: the text goes into a separate turn.
    NoText,
}

/// The tokens in which a model writes a call into its text or its reasoning, where the service
/// fails to turn it into a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CallSyntax {
    /// None known: such tokens are text.
    None,
    /// `<|tool_calls_section_begin|><|tool_call_begin|>functions.NAME:0<|tool_call_argument_begin|>{...}`
    Sections,
    /// The same order with `<｜tool▁calls▁begin｜>`, `<｜tool▁call▁begin｜>`, `<｜tool▁sep｜>`.
    WideSections,
    /// `<｜DSML｜invoke name="NAME"><｜DSML｜parameter name="..." string="true">`
    Markup,
    /// `<|channel|>commentary to=functions.NAME<|message|>{...}<|call|>`
    Channels,
}
