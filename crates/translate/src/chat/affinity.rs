//! Prefix affinity: requests with the same prefix profit from the same target, because a prompt
//! cache holds prefixes. The key of a prefix is a number; the text cannot be read from it.

use schema::openai::chat::ChatRequest;
use schema::openai::content::{Content, Part};
use schema::openai::message::{Message, Role};

use crate::parts::digest::Digest;

/// The key of a request's prefix: `prompt_cache_key` where the client sends one, else a hash of its
/// tools, leading instructions and first user message, where they are marked for caching or long.
/// If only tools or instructions are marked, the hash ends with them, because only they are cached.
/// It also ends there if they are long and unmarked, because the gateway's own cache point stands
/// after them. `None`: all targets are equally good.
pub fn affinity(request: &ChatRequest<'_>) -> Option<u64> {
    let mut digest = Digest::default();
    if let Some(key) = request.prompt_cache_key.as_deref() {
        digest.add_start(key.as_bytes());
        return Some(digest.finish());
    }
    let whole = request.cache_control.is_some();
    let mut marked = whole;
    for tool in request.tools.iter().flatten() {
        marked |= tool.cache_control.is_some();
        let Some(function) = &tool.function else { continue };
        marked |= function.cache_control.is_some();
        digest.add_start(function.name.as_bytes());
        digest.add_start(function.description.as_deref().unwrap_or_default().as_bytes());
        digest.add_start(function.parameters.map_or("", |schema| schema.get()).as_bytes());
    }
    for message in beginning(&request.messages) {
        let cached = !whole && (marked || digest.is_long());
        if cached && !is_instruction(message) && !is_marked(message) {
            break;
        }
        marked |= is_marked(message);
        match &message.content {
            None => {}
            Some(Content::Text(text)) => digest.add_start(text.as_bytes()),
            Some(Content::Parts(parts)) => {
                for part in parts {
                    digest.add_start(bytes(part));
                }
            }
        }
    }
    (marked || digest.is_long()).then(|| digest.finish())
}

/// Leading instructions and the first message of the user.
fn beginning<'m, 'a>(messages: &'m [Message<'a>]) -> impl Iterator<Item = &'m Message<'a>> {
    let instructions = messages.iter().take_while(|message| is_instruction(message)).count();
    messages.iter().take(instructions + 1)
}

fn is_instruction(message: &Message<'_>) -> bool {
    matches!(message.role, Role::System | Role::Developer)
}

fn is_marked(message: &Message<'_>) -> bool {
    let parts = match &message.content {
        Some(Content::Parts(parts)) => parts.as_slice(),
        _ => &[],
    };
    message.cache_control.is_some() || parts.iter().any(|part| part.cache().is_some())
}

/// The text of a part, or what stands for it.
pub(crate) fn bytes<'p>(part: &'p Part<'_>) -> &'p [u8] {
    match part {
        Part::Text { text, .. } | Part::Refusal { text, .. } => text.as_bytes(),
        Part::ImageUrl { image, .. } => image.url.as_bytes(),
        Part::VideoUrl { video, .. } => video.url.as_bytes(),
        Part::SearchResult { result, .. } => {
            result.content.first().map_or(&[], |text| text.as_bytes())
        }
        Part::InputAudio { .. }
        | Part::File { .. }
        | Part::Thought(_)
        | Part::Call(_)
        | Part::Result(_)
        | Part::Moved
        | Part::Foreign(_) => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(request: &serde_json::Value) -> Option<u64> {
        let text = request.to_string();
        affinity(&serde_json::from_str(&text).unwrap())
    }

    fn conversation(system: &str, turns: &[&str]) -> serde_json::Value {
        let mut messages = vec![serde_json::json!({ "role": "system", "content": system })];
        for (at, turn) in turns.iter().enumerate() {
            let role = if at % 2 == 0 { "user" } else { "assistant" };
            messages.push(serde_json::json!({ "role": role, "content": turn }));
        }
        serde_json::json!({ "model": "m", "messages": messages })
    }

    #[test]
    fn a_conversation_keeps_its_key_as_it_grows() {
        let long = "granite ".repeat(1000);
        let first = key(&conversation("short", &[&long]));
        assert!(first.is_some());
        assert_eq!(key(&conversation("short", &[&long, "two", "three"])), first);
        assert_ne!(key(&conversation("short", &[&format!("{long}.")])), first);
        assert_ne!(key(&conversation("other", &[&long])), first);
    }

    #[test]
    fn questions_after_long_instructions_or_tools_share_a_key() {
        let long = "granite ".repeat(1000);
        let first = key(&conversation(&long, &["one"]));
        assert!(first.is_some());
        assert_eq!(key(&conversation(&long, &["other", "two", "three"])), first);
        assert_ne!(key(&conversation(&format!("{long}."), &["one"])), first);
        let with_tool = |turn| {
            let mut asked = conversation("short", &[turn]);
            asked["tools"] = serde_json::json!([
                { "type": "function", "function": { "name": "dig", "description": long } }
            ]);
            key(&asked)
        };
        assert!(with_tool("one").is_some());
        assert_eq!(with_tool("one"), with_tool("other"));
        // A mark on the user message caches it too.
        let marked = |turn: &str| {
            let mut asked = conversation(&long, &[turn]);
            asked["messages"][1]["cache_control"] = serde_json::json!({ "type": "ephemeral" });
            key(&asked)
        };
        assert_ne!(marked("one"), marked("other"));
    }

    #[test]
    fn short_requests_have_no_key_unless_they_ask() {
        assert_eq!(key(&conversation("short", &["one"])), None);
        let mut asking = conversation("short", &["one"]);
        asking["messages"][0]["content"] = serde_json::json!([
            { "type": "text", "text": "short", "cache_control": { "type": "ephemeral" } }
        ]);
        assert!(key(&asking).is_some());
        let mut keyed = conversation("short", &["one"]);
        keyed["prompt_cache_key"] = serde_json::json!("team-7");
        let mut same = conversation("quite another", &["two"]);
        same["prompt_cache_key"] = serde_json::json!("team-7");
        assert_eq!(key(&keyed), key(&same));
        keyed["prompt_cache_key"] = serde_json::json!("team-8");
        assert_ne!(key(&keyed), None);
    }

    #[test]
    fn the_hash_does_not_change_between_versions() {
        let mut keyed = conversation("", &["x"]);
        keyed["prompt_cache_key"] = serde_json::json!("granite");
        assert_eq!(key(&keyed), Some(PINNED));
    }

    /// Computed independently of this code.
    const PINNED: u64 = 0x8CA8_84E3_5DB2_BBE2;
}
