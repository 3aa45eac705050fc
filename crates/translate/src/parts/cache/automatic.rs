//! Cache points set by the gateway: after the tools, after the system prompt, and two that move
//! along the conversation. The point of the last turn writes the prefix that the next request will
//! read; the one of the turn before stands where the previous request wrote, so that even a turn of
//! many blocks is found again.

use schema::converse::media::SearchResultBlock;
use schema::converse::message::{
    CacheKind, CachePoint, CacheTtl, ContentBlock, Message, ReasoningBlock, Role, SystemBlock,
};
use schema::converse::request::ConverseRequest;
use schema::converse::tool::{Tool, ToolResultBlock, ToolResultContent, ToolUseBlock};

use super::places::carries;
use crate::profile::{CachePointAfter, CachePoints, Profile};

/// Fewest bytes of text per token. A low value sets a point that Bedrock ignores free of charge; a
/// high one would leave a cacheable prefix uncached.
pub(crate) const BYTES_PER_TOKEN: usize = 3;

/// Estimate for an image, a document or a recording, in bytes of text: their tokens hardly depend
/// on their size.
pub(crate) const MEDIUM: usize = 1_000 * BYTES_PER_TOKEN;

/// Rule for caching the last turn before the first answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FirstTurn {
    /// Always.
    Cached,
    /// If there are tools, because further turns are then likely. Most other requests of this kind
    /// have no second turn, and writing to the cache costs more than sending.
    IfToolsMayFollow,
}

/// Sets the points after every prefix that is long enough for the cache.
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

/// Returns whether the moving points count a turn. Where only text carries a point, turns without
/// text, such as the results of an agent's calls, are skipped: the points stay after the last text.
fn is_slid_over(turn: &Message<'_>, after: CachePointAfter) -> bool {
    turn.role == Role::User
        && match after {
            CachePointAfter::AnyBlock => true,
            CachePointAfter::Text => place(turn, after).is_some(),
        }
}

/// The index in a turn at which the gateway may set a point: the end, or none. For some models, the
/// place of a document sent as text depends on whether a point stands before it; everything after
/// it would be read anew once the point moves. Where only text carries a point, the index is after
/// the last text.
fn place(turn: &Message<'_>, after: CachePointAfter) -> Option<usize> {
    let carrier = match after {
        CachePointAfter::AnyBlock => {
            turn.content.last().filter(|last| carries(last, after)).map(|_| turn.content.len() - 1)
        }
        CachePointAfter::Text => turn.content.iter().rposition(|block| carries(block, after)),
    };
    carrier.map(|carrier| carrier + 1)
}

/// Sets a point in the user's last turn that can hold one.
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
