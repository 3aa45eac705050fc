//! Cache points nobody asked for: behind the tools, behind the system prompt, and two that slide over
//! the conversation. The last turn's writes what the next request will read; the one before stands
//! exactly where the request before wrote, so that even a turn of many blocks is found again.

use schema::converse::media::SearchResultBlock;
use schema::converse::message::{
    CacheKind, CachePoint, CacheTtl, ContentBlock, Message, ReasoningBlock, Role, SystemBlock,
};
use schema::converse::request::ConverseRequest;
use schema::converse::tool::{Tool, ToolResultBlock, ToolResultContent, ToolUseBlock};

use super::places::carries;
use crate::profile::{CachePointAfter, CachePoints, Profile};

/// Bytes of text that make a token, at the least. A low guess sets a point that Bedrock passes over
/// free of charge; a high one would leave a prefix uncached that could be.
const BYTES_PER_TOKEN: usize = 3;

/// What a picture, a document or a recording counts, in bytes of text: their tokens have little to do
/// with their size.
const MEDIUM: usize = 1_000 * BYTES_PER_TOKEN;

/// Whether the last turn is cached when nobody has answered yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FirstTurn {
    /// Always.
    Cached,
    /// If there are tools, because then more turns are likely. Otherwise most such requests stay alone,
    /// and writing costs more than sending.
    IfToolsMayFollow,
}

/// Sets all points that are worth it: behind what is long enough to be cached.
pub(super) fn set_all(
    body: &mut ConverseRequest<'_>,
    ttl: Option<CacheTtl>,
    first_turn: FirstTurn,
    profile: &Profile,
) {
    let least = (profile.least_cached_tokens as usize).saturating_mul(BYTES_PER_TOKEN);
    let point = CachePoint { kind: CacheKind::Default, ttl };
    let mut size = 0;
    let has_tools = body.tool_config.is_some();
    if let Some(config) = &mut body.tool_config {
        size += config.tools.iter().map(tool).sum::<usize>();
        if size >= least && profile.cache_points != CachePoints::SystemAndMessages {
            config.tools.push(Tool::CachePoint(point));
        }
    }
    size += body.system.iter().map(instruction).sum::<usize>();
    if size >= least && !body.system.is_empty() {
        body.system.push(SystemBlock::CachePoint(point));
    }
    let answered = body.messages.iter().any(|turn| turn.role == Role::Assistant);
    if !answered && !has_tools && first_turn == FirstTurn::IfToolsMayFollow {
        return;
    }
    let after = profile.cache_point_after;
    let users = (0..body.messages.len()).rev();
    let mut users = users.filter(|turn| is_slid_over(&body.messages[*turn], after));
    let (last, before) = (users.next(), users.next());
    for (index, turn) in body.messages.iter_mut().enumerate() {
        let place = place(turn, after).filter(|_| Some(index) == last || Some(index) == before);
        let until = place.unwrap_or(turn.content.len());
        size += turn.content[..until].iter().map(block).sum::<usize>();
        let enough = size >= least;
        size += turn.content[until..].iter().map(block).sum::<usize>();
        if let Some(place) = place.filter(|_| enough) {
            turn.content.insert(place, ContentBlock::CachePoint(point));
        }
    }
}

/// Whether the points that slide over the conversation count a turn. Where only text carries one, turns
/// without text, the results of an agent's calls, are passed over: the points stay behind what was said last.
fn is_slid_over(turn: &Message<'_>, after: CachePointAfter) -> bool {
    turn.role == Role::User
        && match after {
            CachePointAfter::AnyBlock => true,
            CachePointAfter::Text => place(turn, after).is_some(),
        }
}

/// Where in a turn a point of our own may stand: at its end, or nowhere. Whether a point is before a document
/// that is sent as its text decides where in the turn some models are given it, so that all which follows
/// would be read anew once the point has moved on. Where only text carries one, behind the last text.
fn place(turn: &Message<'_>, after: CachePointAfter) -> Option<usize> {
    let carrier = match after {
        CachePointAfter::AnyBlock => {
            turn.content.last().filter(|last| carries(last, after)).map(|_| turn.content.len() - 1)
        }
        CachePointAfter::Text => turn.content.iter().rposition(|block| carries(block, after)),
    };
    carrier.map(|carrier| carrier + 1)
}

/// Sets a point in the last turn of the user's that may hold one.
pub(super) fn set_last(
    body: &mut ConverseRequest<'_>,
    ttl: Option<CacheTtl>,
    after: CachePointAfter,
) {
    let mut turns = body.messages.iter_mut().rev().filter(|turn| turn.role == Role::User);
    let found = turns.find_map(|turn| place(turn, after).map(|place| (turn, place)));
    if let Some((turn, place)) = found {
        let point = CachePoint { kind: CacheKind::Default, ttl };
        turn.content.insert(place, ContentBlock::CachePoint(point));
    }
}

fn tool(tool: &Tool<'_>) -> usize {
    match tool {
        Tool::ToolSpec(spec) => {
            spec.name.len() + spec.description.len() + spec.input_schema.json.get().len()
        }
        Tool::SystemTool(_) | Tool::CachePoint(_) => 0,
    }
}

fn instruction(block: &SystemBlock<'_>) -> usize {
    match block {
        SystemBlock::Text(text) => text.len(),
        SystemBlock::CachePoint(_) => 0,
    }
}

fn block(block: &ContentBlock<'_>) -> usize {
    match block {
        ContentBlock::Text(text) => text.len(),
        ContentBlock::SearchResult(result) => found(result),
        ContentBlock::Image(_)
        | ContentBlock::Document(_)
        | ContentBlock::Video(_)
        | ContentBlock::Audio(_) => MEDIUM,
        ContentBlock::ToolUse(ToolUseBlock { tool_use_id: _, name, input }) => {
            name.len() + input.get().len()
        }
        ContentBlock::ToolResult(ToolResultBlock { content, .. }) => content
            .iter()
            .map(|content| match content {
                ToolResultContent::Text(text) => text.len(),
                ToolResultContent::SearchResult(result) => found(result),
                ToolResultContent::Image(_)
                | ToolResultContent::Document(_)
                | ToolResultContent::Video(_) => MEDIUM,
            })
            .sum(),
        ContentBlock::ReasoningContent(ReasoningBlock::ReasoningText(thought)) => {
            thought.text.len()
        }
        ContentBlock::ReasoningContent(ReasoningBlock::RedactedContent(data)) => data.len(),
        ContentBlock::CachePoint(_) => 0,
    }
}

fn found(result: &SearchResultBlock<'_>) -> usize {
    let passages = result.content.iter().map(|passage| passage.text.len());
    result.source.len() + result.title.len() + passages.sum::<usize>()
}
