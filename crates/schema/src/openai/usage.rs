//! Token counts in OpenAI's form: `prompt_tokens` includes cached and cache-written tokens,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completion_tokens_details: Option<CompletionDetails>,
}

/// The reasoning part of the output. Absent where the model does not report it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct CompletionDetails {
    pub reasoning_tokens: u64,
}

/// The parts of the prompt that were read from the cache or written to it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct PromptDetails {
    pub cached_tokens: u64,
    pub cache_write_tokens: u64,
    /// Absent where the service does not report it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_creation_token_details: Option<CacheCreation>,
}

/// Tokens written to the cache, by lifetime. The names are those that clients know.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct CacheCreation {
    pub ephemeral_5m_input_tokens: u64,
    pub ephemeral_1h_input_tokens: u64,
}
