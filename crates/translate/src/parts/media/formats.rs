//! Detects the format of a file from its bytes. Names and MIME types count only where the bytes do
//! not tell: browsers and agents mislabel files, and Bedrock refuses a wrong label.

use super::{after_scheme, base64};
use crate::profile::Medium;

/// A kind of content in one of Converse's formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MediaFormat {
    pub(super) medium: Medium,
    /// Converse's name.
    pub(super) name: &'static str,
}

/// Claims about the bytes, in decreasing order of trust.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Claims<'a> {
    /// The medium that the part is meant for.
    pub(super) medium: Option<Medium>,
    /// The media type of a data URL.
    pub(super) mime: Option<&'a str>,
    /// The file's name, or a URL.
    pub(super) name: Option<&'a str>,
    /// A format by its name, as in `input_audio`.
    pub(super) format: Option<&'a str>,
}

/// The format of base64 data.
pub(super) fn of_data(data: &str, claims: Claims<'_>) -> Option<MediaFormat> {
    let head = base64::head(data);
    match sniff(&head) {
        Some(magic) => by_magic(magic, claims, &head, || base64::tail(data)),
        None if holds_pdf(&head, claims) || holds_late_pdf(data, claims) => document("pdf"),
        None => {
            let unlabelled = Claims { mime: None, ..claims };
            let told = [claims, unlabelled].into_iter().filter_map(claimed);
            let mut fitting = told.clone().filter(|format| fits(*format, &head));
            // A web page instead of an image is an error, not a document.
            let plain = || text(&head).filter(|_| claims.medium.is_none());
            // For bytes of unknown format the claim counts: the service decides.
            let mut declared = told.filter(|format| format.medium == Medium::Document);
            fitting.next().or_else(plain).or_else(|| declared.next())
        }
    }
}

/// The format of fetched bytes, whose labels are not trusted: only what the bytes show, or text
/// where documents are expected.
pub(super) fn of_fetched(bytes: &[u8], claims: Claims<'_>) -> Option<MediaFormat> {
    let head = &bytes[..bytes.len().min(base64::HEAD)];
    let tail = || bytes[bytes.len().saturating_sub(base64::HEAD)..].to_vec();
    let found = match sniff(head) {
        Some(magic) => by_magic(magic, claims, head, tail)?,
        None if claims.medium.is_some() => return None,
        None if holds_pdf(head, claims) => return document("pdf"),
        None => {
            let textual = claimed(claims).filter(|format| is_text(format.name));
            return textual.filter(|format| fits(*format, head)).or_else(|| text(head));
        }
    };
    let is_wanted =
        |medium| medium == found.medium || (medium, found.medium) == (Medium::Image, Medium::Video);
    claims.medium.is_none_or(is_wanted).then_some(found)
}

/// Returns whether the content of a text format can be decoded as text.
pub(super) fn is_readable(data: &str) -> bool {
    let head = base64::head(data);
    readable(&head) || readable_bytes(&head)
}

fn by_magic(
    magic: Magic,
    claims: Claims<'_>,
    head: &[u8],
    tail: impl Fn() -> Vec<u8>,
) -> Option<MediaFormat> {
    let for_image = claims.medium == Some(Medium::Image);
    let called = |kind| claims.mime.is_some_and(|mime| after_scheme(mime, kind).is_some());
    let (called_image, called_video) = (called("image/"), called("video/"));
    match magic {
        Magic::Is(MediaFormat { medium: Medium::Audio, .. }) if for_image => None,
        // A file labelled as an image in a video container has an unknown image coding, so it is
        // refused. A clip in an image part without that label is a clip, because many clients have
        // no other part.
        Magic::Is(MediaFormat { medium: Medium::Video, .. }) if for_image && called_image => None,
        Magic::Container if called_image => None,
        Magic::Container if for_image && !called_video && !is_clip(head) => None,
        Magic::Is(format) => Some(format),
        Magic::Container => Some(in_context(claims, head)),
        Magic::Picture => None,
        Magic::Zip => office(claims, ["docx", "xlsx"]).or_else(|| {
            let tail = tail();
            let holds = |part: &[u8]| contains(head, part) || contains(&tail, part);
            let name = [("docx", b"word/".as_slice()), ("xlsx", b"xl/")]
                .into_iter()
                .find(|(_, part)| holds(part));
            name.map(|(name, _)| MediaFormat { medium: Medium::Document, name })
        }),
        // New office files use the old container where they are encrypted.
        Magic::Ole => office(claims, ["doc", "xls"])
            .or_else(|| office(claims, ["docx", "xlsx"]))
            .or_else(|| document("doc")),
    }
}

/// Returns whether a container holds a clip by its brand, or can hold no other visual medium.
fn is_clip(head: &[u8]) -> bool {
    match head {
        [_, _, _, _, b'f', b't', b'y', b'p', brand @ ..] => {
            brand.get(..4).is_some_and(|brand| CLIPS.contains(&brand))
        }
        _ => true,
    }
}

/// Returns whether the file is a PDF. PDF readers search the first 1,024 bytes for the header,
/// because mail gateways and printers add lines before it. A text that only mentions the header is
/// not a PDF.
fn holds_pdf(head: &[u8], claims: Claims<'_>) -> bool {
    let said = claimed(claims).map(|format| format.name);
    contains(&head[..head.len().min(1024)], b"%PDF-")
        && (said == Some("pdf") || !(readable(head) || said.is_some_and(is_text)))
}

/// Returns whether a file labelled as a PDF has its header further in, after more lines than
/// readers search.
fn holds_late_pdf(data: &str, claims: Claims<'_>) -> bool {
    claimed(claims).is_some_and(|format| format.name == "pdf")
        && contains(&base64::whole(data), b"%PDF-")
}

/// The format of content that cannot be inspected.
pub(super) fn of_claims(claims: Claims<'_>) -> Option<MediaFormat> {
    claimed(claims)
}

/// Returns whether a document in this format is text that could also stand in a prompt.
pub(super) fn is_text(format: &str) -> bool {
    matches!(format, "txt" | "md" | "csv" | "html")
}

#[derive(Clone, Copy)]
enum Magic {
    Is(MediaFormat),
    /// MP4 and related formats, Matroska: audio or video.
    Container,
    /// HEIC, AVIF and related formats: images in a video container, which no model accepts.
    Picture,
    /// Modern office files, among others.
    Zip,
    /// Old office files.
    Ole,
}

/// Brands of still images and image sequences in ISO's container.
const PICTURES: [&[u8]; 10] =
    [b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"avif", b"avis"];

/// Brands of clips in the same container.
const CLIPS: [&[u8]; 16] = [
    b"isom", b"iso2", b"iso3", b"iso4", b"iso5", b"iso6", b"iso7", b"iso8", b"iso9", b"mp41",
    b"mp42", b"avc1", b"dash", b"M4V ", b"M4VH", b"MSNV",
];

fn sniff(head: &[u8]) -> Option<Magic> {
    let (medium, name) = match head {
        [0x89, b'P', b'N', b'G', ..] => (Medium::Image, "png"),
        [0xff, 0xd8, 0xff, ..] => (Medium::Image, "jpeg"),
        [b'G', b'I', b'F', b'8', ..] => (Medium::Image, "gif"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => (Medium::Image, "webp"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'A', b'V', b'E', ..] => (Medium::Audio, "wav"),
        [b'%', b'P', b'D', b'F', ..] => (Medium::Document, "pdf"),
        [b'f', b'L', b'a', b'C', ..] => (Medium::Audio, "flac"),
        [b'O', b'g', b'g', b'S', ..] => (Medium::Audio, "ogg"),
        [b'I', b'D', b'3', ..] | [0xff, 0xfb | 0xf3 | 0xf2 | 0xfa, ..] => (Medium::Audio, "mp3"),
        [0xff, 0xf1 | 0xf9, ..] => (Medium::Audio, "aac"),
        [_, _, _, _, b'f', b't', b'y', b'p', b'M', b'4', b'A', ..] => (Medium::Audio, "m4a"),
        [_, _, _, _, b'f', b't', b'y', b'p', b'q', b't', ..] => (Medium::Video, "mov"),
        [_, _, _, _, b'f', b't', b'y', b'p', b'3', b'g', ..] => (Medium::Video, "three_gp"),
        [b'F', b'L', b'V', 1, ..] => (Medium::Video, "flv"),
        [0, 0, 1, 0xba | 0xb3, ..] => (Medium::Video, "mpeg"),
        [0x30, 0x26, 0xb2, 0x75, ..] => (Medium::Video, "wmv"),
        [_, _, _, _, b'f', b't', b'y', b'p', brand @ ..]
            if brand.get(..4).is_some_and(|brand| PICTURES.contains(&brand)) =>
        {
            return Some(Magic::Picture);
        }
        [_, _, _, _, b'f', b't', b'y', b'p', ..] | [0x1a, 0x45, 0xdf, 0xa3, ..] => {
            return Some(Magic::Container);
        }
        [b'P', b'K', 3, 4, ..] => return Some(Magic::Zip),
        [0xd0, 0xcf, 0x11, 0xe0, ..] => return Some(Magic::Ole),
        _ => return None,
    };
    Some(Magic::Is(MediaFormat { medium, name }))
}

/// Resolves a container by the medium that the part is meant for.
fn in_context(claims: Claims<'_>, head: &[u8]) -> MediaFormat {
    let sound = claims.medium == Some(Medium::Audio)
        || claims.mime.is_some_and(|mime| mime.starts_with("audio/"));
    let mp4 = head.get(4..8) == Some(b"ftyp");
    let name = if mp4 {
        "mp4"
    } else if contains(head, b"webm") {
        "webm"
    } else if sound {
        "mka"
    } else {
        "mkv"
    };
    MediaFormat { medium: if sound { Medium::Audio } else { Medium::Video }, name }
}

fn office(claims: Claims<'_>, names: [&'static str; 2]) -> Option<MediaFormat> {
    claimed(claims).filter(|format| names.contains(&format.name))
}

fn document(name: &'static str) -> Option<MediaFormat> {
    Some(MediaFormat { medium: Medium::Document, name })
}

/// Rejects claims that the bytes contradict: a binary format would show its signature, and a text
/// format must be readable.
fn fits(format: MediaFormat, head: &[u8]) -> bool {
    match (format.medium, format.name) {
        (Medium::Document, name) if is_text(name) => readable(head) || readable_bytes(head),
        (Medium::Document, _) => false,
        (Medium::Image | Medium::Video | Medium::Audio, _) => true,
    }
}

/// Readable text without a more specific format: HTML or plain.
fn text(head: &[u8]) -> Option<MediaFormat> {
    if !readable(head) {
        return None;
    }
    let start = head.strip_prefix(BOM).unwrap_or(head).trim_ascii_start();
    let opens = |tag: &str| {
        start.get(..tag.len()).is_some_and(|start| start.eq_ignore_ascii_case(tag.as_bytes()))
    };
    document(if opens("<!doctype html") || opens("<html") { "html" } else { "txt" })
}

/// The byte order mark of UTF-8.
const BOM: &[u8] = b"\xef\xbb\xbf";

/// Decodes text of any encoding for the model. Text that is not UTF-8 is UTF-16 if it has a byte
/// order mark, and Latin-1 otherwise, as in spreadsheets of western Europe.
pub(super) fn decoded(bytes: Vec<u8>) -> String {
    match (utf_16(&bytes), String::from_utf8(bytes)) {
        (Some(text), _) | (None, Ok(text)) => text,
        (None, Err(other)) => other.into_bytes().into_iter().map(char::from).collect(),
    }
}

fn utf_16(bytes: &[u8]) -> Option<String> {
    let (rest, unit): (_, fn([u8; 2]) -> u16) = match bytes {
        [0xff, 0xfe, rest @ ..] => (rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => (rest, u16::from_be_bytes),
        _ => return None,
    };
    let (pairs, _) = rest.as_chunks::<2>();
    Some(
        char::decode_utf16(pairs.iter().map(|pair| unit(*pair)))
            .map(|c| c.unwrap_or('\u{fffd}'))
            .collect(),
    )
}

/// Returns whether the bytes may be text in a single-byte encoding: no ASCII control characters.
fn readable_bytes(head: &[u8]) -> bool {
    let controls = |byte: &u8| *byte < 0x80 && is_odd(char::from(*byte));
    !head.is_empty() && !head.iter().any(controls)
}

/// Control characters that do not occur in text. Terminals leave escapes in logs, and DOS left 0x1A
/// at the end.
fn is_odd(c: char) -> bool {
    c.is_control() && !c.is_whitespace() && !matches!(c, '\u{1a}' | '\u{1b}')
}

/// Returns whether the bytes are UTF-8 without control characters, apart from a cut at the end, or
/// UTF-16 with a byte order mark.
fn readable(head: &[u8]) -> bool {
    if let Some(text) = utf_16(head) {
        return !text.is_empty() && !text.chars().any(|c| is_odd(c) || c == '\u{fffd}');
    }
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&head[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return false,
    };
    !text.is_empty() && !text.chars().any(is_odd)
}

fn claimed(claims: Claims<'_>) -> Option<MediaFormat> {
    let by_mime = claims.mime.and_then(|mime| by_mime(mime, claims.medium));
    let by_name = claims.name.and_then(|name| {
        let path = name.split(['?', '#']).next().unwrap_or_default();
        let (_, extension) = path.rsplit_once('.')?;
        by_extension(&extension.to_ascii_lowercase(), claims.medium)
    });
    let by_format = || {
        let format = claims.format?.to_ascii_lowercase();
        by_mime_or_extension(&format, claims.medium)
    };
    // "text/plain" is the label of every unknown text, so a name is more specific.
    let vague = by_mime.is_none_or(|format| format.name == "txt");
    if vague { by_name.or(by_mime).or_else(by_format) } else { by_mime }
}

fn by_mime_or_extension(format: &str, medium: Option<Medium>) -> Option<MediaFormat> {
    by_extension(format, medium).or_else(|| by_mime(format, medium))
}

fn by_mime(mime: &str, medium: Option<Medium>) -> Option<MediaFormat> {
    let mime = mime.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let extension = match mime.as_str() {
        "application/pdf" => "pdf",
        "application/msword" => "doc",
        "application/vnd.ms-excel" => "xls",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document" => "docx",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet" => "xlsx",
        "text/plain" | "application/json" | "application/xml" | "application/x-yaml" => "txt",
        "text/markdown" | "text/x-markdown" => "md",
        "image/jpg" => "jpeg",
        "audio/mpeg" => "mp3",
        "audio/x-wav" | "audio/wave" | "audio/vnd.wave" => "wav",
        "audio/x-m4a" => "m4a",
        "audio/x-flac" => "flac",
        "audio/x-matroska" => "mka",
        "audio/pcm" | "audio/l16" => "pcm",
        "video/quicktime" => "mov",
        "video/x-matroska" => "mkv",
        "video/x-flv" => "flv",
        "video/x-ms-wmv" => "wmv",
        "video/3gpp" => "3gp",
        other => {
            let (kind, name) = other.split_once('/')?;
            let medium = match kind {
                "image" => Medium::Image,
                "audio" => Medium::Audio,
                "video" => Medium::Video,
                "text" => Medium::Document,
                _ => return None,
            };
            let known = by_extension(name, Some(medium)).filter(|format| format.medium == medium);
            return known.or_else(|| document("txt").filter(|_| kind == "text"));
        }
    };
    by_extension(extension, medium)
}

/// The format for a file extension in lower case. Some extensions stand for audio and for video:
/// then the part decides.
fn by_extension(extension: &str, medium: Option<Medium>) -> Option<MediaFormat> {
    let sound = medium == Some(Medium::Audio);
    let (medium, name) = match extension {
        "png" => (Medium::Image, "png"),
        "jpg" | "jpeg" => (Medium::Image, "jpeg"),
        "gif" => (Medium::Image, "gif"),
        "webp" => (Medium::Image, "webp"),
        "pdf" => (Medium::Document, "pdf"),
        "csv" => (Medium::Document, "csv"),
        "doc" => (Medium::Document, "doc"),
        "docx" => (Medium::Document, "docx"),
        "xls" => (Medium::Document, "xls"),
        "xlsx" => (Medium::Document, "xlsx"),
        "html" | "htm" => (Medium::Document, "html"),
        "txt" | "text" | "log" | "json" | "xml" | "yaml" | "yml" => (Medium::Document, "txt"),
        "md" | "markdown" => (Medium::Document, "md"),
        "mp3" => (Medium::Audio, "mp3"),
        "wav" => (Medium::Audio, "wav"),
        "flac" => (Medium::Audio, "flac"),
        "aac" => (Medium::Audio, "aac"),
        "opus" => (Medium::Audio, "opus"),
        "ogg" | "oga" => (Medium::Audio, "ogg"),
        "m4a" => (Medium::Audio, "m4a"),
        "mka" => (Medium::Audio, "mka"),
        "mpga" => (Medium::Audio, "mpga"),
        "pcm" | "pcm16" => (Medium::Audio, "pcm"),
        "mp4" if sound => (Medium::Audio, "mp4"),
        "webm" if sound => (Medium::Audio, "webm"),
        "mkv" if sound => (Medium::Audio, "mkv"),
        "mpeg" if sound => (Medium::Audio, "mpeg"),
        "mp4" | "m4v" => (Medium::Video, "mp4"),
        "webm" => (Medium::Video, "webm"),
        "mkv" => (Medium::Video, "mkv"),
        "mov" => (Medium::Video, "mov"),
        "flv" => (Medium::Video, "flv"),
        "mpeg" => (Medium::Video, "mpeg"),
        "mpg" => (Medium::Video, "mpg"),
        "wmv" => (Medium::Video, "wmv"),
        "3gp" | "three_gp" => (Medium::Video, "three_gp"),
        _ => return None,
    };
    Some(MediaFormat { medium, name })
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[cfg(test)]
mod tests;
