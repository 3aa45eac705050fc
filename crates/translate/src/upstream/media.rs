//! Media of a Converse request as data URLs and files.

use std::borrow::Cow;

use schema::converse::sent::{SentMedium, SentSearchResult, SentSource};

use crate::Invalid;

const PARAM: &str = "messages";

/// An image as a data URL.
pub(super) fn image(medium: &SentMedium<'_>) -> Result<String, Invalid> {
    Ok(data_url(&format!("image/{}", medium.format), base64(medium)?))
}

/// A document as the API takes it.
pub(super) enum Document<'a> {
    /// In words.
    Text(String),
    /// As a file with a name.
    File { name: Cow<'a, str>, data: String },
}

/// A document: plain text in words, all others as a file.
pub(super) fn document<'a>(medium: &'a SentMedium<'a>) -> Result<Document<'a>, Invalid> {
    let name = medium.name.as_deref().unwrap_or("document");
    if let SentSource::Text(text) = &medium.source {
        return Ok(Document::Text(format!("Document \"{name}\":\n{}", text.as_str())));
    }
    let kind = match &*medium.format {
        "pdf" => "application/pdf",
        "txt" => "text/plain",
        "md" => "text/markdown",
        "html" => "text/html",
        "csv" => "text/csv",
        "doc" => "application/msword",
        "docx" => "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "xls" => "application/vnd.ms-excel",
        "xlsx" => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        _ => "application/octet-stream",
    };
    let name = format!("{name}.{}", medium.format);
    Ok(Document::File { name: name.into(), data: data_url(kind, base64(medium)?) })
}

/// A search result in words.
pub(super) fn search_result(result: &SentSearchResult<'_>) -> String {
    let mut text = format!("Search result \"{}\" ({}):", result.title, result.source);
    for passage in &result.content {
        text.push('\n');
        text.push_str(&passage.text);
    }
    text
}

/// The bytes of a medium.
pub(super) fn base64<'a>(medium: &'a SentMedium<'_>) -> Result<&'a str, Invalid> {
    match &medium.source {
        SentSource::Bytes(data) => Ok(data.as_str()),
        SentSource::Text(_) => {
            Err(Invalid::value(PARAM, "A medium other than a document holds text."))
        }
        SentSource::S3Location(_) => {
            let message =
                "Where this model is called, media in S3 cannot be read: send their bytes.";
            Err(Invalid::value(PARAM, message))
        }
    }
}

/// The refusal of a medium that the API does not take.
pub(super) fn refused(medium: &str) -> Invalid {
    let message = format!("Where this model is called, it reads no {medium}.");
    Invalid::value(PARAM, message)
}

fn data_url(kind: &str, data: &str) -> String {
    let mut url = String::with_capacity(kind.len() + data.len() + 13);
    for part in ["data:", kind, ";base64,", data] {
        url.push_str(part);
    }
    url
}
