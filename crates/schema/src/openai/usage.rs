//! Token counts in OpenAI's terms: `prompt_tokens` includes cached and cache-written tokens,
//! `completion_tokens` includes reasoning, and the total is their sum.

use serde::Serialize;

/// `usage` of an answer or of the last chunk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Usage {
    pub prompt_tokens: u64,
    pub completion_tokens: u64,
    pub total_tokens: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt_tokens_details: Option<PromptDetails>,
}

/// What of the prompt came from, or went into, the cache.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct PromptDetails {
    pub cached_tokens: u64,
    pub cache_write_tokens: u64,
}
