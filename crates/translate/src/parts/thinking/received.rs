//! Reasoning in the clients' forms: under four names, or as parts of a message.

use std::borrow::Cow;

use schema::converse::message::{ReasoningBlock, ReasoningText};
use schema::openai::message::Message as ChatMessage;
use schema::openai::reasoning::{SentBlock, SentDetail};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::place::ReasoningPlace;
use crate::Report;
use crate::profile::{Profile, Replay};

/// The field with the positions.
pub(super) const DETAILS: &str = "messages.reasoning_details";

/// A client's reasoning, all from one field.
pub(super) struct Sent<'a> {
    pub(super) field: &'static str,
    pub(super) entries: Vec<ReceivedReasoning<'a>>,
}

/// A client's reasoning block, or the entry for the blocks after the last one.
#[derive(Default)]
pub(super) struct ReceivedReasoning<'a> {
    pub(super) thought: Option<SentThought<'a>>,
    pub(super) place: Option<ReasoningPlace>,
    pub(super) format: Option<Cow<'a, str>>,
}

pub(super) enum SentThought<'a> {
    Text { text: Cow<'a, str>, signature: Option<Cow<'a, str>> },
    Redacted(Cow<'a, str>),
}

impl<'a> Sent<'a> {
    /// The most complete field that can be read. One is enough: clients repeat the same content in
    /// all.
    pub(super) fn of(message: &'a ChatMessage<'a>, report: &mut Report) -> Self {
        let details = Self::details(message, report);
        let blocks = read(message.thinking_blocks, "messages.thinking_blocks", report);
        let signature = read::<schema::Str<'a>>(
            message.reasoning_signature,
            "messages.reasoning_signature",
            report,
        );
        let text = |raw: Option<&'a RawValue>, field, report: &mut Report| {
            let text: Option<schema::Str<'a>> = read(raw, field, report);
            text.map(schema::Str::into_cow)
        };
        let content = text(message.reasoning_content, "messages.reasoning_content", report);
        let plain = text(message.reasoning, "messages.reasoning", report);
        if !details.is_empty() {
            return Self { field: DETAILS, entries: details };
        }
        let blocks: Vec<_> =
            blocks.into_iter().flat_map(|all: Vec<_>| all).filter_map(of_block).collect();
        if !blocks.is_empty() {
            return Self { field: "messages.thinking_blocks", entries: blocks };
        }
        let (field, text) = match content {
            Some(text) => ("messages.reasoning_content", Some(text)),
            None => ("messages.reasoning", plain),
        };
        let signature = signature.map(schema::Str::into_cow);
        let thought = text.map(|text| SentThought::Text { text, signature });
        Self { field, entries: thought.map(ReceivedReasoning::of).into_iter().collect() }
    }

    pub(super) fn details(
        message: &'a ChatMessage<'a>,
        report: &mut Report,
    ) -> Vec<ReceivedReasoning<'a>> {
        let details: Option<Vec<_>> = read(message.reasoning_details, DETAILS, report);
        details.into_iter().flatten().filter_map(of_detail).collect()
    }
}

impl<'a> ReceivedReasoning<'a> {
    fn of(thought: SentThought<'a>) -> Self {
        Self { thought: Some(thought), ..Self::default() }
    }
}

impl<'a> SentThought<'a> {
    /// The block, if the model accepts its kind.
    pub(super) fn taken(self, replay: Replay) -> Option<ReasoningBlock<'a>> {
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

fn of_detail(detail: SentDetail<'_>) -> Option<ReceivedReasoning<'_>> {
    let SentDetail { kind: _, text, signature, summary, data, format, id } = detail;
    let word = |raw: Option<&'_ RawValue>| {
        raw.and_then(|raw| serde_json::from_str::<String>(raw.get()).ok())
    };
    let place = word(id).and_then(|id| ReasoningPlace::read(&id));
    let thought = of_parts(text.or(summary), signature, data);
    // The entry for the blocks after the last reasoning holds no reasoning.
    let is_rest = |thought: &SentThought<'_>| matches!(thought, SentThought::Text { text, signature: None } if text.is_empty());
    let thought = thought.filter(|thought| place.is_none() || !is_rest(thought));
    let is_something = thought.is_some() || place.is_some();
    is_something.then(|| ReceivedReasoning { thought, place, format: word(format).map(Cow::Owned) })
}

fn of_block(block: SentBlock<'_>) -> Option<ReceivedReasoning<'_>> {
    let SentBlock { kind: _, thinking, signature, data } = block;
    of_parts(thinking, signature, data).map(ReceivedReasoning::of)
}

fn of_parts<'a>(
    text: Option<schema::Str<'a>>,
    signature: Option<schema::Str<'a>>,
    data: Option<schema::Str<'a>>,
) -> Option<SentThought<'a>> {
    if let Some(data) = data {
        return Some(SentThought::Redacted(data.into_cow()));
    }
    if text.is_none() && signature.is_none() {
        return None;
    }
    let text = text.map(schema::Str::into_cow).unwrap_or_default();
    Some(SentThought::Text { text, signature: signature.map(schema::Str::into_cow) })
}

/// Reads a member in its expected form; a member in another form is reported and ignored.
fn read<'a, T: Deserialize<'a>>(
    raw: Option<&'a RawValue>,
    field: &'static str,
    report: &mut Report,
) -> Option<T> {
    let raw = raw?;
    let read = serde_json::from_str::<Option<T>>(raw.get());
    read.unwrap_or_else(|_| {
        report.ignore(field);
        None
    })
}

/// Reasoning among the parts of a message, if the model accepts its kind.
pub(crate) fn of_part<'a>(
    thought: &'a SentBlock<'a>,
    profile: &Profile,
) -> Option<ReasoningBlock<'a>> {
    let SentBlock { kind: _, thinking, signature, data } = thought;
    let text = |text: &'a Option<schema::Str<'a>>| text.as_deref().map(Cow::Borrowed);
    let sent = match text(data) {
        Some(data) => SentThought::Redacted(data),
        None => SentThought::Text {
            text: text(thinking).unwrap_or_default(),
            signature: text(signature),
        },
    };
    sent.taken(profile.replay)
}
