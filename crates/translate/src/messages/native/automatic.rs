//! Cache marks set by the gateway in a model's own body, where the caller sets none: by the rules of the
//! cache points that it sets on Converse, at the ends of the tools, the system prompt and the user's last
//! two turns.

use schema::Raw;
use schema::anthropic::messages::native::{NativeContent, NativeMessage};
use schema::anthropic::object::RawObject;

use super::content::text_block;
use super::marks::MarkChange;
use crate::parts::cache::{BYTES_PER_TOKEN, MEDIUM};
use crate::profile::Profile;

/// The marks of the gateway, with the usual lifetime.
const MARK: MarkChange = MarkChange::Rewritten { is_hour: false };

/// The parts of a body that can be marked.
pub(super) struct Markable<'b, 'q> {
    pub(super) tools: &'b mut [Raw<'q>],
    pub(super) system: Option<&'b mut NativeContent<'q>>,
    pub(super) messages: &'b mut [NativeMessage<'q>],
}

/// Sets the marks after every prefix that is long enough for the cache.
///
/// # Errors
/// None: all parts are JSON.
pub(super) fn set_all(
    Markable { tools, system, messages }: Markable<'_, '_>,
    profile: &Profile,
) -> Result<(), serde_json::Error> {
    let least = (profile.least_cached_tokens as usize).saturating_mul(BYTES_PER_TOKEN);
    let has_tools = !tools.is_empty();
    let mut size: usize = tools.iter().map(|tool| tool.get().len()).sum();
    if size >= least
        && let Some(last) = tools.last_mut()
    {
        mark(last)?;
    }
    if let Some(system) = system {
        size += size_of(system);
        if size >= least {
            mark_last(system)?;
        }
    }
    // Most requests without tools have no second turn, and writing to the cache costs more than sending.
    if !has_tools && messages.iter().all(|message| message.role != "assistant") {
        return Ok(());
    }
    let mut users = (0..messages.len()).rev().filter(|at| messages[*at].role == "user");
    let (last, before) = (users.next(), users.next());
    for (at, message) in messages.iter_mut().enumerate() {
        size += size_of(&message.content);
        if size >= least && (Some(at) == last || Some(at) == before) {
            mark_last(&mut message.content)?;
        }
    }
    Ok(())
}

/// Marks the last block.
fn mark_last(content: &mut NativeContent<'_>) -> Result<(), serde_json::Error> {
    if let NativeContent::Text(text) = content {
        *content = NativeContent::Blocks(vec![text_block(text)?]);
    }
    match content {
        NativeContent::Blocks(blocks) => blocks.last_mut().map_or(Ok(()), mark),
        NativeContent::Text(_) => Ok(()),
    }
}

fn mark(item: &mut Raw<'_>) -> Result<(), serde_json::Error> {
    let marked = {
        let mut object = RawObject::of(item)?;
        MARK.apply(&mut object)?;
        object.to_raw()?
    };
    *item = Raw::Owned(marked);
    Ok(())
}

/// Bytes of text; media count as their tokens, which hardly depend on their size.
fn size_of(content: &NativeContent<'_>) -> usize {
    match content {
        NativeContent::Text(text) => text.len(),
        NativeContent::Blocks(blocks) => blocks.iter().map(|block| block_size(block)).sum(),
    }
}

fn block_size(block: &Raw<'_>) -> usize {
    let text = block.get();
    // Content of media is far longer than any of its other members.
    if text.len() > MEDIUM && text.contains("\"base64\"") { MEDIUM } else { text.len() }
}
