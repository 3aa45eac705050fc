//! Citations of an answer, and Bedrock's facts about it that OpenAI's API has no field for.

use serde::Serialize;
use serde_json::value::RawValue;

/// One of a message's `annotations`. OpenAI's chat responses have one kind only, and strict clients
/// refuse a response with any other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Annotation {
    /// A web page.
    UrlCitation { url_citation: UrlCitation },
}

/// A page, and the text of the answer that cites it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UrlCitation {
    /// First character of the cited text, counted in Unicode code points of `content`.
    pub start_index: u64,
    /// The character after the last.
    pub end_index: u64,
    pub url: String,
    pub title: String,
}

/// `outcrop` of a choice: Bedrock's own values where OpenAI's are less specific.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Outcrop {
    /// The stop reason, where the finish reason does not convey it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_reason: Option<String>,
    /// The model that a prompt router chose.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invoked_model_id: Option<String>,
    /// Every citation as received, those of documents included.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub citations: Vec<Cited>,
    /// The guardrail's trace as received.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guardrail: Option<Box<RawValue>>,
    /// The steps of an agent or a flow, as received.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace: Option<Box<RawValue>>,
    /// `mismatch` or `unchecked`, for a streamed answer with requested JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub structured_output: Option<&'static str>,
    /// The target whose call continued the answer after it had broken off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub continued_at: Option<String>,
    /// The fields of the model's own response that the caller requested by their paths, as
    /// received.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub additional_model_response_fields: Option<Box<RawValue>>,
}

impl Outcrop {
    /// Returns whether no member is set.
    pub fn is_empty(&self) -> bool {
        let Self {
            stop_reason,
            invoked_model_id,
            citations,
            guardrail,
            trace,
            structured_output,
            continued_at,
            additional_model_response_fields,
        } = self;
        stop_reason.is_none()
            && invoked_model_id.is_none()
            && citations.is_empty()
            && guardrail.is_none()
            && trace.is_none()
            && structured_output.is_none()
            && continued_at.is_none()
            && additional_model_response_fields.is_none()
    }
}

/// A citation, and the text of the answer that it covers, counted as in [`UrlCitation`].
#[derive(Debug, Clone, Serialize)]
pub struct Cited {
    pub start_index: u64,
    pub end_index: u64,
    pub citation: Box<RawValue>,
}
