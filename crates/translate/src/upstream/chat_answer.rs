//! A complete answer of chat completions in Converse's form.

use std::convert::Infallible;

use schema::surface::chat::{ChatAnswer, Said};
use serde::de::Error as _;
use serde_json::Value;

use super::UpstreamError;
use super::call_ids::unique;
use super::whole::{Blocks, MALFORMED, stop_reason};
use crate::parts::tags::{Tagged, Voice};

/// Reads an answer.
///
/// # Errors
/// It is none.
pub(super) fn read(body: &[u8]) -> Result<Value, UpstreamError> {
    let answer: ChatAnswer<'_> = serde_json::from_slice(body)?;
    let Some(choice) = answer.choices.into_iter().next() else {
        return Err(serde_json::Error::custom("the answer holds no choice").into());
    };
    let Said { content, refusal, reasoning, reasoning_content, tool_calls } = choice.message;
    let mut blocks = Blocks::default();
    if let Some(reasoning) = reasoning_content.or(reasoning) {
        blocks.reasoning(&reasoning);
    }
    let (mut thought, mut said) = (String::new(), String::new());
    let mut sort = |voice, text: &str| {
        match voice {
            Voice::Reasoning => thought.push_str(text),
            Voice::Said => said.push_str(text),
        }
        Ok::<(), Infallible>(())
    };
    let mut tagged = Tagged::reasoning();
    let Ok(()) = tagged.push(content.as_deref().unwrap_or_default(), &mut sort);
    let Ok(()) = tagged.finish(&mut sort);
    blocks.reasoning(&thought);
    blocks.text(&said);
    let refused = refusal.filter(|refusal| !refusal.is_empty());
    if let Some(refusal) = &refused {
        blocks.text(refusal);
    }
    let id = answer.id.as_deref().unwrap_or_default();
    let (mut is_readable, has_calls) = (true, !tool_calls.is_empty());
    for (ordinal, call) in tool_calls.iter().enumerate() {
        let name = call.function.name.as_deref().unwrap_or_default();
        let arguments = call.function.arguments.as_deref().unwrap_or_default();
        is_readable &= blocks.call(&unique(call.id.as_deref(), id, ordinal), name, arguments);
    }
    let stop = match (choice.finish_reason.as_deref(), has_calls) {
        _ if !is_readable => MALFORMED,
        _ if refused.is_some() => "refusal",
        // Some models end a turn of calls as any other.
        (Some("stop") | None, true) => "tool_use",
        (finish, _) => stop_reason(finish),
    };
    Ok(blocks.answer(stop, answer.usage.into()))
}
