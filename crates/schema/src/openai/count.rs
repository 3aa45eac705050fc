//! The response of `POST /v1/chat/completions/input_tokens`, in the form of OpenAI's count for
//! responses.

use serde::Serialize;

/// The number of input tokens of a chat request.
#[derive(Debug, Clone, Serialize)]
pub struct InputTokens {
    pub object: &'static str,
    pub input_tokens: u64,
    /// An extension.
    pub outcrop: CountedBy,
}

/// The `object` of the response.
pub const INPUT_TOKENS_OBJECT: &str = "chat.completion.input_tokens";

/// The `object` of the count for a response.
pub const RESPONSE_INPUT_TOKENS_OBJECT: &str = "response.input_tokens";

/// The source of the count.
#[derive(Debug, Clone, Serialize)]
pub struct CountedBy {
    /// Whether the number is only an estimate.
    pub estimated: bool,
    /// The model whose tokens they are; null for an estimate.
    pub model: Option<String>,
}
