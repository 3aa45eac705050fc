//! Images, documents, video and audio as Converse blocks. The bytes decide the kind of block, not
//! the part's type; the base64 passes through as text. Media that the model cannot read are refused
//! here, with their field, and not by Bedrock with a message about another API.

use std::borrow::Cow;

use schema::converse::media::{
    AudioBlock, DocumentBlock, ImageBlock, S3Location, Source, VideoBlock,
};
use schema::converse::message::ContentBlock;

use crate::profile::{Media, Medium, Profile};
use crate::{Invalid, Report, S3Access};

pub(crate) mod base64;
mod beside;
mod cited;
mod counts;
mod formats;
mod names;

pub(crate) use beside::Beside;
pub(crate) use cited::{CitationOptions, search_result};
pub(crate) use counts::within_limits;
use formats::{Claims, MediaFormat};
use names::DocumentNames;

/// The media of one request.
#[derive(Debug)]
pub(crate) struct Attachments<'p> {
    profile: &'p Profile,
    stores: &'p S3Access,
    names: DocumentNames,
}

impl<'p> Attachments<'p> {
    pub(crate) fn new(profile: &'p Profile, stores: &'p S3Access) -> Self {
        Self { profile, stores, names: DocumentNames::default() }
    }

    /// Media that a tool result may hold.
    pub(crate) fn inside_result(&self) -> Media {
        self.profile.tool_result_media
    }

    /// The block of a document, or of other media sent as a file.
    pub(crate) fn document<'a>(
        &mut self,
        part: &MediaPart<'a>,
        citing: CitationOptions<'a>,
        report: &mut Report,
    ) -> Result<ContentBlock<'a>, Invalid> {
        let block = self.attach(part)?;
        Ok(cited::document(block, citing, self.profile, report))
    }

    /// The block of a document that is given as text: a document where it can be cited, else text under
    /// its title.
    pub(crate) fn text_document<'a>(
        &mut self,
        (text, title): (Cow<'a, str>, Option<&'a str>),
        citing: CitationOptions<'a>,
        report: &mut Report,
    ) -> ContentBlock<'a> {
        let name = self.names.claim(title, "txt", &text);
        let block = match citing.cites {
            true => ContentBlock::Document(DocumentBlock {
                format: "txt",
                name: Cow::Owned(name),
                source: Source::Text(text),
                context: None,
                citations: None,
            }),
            false => ContentBlock::Text(Cow::Owned(as_document(&name, &text))),
        };
        match cited::document(block, citing, self.profile, report) {
            ContentBlock::Document(DocumentBlock {
                citations: None,
                name,
                source: Source::Text(text),
                ..
            }) => ContentBlock::Text(Cow::Owned(as_document(&name, &text))),
            block => block,
        }
    }

    /// The block of a part.
    pub(crate) fn attach<'a>(
        &mut self,
        given: &MediaPart<'a>,
    ) -> Result<ContentBlock<'a>, Invalid> {
        match given.place()? {
            Place::Data { mime, data } => self.inline(given, mime, data),
            Place::Stored(uri) => self.stored(given, uri),
        }
    }

    fn inline<'a>(
        &mut self,
        given: &MediaPart<'a>,
        mime: Option<&'a str>,
        data: &'a str,
    ) -> Result<ContentBlock<'a>, Invalid> {
        if !base64::is_valid(data) {
            return Err(given.broken("is not valid base64"));
        }
        let claims = Claims { mime, ..given.claims() };
        let format = formats::of_data(data, claims).ok_or_else(|| given.unknown_format())?;
        if !self.profile.media.has(format.medium) {
            let text = format.medium == Medium::Document && formats::is_text(format.name);
            return match (text, formats::is_readable(data)) {
                (true, true) => self.as_text(given, format, data),
                (true, false) => Err(given.unknown_format()),
                (false, _) => Err(given.unread(format)),
            };
        }
        self.measure(given, format, data)?;
        Ok(self.block(given, format, Source::Bytes(data)))
    }

    fn stored<'a>(
        &mut self,
        given: &MediaPart<'a>,
        uri: &'a str,
    ) -> Result<ContentBlock<'a>, Invalid> {
        let Some(store) = self.stores.of(uri) else {
            let message = "Objects in S3 are read only where the gateway's operator allows it (media.s3_prefixes); send the content itself.";
            return Err(given.invalid(message, "unsupported_value"));
        };
        let claims = Claims { name: given.filename.or(Some(uri)), ..given.claims() };
        let format = formats::of_claims(claims).ok_or_else(|| given.unknown_format())?;
        if !self.profile.media.has(format.medium) {
            return Err(given.unread(format));
        }
        if !self.profile.s3_media.has(format.medium) {
            let what = format.medium.name();
            let message = format!("This model reads no {what} from S3; send the content itself.");
            return Err(given.invalid(message, "unsupported_value"));
        }
        let bucket_owner = store.bucket_owner.clone().map(Cow::Owned);
        let location = S3Location { uri: Cow::Borrowed(uri), bucket_owner };
        let named = MediaPart { filename: given.filename.or(Some(uri)), ..given.clone() };
        Ok(self.block(&named, format, Source::S3Location(location)))
    }

    fn block<'a>(
        &mut self,
        given: &MediaPart<'a>,
        MediaFormat { medium, name: format }: MediaFormat,
        source: Source<'a>,
    ) -> ContentBlock<'a> {
        match medium {
            Medium::Image => ContentBlock::Image(ImageBlock { format, source }),
            Medium::Video => ContentBlock::Video(VideoBlock { format, source }),
            Medium::Audio => ContentBlock::Audio(AudioBlock { format, source }),
            Medium::Document => {
                let content = match &source {
                    Source::Bytes(data) => data,
                    Source::Encoded(data) => data.as_str(),
                    Source::Text(text) => text.as_ref(),
                    Source::S3Location(location) => location.uri.as_ref(),
                };
                let name = Cow::Owned(self.names.claim(given.filename, format, content));
                ContentBlock::Document(DocumentBlock {
                    format,
                    name,
                    source,
                    context: None,
                    citations: None,
                })
            }
        }
    }

    /// A text file for a model that accepts no documents: as plain text, under its name.
    fn as_text<'a>(
        &mut self,
        given: &MediaPart<'a>,
        format: MediaFormat,
        data: &str,
    ) -> Result<ContentBlock<'a>, Invalid> {
        let text = formats::decoded(base64::whole(data));
        let name = self.names.claim(given.filename, format.name, data);
        Ok(ContentBlock::Text(Cow::Owned(as_document(&name, &text))))
    }

    fn measure(
        &self,
        given: &MediaPart<'_>,
        format: MediaFormat,
        data: &str,
    ) -> Result<(), Invalid> {
        let (most, code) = match format.medium {
            Medium::Image => (self.profile.image_bytes, "image_too_large"),
            Medium::Document => (self.profile.document_bytes, "file_too_large"),
            // Bedrock documents no limits for these beyond that of the whole request.
            Medium::Video | Medium::Audio => return Ok(()),
        };
        let size = base64::decoded_len(data);
        if u32::try_from(size).is_ok_and(|size| size <= most) {
            return Ok(());
        }
        let what = format.medium.name();
        let message = format!("The {what} has {size} bytes; this model takes up to {most}.");
        Err(given.invalid(message, code))
    }
}

/// A part with media, as any dialect sends it.
#[derive(Debug, Clone)]
pub(crate) struct MediaPart<'a> {
    /// A URL, or bare base64.
    pub(crate) text: &'a str,
    /// The medium that the part's type is meant for; a part for documents may hold any.
    pub(crate) medium: Medium,
    /// A format by its name or media type.
    pub(crate) format: Option<&'a str>,
    pub(crate) filename: Option<&'a str>,
    /// The path of the field, for errors.
    pub(crate) param: String,
}

/// The place of the content.
enum Place<'a> {
    Data { mime: Option<&'a str>, data: &'a str },
    Stored(&'a str),
}

impl<'a> MediaPart<'a> {
    fn claims(&self) -> Claims<'a> {
        Claims {
            medium: Some(self.medium).filter(|medium| *medium != Medium::Document),
            mime: None,
            name: self.filename,
            format: self.format,
        }
    }

    fn place(&self) -> Result<Place<'a>, Invalid> {
        let text = self.text;
        if let Some(rest) = after_scheme(text, "data:") {
            let Some((kind, data)) = rest.split_once(',') else {
                return Err(self.malformed("The data: URL has no comma before its data."));
            };
            let Some(mime) = before_ending(kind, ";base64") else {
                let message = format!("The data: URL must be base64 ({}).", self.example());
                return Err(self.malformed(message));
            };
            return Ok(Place::Data { mime: Some(mime).filter(|mime| !mime.is_empty()), data });
        }
        if text.starts_with("s3://") {
            return Ok(Place::Stored(text));
        }
        // An image by its bare content has its format beside it.
        let bare = matches!(self.medium, Medium::Audio | Medium::Document) || self.format.is_some();
        if bare && !text.contains(':') {
            return Ok(Place::Data { mime: None, data: text });
        }
        let message = if after_scheme(text, "https:").or(after_scheme(text, "http:")).is_some() {
            format!(
                "URLs are not fetched here unless the gateway's operator sets media.fetch; send the content itself as {}.",
                self.example()
            )
        } else {
            format!("Only data: URLs are understood here; send {}.", self.example())
        };
        Err(self.malformed(message))
    }

    fn example(&self) -> &'static str {
        match self.medium {
            Medium::Image => "data:image/png;base64,...",
            Medium::Document => "data:application/pdf;base64,...",
            Medium::Video => "data:video/mp4;base64,...",
            Medium::Audio => "data:audio/wav;base64,...",
        }
    }

    fn malformed(&self, message: impl Into<Cow<'static, str>>) -> Invalid {
        self.invalid(
            message,
            match self.medium {
                Medium::Image => "invalid_image_url",
                Medium::Document | Medium::Video | Medium::Audio => "invalid_url",
            },
        )
    }

    fn broken(&self, how: &str) -> Invalid {
        let (what, code) = match self.medium {
            Medium::Image => ("image", "image_parse_error"),
            Medium::Document => ("file", "invalid_value"),
            Medium::Video => ("video", "invalid_value"),
            Medium::Audio => ("audio", "invalid_value"),
        };
        self.invalid(format!("The {what} {how}."), code)
    }

    fn unknown_format(&self) -> Invalid {
        let (message, code) = match self.medium {
            Medium::Image => ("The image must be PNG, JPEG, GIF or WebP.", "invalid_image_format"),
            Medium::Document => (
                "The file must be pdf, csv, doc, docx, xls, xlsx, html, md or other text, or an image, video or audio.",
                "unsupported_file_type",
            ),
            Medium::Video => (
                "The video must be mp4, mov, mkv, webm, flv, mpeg, mpg, wmv or 3gp.",
                "unsupported_file_type",
            ),
            Medium::Audio => (
                "The audio must be wav, mp3, flac, aac, ogg, opus, m4a, mp4, mka, webm or pcm.",
                "unsupported_file_type",
            ),
        };
        self.invalid(message, code)
    }

    fn unread(&self, MediaFormat { medium, name }: MediaFormat) -> Invalid {
        let what = match medium {
            Medium::Image => "no images".to_owned(),
            Medium::Document => format!("no documents such as this ({name}), only text files"),
            Medium::Video => "no video".to_owned(),
            Medium::Audio => "no audio".to_owned(),
        };
        let message = format!(
            "This model reads {what}. Leave the part out, or choose a model that does: GET /v1/models lists what each reads."
        );
        self.invalid(message, "unsupported_modality")
    }

    fn invalid(&self, message: impl Into<Cow<'static, str>>, code: &'static str) -> Invalid {
        Invalid::value(self.param.clone(), message).with_code(code)
    }
}

/// A text file as text, under its name.
fn as_document(name: &str, text: &str) -> String {
    format!("<document name=\"{name}\">\n{}\n</document>", text.trim_end())
}

/// Returns whether fetched bytes match the part: an image, video or recording in a format that
/// models accept, or a document (`None`: a file part, which may hold any of these). Only the bytes
/// count; the URL distinguishes kinds of text and of office files.
pub fn is_media(bytes: &[u8], medium: Option<Medium>, url: &str) -> bool {
    formats::of_fetched(bytes, Claims { medium, name: Some(url), ..Claims::default() }).is_some()
}

/// Content for an API that tells media from texts and needs their types.
pub(crate) enum TypedContent {
    /// Base64 of this media type.
    Medium(&'static str),
    Text(String),
}

/// Base64 data of an image, a PDF document or a text, as its bytes show; `None` for other content.
pub(crate) fn typed_content(data: &str, medium: Medium) -> Option<TypedContent> {
    let medium = (medium != Medium::Document).then_some(medium);
    let format = formats::of_data(data, Claims { medium, ..Claims::default() })?;
    Some(TypedContent::Medium(match format.name {
        "png" => "image/png",
        "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "pdf" => "application/pdf",
        name if formats::is_text(name) && formats::is_readable(data) => {
            return Some(TypedContent::Text(formats::decoded(base64::whole(data))));
        }
        _ => return None,
    }))
}

/// The text before an ending, whose case is ignored.
fn before_ending<'a>(text: &'a str, ending: &str) -> Option<&'a str> {
    let (before, end) = text.split_at_checked(text.len().checked_sub(ending.len())?)?;
    end.eq_ignore_ascii_case(ending).then_some(before)
}

fn after_scheme<'a>(url: &'a str, scheme: &str) -> Option<&'a str> {
    url.get(..scheme.len()).filter(|start| start.eq_ignore_ascii_case(scheme))?;
    url.get(scheme.len()..)
}
