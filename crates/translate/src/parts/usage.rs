//! Token counts of answers, of streams and of several calls, as Bedrock's complete responses give
//! them: cached tokens beside the input.

use schema::converse::response::{CacheWrites, TokenUsage};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::profile::StreamCounts;

/// The counts of a stream in the form of complete responses.
pub(crate) fn of_stream(usage: TokenUsage, counts: StreamCounts) -> TokenUsage {
    match counts {
        StreamCounts::Net => usage,
        StreamCounts::Gross => net(usage),
    }
}

/// Converts the counts of a stream whose input includes the tokens read from the cache and written
/// to it to the form of complete responses. An input smaller than both does not include them, and
/// is kept.
fn net(usage: TokenUsage) -> TokenUsage {
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
pub(crate) fn written(usage: TokenUsage) -> (u64, Option<CacheWrites>) {
    let CacheWrites { five_minutes, one_hour } = usage.cache_details;
    let parts = five_minutes.saturating_add(one_hour);
    let sum = match usage.cache_write_input_tokens {
        0 => parts,
        told => told,
    };
    let one_hour = one_hour.min(sum);
    let writes = CacheWrites { five_minutes: five_minutes.min(sum - one_hour), one_hour };
    (sum, (parts > 0).then_some(writes))
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
