//! `Retrieve` of bedrock-agent-runtime: passages of a knowledge base for a query.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::Str;

/// The body of a call.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RetrieveRequest<'a> {
    pub retrieval_query: RetrievalQuery<'a>,
    pub retrieval_configuration: RetrievalConfiguration<'a>,
}

/// The text or the image that is searched for.
#[derive(Debug, Serialize)]
pub struct RetrievalQuery<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<QueryImage<'a>>,
    /// A text if there is none.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<&'static str>,
}

/// The `type` of a query by an image.
pub const IMAGE_QUERY: &str = "IMAGE";

/// An image that is searched for.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct QueryImage<'a> {
    pub format: &'static str,
    /// Base64.
    pub inline_content: &'a str,
}

/// The kind of search.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RetrievalConfiguration<'a> {
    pub vector_search_configuration: VectorSearch<'a>,
}

/// Limits of a search.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VectorSearch<'a> {
    pub number_of_results: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter: Option<&'a RetrievalFilter<'a>>,
}

/// A condition on the metadata of passages.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum RetrievalFilter<'a> {
    Equals(FilterAttribute<'a>),
    NotEquals(FilterAttribute<'a>),
    GreaterThan(FilterAttribute<'a>),
    GreaterThanOrEquals(FilterAttribute<'a>),
    LessThan(FilterAttribute<'a>),
    LessThanOrEquals(FilterAttribute<'a>),
    In(FilterAttribute<'a>),
    NotIn(FilterAttribute<'a>),
    /// At least two.
    AndAll(Vec<Self>),
    /// At least two.
    OrAll(Vec<Self>),
}

/// A member of the metadata and a value.
#[derive(Debug, Clone, Serialize)]
pub struct FilterAttribute<'a> {
    pub key: &'a str,
    pub value: &'a RawValue,
}

/// The passages found, the best first.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RetrieveResponse<'a> {
    #[serde(borrow)]
    pub retrieval_results: Vec<RetrievedPassage<'a>>,
}

/// One passage.
#[derive(Debug, Clone, Deserialize)]
pub struct RetrievedPassage<'a> {
    #[serde(borrow, default)]
    pub content: PassageContent<'a>,
    #[serde(borrow)]
    pub location: Option<PassageLocation<'a>>,
    pub score: Option<f64>,
    pub metadata: Option<Map<String, Value>>,
}

/// The content of a passage: a text, a row of a table, or media.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PassageContent<'a> {
    #[serde(borrow)]
    pub text: Option<Str<'a>>,
    /// An image as a data URL.
    #[serde(borrow)]
    pub byte_content: Option<Str<'a>>,
    #[serde(borrow)]
    pub audio: Option<AudioSegment<'a>>,
    #[serde(borrow)]
    pub video: Option<VideoSegment<'a>>,
    #[serde(borrow)]
    pub row: Option<Vec<RowColumn<'a>>>,
}

/// A piece of a recording.
#[derive(Debug, Clone, Deserialize)]
pub struct AudioSegment<'a> {
    #[serde(borrow)]
    pub transcription: Option<Str<'a>>,
}

/// A piece of a video.
#[derive(Debug, Clone, Deserialize)]
pub struct VideoSegment<'a> {
    #[serde(borrow)]
    pub summary: Option<Str<'a>>,
}

/// A column of a row.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RowColumn<'a> {
    #[serde(borrow)]
    pub column_name: Option<Str<'a>>,
    #[serde(borrow)]
    pub column_value: Option<Str<'a>>,
}

/// The place of a passage's document. Its kinds have a member each, with one text that names it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PassageLocation<'a> {
    #[serde(borrow)]
    pub s3_location: Option<LocationName<'a>>,
    #[serde(borrow)]
    pub web_location: Option<LocationName<'a>>,
    #[serde(borrow)]
    pub confluence_location: Option<LocationName<'a>>,
    #[serde(borrow)]
    pub salesforce_location: Option<LocationName<'a>>,
    #[serde(borrow)]
    pub share_point_location: Option<LocationName<'a>>,
    #[serde(borrow)]
    pub custom_document_location: Option<LocationName<'a>>,
    #[serde(borrow)]
    pub kendra_document_location: Option<LocationName<'a>>,
    #[serde(borrow)]
    pub sql_location: Option<LocationName<'a>>,
}

/// The name of a place: one of these members.
#[derive(Debug, Clone, Deserialize)]
pub struct LocationName<'a> {
    #[serde(borrow)]
    pub uri: Option<Str<'a>>,
    #[serde(borrow)]
    pub url: Option<Str<'a>>,
    #[serde(borrow)]
    pub id: Option<Str<'a>>,
    #[serde(borrow)]
    pub query: Option<Str<'a>>,
}
