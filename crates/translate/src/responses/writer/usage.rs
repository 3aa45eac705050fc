//! Token counts in this API's form: cached tokens are part of the input.

use schema::openai::responses::object::{InputDetails, OutputDetails, ResponseUsage};

use crate::chat::usage::openai;
use crate::spent::Spent;

/// The counts of all calls that a response took; zeros where none are known.
pub(in super::super) fn of(total: Spent) -> ResponseUsage {
    let counts = openai(total.usage.unwrap_or_default(), total.thought);
    let details = counts.prompt_tokens_details.unwrap_or_default();
    let reasoning = counts.completion_tokens_details.unwrap_or_default();
    ResponseUsage {
        input_tokens: counts.prompt_tokens,
        input_tokens_details: InputDetails {
            cached_tokens: details.cached_tokens,
            cache_write_tokens: details.cache_write_tokens,
        },
        output_tokens: counts.completion_tokens,
        output_tokens_details: OutputDetails { reasoning_tokens: reasoning.reasoning_tokens },
        total_tokens: counts.total_tokens,
        cost: total.cost,
    }
}
