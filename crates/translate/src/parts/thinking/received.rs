//! Reasoning that a client sends back, whatever the form of its dialect.

use std::borrow::Cow;

use schema::converse::message::{ReasoningBlock, ReasoningText};

use super::place::ReasoningPlace;
use crate::profile::Replay;

/// A client's reasoning, all from one field.
pub(crate) struct Sent<'a> {
    pub(crate) field: &'static str,
    pub(crate) entries: Vec<ReceivedReasoning<'a>>,
}

/// A client's reasoning block, or the entry for the blocks after the last one.
#[derive(Default)]
pub(crate) struct ReceivedReasoning<'a> {
    pub(crate) thought: Option<SentThought<'a>>,
    pub(crate) place: Option<ReasoningPlace>,
    pub(crate) format: Option<Cow<'a, str>>,
}

/// The content of a client's reasoning block.
pub(crate) enum SentThought<'a> {
    Text { text: Cow<'a, str>, signature: Option<Cow<'a, str>> },
    Redacted(Cow<'a, str>),
}

impl<'a> SentThought<'a> {
    /// The block, if the model accepts its kind.
    pub(crate) fn taken(self, replay: Replay) -> Option<ReasoningBlock<'a>> {
        match (replay, self) {
            (Replay::Never, _)
            | (Replay::Plain, Self::Redacted(_))
            | (Replay::Redacted, Self::Text { .. }) => None,
            (Replay::Plain, Self::Text { text, .. }) => (!text.trim().is_empty())
                .then_some(ReasoningBlock::ReasoningText(ReasoningText { text, signature: None })),
            (Replay::Signed, Self::Text { text, signature }) => {
                let signature = signature.filter(|signature| !signature.is_empty())?;
                let signature = Some(signature);
                Some(ReasoningBlock::ReasoningText(ReasoningText { text, signature }))
            }
            (Replay::Signed | Replay::Redacted, Self::Redacted(data)) => {
                Some(ReasoningBlock::RedactedContent(data))
            }
        }
    }
}
