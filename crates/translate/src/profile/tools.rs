//! Knobs about tools: what schemas, choices and streams a family takes.

use serde::{Deserialize, Serialize};

/// What may stand at the root of a tool's schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SchemaRoot {
    /// Anything beside `type: object` but what decides between shapes.
    Any,
    /// `type`, `properties` and `required` alone.
    Bare,
}

/// Whether a schema may point at definitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SchemaReferences {
    /// It may.
    Kept,
    /// The model does not look them up: they are written out where they are used.
    Inlined,
}

/// Which regular expressions a schema may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SchemaPatterns {
    /// Any.
    Any,
    /// None that look around.
    Plain,
}

/// Whether calls can be held to their schemas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StrictTools {
    /// They cannot.
    Unserved,
    /// By `toolSpec.strict`.
    Native,
}

/// How a model answers a stream where tools are declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolStreaming {
    /// As any other.
    Streamed,
    /// It refuses to: the answer is fetched whole and told as a stream.
    Whole,
}

/// Which ids of calls a model takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CallIds {
    /// What Bedrock takes.
    Any,
    /// Nine letters and digits.
    Nine,
}

/// Which names of tools a model can call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolNames {
    /// What Bedrock takes.
    Any,
    /// Letters, digits and underscores: its calls of names with a hyphen come out malformed.
    NoHyphens,
}

/// What an assistant turn may hold beside calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BesideToolCall {
    /// Anything.
    Anything,
    /// Thoughts, but no text: the text goes into a turn of its own.
    NoText,
}

/// The tokens in which a model writes a call into its text or its reasoning, where the service fails to turn
/// them into a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CallSyntax {
    /// None that is known: such tokens are text.
    None,
    /// `<|tool_calls_section_begin|><|tool_call_begin|>functions.NAME:0<|tool_call_argument_begin|>{...}`
    Sections,
    /// The same order in `<｜tool▁calls▁begin｜>`, `<｜tool▁call▁begin｜>`, `<｜tool▁sep｜>`.
    WideSections,
    /// `<｜DSML｜invoke name="NAME"><｜DSML｜parameter name="..." string="true">`
    Markup,
    /// `<|channel|>commentary to=functions.NAME<|message|>{...}<|call|>`
    Channels,
}
