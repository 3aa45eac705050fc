//! Operations of bedrock-mantle, which an operator may add: the APIs of OpenAI and Anthropic as AWS serves them. No
//! service model describes them; the names are the gateway's own, and the paths AWS's below `/mantle`.

use super::{OperationRow, row};
use bedrock::Kind::Unary;
use bedrock::Service::Mantle;

/// Streams are server-sent events, which need no frames to be read.
#[rustfmt::skip]
pub(super) const ROWS: &[OperationRow] = &[
    row("MantleChatCompletion", "POST", "/mantle/v1/chat/completions", Mantle, Unary),
    row("MantleChatCompletion", "POST", "/mantle/openai/v1/chat/completions", Mantle, Unary),
    row("MantleMessage", "POST", "/mantle/anthropic/v1/messages", Mantle, Unary),
    row("MantleResponse", "POST", "/mantle/v1/responses", Mantle, Unary),
    row("MantleResponse", "POST", "/mantle/openai/v1/responses", Mantle, Unary),
    row("MantleStoredResponse", "GET", "/mantle/v1/responses/{}", Mantle, Unary),
    row("MantleStoredResponse", "GET", "/mantle/openai/v1/responses/{}", Mantle, Unary),
    row("MantleStoredResponse", "DELETE", "/mantle/v1/responses/{}", Mantle, Unary),
    row("MantleStoredResponse", "DELETE", "/mantle/openai/v1/responses/{}", Mantle, Unary),
    row("MantleStoredResponse", "POST", "/mantle/v1/responses/{}/cancel", Mantle, Unary),
    row("MantleStoredResponse", "POST", "/mantle/openai/v1/responses/{}/cancel", Mantle, Unary),
    row("MantleStoredResponse", "GET", "/mantle/v1/responses/{}/input_items", Mantle, Unary),
    row("MantleStoredResponse", "GET", "/mantle/openai/v1/responses/{}/input_items", Mantle, Unary),
    row("MantleModels", "GET", "/mantle/v1/models", Mantle, Unary),
    row("MantleModels", "GET", "/mantle/v1/models/{}", Mantle, Unary),
];

/// Query parameters of these APIs.
pub(super) const QUERY: &[&str] =
    &["after", "before", "limit", "order", "starting_after", "stream"];
