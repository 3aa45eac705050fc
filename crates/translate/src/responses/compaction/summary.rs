//! Summaries of conversations: the request for one, and its sealed form.

use std::borrow::Cow;

use schema::openai::responses::item::CompactionItem;
use schema::openai::responses::object::{IncompleteReason, Status};
use serde::{Deserialize, Serialize};

use super::ResponseReply;
use crate::capsule::{CapsulePurpose, Capsules};

/// The message that asks for a summary.
pub(super) const REQUEST: &str = "Summarise the conversation above. The summary replaces the \
conversation: whoever continues the work reads it and nothing else. State the user's goals and the \
constraints that still hold, the decisions and their reasons, the results so far with the facts that tools \
returned, and the open tasks with the next step. Repeat names of files and functions, commands, ids, \
addresses and numbers exactly where they are still needed. Do not answer the user and do not continue the \
work: write the summary alone.";

const CUT: &str = "The summary reached the model's limit of output tokens: send fewer items, a higher max_output_tokens, or another model.";
const REFUSED: &str =
    "The model gave no summary: a filter or guardrail stopped it, or its output could not be read.";
const EMPTY: &str = "The model gave an empty summary: send the request again, or another model.";
const UNSEALED: &str = "The gateway could not seal the summary; its log has the cause.";

/// The content of a capsule.
#[derive(Serialize, Deserialize)]
struct Summary<'s> {
    #[serde(borrow, rename = "s")]
    text: Cow<'s, str>,
}

/// The capsule of a summary.
///
/// # Errors
/// The reason why there is none, in words for the caller.
pub(super) fn sealed(
    (status, incomplete): (Status, Option<IncompleteReason>),
    text: &str,
    reply: &ResponseReply,
) -> Result<String, &'static str> {
    match (status, incomplete) {
        (Status::Completed, _) if text.trim().is_empty() => return Err(EMPTY),
        (Status::Completed, _) => {}
        (_, Some(IncompleteReason::MaxOutputTokens)) => return Err(CUT),
        (
            Status::Queued
            | Status::InProgress
            | Status::Incomplete
            | Status::Failed
            | Status::Cancelled,
            _,
        ) => return Err(REFUSED),
    }
    let summary = serde_json::to_vec(&Summary { text: text.trim().into() });
    let seal = |text: Vec<u8>| reply.capsules.as_ref()?.seal(CapsulePurpose::Compaction, &text);
    summary.ok().and_then(seal).ok_or(UNSEALED)
}

/// The text that stands for a summarised conversation; `None` where the capsule does not open.
pub(in super::super) fn told(
    compaction: &CompactionItem<'_>,
    capsules: &dyn Capsules,
) -> Option<String> {
    let capsule = compaction.encrypted_content.as_deref()?;
    let text = capsules.open(CapsulePurpose::Compaction, capsule)?;
    let Summary { text } = serde_json::from_slice(&text).ok()?;
    Some(format!(
        "The conversation up to here was replaced by this summary:\n<summary>\n{text}\n</summary>"
    ))
}
