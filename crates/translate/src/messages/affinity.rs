//! Prefix affinity of messages requests, by the rules of `chat/affinity.rs`.

use schema::anthropic::messages::MessagesRequest;
use schema::anthropic::messages::content::{BlockKind, Content};

use crate::chat::Digest;

/// The key of a request's prefix: a hash of its tools, system prompt and first message, where they are
/// marked for caching or long. It ends with the tools or the system prompt, if only they are cached.
/// `None`: all targets are equally good.
pub(super) fn affinity(request: &MessagesRequest<'_>) -> Option<u64> {
    let mut digest = Digest::default();
    let whole = request.cache_control.is_some();
    let mut marked = whole;
    for tool in request.tools.iter().flatten() {
        marked |= tool.members.cache_control.is_some();
        digest.add_start(tool.raw.get().as_bytes());
    }
    if let Some(system) = &request.system {
        marked |= is_marked(system);
        add(system, &mut digest);
    }
    let first = request.messages.first().map(|message| &message.content);
    if let Some(first) = first
        && (whole || !(marked || digest.is_long()) || is_marked(first))
    {
        marked |= is_marked(first);
        add(first, &mut digest);
    }
    (marked || digest.is_long()).then(|| digest.finish())
}

fn is_marked(content: &Content<'_>) -> bool {
    content.blocks().iter().any(|block| block.cache_control.is_some())
}

/// Adds the texts; attribution lines change with every build of their client.
fn add(content: &Content<'_>, digest: &mut Digest) {
    match content {
        Content::Text(text) => digest.add_start(text.as_bytes()),
        Content::Blocks(blocks) => {
            for block in blocks {
                match &block.kind {
                    BlockKind::Text { text } if super::is_attribution(text) => {}
                    BlockKind::Text { text } => digest.add_start(text.as_bytes()),
                    _ => digest.add_start(block.raw.get().as_bytes()),
                }
            }
        }
    }
}
