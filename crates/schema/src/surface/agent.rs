//! Events of InvokeAgent and InvokeFlow, told apart by their members.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::Str;
use crate::lenient::or_default;

/// An event of either.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AgentEvent<'a> {
    /// A piece of an agent's text, in base64.
    #[serde(borrow)]
    pub bytes: Option<Str<'a>>,
    /// The passages that a piece rests on.
    #[serde(borrow, deserialize_with = "or_default")]
    pub attribution: Option<Attribution<'a>>,
    /// A step of an agent or a flow.
    #[serde(borrow)]
    pub trace: Option<&'a RawValue>,
    /// An agent's request for an action of its caller's.
    pub invocation_inputs: Option<IgnoredAny>,
    /// Files that an agent made.
    pub files: Option<IgnoredAny>,
    /// The output of a flow's node, or its question.
    pub content: Option<FlowContent>,
    /// The end of a flow.
    #[serde(borrow)]
    pub completion_reason: Option<Str<'a>>,
}

/// A document of a flow.
#[derive(Debug, Deserialize)]
pub struct FlowContent {
    pub document: Value,
}

/// `attribution`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Attribution<'a> {
    #[serde(borrow, deserialize_with = "or_default")]
    pub citations: Vec<AgentCitation<'a>>,
}

/// A part of the text with its passages.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AgentCitation<'a> {
    #[serde(borrow, deserialize_with = "or_default")]
    pub retrieved_references: Vec<Passage<'a>>,
}

/// A passage of a knowledge base.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Passage<'a> {
    #[serde(borrow, deserialize_with = "or_default")]
    pub location: PassageLocation<'a>,
    #[serde(borrow, deserialize_with = "or_default")]
    pub content: Option<PassageText<'a>>,
    #[serde(borrow)]
    pub metadata: Option<&'a RawValue>,
}

/// The text of a passage.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct PassageText<'a> {
    #[serde(borrow)]
    pub text: Option<Str<'a>>,
}

/// The place of a document; at most one member is set.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PassageLocation<'a> {
    #[serde(borrow)]
    pub s3_location: Option<Place<'a>>,
    #[serde(borrow)]
    pub web_location: Option<Place<'a>>,
    #[serde(borrow)]
    pub confluence_location: Option<Place<'a>>,
    #[serde(borrow)]
    pub salesforce_location: Option<Place<'a>>,
    #[serde(borrow)]
    pub share_point_location: Option<Place<'a>>,
    #[serde(borrow)]
    pub kendra_document_location: Option<Place<'a>>,
    #[serde(borrow)]
    pub custom_document_location: Option<Place<'a>>,
    #[serde(borrow)]
    pub one_drive_location: Option<Place<'a>>,
    #[serde(borrow)]
    pub google_drive_location: Option<Place<'a>>,
}

/// A URL, a URI or an id.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Place<'a> {
    #[serde(borrow)]
    pub uri: Option<Str<'a>>,
    #[serde(borrow)]
    pub url: Option<Str<'a>>,
    #[serde(borrow)]
    pub id: Option<Str<'a>>,
}

impl PassageLocation<'_> {
    /// The place, however it is named.
    pub fn place(&self) -> Option<&str> {
        let places = [
            &self.s3_location,
            &self.web_location,
            &self.confluence_location,
            &self.salesforce_location,
            &self.share_point_location,
            &self.kendra_document_location,
            &self.custom_document_location,
            &self.one_drive_location,
            &self.google_drive_location,
        ];
        let place = places.into_iter().flatten().next()?;
        place.uri.as_deref().or(place.url.as_deref()).or(place.id.as_deref())
    }
}

/// Tokens that a trace tells of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ModelUsage {
    pub input_tokens: u64,
    pub output_tokens: u64,
}

impl ModelUsage {
    /// Adds the tokens of another step.
    pub fn add(&mut self, other: Self) {
        self.input_tokens = self.input_tokens.saturating_add(other.input_tokens);
        self.output_tokens = self.output_tokens.saturating_add(other.output_tokens);
    }
}

impl AgentEvent<'_> {
    /// Tokens of the model that this step called.
    pub fn model_usage(&self) -> ModelUsage {
        let read = || -> Option<ModelUsage> {
            let step: Value = serde_json::from_str(self.trace?.get()).ok()?;
            // Each kind of step has a member of its own.
            let output =
                step.as_object()?.values().find_map(|kind| kind.get("modelInvocationOutput"))?;
            serde_json::from_value(output.get("metadata")?.get("usage")?.clone()).ok()
        };
        read().unwrap_or_default()
    }
}
