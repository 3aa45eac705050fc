//! Message content: a string, or a list of typed parts. An unknown part type is an error at its
//! `type`, because leaving a part out would change what the user asked.

use std::fmt;

use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::cache::{Breakpoint, CacheControl, Mark};
use super::sources::{Citing, Passages, SearchFields, SearchResult};
use crate::Str;

/// `content` of a message, of any role.
#[derive(Debug, Clone, PartialEq)]
pub enum Content<'a> {
    Text(Str<'a>),
    Parts(Vec<Part<'a>>),
}

/// One content part. `cache` is the mark standing on it.
#[derive(Debug, Clone, PartialEq)]
pub enum Part<'a> {
    Text {
        text: Str<'a>,
        cache: Option<Mark>,
    },
    ImageUrl {
        image: ImageUrl<'a>,
        cache: Option<Mark>,
    },
    InputAudio {
        audio: InputAudio<'a>,
        cache: Option<Mark>,
    },
    File {
        file: File<'a>,
        cache: Option<Mark>,
    },
    VideoUrl {
        video: ImageUrl<'a>,
        cache: Option<Mark>,
    },
    /// A source that the answer may rest on.
    SearchResult {
        /// What was found.
        result: SearchResult<'a>,
        /// The cache mark on it.
        cache: Option<Mark>,
    },
    /// What the assistant once declined to say; replayed history.
    Refusal {
        /// What the model said instead of an answer.
        text: Str<'a>,
        /// The cache mark on it.
        cache: Option<Mark>,
    },
    /// Blocks of other dialects that agents leave in histories; known, but not chat content.
    Foreign(PartKind),
}

impl Part<'_> {
    /// The cache mark on it.
    pub fn cache(&self) -> Option<Mark> {
        match self {
            Self::Text { cache, .. }
            | Self::ImageUrl { cache, .. }
            | Self::InputAudio { cache, .. }
            | Self::File { cache, .. }
            | Self::VideoUrl { cache, .. }
            | Self::SearchResult { cache, .. }
            | Self::Refusal { cache, .. } => *cache,
            Self::Foreign(_) => None,
        }
    }
}

/// The `type` of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PartKind {
    Text,
    ImageUrl,
    InputAudio,
    File,
    VideoUrl,
    /// Converse spells it in one word.
    #[serde(alias = "searchResult")]
    SearchResult,
    Refusal,
    Thinking,
    RedactedThinking,
    ToolUse,
}

/// `image_url`: an object with `url`, or (de facto) the bare string.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageUrl<'a> {
    pub url: Str<'a>,
    /// auto, low, high or original; Bedrock has no such choice.
    pub detail: Option<Str<'a>>,
}

/// `input_audio`: base64 data (or a data URL) and its format (wav, mp3).
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct InputAudio<'a> {
    #[serde(borrow)]
    pub data: Str<'a>,
    #[serde(borrow)]
    pub format: Option<Str<'a>>,
}

/// `file`: `file_data` is a data URL or bare base64. `file_url` is the Responses API's; `format`, and
/// URLs in `file_id`, are what LiteLLM's users write.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
pub struct File<'a> {
    #[serde(borrow)]
    pub file_data: Option<Str<'a>>,
    #[serde(borrow)]
    pub file_id: Option<Str<'a>>,
    #[serde(borrow)]
    pub file_url: Option<Str<'a>>,
    #[serde(borrow)]
    pub filename: Option<Str<'a>>,
    /// A media type.
    #[serde(borrow)]
    pub format: Option<Str<'a>>,
    /// Whether the answer should cite it.
    pub citations: Option<Citing>,
    /// What the model should know about it that is not to be cited.
    #[serde(borrow)]
    pub context: Option<Str<'a>>,
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
        f.write_str("a string or an array of content parts")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Content::Text(text.into()))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Content::Text(text.to_owned().into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut parts = Vec::with_capacity(seq.size_hint().unwrap_or(1).min(64));
        while let Some(part) = seq.next_element()? {
            parts.push(part);
        }
        Ok(Content::Parts(parts))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Part<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        PartFields::deserialize(deserializer)?.into_part().map_err(|fault| match fault {
            Fault::Missing(field) => D::Error::missing_field(field),
            Fault::Odd(field, expected) => {
                D::Error::custom(format_args!("invalid value of {field}, expected {expected}"))
            }
        })
    }
}

/// What is wrong with a part.
enum Fault {
    Missing(&'static str),
    /// A member, and what it should be.
    Odd(&'static str, &'static str),
}

impl From<&'static str> for Fault {
    fn from(missing: &'static str) -> Self {
        Self::Missing(missing)
    }
}

/// Every field any part may have; keys come in any order, so the kind is known only at the end.
#[derive(Deserialize)]
struct PartFields<'a> {
    #[serde(rename = "type")]
    kind: PartKind,
    #[serde(borrow)]
    text: Option<Str<'a>>,
    #[serde(borrow)]
    image_url: Option<ImageUrl<'a>>,
    #[serde(borrow)]
    video_url: Option<ImageUrl<'a>>,
    #[serde(borrow)]
    input_audio: Option<InputAudio<'a>>,
    #[serde(borrow)]
    file: Option<File<'a>>,
    #[serde(borrow)]
    refusal: Option<Str<'a>>,
    /// Of a search result, where its members do not stand in the part itself.
    #[serde(borrow, alias = "searchResult")]
    search_result: Option<SearchFields<'a>>,
    #[serde(borrow)]
    source: Option<&'a RawValue>,
    #[serde(borrow)]
    title: Option<&'a RawValue>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    /// Of a search result or a file; of a file it may stand in the file as well.
    #[serde(borrow)]
    citations: Option<&'a RawValue>,
    #[serde(borrow)]
    context: Option<&'a RawValue>,
    cache_control: Option<CacheControl>,
    prompt_cache_breakpoint: Option<Breakpoint>,
}

impl<'a> PartFields<'a> {
    fn into_part(self) -> Result<Part<'a>, Fault> {
        let breakpoint = self.prompt_cache_breakpoint.map(Mark::from);
        let cache = self.cache_control.map(Mark::from).or(breakpoint);
        Ok(match self.kind {
            PartKind::Text => Part::Text { text: self.text.ok_or("text")?, cache },
            PartKind::ImageUrl => {
                Part::ImageUrl { image: self.image_url.ok_or("image_url")?, cache }
            }
            PartKind::VideoUrl => {
                Part::VideoUrl { video: self.video_url.ok_or("video_url")?, cache }
            }
            PartKind::InputAudio => {
                Part::InputAudio { audio: self.input_audio.ok_or("input_audio")?, cache }
            }
            PartKind::File => Part::File { file: self.file()?, cache },
            PartKind::SearchResult => Part::SearchResult { result: self.search_result()?, cache },
            PartKind::Refusal => Part::Refusal { text: self.refusal.ok_or("refusal")?, cache },
            kind @ (PartKind::Thinking | PartKind::RedactedThinking | PartKind::ToolUse) => {
                Part::Foreign(kind)
            }
        })
    }
}

impl<'a> PartFields<'a> {
    fn file(self) -> Result<File<'a>, Fault> {
        let mut file = self.file.ok_or("file")?;
        if file.citations.is_none() {
            file.citations = read(self.citations, "citations", "an object with enabled")?;
        }
        if file.context.is_none() {
            file.context = read(self.context, "context", "a string")?;
        }
        Ok(file)
    }

    fn search_result(self) -> Result<SearchResult<'a>, Fault> {
        let fields = match self.search_result {
            Some(fields) => fields,
            None => SearchFields {
                source: read(self.source, "source", "a string")?,
                title: read(self.title, "title", "a string")?,
                content: read::<Passages<'_>>(self.content, "content", "a list of text parts")?,
                citations: read(self.citations, "citations", "an object with enabled")?,
            },
        };
        Ok(fields.whole()?)
    }
}

/// Reads a member that other kinds of parts have in other shapes.
fn read<'a, T: Deserialize<'a>>(
    raw: Option<&'a RawValue>,
    field: &'static str,
    expected: &'static str,
) -> Result<Option<T>, Fault> {
    let Some(raw) = raw else { return Ok(None) };
    serde_json::from_str(raw.get()).map_err(|_| Fault::Odd(field, expected))
}

impl<'de: 'a, 'a> Deserialize<'de> for ImageUrl<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ImageUrlVisitor)
    }
}

struct ImageUrlVisitor;

#[derive(Deserialize)]
struct ImageUrlFields<'a> {
    #[serde(borrow)]
    url: Str<'a>,
    #[serde(borrow)]
    detail: Option<Str<'a>>,
}

impl<'de> Visitor<'de> for ImageUrlVisitor {
    type Value = ImageUrl<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with a url")
    }

    fn visit_borrowed_str<E: Error>(self, url: &'de str) -> Result<Self::Value, E> {
        Ok(ImageUrl { url: url.into(), detail: None })
    }

    fn visit_str<E: Error>(self, url: &str) -> Result<Self::Value, E> {
        Ok(ImageUrl { url: url.to_owned().into(), detail: None })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        let fields = ImageUrlFields::deserialize(MapAccessDeserializer::new(map))?;
        Ok(ImageUrl { url: fields.url, detail: fields.detail })
    }
}
