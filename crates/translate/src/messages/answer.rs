//! A complete answer from Converse: the same blocks as in a stream, gathered into one message.

use schema::anthropic::messages::answer::{
    AnswerBlock, CacheCreation, Message, OutputDetails, StopDetails, StopReason as Stop, Usage,
};
use schema::anthropic::messages::event::{BlockDelta, StartedBlock};
use schema::converse::event::StreamEvent;
use schema::converse::response::{CacheWrites, ConverseResponse, StopReason, TokenUsage};
use schema::openai::annotation::Outcrop;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

use super::MessagesReply;
use super::blocks::{AnswerBlocks, BlockSink};
use crate::Stamp;
use crate::answer_stream::{Unwritable, block_events};
use crate::chat::response;
use crate::dialect::Answered;
use crate::parts::stop::{Finish, finish, untold};
use crate::parts::usage::{thought, written};
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
    let mut blocks = AnswerBlocks::new(reply.clone(), &stamp.id);
    let mut sink = Gathered::default();
    // Gathering blocks writes no JSON, so that it cannot fail.
    let _ = gather_blocks(response, &mut blocks, &mut sink);
    let saved = if reply.reply.keeps_turns() { blocks.take_saved() } else { None };
    let calls = blocks.calls();
    let told = response.additional_model_response_fields;
    let ending = MessageEnding::of(&response.stop_reason, calls, told);
    let checked = blocks.checked.take().filter(|_| ending.stop_reason == Stop::EndTurn);
    let mut outcrop =
        Outcrop { stop_reason: ending.untold(&response.stop_reason, calls), ..Outcrop::default() };
    response::trace(response.trace, &mut outcrop);
    let invoked_model = outcrop.invoked_model_id.clone();
    let message = Message {
        id: stamp.id,
        kind: "message",
        role: "assistant",
        model: stamp.model,
        content: sink.blocks,
        stop_reason: ending.stop_reason,
        stop_sequence: ending.stop_sequence,
        stop_details: ending.stop_details,
        usage: usage(Some(response.usage), thought(told)),
        outcrop,
    };
    let answer = MessagesAnswer { body: AnswerBody::Translated(Box::new(message)), checked };
    Answered { answer, saved, invoked_model }
}

fn gather_blocks(
    response: &ConverseResponse<'_>,
    blocks: &mut AnswerBlocks,
    sink: &mut Gathered,
) -> Result<(), Unwritable> {
    let content = response.output.message.iter().flat_map(|message| &message.content);
    for (at, block) in (0..).zip(content) {
        for event in block_events(at, block.clone()) {
            match &event {
                StreamEvent::ContentBlockStart(start) => blocks.block_start(start, sink)?,
                StreamEvent::ContentBlockDelta(delta) => blocks.block_delta(delta, sink)?,
                StreamEvent::ContentBlockStop(stop) => {
                    blocks.block_stop(stop.content_block_index, sink)?;
                }
                StreamEvent::MessageStart
                | StreamEvent::MessageStop(_)
                | StreamEvent::Metadata(_)
                | StreamEvent::Unknown => {}
            }
        }
    }
    blocks.finish(sink)
}

/// The answer of the request's only call, with the usage of all calls that were made for it.
pub(super) fn gather(answers: Vec<MessagesAnswer>, total: Spent) -> Option<MessagesAnswer> {
    let mut answer = answers.into_iter().next()?;
    if let AnswerBody::Translated(message) = &mut answer.body {
        message.usage = Usage { cost: total.cost, ..usage(total.usage, total.thought) };
    }
    Some(answer)
}

/// The blocks of a complete answer.
#[derive(Default)]
struct Gathered {
    blocks: Vec<AnswerBlock>,
    /// Input of the last block, as text.
    input: String,
}

impl BlockSink for Gathered {
    fn start(&mut self, _: u32, block: StartedBlock<'_>) -> Result<(), Unwritable> {
        self.input.clear();
        self.blocks.push(match block {
            StartedBlock::Text { .. } => AnswerBlock::Text { text: String::new(), citations: None },
            StartedBlock::Thinking { .. } => {
                AnswerBlock::Thinking { thinking: String::new(), signature: String::new() }
            }
            StartedBlock::RedactedThinking { data } => {
                AnswerBlock::RedactedThinking { data: data.to_owned() }
            }
            StartedBlock::ToolUse { id, name, .. } => {
                let (id, name) = (id.to_owned(), name.to_owned());
                AnswerBlock::ToolUse {
                    id,
                    name,
                    input: to_raw_value(&Value::Object(Default::default()))?,
                }
            }
        });
        Ok(())
    }

    fn delta(&mut self, _: u32, delta: BlockDelta<'_>) -> Result<(), Unwritable> {
        match (self.blocks.last_mut(), delta) {
            (Some(AnswerBlock::Text { text, .. }), BlockDelta::TextDelta { text: more }) => {
                text.push_str(more);
            }
            (
                Some(AnswerBlock::Text { citations, .. }),
                BlockDelta::CitationsDelta { citation },
            ) => {
                citations.get_or_insert_default().push(citation.to_owned());
            }
            (
                Some(AnswerBlock::Thinking { thinking, .. }),
                BlockDelta::ThinkingDelta { thinking: more },
            ) => thinking.push_str(more),
            (
                Some(AnswerBlock::Thinking { signature, .. }),
                BlockDelta::SignatureDelta { signature: whole },
            ) => whole.clone_into(signature),
            (Some(AnswerBlock::ToolUse { .. }), BlockDelta::InputJsonDelta { partial_json }) => {
                self.input.push_str(partial_json);
            }
            (_, _) => {}
        }
        Ok(())
    }

    fn stop(&mut self, _: u32) -> Result<(), Unwritable> {
        if let Some(AnswerBlock::ToolUse { input, .. }) = self.blocks.last_mut() {
            let text = std::mem::take(&mut self.input);
            // Input that is cut off is no JSON; clients get the object that they expect.
            if let Ok(whole) = RawValue::from_string(text) {
                *input = whole;
            }
        }
        Ok(())
    }
}

/// The end of an answer in Anthropic's terms.
#[derive(Debug)]
pub(super) struct MessageEnding {
    pub(super) stop_reason: Stop,
    pub(super) stop_sequence: Option<String>,
    pub(super) stop_details: Option<StopDetails>,
}

impl MessageEnding {
    /// The end for Bedrock's stop reason; `fields` are those of the model's own response.
    pub(super) fn of(reason: &StopReason, calls: usize, fields: Option<&RawValue>) -> Self {
        let stop_reason = match (reason, finish(reason, calls)) {
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

    /// Bedrock's stop reason, where Anthropic's does not convey it.
    pub(super) fn untold(&self, reason: &StopReason, calls: usize) -> Option<String> {
        let known = matches!(
            reason,
            StopReason::StopSequence
                | StopReason::PauseTurn
                | StopReason::ModelContextWindowExceeded
                | StopReason::Refusal
                | StopReason::ToolUse
        );
        if known { None } else { untold(reason, calls) }
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
        cost: None,
    }
}
