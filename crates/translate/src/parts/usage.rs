//! Bedrock counts cached tokens beside the input, OpenAI inside the prompt.

use schema::converse::response::{CacheWrites, TokenUsage};
use schema::openai::usage::{CacheCreation, CompletionDetails, PromptDetails, Usage};
use serde_json::Value;
use serde_json::value::RawValue;

/// The counts in OpenAI's form; the total is always the sum of its parts. `thought` are the
/// reasoning tokens among the output, if known.
pub(crate) fn openai(usage: TokenUsage, thought: Option<u64>) -> Usage {
    let cached_tokens = usage.cache_read_input_tokens;
    let (cache_write_tokens, creation) = written(usage);
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
                cache_creation_token_details: creation,
            },
        ),
        completion_tokens_details: thought
            .map(|tokens| CompletionDetails { reasoning_tokens: tokens.min(usage.output_tokens) }),
    }
}

/// Converts the counts of a stream whose input includes the tokens read from the cache and written
/// to it to the form of complete responses. An input smaller than both does not include them, and
/// is kept.
pub(crate) fn net(usage: TokenUsage) -> TokenUsage {
    let (written, _) = written(usage);
    let cached = usage.cache_read_input_tokens.saturating_add(written);
    match usage.input_tokens.checked_sub(cached) {
        Some(rest) if cached > 0 => TokenUsage {
            input_tokens: rest,
            total_tokens: usage.input_tokens.saturating_add(usage.output_tokens),
            ..usage
        },
        _ => usage,
    }
}

/// Tokens written to the cache, and their lifetimes if reported. If the two disagree, the parts are
/// reduced to the sum; a missing sum is that of its parts.
fn written(usage: TokenUsage) -> (u64, Option<CacheCreation>) {
    let CacheWrites { five_minutes, one_hour } = usage.cache_details;
    let parts = five_minutes.saturating_add(one_hour);
    let sum = match usage.cache_write_input_tokens {
        0 => parts,
        told => told,
    };
    let one_hour = one_hour.min(sum);
    let creation = CacheCreation {
        ephemeral_5m_input_tokens: five_minutes.min(sum - one_hour),
        ephemeral_1h_input_tokens: one_hour,
    };
    (sum, (parts > 0).then_some(creation))
}

/// The sum of two usages.
pub(crate) fn sum(one: TokenUsage, other: TokenUsage) -> TokenUsage {
    let TokenUsage {
        input_tokens,
        output_tokens,
        total_tokens,
        cache_read_input_tokens,
        cache_write_input_tokens,
        cache_details: CacheWrites { five_minutes, one_hour },
    } = other;
    TokenUsage {
        input_tokens: one.input_tokens.saturating_add(input_tokens),
        output_tokens: one.output_tokens.saturating_add(output_tokens),
        total_tokens: one.total_tokens.saturating_add(total_tokens),
        cache_read_input_tokens: one
            .cache_read_input_tokens
            .saturating_add(cache_read_input_tokens),
        cache_write_input_tokens: one
            .cache_write_input_tokens
            .saturating_add(cache_write_input_tokens),
        cache_details: CacheWrites {
            five_minutes: one.cache_details.five_minutes.saturating_add(five_minutes),
            one_hour: one.cache_details.one_hour.saturating_add(one_hour),
        },
    }
}

/// The reasoning tokens, which the model's own response counts under either name.
pub(crate) fn thought(fields: Option<&RawValue>) -> Option<u64> {
    let fields: Value = serde_json::from_str(fields?.get()).ok()?;
    let details = fields.pointer("/usage/output_tokens_details")?;
    let count = ["thinking_tokens", "reasoning_tokens"].iter().find_map(|name| details.get(name));
    count.and_then(Value::as_u64)
}
