//! Token counts in OpenAI's form: `prompt_tokens` includes cached and cache-written tokens,
//! `completion_tokens` includes reasoning, and the total is their sum.

use std::fmt;

use serde::ser::Error as _;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

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
    /// De facto extension: the cost in US dollars.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<CostUsd>,
}

/// US dollars, in picodollars (10^-12). Written as a plain decimal, which is exact in JSON too.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CostUsd(pub u64);

impl CostUsd {
    const DOLLAR: u64 = 1_000_000_000_000;

    /// The sum, unless it is too large.
    pub fn plus(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }
}

impl fmt::Display for CostUsd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, fraction) = (self.0 / Self::DOLLAR, self.0 % Self::DOLLAR);
        match format!("{fraction:012}").trim_end_matches('0') {
            "" => write!(f, "{whole}"),
            digits => write!(f, "{whole}.{digits}"),
        }
    }
}

impl Serialize for CostUsd {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        RawValue::from_string(self.to_string()).map_err(S::Error::custom)?.serialize(serializer)
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_are_plain_decimals() {
        for (cost, text) in [
            (0, "0"),
            (1, "0.000000000001"),
            (35_000, "0.000000035"),
            (27_000_000_000, "0.027"),
            (1_500_000_000_000, "1.5"),
            (u64::MAX, "18446744.073709551615"),
        ] {
            assert_eq!(CostUsd(cost).to_string(), text);
            assert_eq!(serde_json::to_string(&CostUsd(cost)).unwrap(), text);
        }
    }
}
