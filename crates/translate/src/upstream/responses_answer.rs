//! A complete response in Converse's form.

use schema::surface::chat::SurfaceError;
use schema::surface::responses::ResponsesAnswer;
use serde_json::Value;

use super::call_ids::unique;
use super::whole::{Blocks, MALFORMED};
use super::{UpstreamError, exception};

/// Reads a response.
///
/// # Errors
/// It is none, or tells of a failure.
pub(super) fn read(body: &[u8]) -> Result<Value, UpstreamError> {
    let response: ResponsesAnswer<'_> = serde_json::from_slice(body)?;
    if response.status.as_deref() == Some("failed") {
        let (exception, message) = failed(response.error.as_ref());
        return Err(UpstreamError::Failed { exception, message });
    }
    let mut blocks = Blocks::default();
    let (mut calls, mut is_readable, mut refused) = (0, true, false);
    for item in &response.output {
        match &*item.kind {
            "message" => {
                for part in &item.content {
                    refused |= part.refusal.is_some();
                    blocks
                        .text(part.text.as_deref().or(part.refusal.as_deref()).unwrap_or_default());
                }
            }
            "reasoning" => {
                for part in item.summary.iter().chain(&item.content) {
                    blocks.reasoning(part.text.as_deref().unwrap_or_default());
                }
                blocks.encrypted(item.encrypted_content.as_deref().unwrap_or_default());
            }
            "function_call" => {
                let id = unique(item.call_id.as_deref(), &response.id, calls);
                let name = item.name.as_deref().unwrap_or_default();
                is_readable &=
                    blocks.call(&id, name, item.arguments.as_deref().unwrap_or_default());
                calls += 1;
            }
            _ => {}
        }
    }
    let stop = match (response.status.as_deref(), calls) {
        _ if !is_readable => MALFORMED,
        (Some("incomplete"), _) => incomplete(response.incomplete_details.reason.as_deref()),
        _ if refused => "refusal",
        (_, 0) => "end_turn",
        _ => "tool_use",
    };
    Ok(blocks.answer(stop, response.usage.into()))
}

/// Converse's reason for that of an incomplete response.
pub(super) fn incomplete(reason: Option<&str>) -> &'static str {
    match reason {
        Some("content_filter") => "content_filtered",
        Some(_) | None => "max_tokens",
    }
}

/// The exception and the message of a failed response.
pub(super) fn failed(error: Option<&SurfaceError<'_>>) -> (&'static str, String) {
    let Some(error) = error else {
        return (exception(None, None), "the response failed".to_owned());
    };
    let code = error.code.as_ref();
    let word = code.and_then(Value::as_str).or(error.kind.as_deref());
    (exception(word, code.and_then(Value::as_u64)), error.message.as_str().to_owned())
}
