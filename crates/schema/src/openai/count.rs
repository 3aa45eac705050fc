//! The answer of `POST /v1/chat/completions/input_tokens`, shaped as OpenAI's count for responses is.

use serde::Serialize;

/// How many tokens a chat request puts in.
#[derive(Debug, Clone, Serialize)]
pub struct InputTokens {
    pub object: &'static str,
    pub input_tokens: u64,
    /// An extension.
    pub outcrop: CountedBy,
}

/// The `object` of the answer.
pub const INPUT_TOKENS_OBJECT: &str = "chat.completion.input_tokens";

/// Who counted.
#[derive(Debug, Clone, Serialize)]
pub struct CountedBy {
    /// Whether nobody counted, and the number is only a guess.
    pub estimated: bool,
    /// The model whose tokens they are; null for an estimate.
    pub model: Option<String>,
}
