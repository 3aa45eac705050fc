//! `POST /v1/messages/count_tokens`; the request is that of messages.

use serde::Serialize;

/// The number of input tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct TokenCount {
    pub input_tokens: u64,
}
