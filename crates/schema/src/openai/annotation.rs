//! Where an answer has its words from, and what else Bedrock said of it that OpenAI has no word for.

use serde::Serialize;
use serde_json::value::RawValue;

/// One of a message's `annotations`. OpenAI's chat answers know one kind only, and strict clients refuse an
/// answer with any other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Annotation {
    /// A page of the web.
    UrlCitation { url_citation: UrlCitation },
}

/// A page, and the words of the answer that rest on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UrlCitation {
    /// First character of those words, counted in Unicode code points of `content`.
    pub start_index: u64,
    /// The character behind the last.
    pub end_index: u64,
    pub url: String,
    pub title: String,
}

/// `outcrop` of a choice: Bedrock's own words where OpenAI's say less.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Outcrop {
    /// The stop reason, where the finish reason does not tell it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_reason: Option<String>,
    /// The model that a prompt router chose.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invoked_model_id: Option<String>,
    /// Every citation as it came, those of documents too.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub citations: Vec<Cited>,
    /// The guardrail's trace as it came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guardrail: Option<Box<RawValue>>,
    /// `mismatch` or `unchecked`, of a streamed answer that was asked to be JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub structured_output: Option<&'static str>,
    /// The members of the model's own answer that the caller asked for by their paths, as they came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub additional_model_response_fields: Option<Box<RawValue>>,
}

impl Outcrop {
    /// Whether there is nothing to say.
    pub fn is_empty(&self) -> bool {
        let Self {
            stop_reason,
            invoked_model_id,
            citations,
            guardrail,
            structured_output,
            additional_model_response_fields,
        } = self;
        stop_reason.is_none()
            && invoked_model_id.is_none()
            && citations.is_empty()
            && guardrail.is_none()
            && structured_output.is_none()
            && additional_model_response_fields.is_none()
    }
}

/// A citation, and the words of the answer that rest on it, counted as in [`UrlCitation`].
#[derive(Debug, Clone, Serialize)]
pub struct Cited {
    pub start_index: u64,
    pub end_index: u64,
    pub citation: Box<RawValue>,
}
