//! `POST /v1/audio/transcriptions` and `/v1/audio/translations`: the fields of the form, the answer and its events.

use serde::de::Deserializer;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::unknown::{Collector, Unknown};
use crate::Str;

/// A request, whose form was made into JSON. Every optional field accepts null; the names of unknown fields are
/// kept in `extra`.
#[derive(Debug, Clone, Deserialize)]
#[serde(remote = "Self")]
pub struct TranscriptionRequest<'a> {
    #[serde(borrow, deserialize_with = "crate::text::model_name")]
    pub model: Str<'a>,
    #[serde(borrow)]
    pub file: UploadedFile<'a>,
    #[serde(borrow)]
    pub language: Option<Str<'a>>,
    #[serde(borrow)]
    pub prompt: Option<Str<'a>>,
    #[serde(borrow)]
    pub response_format: Option<Str<'a>>,
    pub temperature: Option<f64>,
    pub stream: Option<bool>,
    #[serde(borrow)]
    pub timestamp_granularities: Option<&'a RawValue>,
    #[serde(borrow)]
    pub chunking_strategy: Option<&'a RawValue>,
    #[serde(borrow)]
    pub include: Option<&'a RawValue>,
    #[serde(borrow)]
    pub user: Option<Str<'a>>,
    /// De facto extension, of LiteLLM: what targets are chosen by.
    #[serde(borrow)]
    pub tags: Option<&'a RawValue>,

    /// Fields unknown here.
    #[serde(skip)]
    pub extra: Unknown<'a>,
}

impl<'de: 'a, 'a> Deserialize<'de> for TranscriptionRequest<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut extra = Unknown::default();
        let request = Self::deserialize(Collector::new(deserializer, &mut extra))?;
        Ok(Self { extra, ..request })
    }
}

/// A file of a form.
#[derive(Debug, Clone, Deserialize)]
pub struct UploadedFile<'a> {
    #[serde(borrow)]
    pub filename: Option<Str<'a>>,
    #[serde(borrow)]
    pub content_type: Option<Str<'a>>,
    /// The content in base64.
    #[serde(borrow)]
    pub data: Str<'a>,
}

/// The complete answer.
#[derive(Debug, Clone, Serialize)]
pub struct Transcription {
    pub text: String,
    pub usage: TranscriptionUsage,
}

/// Tokens of the audio and its instruction, and of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct TranscriptionUsage {
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub input_tokens: u64,
    pub output_tokens: u64,
    pub total_tokens: u64,
}

/// The `type` of a usage in tokens.
pub const TOKENS: &str = "tokens";

/// An event with a piece of the text.
#[derive(Debug, Clone, Serialize)]
pub struct TranscriptDelta<'a> {
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub delta: &'a str,
}

/// The `type` of an event with a piece.
pub const TRANSCRIPT_DELTA: &str = "transcript.text.delta";

/// The last event, with the whole text.
#[derive(Debug, Clone, Serialize)]
pub struct TranscriptDone<'a> {
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub text: &'a str,
    pub usage: TranscriptionUsage,
}

/// The `type` of the last event.
pub const TRANSCRIPT_DONE: &str = "transcript.text.done";
