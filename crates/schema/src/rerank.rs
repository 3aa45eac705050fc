//! `POST /rerank`, as Cohere (both versions), Jina, LiteLLM and TEI define it: one request with the members
//! of all, and an answer that the readers of all but the last accept.

use serde::de::{Deserializer, Error, Unexpected};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::openai::unknown::{Collector, Unknown};
use crate::{Str, whole};

/// A rerank request. Every optional field accepts null; the names of unknown fields are kept in `extra`.
#[derive(Debug, Clone, Deserialize)]
#[serde(remote = "Self")]
pub struct RerankRequest<'a> {
    #[serde(borrow, deserialize_with = "crate::text::model_name")]
    pub model: Str<'a>,
    #[serde(borrow)]
    pub query: Passage<'a>,
    #[serde(borrow)]
    pub documents: Option<Vec<Passage<'a>>>,
    /// The documents of TEI's requests, whose answer has another form.
    #[serde(borrow)]
    pub texts: Option<Vec<Passage<'a>>>,
    #[serde(default, deserialize_with = "whole::optional")]
    pub top_n: Option<i64>,
    pub return_documents: Option<bool>,
    /// The same of TEI's requests.
    pub return_text: Option<bool>,
    /// Members of documents that are read, of Cohere's first version.
    #[serde(borrow)]
    pub rank_fields: Option<Vec<Str<'a>>>,
    #[serde(default, deserialize_with = "whole::optional")]
    pub max_tokens_per_doc: Option<i64>,
    /// Limit of Cohere's first version.
    #[serde(default, deserialize_with = "whole::optional")]
    pub max_chunks_per_doc: Option<i64>,
    /// TEI's scores before the last function.
    pub raw_scores: Option<bool>,
    #[serde(borrow)]
    pub user: Option<Str<'a>>,
    /// De facto extension, of LiteLLM: what targets are chosen by.
    #[serde(borrow)]
    pub tags: Option<&'a RawValue>,

    /// Fields unknown here.
    #[serde(skip)]
    pub extra: Unknown<'a>,
}

impl<'de: 'a, 'a> Deserialize<'de> for RerankRequest<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut extra = Unknown::default();
        let request = Self::deserialize(Collector::new(deserializer, &mut extra))?;
        Ok(Self { extra, ..request })
    }
}

/// A text, or an object that holds one.
#[derive(Debug, Clone)]
pub enum Passage<'a> {
    Text(Str<'a>),
    Object(&'a RawValue),
}

impl<'de: 'a, 'a> Deserialize<'de> for Passage<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&'de RawValue>::deserialize(deserializer)?;
        let unexpected = match raw.get().as_bytes().first() {
            Some(b'"') => {
                let text: Str<'de> = serde_json::from_str(raw.get()).map_err(Error::custom)?;
                return Ok(Self::Text(text));
            }
            Some(b'{') => return Ok(Self::Object(raw)),
            Some(b'[') => Unexpected::Seq,
            Some(b'n') => Unexpected::Unit,
            Some(b't') => Unexpected::Bool(true),
            Some(b'f') => Unexpected::Bool(false),
            _ => Unexpected::Other("number"),
        };
        Err(Error::invalid_type(unexpected, &"a text, or an object with a text"))
    }
}

/// The answer: the documents by relevance.
#[derive(Debug, Serialize)]
pub struct RerankResponse<'a> {
    pub id: &'a str,
    pub model: &'a str,
    pub results: Vec<RankedDocument<'a>>,
    /// Cohere's member.
    pub meta: RerankMeta,
    /// Jina's member.
    pub usage: RerankUsage,
}

/// One document of the answer.
#[derive(Debug, Serialize)]
pub struct RankedDocument<'a> {
    /// Its place in the request.
    pub index: usize,
    pub relevance_score: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub document: Option<ReturnedDocument<'a>>,
}

/// A document as it was sent; a text becomes an object.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum ReturnedDocument<'a> {
    Text { text: &'a str },
    Object(&'a RawValue),
}

/// Facts about the call.
#[derive(Debug, Serialize)]
pub struct RerankMeta {
    pub api_version: ApiVersion,
    pub billed_units: BilledUnits,
}

/// The version of Cohere's API.
#[derive(Debug, Serialize)]
pub struct ApiVersion {
    pub version: &'static str,
}

/// The units that are billed.
#[derive(Debug, Serialize)]
pub struct BilledUnits {
    /// Queries, each of up to a hundred documents.
    pub search_units: u64,
}

/// Tokens that were read, where the service counts them.
#[derive(Debug, Serialize)]
pub struct RerankUsage {
    pub total_tokens: u64,
}

/// One document of TEI's answer, which is an array of them.
#[derive(Debug, Serialize)]
pub struct TeiRank<'a> {
    /// Its place in the request.
    pub index: usize,
    pub score: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<&'a str>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passages_are_texts_or_objects() {
        let text: Passage<'_> = serde_json::from_str(r#""a\nb""#).unwrap();
        assert!(matches!(text, Passage::Text(text) if text == "a\nb"));
        let object: Passage<'_> = serde_json::from_str(r#"{"text":"a"}"#).unwrap();
        assert!(matches!(object, Passage::Object(raw) if raw.get() == r#"{"text":"a"}"#));
        for json in ["1", "[]", "null", "true", "-2.5"] {
            let error = serde_json::from_str::<Passage<'_>>(json).unwrap_err().to_string();
            assert!(error.starts_with("invalid type: "), "{json}: {error}");
        }
    }
}
