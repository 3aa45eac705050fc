//! The streamed half of a dialect: Converse's events go in, the dialect's events come out, framed for
//! the wire. A translator is a value without clock, socket or async, so that any split of the same
//! bytes gives the same output.

use bytes::BytesMut;
use schema::converse::event::{
    BlockDelta, BlockStart, BlockStop, Delta, MessageStop, Metadata, ReasoningDelta, Start,
    StreamEvent, ToolUseDelta, ToolUseStart,
};
use schema::converse::response::{ConverseResponse, OutputBlock, ReasoningContent, ToolUse};
use serde_json::value::RawValue;

use crate::Stamp;
use crate::reasoning::SavedTurn;
use crate::spent::Spent;

/// Longest answer that is collected for validation, in bytes. A longer one is returned with at least
/// one byte more, so that its reader knows.
pub const CHECKED_LIMIT: usize = 1024 * 1024;

/// The stream ended before the model's stop event. The events written are a fragment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the model's answer broke off before it was complete")]
pub struct Truncated;

/// An event could not be written as JSON.
#[derive(Debug, thiserror::Error)]
#[error("an event cannot be written: {0}")]
pub struct Unwritable(#[from] serde_json::Error);

/// The failures at the end of a stream.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// Half an answer that looks whole is the worst failure of all: the stream must end in an error.
    #[error(transparent)]
    Truncated(#[from] Truncated),
    /// An event could not be written.
    #[error(transparent)]
    Unwritable(#[from] Unwritable),
}

/// Results of an event besides the output for the client.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The turn so far, if it has new tool calls: to be saved before the output is sent, because the
    /// client may answer a call at once.
    pub reasoning: Option<SavedTurn>,
    /// The text of a finished answer, if the caller requested a format. [`AnswerStream::judged`] then
    /// writes its last event.
    pub answer: Option<String>,
}

/// A failure of a stream whose head was sent, so that it has no HTTP status of its own.
#[derive(Debug, Clone, Copy)]
pub struct StreamFailure<'e> {
    /// The status that it would have had as a response.
    pub status: u16,
    /// OpenAI's type of error, such as `server_error`.
    pub kind: &'e str,
    /// OpenAI's code, such as `rate_limit_exceeded`.
    pub code: Option<&'e str>,
    /// The field of the request that caused it.
    pub param: Option<&'e str>,
    /// Human-readable.
    pub message: &'e str,
    /// Milliseconds that the client should wait before a retry.
    pub retry_after_ms: Option<u64>,
}

/// The part of a stream that a client has received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Received<'p> {
    /// The head, and comments.
    Head,
    /// Events, the last of them in this piece.
    Events(&'p [u8]),
}

/// A part of an answer that the gateway keeps, because the client may refer to it by its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptItem {
    /// The id that the client sees.
    pub id: String,
    /// The part in the form in which a request would repeat it, as JSON.
    pub json: String,
}

/// Failures of an event in the model's own form.
#[derive(Debug, thiserror::Error)]
pub enum NativeEventError {
    /// The model ended its answer with an error.
    #[error("{exception}: {message}")]
    Failed {
        /// Bedrock's exception that means the same.
        exception: &'static str,
        /// The model's message.
        message: String,
    },
    /// The event cannot be read, and must not be left out.
    #[error("an event cannot be read: {0}")]
    Unreadable(serde_json::Error),
    /// An event could not be written.
    #[error(transparent)]
    Unwritable(#[from] Unwritable),
}

/// Translator of one streamed answer.
pub trait AnswerStream {
    /// Ends a stream without a translator: of a request that failed before its answer began, or whose
    /// translator is lost.
    ///
    /// # Errors
    /// As [`Self::push`].
    fn fail_without(
        stamp: &Stamp,
        received: Received<'_>,
        failure: &StreamFailure<'_>,
        out: &mut BytesMut,
    ) -> Result<(), Unwritable>
    where
        Self: Sized;

    /// Ends a stream that failed, in place of [`Self::close`] and [`Self::finish`].
    ///
    /// # Errors
    /// As [`Self::push`].
    fn fail(&mut self, failure: &StreamFailure<'_>, out: &mut BytesMut) -> Result<(), Unwritable>;

    /// Translates one event and appends the result to `out`, which may be nothing.
    ///
    /// # Errors
    /// The output cannot be JSON.
    fn push(&mut self, event: &StreamEvent<'_>, out: &mut BytesMut)
    -> Result<Progress, Unwritable>;

    /// Translates one event of an answer in the model's own form, as [`Self::push`].
    ///
    /// # Errors
    /// The event is an error, or cannot be read or written.
    fn push_native(&mut self, _: &[u8], _: &mut BytesMut) -> Result<Progress, NativeEventError> {
        Ok(Progress::default())
    }

    /// Returns whether all parts of a complete answer have arrived. Only the connection can still
    /// fail.
    fn is_complete(&self) -> bool;

    /// The usage known so far.
    fn spent(&self) -> Spent;

    /// Ends the answer, as far as its last event has not done so.
    ///
    /// # Errors
    /// The model's stop event is missing.
    fn close(&mut self, out: &mut BytesMut) -> Result<Progress, StreamError>;

    /// Records that a call to this target continues the answer, which has broken off.
    fn continued(&mut self, _target: &str) {}

    /// Writes the last event of an answer that was validated; `word` is the result, `None` for a valid
    /// answer.
    ///
    /// # Errors
    /// As [`Self::push`].
    fn judged(&mut self, word: Option<&'static str>, out: &mut BytesMut) -> Result<(), Unwritable>;

    /// Ends the stream after the last of its answers; `total` is the usage of all.
    ///
    /// # Errors
    /// As [`Self::push`].
    fn finish(&mut self, total: Spent, out: &mut BytesMut) -> Result<(), Unwritable>;

    /// Tells a client that counts only events that the answer is still being made, where the dialect has
    /// an event for that.
    ///
    /// # Errors
    /// As [`Self::push`].
    fn still_works(&mut self, _out: &mut BytesMut) -> Result<(), Unwritable> {
        Ok(())
    }

    /// Sets the time of the answer's end, in Unix seconds, before [`Self::finish`].
    fn ends_at(&mut self, _seconds: u32) {}

    /// The parts of the answer to keep that are new: to be kept before the output is sent, because the
    /// client may refer to them at once.
    fn take_items(&mut self) -> Vec<KeptItem> {
        Vec::new()
    }

    /// The whole answer, if it is kept: after [`Self::finish`], and to be kept before its output is sent.
    fn kept_answer(&self) -> Option<KeptItem> {
        None
    }

    /// Reads token counts as a complete response gives them, because the events come from one.
    fn counts_as_whole(&mut self);
}

/// Pushes a complete response as the events of a stream, for models that do not stream where tools
/// are declared: the same events go through the same translator, so that the client sees no
/// difference.
///
/// # Errors
/// As [`AnswerStream::push`].
pub fn replay(
    response: ConverseResponse<'_>,
    stream: &mut impl AnswerStream,
    out: &mut BytesMut,
) -> Result<Progress, Unwritable> {
    stream.counts_as_whole();
    let mut all = stream.push(&StreamEvent::MessageStart, out)?;
    let mut push = |event: StreamEvent<'_>| {
        let Progress { reasoning, answer } = stream.push(&event, out)?;
        all.reasoning = reasoning.or(all.reasoning.take());
        all.answer = answer.or(all.answer.take());
        Ok::<_, Unwritable>(())
    };
    let blocks = response.output.message.map(|message| message.content).unwrap_or_default();
    for (at, block) in (0_u32..).zip(blocks) {
        for event in block_events(at, block) {
            push(event)?;
        }
    }
    push(StreamEvent::MessageStop(MessageStop {
        stop_reason: response.stop_reason,
        additional_model_response_fields: response.additional_model_response_fields,
    }))?;
    push(StreamEvent::Metadata(Metadata {
        usage: response.usage,
        service_tier: response.service_tier,
        trace: response.trace,
    }))?;
    Ok(all)
}

/// The events of one block of a complete response.
pub(crate) fn block_events(at: u32, block: OutputBlock<'_>) -> Vec<StreamEvent<'_>> {
    let OutputBlock { text, tool_use, reasoning_content, citations_content } = block;
    let mut events = Vec::with_capacity(3);
    let mut delta = |delta| {
        events.push(StreamEvent::ContentBlockDelta(BlockDelta { content_block_index: at, delta }));
    };
    let citations = citations_content.as_ref().and_then(|cited| cited.citations);
    let citations: Vec<&RawValue> =
        citations.and_then(|all| serde_json::from_str(all.get()).ok()).unwrap_or_default();
    for citation in citations {
        delta(Delta { citation: Some(citation), ..Delta::default() });
    }
    let cited = citations_content.into_iter().flat_map(|cited| cited.content);
    for text in text.into_iter().chain(cited.filter_map(|cited| cited.text)) {
        delta(Delta { text: Some(text), ..Delta::default() });
    }
    if let Some(ReasoningContent { reasoning_text, redacted_content }) = reasoning_content {
        let (text, signature) =
            reasoning_text.map_or((None, None), |said| (Some(said.text), said.signature));
        let reasoning = ReasoningDelta { text, signature, redacted_content };
        delta(Delta { reasoning_content: Some(reasoning), ..Delta::default() });
    }
    if let Some(ToolUse { tool_use_id, name, input, kind }) = tool_use {
        let start = Start { tool_use: Some(ToolUseStart { tool_use_id, name, kind }) };
        events.push(StreamEvent::ContentBlockStart(BlockStart { content_block_index: at, start }));
        let input = input.map(|input| ToolUseDelta { input: input.get().into() });
        let delta = Delta { tool_use: input, ..Delta::default() };
        events.push(StreamEvent::ContentBlockDelta(BlockDelta { content_block_index: at, delta }));
    }
    events.push(StreamEvent::ContentBlockStop(BlockStop { content_block_index: at }));
    events
}
