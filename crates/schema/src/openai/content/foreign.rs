//! Parts of other dialects in histories: of OpenAI's Responses API, of Anthropic's Messages, of
//! LangChain and of the AI SDK. Parts with a clear meaning are converted; others keep their name.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Content, File, ImageUrl, InputAudio, Part, PartFields};
use crate::Str;
use crate::openai::cache::{CacheControl, Mark};
use crate::openai::reasoning::SentBlock;
use crate::openai::sources::Citing;
use crate::openai::tool::{CustomCall, FunctionCall, ToolCall};

/// The result of a call, in a part.
#[derive(Debug, Clone, PartialEq)]
pub struct SentResult<'a> {
    /// The `type` of the part.
    pub kind: Str<'a>,
    pub call_id: Str<'a>,
    pub content: Option<Content<'a>>,
    pub is_error: bool,
    pub cache_control: Option<CacheControl>,
}

/// A member that may stand in several places and forms.
type Raw<'a> = Option<&'a RawValue>;

/// Reads a part whose kind is not part of chat completions.
pub(super) fn read<'a>(kind: Str<'a>, fields: &PartFields<'a>, cache: Option<Mark>) -> Part<'a> {
    let cache_control = fields.cache_control;
    let read = match kind.as_str() {
        "input_text" | "output_text" | "text-plain" => {
            fields.text.clone().map(|text| Part::Text { text, cache })
        }
        "input_image" => fields.image(cache),
        "image" | "document" | "audio" | "video" => fields.medium(kind.as_str(), cache),
        "input_file" => fields.flat_file(cache),
        "thinking" => fields.thinking(),
        "redacted_thinking" => text(fields.data).map(|data| thought(None, None, Some(data))),
        "reasoning" | "reasoning_content" | "reasoning_text" => fields.reasoning(),
        "tool_use" | "tool_call" | "function_call" | "tool-call" | "custom_tool_call" => {
            fields.call(kind.as_str())
        }
        "tool_result" | "function_call_output" | "tool-result" | "custom_tool_call_output" => {
            fields.result(kind.clone(), cache_control)
        }
        _ => None,
    };
    read.unwrap_or(Part::Foreign(kind))
}

impl<'a> PartFields<'a> {
    /// `input_image`: the link, or the id of a file.
    fn image(&self, cache: Option<Mark>) -> Option<Part<'a>> {
        if let Some(image) = self.image_url.clone() {
            let detail = image.detail.or_else(|| text(self.detail));
            return Some(Part::ImageUrl { image: ImageUrl { url: image.url, detail }, cache });
        }
        self.flat_file(cache)
    }

    /// Audio whose members are in the part itself.
    pub(super) fn flat_audio(&self) -> Option<InputAudio<'a>> {
        let format = [self.format, self.mime_type, self.media_type].into_iter().find_map(text);
        Some(InputAudio { data: text(self.data)?, format })
    }

    /// A file whose members are in the part itself.
    pub(super) fn flat_file(&self, cache: Option<Mark>) -> Option<Part<'a>> {
        if let Some(file) = self.file.clone() {
            return Some(Part::File { file, cache });
        }
        let format = [self.mime_type, self.media_type, self.media_type_camel, self.format];
        let filename = [self.filename, self.title].into_iter().find_map(text);
        let mut file = File {
            file_data: text(self.file_data),
            file_id: text(self.file_id),
            file_url: text(self.file_url),
            filename,
            format: format.into_iter().find_map(text),
            citations: self.citing(),
            context: text(self.context),
        };
        if let Some(given) =
            [self.data, self.base64, self.image, self.url].into_iter().find_map(text)
        {
            hold(&mut file, given);
        }
        let has_content =
            file.file_data.is_some() || file.file_id.is_some() || file.file_url.is_some();
        has_content.then_some(Part::File { file, cache })
    }

    fn citing(&self) -> Option<Citing> {
        self.citations.and_then(|raw| serde_json::from_str(raw.get()).ok())
    }

    /// `image`, `document` and similar kinds: with a `source` in one dialect, flat in the others.
    fn medium(&self, kind: &str, cache: Option<Mark>) -> Option<Part<'a>> {
        let file = match self.source {
            None => match self.flat_file(cache)? {
                Part::File { file, .. } => file,
                other => return Some(other),
            },
            Some(source) => {
                let source: Source<'a> = serde_json::from_str(source.get()).ok()?;
                if source.kind.as_deref() == Some("text") {
                    return source.data.map(|text| Part::Text { text, cache });
                }
                let filename = [self.title, self.filename, self.name].into_iter().find_map(text);
                let mut file = File {
                    filename,
                    format: source.media_type,
                    file_id: source.file_id,
                    citations: self.citing(),
                    context: text(self.context),
                    ..File::default()
                };
                if let Some(given) = source.data.or(source.url) {
                    hold(&mut file, given);
                }
                file
            }
        };
        Some(match (kind, file) {
            ("image", File { file_url: Some(url), file_data: None, .. }) => {
                Part::ImageUrl { image: ImageUrl { url, detail: None }, cache }
            }
            (_, File { file_data: None, file_id: None, file_url: None, .. }) => return None,
            (_, file) => Part::File { file, cache },
        })
    }

    fn thinking(&self) -> Option<Part<'a>> {
        let (said, signature) = (text(self.thinking), text(self.signature));
        (said.is_some() || signature.is_some()).then(|| thought(said, signature, None))
    }

    /// Reasoning under any of its names: a text, an object that holds one, or a list of summaries.
    fn reasoning(&self) -> Option<Part<'a>> {
        let places = [self.reasoning, self.reasoning_content, self.summary, self.content];
        let said = self.text.clone().filter(|said| !said.is_empty());
        let said = said.or_else(|| places.into_iter().find_map(words));
        let inner = [self.reasoning_content, self.reasoning].into_iter().find_map(signed);
        let outer = || text(self.signature).or_else(|| signed(self.extras));
        let of_provider =
            || [self.provider_options, self.provider_metadata].into_iter().find_map(vouched);
        let signature = inner.or_else(outer).or_else(of_provider);
        (said.is_some() || signature.is_some()).then(|| thought(said, signature, None))
    }

    fn call(&self, kind: &str) -> Option<Part<'a>> {
        let name = [self.name, self.tool_name].into_iter().find_map(text)?;
        let id = [self.call_id, self.tool_call_id_camel, self.id].into_iter().find_map(text);
        let input = [self.arguments, self.input, self.args].into_iter().flatten().next();
        let spelled = input.map(|raw| text(Some(raw)).unwrap_or_else(|| raw.get().into()));
        if kind == "custom_tool_call" {
            let custom = CustomCall { name, input: spelled.unwrap_or_default() };
            return Some(Part::Call(ToolCall { id, function: None, custom: Some(custom) }));
        }
        let function = FunctionCall { name, arguments: spelled };
        Some(Part::Call(ToolCall { id, function: Some(function), custom: None }))
    }

    fn result(&self, kind: Str<'a>, cache_control: Option<CacheControl>) -> Option<Part<'a>> {
        let ids = [self.tool_use_id, self.call_id, self.tool_call_id_camel, self.tool_call_id];
        let call_id = ids.into_iter().find_map(text)?;
        let given = [self.output, self.content, self.result].into_iter().flatten().next();
        let (content, failed) = given.map_or((None, false), output);
        let is_error = failed || self.is_error.is_some_and(|raw| raw.get() == "true");
        Some(Part::Result(Box::new(SentResult { kind, call_id, content, is_error, cache_control })))
    }
}

/// `source` of an image or a document.
#[derive(Deserialize)]
struct Source<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Str<'a>>,
    #[serde(borrow)]
    media_type: Option<Str<'a>>,
    #[serde(borrow)]
    data: Option<Str<'a>>,
    #[serde(borrow)]
    url: Option<Str<'a>>,
    #[serde(borrow)]
    file_id: Option<Str<'a>>,
}

/// The typed output of a tool in the AI SDK.
#[derive(Deserialize)]
struct Output<'a> {
    #[serde(borrow, rename = "type")]
    kind: Str<'a>,
    #[serde(borrow)]
    value: Option<&'a RawValue>,
}

/// An object with a text, and possibly its signature.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Said<'a> {
    #[serde(borrow)]
    text: Option<Str<'a>>,
    #[serde(borrow)]
    signature: Option<Str<'a>>,
    #[serde(borrow, rename = "reasoningText")]
    inner: Option<&'a RawValue>,
}

fn thought<'a>(
    thinking: Option<Str<'a>>,
    signature: Option<Str<'a>>,
    data: Option<Str<'a>>,
) -> Part<'a> {
    Part::Thought(SentBlock { kind: None, thinking, signature, data })
}

/// Stores data, or a link to it.
fn hold<'a>(file: &mut File<'a>, given: Str<'a>) {
    let is_link = ["http://", "https://", "s3://"].iter().any(|scheme| given.starts_with(scheme));
    if is_link { file.file_url = Some(given) } else { file.file_data = Some(given) }
}

/// A member that is a text.
fn text<'a>(raw: Raw<'a>) -> Option<Str<'a>> {
    raw.and_then(|raw| serde_json::from_str(raw.get()).ok())
}

fn said<'a>(raw: Raw<'a>) -> Option<Said<'a>> {
    raw.and_then(|raw| serde_json::from_str::<Said<'a>>(raw.get()).ok())
}

/// The text of a string, of an object that holds one, or of a list of these.
fn words<'a>(raw: Raw<'a>) -> Option<Str<'a>> {
    let words = text(raw).or_else(|| {
        let Said { text: words, inner, .. } = said(raw)?;
        words.or_else(|| said(inner)?.text)
    });
    let words = words.or_else(|| {
        let all: Vec<Said<'a>> = serde_json::from_str(raw?.get()).ok()?;
        let all: Vec<_> = all.into_iter().filter_map(|one| one.text).collect();
        let all: Vec<&str> = all.iter().map(Str::as_str).collect();
        Some(all.join("\n").into())
    });
    words.filter(|words| !words.is_empty())
}

/// The signature in an object that holds a text.
fn signed<'a>(raw: Raw<'a>) -> Option<Str<'a>> {
    let Said { signature, inner, .. } = said(raw)?;
    signature.or_else(|| said(inner)?.signature)
}

/// The signature that the AI SDK stores under the provider's name.
fn vouched<'a>(raw: Raw<'a>) -> Option<Str<'a>> {
    let all: std::collections::BTreeMap<Str<'a>, &'a RawValue> =
        serde_json::from_str(raw?.get()).ok()?;
    all.into_values().find_map(|one| signed(Some(one)))
}

/// The output of a tool, and whether it failed. Output that is neither text nor parts is kept as
/// JSON text.
fn output<'a>(raw: &'a RawValue) -> (Option<Content<'a>>, bool) {
    let typed = serde_json::from_str::<Output<'a>>(raw.get()).ok();
    let typed = typed.and_then(|Output { kind, value }| {
        let failed = match kind.as_str() {
            "text" | "json" | "content" => false,
            "error-text" | "error-json" => true,
            _ => return None,
        };
        Some((value?, failed))
    });
    let (value, failed) = typed.unwrap_or((raw, false));
    let content = serde_json::from_str(value.get()).ok();
    (Some(content.unwrap_or_else(|| Content::Text(value.get().into()))), failed)
}
