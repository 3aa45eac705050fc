//! Replays a complete response as a stream, for models that do not stream where tools are declared:
//! the same events go through the same translator, so that the client sees no difference.

use schema::converse::event::{
    BlockDelta, BlockStart, BlockStop, Delta, MessageStop, Metadata, ReasoningDelta, Start,
    StreamEvent, ToolUseDelta, ToolUseStart,
};
use schema::converse::response::{ConverseResponse, OutputBlock, ReasoningContent, ToolUse};
use schema::openai::chunk::Chunk;
use serde_json::value::RawValue;

use super::ChatStream;

/// Pushes a complete response through `chat` as the events of a stream.
///
/// # Errors
/// Only what `out` returns.
pub fn replay<E>(
    response: ConverseResponse<'_>,
    chat: &mut ChatStream,
    out: &mut impl FnMut(&Chunk<'_>) -> Result<(), E>,
) -> Result<(), E> {
    chat.counts_as_whole();
    chat.push(&StreamEvent::MessageStart, out)?;
    let blocks = response.output.message.map(|message| message.content).unwrap_or_default();
    for (at, block) in (0_u32..).zip(blocks) {
        for event in events(at, block) {
            chat.push(&event, out)?;
        }
    }
    let stop = MessageStop {
        stop_reason: response.stop_reason,
        additional_model_response_fields: response.additional_model_response_fields,
    };
    chat.push(&StreamEvent::MessageStop(stop), out)?;
    let service_tier = response.service_tier.clone();
    chat.push(
        &StreamEvent::Metadata(Metadata {
            usage: response.usage,
            service_tier,
            trace: response.trace,
        }),
        out,
    )
}

/// The events of one block.
fn events(at: u32, block: OutputBlock<'_>) -> Vec<StreamEvent<'_>> {
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
