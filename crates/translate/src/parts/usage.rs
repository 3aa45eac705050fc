//! Bedrock counts cached tokens beside the input, OpenAI inside the prompt.

use schema::converse::response::TokenUsage;
use schema::openai::usage::{PromptDetails, Usage};

/// The same counts in OpenAI's terms; the total is always the sum of its parts.
pub(crate) fn openai(usage: TokenUsage) -> Usage {
    let cached_tokens = usage.cache_read_input_tokens;
    let cache_write_tokens = usage.cache_write_input_tokens;
    let prompt_tokens =
        usage.input_tokens.saturating_add(cached_tokens).saturating_add(cache_write_tokens);
    Usage {
        prompt_tokens,
        completion_tokens: usage.output_tokens,
        total_tokens: prompt_tokens.saturating_add(usage.output_tokens),
        prompt_tokens_details: (cached_tokens + cache_write_tokens > 0)
            .then_some(PromptDetails { cached_tokens, cache_write_tokens }),
    }
}
