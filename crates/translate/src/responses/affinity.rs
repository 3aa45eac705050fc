//! Prefix affinity of responses, by the rules of chat: requests with the same prefix profit from the same target.

use schema::openai::content::Content;
use schema::openai::message::Role;
use schema::openai::responses::item::{Item, ItemMessage};
use schema::openai::responses::request::Input;

use super::IncomingRequest;
use crate::chat::affinity::bytes;
use crate::parts::digest::Digest;

/// The key of a request's prefix: `prompt_cache_key` where the client sends one, else a hash of its tools,
/// instructions, leading instruction items and first user item, where they are marked for caching or long. If only
/// those before the user's item are marked or long, the hash ends with them.
pub(super) fn affinity(incoming: &IncomingRequest<'_>) -> Option<u64> {
    let request = incoming.request();
    if let Some(key) = request.prompt_cache_key.as_deref() {
        return Some(Digest::of(key.as_bytes()));
    }
    let whole = request.cache_control.is_some();
    let mut marked = whole || incoming.tools().cache_marks().next().is_some();
    let mut digest = Digest::default();
    for tool in request.tools.iter().flatten() {
        digest.add_start(tool.raw.get().as_bytes());
    }
    digest.add_start(request.instructions.as_deref().unwrap_or_default().as_bytes());
    let ends_here = |marked, digest: &Digest| !whole && (marked || digest.is_long());
    if let Some(Input::Text(text)) = &request.input
        && !ends_here(marked, &digest)
    {
        digest.add_start(text.as_bytes());
    }
    for item in request.items() {
        match item {
            Item::AdditionalTools(tools) => {
                tools.iter().for_each(|tool| digest.add_start(tool.raw.get().as_bytes()));
            }
            Item::Message(message) => {
                let is_instruction = matches!(message.role, Role::System | Role::Developer);
                if !is_instruction && ends_here(marked, &digest) && !is_marked(message) {
                    break;
                }
                marked |= is_marked(message);
                add(message.content.as_ref(), &mut digest);
                if !is_instruction {
                    break;
                }
            }
            _ => break,
        }
    }
    (marked || digest.is_long()).then(|| digest.finish())
}

fn is_marked(message: &ItemMessage<'_>) -> bool {
    matches!(&message.content, Some(Content::Parts(parts)) if parts.iter().any(|part| part.cache().is_some()))
}

fn add(content: Option<&Content<'_>>, digest: &mut Digest) {
    match content {
        None => {}
        Some(Content::Text(text)) => digest.add_start(text.as_bytes()),
        Some(Content::Parts(parts)) => parts.iter().for_each(|part| digest.add_start(bytes(part))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn key(request: &Value) -> Option<u64> {
        affinity(&serde_json::from_str(&request.to_string()).unwrap())
    }

    fn asking(instructions: &Value, question: &Value) -> Value {
        json!({ "model": "m", "input": [
            { "role": "developer", "content": instructions }, { "role": "user", "content": question },
        ] })
    }

    fn marked(text: &str) -> Value {
        json!([{ "type": "input_text", "text": text, "cache_control": { "type": "ephemeral" } }])
    }

    #[test]
    fn marks_make_a_key_as_in_chat() {
        let (short, other) = (json!("short"), json!("other"));
        assert_eq!(key(&asking(&short, &short)), None);
        let instructions = marked("short");
        assert!(key(&asking(&instructions, &short)).is_some());
        assert_eq!(key(&asking(&instructions, &short)), key(&asking(&instructions, &other)));
        // A mark on the user's item caches it too.
        assert_ne!(
            key(&asking(&instructions, &marked("a"))),
            key(&asking(&instructions, &marked("b")))
        );
        let tool = json!({ "type": "function", "name": "dig", "parameters": {}, "cache_control": { "type": "ephemeral" } });
        let with_tool =
            |question: &str| key(&json!({ "model": "m", "tools": [tool], "input": question }));
        assert!(with_tool("a").is_some());
        assert_eq!(with_tool("a"), with_tool("b"));
        let whole = |question: &str| {
            key(
                &json!({ "model": "m", "input": question, "cache_control": { "type": "ephemeral" } }),
            )
        };
        assert!(whole("a").is_some());
        assert_ne!(whole("a"), whole("b"), "all of it is cached");
    }

    #[test]
    fn long_prefixes_have_a_key_and_short_ones_only_by_name() {
        let long = json!("granite ".repeat(1000));
        let first = key(&asking(&long, &json!("one")));
        assert!(first.is_some());
        assert_eq!(key(&asking(&long, &json!("two"))), first);
        let named = json!({ "model": "m", "input": "one", "prompt_cache_key": "team-7" });
        assert_eq!(key(&named), Some(Digest::of(b"team-7")));
        let instructions = json!({ "model": "m", "instructions": long, "input": "one" });
        let other = json!({ "model": "m", "instructions": long, "input": "two" });
        assert!(key(&instructions).is_some());
        assert_eq!(key(&instructions), key(&other));
    }
}
