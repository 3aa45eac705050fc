//! Token counts in OpenAI's form. Bedrock counts cached tokens beside the input, OpenAI inside the
//! prompt.

use schema::converse::response::{CacheWrites, TokenUsage};
use schema::openai::usage::{CacheCreation, CompletionDetails, PromptDetails, Usage};

use crate::parts::usage::written;

/// The counts in OpenAI's form; the total is always the sum of its parts. `thought` are the
/// reasoning tokens among the output, if known.
pub(crate) fn openai(usage: TokenUsage, thought: Option<u64>) -> Usage {
    let cached_tokens = usage.cache_read_input_tokens;
    let (cache_write_tokens, writes) = written(usage);
    let prompt_tokens =
        usage.input_tokens.saturating_add(cached_tokens).saturating_add(cache_write_tokens);
    Usage {
        prompt_tokens,
        completion_tokens: usage.output_tokens,
        total_tokens: prompt_tokens.saturating_add(usage.output_tokens),
        prompt_tokens_details: (cached_tokens.max(cache_write_tokens) > 0).then_some(
            PromptDetails {
                cached_tokens,
                cache_write_tokens,
                cache_creation_token_details: writes.map(creation),
            },
        ),
        completion_tokens_details: thought
            .map(|tokens| CompletionDetails { reasoning_tokens: tokens.min(usage.output_tokens) }),
        cost: None,
    }
}

fn creation(CacheWrites { five_minutes, one_hour }: CacheWrites) -> CacheCreation {
    CacheCreation { ephemeral_5m_input_tokens: five_minutes, ephemeral_1h_input_tokens: one_hour }
}
