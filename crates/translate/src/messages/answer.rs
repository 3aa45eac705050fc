//! A complete answer from Converse. It is made of the same events as a stream, so that both are equal.

use bytes::BytesMut;
use schema::anthropic::messages::answer::{
    CacheCreation, Message, OutputDetails, StopDetails, StopReason as Stop, Usage,
};
use schema::converse::response::{CacheWrites, ConverseResponse, StopReason, TokenUsage};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::MessagesReply;
use super::stream::ConverseStream;
use super::writer::{MessageParts, is_whole};
use crate::Stamp;
use crate::answer_stream::replay;
use crate::dialect::Answered;
use crate::parts::stop::Finish;
use crate::parts::usage::written;
use crate::spent::Spent;

/// A complete answer, and the text in it that is validated.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub struct MessagesAnswer {
    body: AnswerBody,
    #[serde(skip)]
    checked: Option<String>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
enum AnswerBody {
    Translated(Box<Message>),
    /// The model's own answer, as it came.
    Native(Box<RawValue>),
}

impl MessagesAnswer {
    /// An answer in the model's own form.
    pub(super) fn native(body: Box<RawValue>, checked: Option<String>) -> Self {
        Self { body: AnswerBody::Native(body), checked }
    }

    /// The text that is validated: none of an answer that was stopped or calls tools.
    pub(super) fn checked(&self) -> Option<&str> {
        self.checked.as_deref()
    }
}

/// Translates the response to the request that made `reply`.
pub(super) fn answered(
    response: &ConverseResponse<'_>,
    reply: &MessagesReply,
    stamp: Stamp,
) -> Answered<MessagesAnswer> {
    let mut stream = ConverseStream::new(reply.clone(), stamp);
    stream.gather();
    // Gathering blocks writes no JSON, so that it cannot fail.
    let progress = replay(response.clone(), &mut stream, &mut BytesMut::new()).unwrap_or_default();
    let MessageParts { stamp, blocks, ending, outcrop } = stream.into_writer().into_parts();
    let ending = ending.unwrap_or_default();
    let checked = progress.answer.filter(|_| is_whole(&ending));
    let invoked_model = outcrop.invoked_model_id.clone();
    let message = Message {
        id: stamp.id,
        kind: "message",
        role: "assistant",
        model: stamp.model,
        content: blocks,
        stop_reason: ending.stop_reason,
        stop_sequence: ending.stop_sequence,
        stop_details: ending.stop_details,
        usage: whole_usage(Spent::of(response)),
        outcrop,
    };
    let answer = MessagesAnswer { body: AnswerBody::Translated(Box::new(message)), checked };
    Answered { answer, saved: progress.reasoning, invoked_model }
}

/// The usage of a complete answer, which tells the tier too.
fn whole_usage(spent: Spent) -> Usage {
    let service_tier = Some(if spent.is_priority() { "priority" } else { "standard" });
    Usage { service_tier, cost: spent.cost, ..usage(spent.usage, spent.thought) }
}

/// The answer of the request's only call, with the usage of all calls that were made for it.
pub(super) fn gather(answers: Vec<MessagesAnswer>, total: Spent) -> Option<MessagesAnswer> {
    let mut answer = answers.into_iter().next()?;
    if let AnswerBody::Translated(message) = &mut answer.body {
        message.usage = whole_usage(total);
    }
    Some(answer)
}

/// The end of an answer in Anthropic's terms.
#[derive(Debug)]
pub(super) struct MessageEnding {
    pub(super) stop_reason: Stop,
    pub(super) stop_sequence: Option<String>,
    pub(super) stop_details: Option<StopDetails>,
}

impl Default for MessageEnding {
    fn default() -> Self {
        Self { stop_reason: Stop::EndTurn, stop_sequence: None, stop_details: None }
    }
}

impl MessageEnding {
    /// The end for Bedrock's stop reason; `fields` are those of the model's own response.
    pub(super) fn of(finish: Finish, reason: &StopReason, fields: Option<&RawValue>) -> Self {
        let stop_reason = match (reason, finish) {
            (StopReason::ModelContextWindowExceeded, _) => Stop::ModelContextWindowExceeded,
            (_, Finish::Limit) => Stop::MaxTokens,
            (_, Finish::Filtered) => Stop::Refusal,
            (_, Finish::Calls) => Stop::ToolUse,
            (StopReason::StopSequence, Finish::Complete) => Stop::StopSequence,
            (StopReason::PauseTurn, Finish::Complete) => Stop::PauseTurn,
            (_, Finish::Complete) => Stop::EndTurn,
        };
        let stop_sequence =
            if stop_reason == Stop::StopSequence { fields.and_then(sequence) } else { None };
        let stop_details = (stop_reason == Stop::Refusal).then_some(StopDetails::REFUSAL);
        Self { stop_reason, stop_sequence, stop_details }
    }

    /// Returns whether Anthropic's stop reasons convey Bedrock's.
    pub(super) fn tells(reason: &StopReason) -> bool {
        matches!(
            reason,
            StopReason::StopSequence
                | StopReason::PauseTurn
                | StopReason::ModelContextWindowExceeded
                | StopReason::Refusal
                | StopReason::ToolUse
        )
    }
}

fn sequence(fields: &RawValue) -> Option<String> {
    let fields: Value = serde_json::from_str(fields.get()).ok()?;
    let found = fields.get("stop_sequence").or_else(|| fields.get("/stop_sequence"))?;
    found.as_str().filter(|text| !text.is_empty()).map(ToOwned::to_owned)
}

/// Token counts in Anthropic's form, whose input excludes cached tokens as Bedrock's does.
pub(super) fn usage(usage: Option<TokenUsage>, thought: Option<u64>) -> Usage {
    let usage = usage.unwrap_or_default();
    let (cache_creation_input_tokens, writes) = written(usage);
    let creation = |CacheWrites { five_minutes, one_hour }| CacheCreation {
        ephemeral_5m_input_tokens: five_minutes,
        ephemeral_1h_input_tokens: one_hour,
    };
    Usage {
        input_tokens: usage.input_tokens,
        cache_creation_input_tokens,
        cache_read_input_tokens: usage.cache_read_input_tokens,
        cache_creation: writes.map(creation),
        output_tokens: usage.output_tokens,
        output_tokens_details: thought
            .map(|tokens| OutputDetails { thinking_tokens: tokens.min(usage.output_tokens) }),
        service_tier: None,
        cost: None,
    }
}
