//! Media blocks. Bytes are base64 text in JSON, and stay the client's text.

use std::borrow::Cow;

use serde::Serialize;

/// An image: png, jpeg, gif or webp.
#[derive(Debug, Clone, Serialize)]
pub struct ImageBlock<'a> {
    pub format: &'static str,
    pub source: Source<'a>,
}

/// A document with the name that the model sees.
#[derive(Debug, Clone, Serialize)]
pub struct DocumentBlock<'a> {
    pub format: &'static str,
    pub name: Cow<'a, str>,
    pub source: Source<'a>,
    /// Context for the model that is not cited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub citations: Option<CitationsConfig>,
}

/// A search result.
#[derive(Debug, Clone, Serialize)]
pub struct SearchResultBlock<'a> {
    /// A URL, or another name of the origin.
    pub source: Cow<'a, str>,
    pub title: Cow<'a, str>,
    pub content: Vec<Passage<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub citations: Option<CitationsConfig>,
}

/// A passage of a search result.
#[derive(Debug, Clone, Serialize)]
pub struct Passage<'a> {
    pub text: Cow<'a, str>,
}

/// Citation options of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct CitationsConfig {
    pub enabled: bool,
}

/// A video clip.
#[derive(Debug, Clone, Serialize)]
pub struct VideoBlock<'a> {
    pub format: &'static str,
    pub source: Source<'a>,
}

/// An audio recording.
#[derive(Debug, Clone, Serialize)]
pub struct AudioBlock<'a> {
    pub format: &'static str,
    pub source: Source<'a>,
}

/// The place of the bytes.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Source<'a> {
    /// Base64, as text.
    Bytes(&'a str),
    /// Base64 that the translation has made.
    #[serde(rename = "bytes")]
    Encoded(String),
    /// The text of a document.
    Text(Cow<'a, str>),
    /// An object that Bedrock fetches itself.
    S3Location(S3Location<'a>),
}

/// An object in S3.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct S3Location<'a> {
    /// `s3://bucket/key`.
    pub uri: Cow<'a, str>,
    /// The account of the bucket, if it is another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bucket_owner: Option<Cow<'a, str>>,
}
