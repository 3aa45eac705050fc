//! Inputs with images, audio or video: which of them a model takes, in which form, and how large they may be.

use schema::invoke::media_embedding::{
    CohereImage, CohereImageType, CohereInput, CoherePart, CohereParts, CohereUrl, MarengoImage,
    MarengoInput, MarengoNestedImage, MarengoSource, MarengoType, NovaBytes, NovaContent,
    NovaMedium, NovaMode, NovaParams, NovaSourced, TitanImage,
};
use schema::invoke::nova::TaskType;
use schema::invoke::titan::EmbeddingConfig;
use schema::openai::embedding_item::{InputItem, InputPart};
use schema::openai::embeddings::InputType;
use serde::Serialize;

use super::{VectorOptions, nova};
use crate::profile::EmbeddingShape;
use crate::{Invalid, Report};

const MIB: usize = 1024 * 1024;

/// The body of a call with a medium.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum MediumBody<'a> {
    /// Titan's multimodal model.
    Titan(TitanImage<'a>),
    /// Cohere's third version.
    CohereImage(CohereImage<'a>),
    /// Cohere's fourth version.
    CohereParts(CohereParts<'a>),
    /// Nova.
    Nova(NovaMedium<'a>),
    /// Marengo 2.7.
    Marengo(MarengoImage<'a>),
    /// Marengo 3.0.
    MarengoNested(MarengoNestedImage<'a>),
}

impl MediumBody<'_> {
    /// The unit of the call's price.
    pub(super) fn bill(&self) -> MediumBill {
        match self {
            Self::Nova(body) => match body.single_embedding_params.medium {
                NovaContent::Image(_) => MediumBill::Image,
                NovaContent::Audio(_) | NovaContent::Video(_) => MediumBill::Duration,
            },
            Self::Titan(_)
            | Self::CohereImage(_)
            | Self::CohereParts(_)
            | Self::Marengo(_)
            | Self::MarengoNested(_) => MediumBill::Image,
        }
    }
}

/// The unit of the price of a call with a medium.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediumBill {
    /// An image, where its model has a price for one.
    Image,
    /// Seconds, which are not known.
    Duration,
}

/// The kind of a medium.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Image,
    Audio,
    Video,
}

/// A medium in base64.
#[derive(Debug, Clone, Copy)]
struct Medium<'a> {
    kind: Kind,
    format: &'a str,
    data: &'a str,
    /// The data URL that it came as.
    url: Option<&'a str>,
}

/// An input: a text, a medium, or both.
#[derive(Debug, Default)]
pub(super) struct Combined<'a> {
    text: Option<&'a str>,
    medium: Option<Medium<'a>>,
}

/// Whether models of this shape read anything but text.
pub(super) fn reads_media(shape: EmbeddingShape) -> bool {
    match shape {
        EmbeddingShape::TitanV1 | EmbeddingShape::TitanV2 => false,
        EmbeddingShape::TitanMultimodal
        | EmbeddingShape::CohereV3
        | EmbeddingShape::CohereV4
        | EmbeddingShape::NovaMultimodal
        | EmbeddingShape::Marengo2
        | EmbeddingShape::Marengo3 => true,
    }
}

/// Whether a text is an image as a data URL, as clients of other gateways write it.
pub(crate) fn is_data_url(text: &str) -> bool {
    text.get(..11).is_some_and(|scheme| scheme.eq_ignore_ascii_case("data:image/"))
}

/// Reads a text, which may be an image as a data URL.
pub(super) fn of_text<'a>(text: &'a str, param: &str) -> Result<Combined<'a>, Invalid> {
    let mut combined = Combined::default();
    if is_data_url(text) {
        combined.medium = Some(of_url(Kind::Image, text, param)?);
    } else {
        combined.text = Some(text);
    }
    combined.filled(param)
}

/// Reads an input.
pub(super) fn combined<'a>(item: &'a InputItem<'a>, param: &str) -> Result<Combined<'a>, Invalid> {
    let mut combined = Combined::default();
    match item {
        InputItem::Text(text) => return of_text(text, param),
        InputItem::Part(part) => combined.add(part, param)?,
        InputItem::Parts(parts) => {
            for (at, part) in parts.iter().enumerate() {
                combined.add(part, &format!("{param}.content[{at}]"))?;
            }
        }
    }
    combined.filled(param)
}

impl<'a> Combined<'a> {
    /// The same input, unless there is nothing in it.
    fn filled(self, param: &str) -> Result<Self, Invalid> {
        if self.medium.is_none() && self.text.is_none_or(|text| text.trim().is_empty()) {
            let message = format!("{param} is empty or blank; there is nothing to embed.");
            return Err(Invalid::value(param, message));
        }
        Ok(self)
    }

    /// The text of an input that is nothing else.
    pub(super) fn only_text(&self) -> Option<&'a str> {
        if self.medium.is_none() { self.text } else { None }
    }

    fn add(&mut self, part: &'a InputPart<'a>, param: &str) -> Result<(), Invalid> {
        let missing = |name: &str| {
            Invalid::value(format!("{param}.{name}"), format!("{param}.{name} is missing."))
        };
        let one = |param: &str| {
            let message = format!(
                "{param}: an input has one text and one image, recording or video at most."
            );
            Invalid::value(param, message)
        };
        let medium = match part.kind.as_deref() {
            Some("text" | "input_text") => {
                let text = part.text.as_deref().ok_or_else(|| missing("text"))?;
                if self.text.replace(text).is_some() {
                    return Err(one(param));
                }
                return Ok(());
            }
            Some("image_url" | "input_image") => {
                let url = part.image_url.as_ref().ok_or_else(|| missing("image_url"))?;
                of_url(Kind::Image, url.url(), &format!("{param}.image_url"))?
            }
            Some("video_url") => {
                let url = part.video_url.as_ref().ok_or_else(|| missing("video_url"))?;
                of_url(Kind::Video, url.url(), &format!("{param}.video_url"))?
            }
            Some("input_audio") => {
                let audio = part.input_audio.as_ref().ok_or_else(|| missing("input_audio"))?;
                let (format, data) = (audio.format.as_str(), audio.data.as_str());
                Medium { kind: Kind::Audio, format, data, url: None }
            }
            _ => {
                let message =
                    format!("{param}.type must be text, image_url, input_audio or video_url.");
                return Err(Invalid::value(format!("{param}.type"), message));
            }
        };
        if self.medium.replace(medium).is_some() {
            return Err(one(param));
        }
        Ok(())
    }
}

/// The medium of a data URL.
fn of_url<'a>(kind: Kind, url: &'a str, param: &str) -> Result<Medium<'a>, Invalid> {
    let wrong = || {
        let message = format!(
            "{param} must be a data URL with base64, such as data:image/png;base64,...: URLs are not fetched for embeddings."
        );
        Invalid::value(param, message)
    };
    let rest = url.get(..5).filter(|scheme| scheme.eq_ignore_ascii_case("data:"));
    let rest = rest.and_then(|_| url.get(5..)).ok_or_else(wrong)?;
    let (mime, data) = rest.split_once(";base64,").ok_or_else(wrong)?;
    let (family, format) = mime.split_once('/').ok_or_else(wrong)?;
    let fits = match kind {
        Kind::Image => family.eq_ignore_ascii_case("image"),
        Kind::Video => family.eq_ignore_ascii_case("video"),
        Kind::Audio => family.eq_ignore_ascii_case("audio"),
    };
    if !fits || data.is_empty() {
        return Err(wrong());
    }
    Ok(Medium { kind, format, data, url: Some(url) })
}

/// The inputs of a shape.
struct Taken {
    kinds: &'static [Kind],
    /// Whether one vector may stand for a text and an image.
    with_text: bool,
    /// Most bytes of a medium.
    most: usize,
}

fn taken(shape: EmbeddingShape) -> Taken {
    let (kinds, with_text, most): (&[Kind], _, _) = match shape {
        EmbeddingShape::TitanV1 | EmbeddingShape::TitanV2 => (&[], false, 0),
        EmbeddingShape::TitanMultimodal => (&[Kind::Image], true, 25 * MIB),
        EmbeddingShape::CohereV3 => (&[Kind::Image], false, 5 * MIB),
        EmbeddingShape::CohereV4 => (&[Kind::Image], true, 5 * MIB),
        EmbeddingShape::NovaMultimodal => {
            (&[Kind::Image, Kind::Audio, Kind::Video], false, 25 * MIB)
        }
        EmbeddingShape::Marengo2 => (&[Kind::Image], false, 5 * MIB),
        EmbeddingShape::Marengo3 => (&[Kind::Image], true, 5 * MIB),
    };
    Taken { kinds, with_text, most }
}

/// The body of an input with a medium.
///
/// # Errors
/// The model does not take it, or it is too large.
pub(super) fn body<'a>(
    input: &Combined<'a>,
    shape: EmbeddingShape,
    (wish, report): (&VectorOptions, &mut Report),
    param: &str,
) -> Result<MediumBody<'a>, Invalid> {
    let Some(medium) = input.medium else {
        return Err(Invalid::value(param, format!("{param} holds a text alone.")));
    };
    checked(input, &medium, &taken(shape), param)?;
    let Medium { kind: _, format: _, data, url } = medium;
    if wish.truncate.is_some() {
        report.ignore("truncate");
    }
    let unheard = |report: &mut Report| wish.purpose_unheard(report);
    Ok(match shape {
        EmbeddingShape::TitanMultimodal => {
            unheard(report);
            let size = wish.size(&[256, 384, 1024])?;
            let config =
                size.map(|output_embedding_length| EmbeddingConfig { output_embedding_length });
            MediumBody::Titan(TitanImage {
                input_text: input.text,
                input_image: data,
                embedding_config: config,
            })
        }
        EmbeddingShape::CohereV3 => {
            unheard(report);
            wish.size(&[1024])?;
            let images = [url.unwrap_or(data)];
            MediumBody::CohereImage(CohereImage { images, input_type: CohereImageType::Image })
        }
        EmbeddingShape::CohereV4 => {
            let text = input.text.map(|text| CoherePart::Text { text });
            let image = CoherePart::ImageUrl { image_url: CohereUrl { url: url.unwrap_or(data) } };
            let content = text.into_iter().chain([image]).collect();
            MediumBody::CohereParts(CohereParts {
                inputs: [CohereInput { content }],
                input_type: wish.input_type.unwrap_or(InputType::SearchDocument),
                output_dimension: wish.size(&[256, 512, 1024, 1536])?,
            })
        }
        EmbeddingShape::NovaMultimodal => MediumBody::Nova(nova_medium(medium, wish, param)?),
        EmbeddingShape::Marengo2 => {
            unheard(report);
            wish.size(&[1024])?;
            let media_source = MarengoSource { base64_string: data };
            MediumBody::Marengo(MarengoImage { input_type: MarengoType::Image, media_source })
        }
        EmbeddingShape::Marengo3 => {
            unheard(report);
            wish.size(&[512])?;
            let media_source = MarengoSource { base64_string: data };
            let (input_type, input) = match input.text {
                Some(input_text) => {
                    (MarengoType::TextImage, MarengoInput::TextImage { input_text, media_source })
                }
                None => (MarengoType::Image, MarengoInput::Image { media_source }),
            };
            MediumBody::MarengoNested(MarengoNestedImage { input_type, input })
        }
        EmbeddingShape::TitanV1 | EmbeddingShape::TitanV2 => {
            return Err(Invalid::value(param, "This model embeds texts alone."));
        }
    })
}

fn checked(
    input: &Combined<'_>,
    medium: &Medium<'_>,
    Taken { kinds, with_text, most }: &Taken,
    param: &str,
) -> Result<(), Invalid> {
    if !kinds.contains(&medium.kind) {
        let message = match medium.kind {
            Kind::Image => "This model embeds texts alone.",
            Kind::Audio | Kind::Video => {
                "This model embeds no audio or video by request and answer; StartAsyncInvoke under /bedrock may."
            }
        };
        return Err(Invalid::value(param, message));
    }
    if input.text.is_some() && !with_text {
        let message = "This model gives a text and a medium a vector each: send two inputs.";
        return Err(Invalid::value(param, message));
    }
    let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
    if medium.data.is_empty() || !medium.data.bytes().all(is_base64) {
        return Err(Invalid::value(param, format!("{param} is no base64.")));
    }
    let length = medium.data.len() / 4 * 3;
    if length > *most {
        let message = format!("{param} has about {length} bytes; this model takes {most} at most.");
        return Err(Invalid::value(param, message));
    }
    Ok(())
}

fn nova_medium<'a>(
    Medium { kind, format, data, url: _ }: Medium<'a>,
    wish: &VectorOptions,
    param: &str,
) -> Result<NovaMedium<'a>, Invalid> {
    let (formats, format): (&[&str], _) = match kind {
        Kind::Image => (&["png", "jpeg", "gif", "webp"], named(format)),
        Kind::Audio => {
            (&["mp3", "wav", "ogg"], if format == "mpeg" { "mp3" } else { named(format) })
        }
        Kind::Video => {
            (&["mp4", "mov", "mkv", "webm", "flv", "mpeg", "mpg", "wmv", "3gp"], named(format))
        }
    };
    if !formats.contains(&format) {
        let message =
            format!("{param}: this model does not take {format}, but {}.", formats.join(", "));
        return Err(Invalid::value(param, message));
    }
    let source = NovaBytes { bytes: data };
    let sourced = NovaSourced { format, source, embedding_mode: None };
    let medium = match kind {
        Kind::Image => NovaContent::Image(sourced),
        Kind::Audio => NovaContent::Audio(sourced),
        Kind::Video => NovaContent::Video(NovaSourced {
            embedding_mode: Some(NovaMode::AudioVideoCombined),
            ..sourced
        }),
    };
    let (embedding_dimension, embedding_purpose) = nova::options(wish)?;
    Ok(NovaMedium {
        task_type: TaskType::SingleEmbedding,
        single_embedding_params: NovaParams { embedding_purpose, embedding_dimension, medium },
    })
}

/// A format by the model's name.
fn named(format: &str) -> &str {
    match format {
        "jpg" => "jpeg",
        "x-wav" | "wave" | "vnd.wave" => "wav",
        "quicktime" => "mov",
        "x-matroska" => "mkv",
        "x-flv" => "flv",
        "x-ms-wmv" => "wmv",
        "3gpp" => "3gp",
        other => other,
    }
}
