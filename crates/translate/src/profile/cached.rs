//! Knobs about the prompt cache: where points may stand in messages, and how streams count cached tokens.

use serde::{Deserialize, Serialize};

/// Behind which blocks of a message a model takes a cache point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CachePointAfter {
    /// Any that Bedrock takes one behind.
    AnyBlock,
    /// Text alone: not calls, results or media.
    Text,
}

/// How `inputTokens` of a stream counts what was read from the cache or written to it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StreamCounts {
    /// It leaves them out, as whole answers do.
    #[default]
    Net,
    /// It holds them, wherever it is no less than both together.
    Gross,
}
