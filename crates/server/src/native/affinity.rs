//! Affinity of native calls: those whose bodies have a common beginning benefit from the same target, as
//! `translate` defines it for chat. The parts are raw bytes of the body, not parsed further; cache marks
//! are recognised by their member names.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;
use translate::chat::Digest;

/// Members that mark the end of a cached prefix: a block of Converse, or a member of Claude's blocks.
/// Within text, their quotes would be escaped by backslashes.
const MARKS: [&str; 2] = ["\"cachePoint\"", "\"cache_control\""];

/// The affinity key of a body of Converse or InvokeModel: its tools, instructions and first message, up to
/// the last cache mark among them. Without a mark: its tools and instructions if they are long, else all
/// three if they are. `None`: all targets are equal.
pub(crate) fn affinity(body: &[u8]) -> Option<u64> {
    let Beginning { tool_config, tools, system, messages } = serde_json::from_slice(body).ok()?;
    let mut way = Way::default();
    let in_config = tool_config.map(pieces::<Config<'_>>).and_then(|config| config.tools);
    for part in [in_config, tools, system].into_iter().flatten() {
        way.part(part);
    }
    if way.marked.is_none() && way.digest.is_long() {
        return Some(way.digest.finish());
    }
    let first = messages.and_then(|First(first)| first).map(pieces::<Message<'_>>);
    if let Some(content) = first.and_then(|message| message.content) {
        way.part(content);
    }
    way.marked.or_else(|| way.digest.is_long().then(|| way.digest.finish()))
}

/// The beginning of a body, as far as it has been read.
#[derive(Default)]
struct Way {
    digest: Digest,
    /// The key at the last mark.
    marked: Option<u64>,
}

impl Way {
    /// Adds a list of blocks, or a text.
    fn part(&mut self, part: &RawValue) {
        match serde_json::from_str::<Vec<&RawValue>>(part.get()) {
            Ok(blocks) => blocks.into_iter().for_each(|block| self.block(block.get())),
            Err(_) => self.block(part.get()),
        }
    }

    fn block(&mut self, block: &str) {
        self.digest.add_start(block.as_bytes());
        if MARKS.iter().any(|mark| block.contains(mark)) {
            self.marked = Some(self.digest.finish());
        }
    }
}

/// Members of one part of the body; empty if it has another form.
fn pieces<'a, T: Deserialize<'a> + Default>(part: &'a RawValue) -> T {
    serde_json::from_str(part.get()).unwrap_or_default()
}

#[derive(Default, Deserialize)]
struct Beginning<'a> {
    #[serde(borrow, rename = "toolConfig")]
    tool_config: Option<&'a RawValue>,
    #[serde(borrow)]
    tools: Option<&'a RawValue>,
    #[serde(borrow)]
    system: Option<&'a RawValue>,
    #[serde(borrow)]
    messages: Option<First<'a>>,
}

#[derive(Default, Deserialize)]
struct Config<'a> {
    #[serde(borrow)]
    tools: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    content: Option<&'a RawValue>,
}

/// The first element of a list; the others are skipped.
struct First<'a>(Option<&'a RawValue>);

impl<'de: 'a, 'a> Deserialize<'de> for First<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Find;

        impl<'de> Visitor<'de> for Find {
            type Value = Option<&'de RawValue>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let first = list.next_element()?;
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(first)
            }
        }

        deserializer.deserialize_seq(Find).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn key(body: &Value) -> Option<u64> {
        affinity(body.to_string().as_bytes())
    }

    fn long() -> String {
        "granite ".repeat(1000)
    }

    fn asked(system: &Value, first: &Value) -> Value {
        let more = json!({ "role": "assistant", "content": [{ "text": "yes" }] });
        json!({ "system": system, "messages": [{ "role": "user", "content": first }, more] })
    }

    #[test]
    fn long_tools_and_instructions_form_the_key() {
        let system = json!([{ "text": long() }]);
        let first = key(&asked(&system, &json!([{ "text": "one" }])));
        assert!(first.is_some());
        assert_eq!(key(&asked(&system, &json!([{ "text": "two" }]))), first);
        let other = json!([{ "text": long() + "." }]);
        assert_ne!(key(&asked(&other, &json!([{ "text": "one" }]))), first);
        // Claude's own body format has them as a text.
        let text = json!(long());
        let first = key(&asked(&text, &json!("one")));
        assert!(first.is_some());
        assert_eq!(key(&asked(&text, &json!("two"))), first);
        for tools in ["tools", "toolConfig"] {
            let with_tool = |question: &str| {
                let mut body = asked(&json!("short"), &json!(question));
                let list = json!([{ "name": "dig", "description": long() }]);
                body[tools] = if tools == "tools" { list } else { json!({ "tools": list }) };
                key(&body)
            };
            assert!(with_tool("one").is_some());
            assert_eq!(with_tool("one"), with_tool("two"), "{tools}");
        }
    }

    #[test]
    fn a_mark_ends_the_key_and_the_last_counts() {
        let point = json!({ "cachePoint": { "type": "default" } });
        let marked = json!([{ "text": "short" }, point]);
        let first = key(&asked(&marked, &json!([{ "text": "one" }])));
        assert!(first.is_some());
        assert_eq!(key(&asked(&marked, &json!([{ "text": "two" }]))), first);
        let further = |text: &str, rest: &str| {
            key(&asked(&marked, &json!([{ "text": text }, point, { "text": rest }])))
        };
        assert_ne!(further("one", "x"), first);
        assert_eq!(further("one", "x"), further("one", "y"));
        assert_ne!(further("one", "x"), further("two", "x"));
        let block =
            json!([{ "type": "text", "text": "s", "cache_control": { "type": "ephemeral" } }]);
        assert!(key(&asked(&block, &json!("one"))).is_some());
        // A mention of a mark within text is not a mark.
        let told = json!([{ "text": "say {\"cachePoint\": 1} and \"cache_control\"" }]);
        assert_eq!(key(&asked(&told, &json!([{ "text": "one" }]))), None);
    }

    #[test]
    fn a_long_first_message_forms_the_key_and_a_short_one_none() {
        let short = json!([{ "text": "short" }]);
        let first = key(&asked(&short, &json!([{ "text": long() }])));
        assert!(first.is_some());
        assert_ne!(key(&asked(&short, &json!([{ "text": long() + "." }]))), first);
        assert_eq!(key(&asked(&short, &short)), None);
        for body in ["", "no JSON", "[]", r#"{"messages":7}"#, r#"{"inputText":"x"}"#] {
            assert_eq!(affinity(body.as_bytes()), None, "{body}");
        }
    }
}
