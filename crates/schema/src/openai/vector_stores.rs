//! `POST /v1/vector_stores/{id}/search`: the request and the page of results.

use serde::de::{Deserializer, SeqAccess};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::list::{TextOrList, text_or_list};
use super::unknown::{Collector, Unknown};
use crate::{Str, whole};

/// A search. Every optional field accepts null; the names of unknown fields are kept in `extra`.
#[derive(Debug, Clone, Deserialize)]
#[serde(remote = "Self")]
pub struct VectorSearchRequest<'a> {
    #[serde(borrow)]
    pub query: SearchQueries<'a>,
    #[serde(borrow)]
    pub filters: Option<VectorFilter<'a>>,
    #[serde(default, deserialize_with = "whole::optional")]
    pub max_num_results: Option<i64>,
    #[serde(borrow)]
    pub ranking_options: Option<RankingOptions<'a>>,
    pub rewrite_query: Option<bool>,

    /// Fields unknown here.
    #[serde(skip)]
    pub extra: Unknown<'a>,
}

impl<'de: 'a, 'a> Deserialize<'de> for VectorSearchRequest<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut extra = Unknown::default();
        let request = Self::deserialize(Collector::new(deserializer, &mut extra))?;
        Ok(Self { extra, ..request })
    }
}

/// One query or several.
#[derive(Debug, Clone)]
pub struct SearchQueries<'a>(pub Vec<Str<'a>>);

impl<'de: 'a, 'a> Deserialize<'de> for SearchQueries<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text_or_list(deserializer)
    }
}

impl<'de> TextOrList<'de> for SearchQueries<'de> {
    const EXPECTED: &'static str = "a string or an array of strings";

    fn of_text(text: Str<'de>) -> Self {
        Self(vec![text])
    }

    fn of_list<A: SeqAccess<'de>>(mut seq: A) -> Result<Self, A::Error> {
        let mut queries = Vec::new();
        while let Some(query) = seq.next_element()? {
            queries.push(query);
        }
        Ok(Self(queries))
    }
}

/// A comparison, or several conditions: `type` says which.
#[derive(Debug, Clone, Deserialize)]
pub struct VectorFilter<'a> {
    #[serde(borrow, rename = "type")]
    pub kind: Str<'a>,
    #[serde(borrow)]
    pub key: Option<Str<'a>>,
    #[serde(borrow)]
    pub value: Option<&'a RawValue>,
    #[serde(borrow)]
    pub filters: Option<Vec<Self>>,
}

/// The order of results, and the least score.
#[derive(Debug, Clone, Deserialize)]
pub struct RankingOptions<'a> {
    #[serde(borrow)]
    pub ranker: Option<Str<'a>>,
    pub score_threshold: Option<f64>,
    #[serde(borrow)]
    pub hybrid_search: Option<&'a RawValue>,
}

/// The answer.
#[derive(Debug, Serialize)]
pub struct VectorSearchPage<'a> {
    pub object: &'static str,
    /// Of images no more than their format.
    pub search_query: Vec<&'a str>,
    pub data: Vec<FoundPassage>,
    pub has_more: bool,
    pub next_page: Option<&'a str>,
}

/// The `object` of the answer.
pub const SEARCH_PAGE_OBJECT: &str = "vector_store.search_results.page";

/// One passage of a document.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FoundPassage {
    pub file_id: String,
    pub filename: String,
    pub score: f64,
    pub attributes: Map<String, Value>,
    pub content: Vec<PassageText>,
    /// The image, for which OpenAI's shape has no place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcrop: Option<PassageMedia>,
}

/// The image of a passage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PassageMedia {
    /// A data URL.
    pub image_url: String,
}

/// A text of a passage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PassageText {
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub text: String,
}

/// The `type` of a text.
pub const PASSAGE_TEXT: &str = "text";
