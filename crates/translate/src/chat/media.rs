//! Media and sources among the parts of a message, as the inputs that the shared parts take.

use std::borrow::Cow;

use schema::converse::media::{CitationsConfig, Passage, SearchResultBlock};
use schema::openai::content::{File, ImageUrl, InputAudio};
use schema::openai::sources::SearchResult;

use crate::Invalid;
use crate::parts::media::{CitationOptions, MediaPart};
use crate::profile::Medium;

pub(crate) mod links;

/// An `image_url` or `video_url` part; `param` is the path of the part, for errors.
pub(super) fn link<'a>(link: &'a ImageUrl<'_>, medium: Medium, param: &str) -> MediaPart<'a> {
    MediaPart {
        text: link.url.as_str(),
        medium,
        format: None,
        filename: None,
        param: match medium {
            Medium::Image => format!("{param}.image_url.url"),
            Medium::Video | Medium::Audio | Medium::Document => {
                format!("{param}.{}_url.url", medium.name())
            }
        },
    }
}

/// An `input_audio` part.
pub(super) fn audio<'a>(audio: &'a InputAudio<'_>, param: &str) -> MediaPart<'a> {
    MediaPart {
        text: audio.data.as_str(),
        medium: Medium::Audio,
        format: audio.format.as_deref(),
        filename: None,
        param: format!("{param}.input_audio.data"),
    }
}

/// A `file` part, and its citation options.
///
/// # Errors
/// The file has no content, or only an id.
pub(super) fn file<'a>(
    file: &'a File<'_>,
    param: &str,
) -> Result<(MediaPart<'a>, CitationOptions<'a>), Invalid> {
    let File { file_data, file_id, file_url, filename, format, citations, context } = file;
    let places = [("file_data", file_data), ("file_url", file_url), ("file_id", file_id)];
    let given = places.into_iter().find_map(|(field, text)| Some((field, text.as_deref()?)));
    let Some((field, text)) = given else {
        let message = "A file needs its content: file_data with data:application/pdf;base64,...";
        return Err(Invalid::value(format!("{param}.file.file_data"), message)
            .with_code("missing_required_parameter"));
    };
    let param = format!("{param}.file.{field}");
    // Some clients put URLs there; a real id names a file in a file store.
    if field == "file_id" && !text.contains(':') {
        let message = "There is no store of files here: send the file itself in file_data (data:application/pdf;base64,...).";
        return Err(Invalid::value(param, message).with_code("unsupported_value"));
    }
    let filename = filename.as_deref().filter(|name| !name.trim().is_empty());
    let format = format.as_deref();
    let cites = citations.is_some_and(|citing| citing.0);
    let context = context.as_deref().filter(|text| !text.trim().is_empty());
    let part = MediaPart { text, medium: Medium::Document, format, filename, param };
    Ok((part, CitationOptions { cites, context }))
}

/// A `search_result` part.
pub(super) fn search_result<'a>(result: &'a SearchResult<'_>) -> SearchResultBlock<'a> {
    let SearchResult { source, title, content, cites } = result;
    SearchResultBlock {
        source: Cow::Borrowed(source),
        title: Cow::Borrowed(title),
        content: content.iter().map(|text| Passage { text: Cow::Borrowed(text) }).collect(),
        citations: cites.then_some(CitationsConfig { enabled: true }),
    }
}

#[cfg(test)]
mod tests;
