//! `POST /rerank` as InvokeModel bodies: a query, documents as texts, and their relevance in the order that
//! clients expect. Blank documents, which models refuse, stay in the gateway and score 0.

use std::borrow::Cow;

use schema::Str;
use schema::invoke::ranking::{RankingRequest, RankingResponse, Relevance};
use schema::rerank::{
    ApiVersion, BilledUnits, Passage, RankedDocument, RerankMeta, RerankRequest, RerankResponse,
    RerankUsage, ReturnedDocument, TeiRank,
};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::profile::RerankShape;
use crate::{Invalid, Report};

/// Most documents in one request; the models accept no more.
const MOST: usize = 1000;
/// Version of the API that one protocol asks for.
const API_VERSION: u32 = 2;

/// The API whose paths a request uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RerankApi {
    /// `/rerank` and `/v1/rerank`: answers repeat documents, unless the request says otherwise.
    First,
    /// `/v2/rerank`: answers repeat none, unless the request asks for them.
    Second,
}

/// A request whose documents were read.
#[derive(Debug)]
pub struct RerankQuestion<'r> {
    query: Cow<'r, str>,
    /// The documents that are not blank, with their places in the request.
    documents: Vec<(usize, Cow<'r, str>)>,
    /// Places of the blank ones.
    blank: Vec<usize>,
    /// Number of results.
    top: usize,
    max_tokens_per_doc: Option<i64>,
    /// The fields that could not be honoured.
    pub report: Report,
}

/// Facts that an answer states besides the documents.
#[derive(Debug, Clone, Copy)]
pub struct RerankStamp<'s> {
    /// The answer's id.
    pub id: &'s str,
    /// The name that the caller used.
    pub model: &'s str,
    /// The API that the caller uses.
    pub api: RerankApi,
    /// Queries that are billed.
    pub search_units: u64,
    /// Tokens that were read, if the service counts them.
    pub tokens: u64,
}

/// An answer, in the form of the request's API.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum RerankAnswer<'a> {
    /// Cohere's, Jina's and LiteLLM's.
    Results(RerankResponse<'a>),
    /// TEI's.
    Scores(Vec<TeiRank<'a>>),
}

/// Reads a request for a model that accepts bodies of this shape.
///
/// # Errors
/// It has no documents, too many, or only such as hold no text; the error names the field.
pub fn question<'r>(
    request: &'r RerankRequest<'_>,
    shape: RerankShape,
) -> Result<RerankQuestion<'r>, Invalid> {
    let mut report = Report::default();
    let (param, passages) = passages(request)?;
    bounded(param, passages.len())?;
    let query = text_of(&request.query, &[], &"query")?;
    if query.trim().is_empty() {
        return Err(Invalid::value("query", "query is empty or blank."));
    }
    let fields = request.rank_fields.as_deref().unwrap_or_default();
    let (mut documents, mut blank) = (Vec::with_capacity(passages.len()), Vec::new());
    for (at, passage) in passages.iter().enumerate() {
        let text = text_of(passage, fields, &format_args!("{param}[{at}]"))?;
        match text.trim().is_empty() {
            true => blank.push(at),
            false => documents.push((at, text)),
        }
    }
    if documents.is_empty() {
        return Err(Invalid::value(param, "Every document is blank; there is no text to rank."));
    }
    let top = match request.top_n {
        None => passages.len(),
        Some(top) if top < 1 => {
            let message = format!("top_n must be at least 1, and is {top}.");
            return Err(Invalid::value("top_n", message).with_code("integer_below_min_value"));
        }
        Some(top) => usize::try_from(top).unwrap_or(usize::MAX).min(passages.len()),
    };
    let max_tokens_per_doc = match (shape, request.max_tokens_per_doc) {
        (RerankShape::Versioned, limit) => limit,
        (RerankShape::Plain, Some(_)) => {
            report.ignore("max_tokens_per_doc");
            None
        }
        (RerankShape::Plain, None) => None,
    };
    without_effect(request, &mut report);
    Ok(RerankQuestion { query, documents, blank, top, max_tokens_per_doc, report })
}

/// The documents of a request, and the field that holds them.
fn passages<'r, 'a>(
    request: &'r RerankRequest<'a>,
) -> Result<(&'static str, &'r [Passage<'a>]), Invalid> {
    match (&request.documents, &request.texts) {
        (Some(documents), None) => Ok(("documents", documents)),
        (None, Some(texts)) => Ok(("texts", texts)),
        (Some(_), Some(_)) => {
            let message = "texts and documents name the same in different APIs; send one of them.";
            Err(Invalid::value("texts", message))
        }
        (None, None) => {
            let message = "Invalid request at 'documents': missing field `documents`.";
            Err(Invalid::value("documents", message).with_code("missing_required_parameter"))
        }
    }
}

fn bounded(param: &str, count: usize) -> Result<(), Invalid> {
    match count {
        0 => {
            let message = format!("{param} must hold at least one document.");
            Err(Invalid::value(param, message).with_code("empty_array"))
        }
        1..=MOST => Ok(()),
        _ => {
            let message =
                format!("{param} holds {count} documents; at most {MOST} can be ranked at once.");
            Err(Invalid::value(param, message).with_code("array_above_max_length"))
        }
    }
}

/// The text of a passage: of an object its `text`, the members of `fields`, or else the whole object as JSON.
fn text_of<'r>(
    passage: &'r Passage<'_>,
    fields: &[Str<'_>],
    place: &dyn std::fmt::Display,
) -> Result<Cow<'r, str>, Invalid> {
    let raw = match passage {
        Passage::Text(text) => return Ok(Cow::Borrowed(text.as_str())),
        Passage::Object(raw) => raw.get(),
    };
    let unread =
        |error: serde_json::Error| Invalid::value(place.to_string(), format!("{place}: {error}."));
    if !fields.is_empty() {
        let members = serde_json::from_str(raw).map_err(unread)?;
        return Ok(Cow::Owned(lines(&members, fields)));
    }
    let TextMember { text, image } = serde_json::from_str(raw).map_err(unread)?;
    match (text.map(RawValue::get), image) {
        (Some(text), _) if text.starts_with('"') => {
            let text: Str<'_> = serde_json::from_str(text).map_err(unread)?;
            Ok(text.into_cow())
        }
        (None, Some(_)) => {
            let message = format!("{place} is an image; rerankers on Bedrock read texts.");
            Err(Invalid::value(place.to_string(), message))
        }
        (Some(_), _) | (None, None) => Ok(Cow::Borrowed(raw)),
    }
}

/// The members of a document that decide how it is read.
#[derive(Deserialize)]
struct TextMember<'r> {
    #[serde(borrow)]
    text: Option<&'r RawValue>,
    image: Option<IgnoredAny>,
}

/// The named members of a document, a line each.
fn lines(members: &Map<String, Value>, fields: &[Str<'_>]) -> String {
    let named = fields.iter().filter_map(|field| Some((field, members.get(field.as_str())?)));
    let lines = named.map(|(field, value)| match value {
        Value::String(text) => format!("{field}: {text}"),
        other => format!("{field}: {other}"),
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Reports the fields that cannot be honoured. Destructured without `..`: a new field does not compile until
/// its use is decided.
fn without_effect(request: &RerankRequest<'_>, report: &mut Report) {
    let RerankRequest {
        model: _,
        query: _,
        documents: _,
        texts: _,
        top_n: _,
        return_documents: _,
        return_text: _,
        rank_fields: _,
        max_tokens_per_doc: _,
        max_chunks_per_doc,
        raw_scores,
        user,
        tags,
        extra,
    } = request;
    report.ignore_given([
        ("max_chunks_per_doc", max_chunks_per_doc.is_some()),
        ("raw_scores", *raw_scores == Some(true)),
        ("user", user.is_some()),
        ("tags", tags.is_some()),
    ]);
    for field in extra.names() {
        report.ignore(field);
    }
}

impl RerankQuestion<'_> {
    /// The body for InvokeModel.
    pub fn body(&self, shape: RerankShape) -> RankingRequest<'_> {
        let api_version = match shape {
            RerankShape::Plain => None,
            RerankShape::Versioned => Some(API_VERSION),
        };
        RankingRequest {
            query: &self.query,
            documents: self.documents.iter().map(|(_, text)| text.as_ref()).collect(),
            top_n: self.top.min(self.documents.len()),
            api_version,
            max_tokens_per_doc: self.max_tokens_per_doc,
        }
    }

    /// Number of documents that are sent.
    pub fn sent(&self) -> usize {
        self.documents.len()
    }

    /// The relevance of each document by its place in the request, the highest first.
    ///
    /// # Errors
    /// The answer cannot be read, or names a document that was not sent.
    fn ranks(&self, body: &[u8]) -> Result<Vec<Relevance>, serde_json::Error> {
        let RankingResponse { results } = serde_json::from_slice(body)?;
        let mut ranks = Vec::with_capacity(results.len() + self.blank.len());
        for Relevance { index, relevance_score } in results {
            let Some((place, _)) = self.documents.get(index) else {
                return Err(serde::de::Error::custom("a document that was not sent"));
            };
            ranks.push(Relevance { index: *place, relevance_score });
        }
        let blank = self.blank.iter().map(|at| Relevance { index: *at, relevance_score: 0.0 });
        ranks.extend(blank);
        ranks.sort_by(|one, other| other.relevance_score.total_cmp(&one.relevance_score));
        ranks.truncate(self.top);
        Ok(ranks)
    }
}

/// Translates an answer to a request whose question was asked.
///
/// # Errors
/// The answer cannot be read, or names a document that was not sent.
pub fn answer<'a>(
    request: &'a RerankRequest<'a>,
    question: &RerankQuestion<'_>,
    body: &[u8],
    stamp: RerankStamp<'a>,
) -> Result<RerankAnswer<'a>, serde_json::Error> {
    let ranks = question.ranks(body)?;
    if let Some(texts) = &request.texts {
        let returned = request.return_text.or(request.return_documents) == Some(true);
        let text = |at: usize| match texts.get(at) {
            Some(Passage::Text(text)) if returned => Some(text.as_str()),
            Some(Passage::Object(raw)) if returned => Some(raw.get()),
            Some(Passage::Text(_) | Passage::Object(_)) | None => None,
        };
        let scores = ranks.into_iter().map(|Relevance { index, relevance_score }| TeiRank {
            index,
            score: relevance_score,
            text: text(index),
        });
        return Ok(RerankAnswer::Scores(scores.collect()));
    }
    let returned = request.return_documents.unwrap_or(stamp.api == RerankApi::First);
    let documents = request.documents.as_deref().filter(|_| returned).unwrap_or_default();
    let document = |at: usize| match documents.get(at)? {
        Passage::Text(text) => Some(ReturnedDocument::Text { text: text.as_str() }),
        Passage::Object(raw) => Some(ReturnedDocument::Object(raw)),
    };
    let results = ranks.into_iter().map(|Relevance { index, relevance_score }| RankedDocument {
        index,
        relevance_score,
        document: document(index),
    });
    let version = match stamp.api {
        RerankApi::First => "1",
        RerankApi::Second => "2",
    };
    Ok(RerankAnswer::Results(RerankResponse {
        id: stamp.id,
        model: stamp.model,
        results: results.collect(),
        meta: RerankMeta {
            api_version: ApiVersion { version },
            billed_units: BilledUnits { search_units: stamp.search_units },
        },
        usage: RerankUsage { total_tokens: stamp.tokens },
    }))
}
