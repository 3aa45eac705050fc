//! Content of messages. Every block keeps its original text beside its known members, because models
//! that read this API's own body get it unchanged.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::Str;
use crate::openai::sources::Citing;

/// Text, or a list of blocks.
#[derive(Debug, Clone)]
pub enum Content<'a> {
    Text(Str<'a>),
    Blocks(Vec<Block<'a>>),
}

/// A block, as it came and as far as it is known.
#[derive(Debug, Clone)]
pub struct Block<'a> {
    pub raw: &'a RawValue,
    pub kind: BlockKind<'a>,
    pub cache_control: Option<CacheControl<'a>>,
    /// Whether content that the block referred to stands in it now, in place of `raw`.
    pub is_filled: bool,
}

/// The kinds of blocks.
#[derive(Debug, Clone)]
pub enum BlockKind<'a> {
    Text {
        text: Str<'a>,
    },
    Image {
        source: Source<'a>,
    },
    Document {
        source: Source<'a>,
        title: Option<Str<'a>>,
        context: Option<Str<'a>>,
        cites: bool,
    },
    SearchResult {
        source: Str<'a>,
        title: Str<'a>,
        texts: Vec<Str<'a>>,
        cites: bool,
    },
    Thinking {
        thinking: Str<'a>,
        signature: Option<Str<'a>>,
    },
    RedactedThinking {
        data: Str<'a>,
    },
    ToolUse {
        id: Str<'a>,
        name: Str<'a>,
        input: Option<&'a RawValue>,
    },
    ToolResult {
        tool_use_id: Str<'a>,
        content: Option<Content<'a>>,
        is_error: bool,
    },
    /// A tool that was found by a search, in the result of that search.
    ToolReference {
        name: Str<'a>,
    },
    /// A block of another kind, by its type: of tools that Anthropic runs, or of later versions.
    Other {
        kind: Str<'a>,
    },
}

/// The place of a medium's content.
#[derive(Debug, Clone)]
pub enum Source<'a> {
    Base64 {
        media_type: Option<Str<'a>>,
        data: Str<'a>,
    },
    /// Plain text.
    Text(Str<'a>),
    /// Blocks of text.
    Content(Content<'a>),
    Url(Str<'a>),
    /// Of another type, such as `file`.
    Other(Str<'a>),
}

/// `cache_control`: the content before the mark may be cached.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct CacheControl<'a> {
    /// `ephemeral`.
    #[serde(borrow, rename = "type")]
    pub kind: Option<Str<'a>>,
    /// `5m` or `1h`.
    #[serde(borrow)]
    pub ttl: Option<Str<'a>>,
    #[serde(borrow)]
    pub scope: Option<Str<'a>>,
}

/// The known members of any block.
#[derive(Deserialize)]
struct Members<'a> {
    #[serde(borrow, rename = "type")]
    kind: Str<'a>,
    #[serde(borrow)]
    text: Option<Str<'a>>,
    /// The medium of an image or a document; the origin of a search result.
    #[serde(borrow)]
    source: Option<&'a RawValue>,
    #[serde(borrow)]
    title: Option<Str<'a>>,
    #[serde(borrow)]
    context: Option<Str<'a>>,
    /// Options of a source; the citations of a text.
    #[serde(borrow)]
    citations: Option<&'a RawValue>,
    #[serde(borrow)]
    thinking: Option<Str<'a>>,
    #[serde(borrow)]
    signature: Option<Str<'a>>,
    #[serde(borrow)]
    data: Option<Str<'a>>,
    #[serde(borrow)]
    id: Option<Str<'a>>,
    #[serde(borrow)]
    name: Option<Str<'a>>,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
    #[serde(borrow)]
    tool_use_id: Option<Str<'a>>,
    #[serde(borrow)]
    tool_name: Option<Str<'a>>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    is_error: Option<bool>,
    #[serde(borrow)]
    cache_control: Option<CacheControl<'a>>,
}

#[derive(Deserialize)]
struct SourceMembers<'a> {
    #[serde(borrow, rename = "type")]
    kind: Str<'a>,
    #[serde(borrow)]
    media_type: Option<Str<'a>>,
    #[serde(borrow)]
    data: Option<Str<'a>>,
    #[serde(borrow)]
    url: Option<Str<'a>>,
    #[serde(borrow)]
    content: Option<Content<'a>>,
}

impl<'a> Content<'a> {
    /// Its blocks; none of a plain text.
    pub fn blocks(&self) -> &[Block<'a>] {
        match self {
            Self::Text(_) => &[],
            Self::Blocks(blocks) => blocks,
        }
    }

    /// Its texts, joined by line breaks.
    pub fn joined_text(&self) -> String {
        match self {
            Self::Text(text) => text.to_string(),
            Self::Blocks(blocks) => {
                let texts = blocks.iter().filter_map(|block| match &block.kind {
                    BlockKind::Text { text } => Some(text.as_str()),
                    _ => None,
                });
                texts.collect::<Vec<_>>().join("\n")
            }
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Content<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ContentVisitor)
    }
}

struct ContentVisitor;

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = Content<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or an array of content blocks")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Content<'de>, E> {
        Ok(Content::Text(text.into()))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Content<'de>, E> {
        Ok(Content::Text(text.to_owned().into()))
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Content<'de>, E> {
        Ok(Content::Text(text.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Content<'de>, A::Error> {
        let mut blocks = Vec::with_capacity(seq.size_hint().unwrap_or_default());
        while let Some(block) = seq.next_element()? {
            blocks.push(block);
        }
        Ok(Content::Blocks(blocks))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Block<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&'a RawValue>::deserialize(deserializer)?;
        let members: Members<'a> = inner(raw)?;
        let cache_control = members.cache_control.clone();
        let kind = members.block()?;
        Ok(Self { raw, kind, cache_control, is_filled: false })
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Source<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let SourceMembers { kind, media_type, data, url, content } =
            SourceMembers::deserialize(deserializer)?;
        Ok(match kind.as_str() {
            "base64" => Self::Base64 { media_type, data: required(data, "data")? },
            "text" => Self::Text(required(data, "data")?),
            "content" => Self::Content(required(content, "content")?),
            "url" => Self::Url(required(url, "url")?),
            _ => Self::Other(kind),
        })
    }
}

impl<'a> Members<'a> {
    fn block<E: Error>(self) -> Result<BlockKind<'a>, E> {
        Ok(match self.kind.as_str() {
            "text" => BlockKind::Text { text: required(self.text, "text")? },
            "image" => BlockKind::Image { source: inner(required(self.source, "source")?)? },
            "document" => BlockKind::Document {
                source: inner(required(self.source, "source")?)?,
                title: self.title,
                context: self.context,
                cites: cites(self.citations),
            },
            "search_result" => {
                let source: Str<'a> = inner(required(self.source, "source")?)?;
                let content: Content<'a> = inner(required(self.content, "content")?)?;
                let texts = match content {
                    Content::Text(text) => vec![text],
                    Content::Blocks(blocks) => blocks.into_iter().filter_map(text).collect(),
                };
                let title = self.title.unwrap_or_else(|| source.clone());
                BlockKind::SearchResult { source, title, texts, cites: cites(self.citations) }
            }
            "thinking" => BlockKind::Thinking {
                thinking: self.thinking.unwrap_or_default(),
                signature: self.signature,
            },
            "redacted_thinking" => {
                BlockKind::RedactedThinking { data: required(self.data, "data")? }
            }
            "tool_use" => BlockKind::ToolUse {
                id: required(self.id, "id")?,
                name: required(self.name, "name")?,
                input: self.input,
            },
            "tool_result" => BlockKind::ToolResult {
                tool_use_id: required(self.tool_use_id, "tool_use_id")?,
                content: self.content.map(inner::<Option<Content<'a>>, E>).transpose()?.flatten(),
                is_error: self.is_error == Some(true),
            },
            "tool_reference" => BlockKind::ToolReference {
                name: required(self.tool_name.or(self.name), "tool_name")?,
            },
            _ => BlockKind::Other { kind: self.kind },
        })
    }
}

fn text(block: Block<'_>) -> Option<Str<'_>> {
    match block.kind {
        BlockKind::Text { text } => Some(text),
        _ => None,
    }
}

fn cites(citations: Option<&RawValue>) -> bool {
    citations
        .is_some_and(|raw| serde_json::from_str(raw.get()).is_ok_and(|citing: Citing| citing.0))
}

fn required<T, E: Error>(member: Option<T>, name: &'static str) -> Result<T, E> {
    member.ok_or_else(|| E::missing_field(name))
}

/// Reads a value that is nested as text.
fn inner<'a, T: Deserialize<'a>, E: Error>(raw: &'a RawValue) -> Result<T, E> {
    serde_json::from_str(raw.get()).map_err(|error| {
        let text = error.to_string();
        let text = text.rsplit_once(" at line ").map_or(&*text, |(text, _)| text);
        E::custom(text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_keep_their_text_and_borrow_from_it() {
        let text = r#"[{"type":"text", "text":"a","new":1},{"type":"tool_use","id":"t","name":"f","input":{"b":1,"a":2}},{"type":"tool_result","tool_use_id":"t","content":[{"type":"tool_reference","tool_name":"g"}]},{"type":"video","x":[]}]"#;
        let content: Content<'_> = serde_json::from_str(text).unwrap();
        let blocks = content.blocks();
        assert_eq!(blocks[0].raw.get(), r#"{"type":"text", "text":"a","new":1}"#);
        let BlockKind::ToolUse { input: Some(input), .. } = &blocks[1].kind else { panic!() };
        assert_eq!(input.get(), r#"{"b":1,"a":2}"#);
        let BlockKind::ToolResult { content: Some(inside), .. } = &blocks[2].kind else { panic!() };
        assert!(
            matches!(&inside.blocks()[0].kind, BlockKind::ToolReference { name } if name == "g")
        );
        assert!(matches!(&blocks[3].kind, BlockKind::Other { kind } if kind == "video"));
    }

    #[test]
    fn a_missing_member_is_named() {
        for (text, told) in [
            (r#"[{"type":"text"}]"#, "missing field `text`"),
            (r#"[{"type":"image","source":{"type":"base64"}}]"#, "missing field `data`"),
            (r#"[{"text":"x"}]"#, "missing field `type`"),
            (r#"[1]"#, "invalid type: integer `1`"),
            ("null", "a string or an array of content blocks"),
        ] {
            let error = serde_json::from_str::<Content<'_>>(text).unwrap_err().to_string();
            assert!(error.contains(told), "{text}: {error}");
        }
    }
}
