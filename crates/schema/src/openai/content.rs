//! Message content: a string, or a list of typed parts. Parts of other dialects are read by their
//! meaning; a part of an unknown type keeps its name, because its handling depends on the role.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer};
use serde_json::value::RawValue;

use super::cache::{Breakpoint, CacheControl, Mark};
use super::list::{TextOrList, text_or_list};
use super::reasoning::SentBlock;
use super::sources::{Citing, Passages, SearchFields, SearchResult};
use super::tool::ToolCall;
use crate::Str;

mod foreign;

pub use foreign::SentResult;

/// `content` of a message, of any role.
#[derive(Debug, Clone, PartialEq)]
pub enum Content<'a> {
    Text(Str<'a>),
    Parts(Vec<Part<'a>>),
}

/// One content part. `cache` is its cache mark.
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
    /// A source that the answer may cite.
    SearchResult {
        /// The search result.
        result: SearchResult<'a>,
        /// Its cache mark.
        cache: Option<Mark>,
    },
    /// A past refusal of the assistant, replayed in history.
    Refusal {
        /// The text of the refusal.
        text: Str<'a>,
        /// Its cache mark.
        cache: Option<Mark>,
    },
    /// A reasoning block of the assistant.
    Thought(SentBlock<'a>),
    /// A call by the assistant. A message moves the calls in its parts to its `tool_calls`.
    Call(ToolCall<'a>),
    /// The result of a call. A conversation moves the results in parts to separate messages.
    Result(Box<SentResult<'a>>),
    /// The former place of a call or a result that was moved.
    Moved,
    /// A part of an unknown type, by its type.
    Foreign(Str<'a>),
}

impl Part<'_> {
    /// Its cache mark.
    pub fn cache(&self) -> Option<Mark> {
        match self {
            Self::Text { cache, .. }
            | Self::ImageUrl { cache, .. }
            | Self::InputAudio { cache, .. }
            | Self::File { cache, .. }
            | Self::VideoUrl { cache, .. }
            | Self::SearchResult { cache, .. }
            | Self::Refusal { cache, .. } => *cache,
            Self::Thought(_) | Self::Call(_) | Self::Result(_) | Self::Moved | Self::Foreign(_) => {
                None
            }
        }
    }
}

/// `image_url`: an object with `url`, or (de facto) the bare string.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageUrl<'a> {
    pub url: Str<'a>,
    /// auto, low, high or original; Bedrock has no such option.
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

/// `file`: `file_data` is a data URL or bare base64. `file_url` comes from the Responses API;
/// `format`, and URLs in `file_id`, come from LiteLLM's users.
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
    /// Request for citations.
    pub citations: Option<Citing>,
    /// Context for the model that is not cited.
    #[serde(borrow)]
    pub context: Option<Str<'a>>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Content<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text_or_list(deserializer)
    }
}

impl<'de> TextOrList<'de> for Content<'de> {
    const EXPECTED: &'static str = "a string or an array of content parts";

    fn of_text(text: Str<'de>) -> Self {
        Self::Text(text)
    }

    fn of_list<A: SeqAccess<'de>>(mut seq: A) -> Result<Self, A::Error> {
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

/// The fault of a part.
enum Fault {
    Missing(&'static str),
    /// A member, and its expected type.
    Odd(&'static str, &'static str),
}

impl From<&'static str> for Fault {
    fn from(missing: &'static str) -> Self {
        Self::Missing(missing)
    }
}

/// Every field that any part may have; keys come in any order, so the kind is known only at the
/// end.
#[derive(Deserialize)]
struct PartFields<'a> {
    #[serde(borrow, rename = "type")]
    kind: Str<'a>,
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
    /// Of a search result whose members are not in the part itself.
    #[serde(borrow, alias = "searchResult")]
    search_result: Option<SearchFields<'a>>,
    #[serde(borrow)]
    source: Option<&'a RawValue>,
    #[serde(borrow)]
    title: Option<&'a RawValue>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    /// Of a search result or a file; for a file it may also stand in the file.
    #[serde(borrow)]
    citations: Option<&'a RawValue>,
    #[serde(borrow)]
    context: Option<&'a RawValue>,
    cache_control: Option<CacheControl>,
    prompt_cache_breakpoint: Option<Breakpoint>,
    // Members of other dialects' parts: their types depend on the kind, so they are parsed once it
    // is known.
    #[serde(borrow)]
    thinking: Option<&'a RawValue>,
    #[serde(borrow)]
    signature: Option<&'a RawValue>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
    #[serde(borrow)]
    args: Option<&'a RawValue>,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
    #[serde(borrow)]
    call_id: Option<&'a RawValue>,
    #[serde(borrow)]
    tool_use_id: Option<&'a RawValue>,
    #[serde(borrow)]
    tool_call_id: Option<&'a RawValue>,
    #[serde(borrow)]
    output: Option<&'a RawValue>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    #[serde(borrow)]
    is_error: Option<&'a RawValue>,
    #[serde(borrow)]
    reasoning: Option<&'a RawValue>,
    #[serde(borrow)]
    reasoning_content: Option<&'a RawValue>,
    #[serde(borrow)]
    summary: Option<&'a RawValue>,
    #[serde(borrow)]
    extras: Option<&'a RawValue>,
    #[serde(borrow)]
    url: Option<&'a RawValue>,
    #[serde(borrow)]
    base64: Option<&'a RawValue>,
    #[serde(borrow)]
    image: Option<&'a RawValue>,
    #[serde(borrow)]
    mime_type: Option<&'a RawValue>,
    #[serde(borrow)]
    media_type: Option<&'a RawValue>,
    #[serde(borrow)]
    format: Option<&'a RawValue>,
    #[serde(borrow)]
    filename: Option<&'a RawValue>,
    #[serde(borrow)]
    file_data: Option<&'a RawValue>,
    #[serde(borrow)]
    file_id: Option<&'a RawValue>,
    #[serde(borrow)]
    file_url: Option<&'a RawValue>,
    #[serde(borrow)]
    detail: Option<&'a RawValue>,
    #[serde(borrow, rename = "toolCallId")]
    tool_call_id_camel: Option<&'a RawValue>,
    #[serde(borrow, rename = "toolName")]
    tool_name: Option<&'a RawValue>,
    #[serde(borrow, rename = "mediaType")]
    media_type_camel: Option<&'a RawValue>,
    #[serde(borrow, rename = "providerOptions")]
    provider_options: Option<&'a RawValue>,
    #[serde(borrow, rename = "providerMetadata")]
    provider_metadata: Option<&'a RawValue>,
}

impl<'a> PartFields<'a> {
    fn into_part(self) -> Result<Part<'a>, Fault> {
        let breakpoint = self.prompt_cache_breakpoint.map(Mark::from);
        let cache = self.cache_control.map(Mark::from).or(breakpoint);
        let kind = self.kind.clone();
        Ok(match kind.as_str() {
            "text" => Part::Text { text: self.text.ok_or("text")?, cache },
            "image_url" => Part::ImageUrl { image: self.image_url.ok_or("image_url")?, cache },
            "video_url" => Part::VideoUrl { video: self.video_url.ok_or("video_url")?, cache },
            "input_audio" => {
                let audio = self.input_audio.clone().or_else(|| self.flat_audio());
                Part::InputAudio { audio: audio.ok_or("input_audio")?, cache }
            }
            "file" if self.file.is_some() => Part::File { file: self.file()?, cache },
            "file" => self.flat_file(cache).ok_or("file")?,
            // Converse writes it as one word.
            "search_result" | "searchResult" => {
                Part::SearchResult { result: self.search_result()?, cache }
            }
            "refusal" => Part::Refusal { text: self.refusal.ok_or("refusal")?, cache },
            "input_text" if self.text.is_none() => return Err("text".into()),
            _ => foreign::read(kind, &self, cache),
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

/// Reads a member that has other types in other kinds of parts.
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
