//! Labels of parameters that had no effect: names that APIs have, because callers may write any.

use routing::OTHER;

/// Parameters of the APIs that are served, which a translation may not honour.
const KNOWN: [&str; 44] = [
    "audio",
    "background",
    "cache_control",
    "context_management",
    "container",
    "conversation",
    "echo",
    "frequency_penalty",
    "include",
    "logit_bias",
    "logprobs",
    "max_completion_tokens",
    "max_output_tokens",
    "max_tokens",
    "max_tool_calls",
    "mcp_servers",
    "metadata",
    "modalities",
    "model",
    "n",
    "parallel_tool_calls",
    "prediction",
    "presence_penalty",
    "prompt",
    "prompt_cache_key",
    "prompt_cache_retention",
    "reasoning",
    "reasoning_effort",
    "response_format",
    "safety_identifier",
    "seed",
    "service_tier",
    "stop",
    "store",
    "stream_options",
    "temperature",
    "text",
    "thinking",
    "tool_choice",
    "tools",
    "top_k",
    "top_logprobs",
    "top_p",
    "truncation",
];
/// Parameters below which positions and members stand.
const NESTED: [&str; 3] = ["messages", "input", "system"];

/// The label of a parameter: the member of the request that it belongs to.
pub(super) fn label(name: &str) -> &'static str {
    let root = name.split(['.', '[']).next().unwrap_or_default();
    let known = KNOWN.iter().chain(&NESTED).find(|known| **known == root);
    known.copied().unwrap_or(OTHER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_callers_make_up_share_a_label() {
        assert_eq!(label("seed"), "seed");
        assert_eq!(label("messages[3].content[0].cache_control"), "messages");
        assert_eq!(label("tools[0].strict"), "tools");
        assert_eq!(label("model.free"), "model");
        for made_up in ["", "seed2", "x-1", "\u{202e}"] {
            assert_eq!(label(made_up), OTHER);
        }
    }
}
