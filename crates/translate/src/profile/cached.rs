//! Settings of the prompt cache: places of cache points in messages, and the counting of cached
//! tokens in streams.

use serde::{Deserialize, Serialize};

/// Blocks of a message after which a model accepts a cache point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CachePointAfter {
    /// All blocks after which Bedrock accepts one.
    AnyBlock,
    /// Text only: not calls, results or media.
    Text,
}

/// Meaning of `inputTokens` in a stream for tokens that were read from the cache or written to it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StreamCounts {
    /// Excluded, as in complete responses.
    #[default]
    Net,
    /// Included, wherever the count is at least as large as both together.
    Gross,
}
