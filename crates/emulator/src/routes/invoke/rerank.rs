//! Rerankers over InvokeModel: Cohere's and Amazon's. Scores are cosines of the vectors that embedding models
//! give, so that documents with words of the query come first.

use serde_json::{Value, json};

use super::fields::{members, string};
use crate::{
    delivery::Reply,
    error::Refusal,
    model::embed,
    models::{Family, Model},
};

/// Most documents in one call.
const DOCUMENTS: usize = 1000;
/// Version of Cohere's API that the service takes.
const API_VERSION: u64 = 2;
/// Dimensions of the vectors that are compared.
const DIMENSIONS: usize = 256;

/// Ranks the documents of `body`.
pub(super) fn answer(model: &Model, body: &Value) -> Result<Reply, Refusal> {
    let cohere = model.family == Family::Cohere;
    let known: &[&str] = match cohere {
        true => &["query", "documents", "top_n", "api_version", "max_tokens_per_doc"],
        false => &["query", "documents", "top_n"],
    };
    members(body, known)?;
    let query = string(body, "query")?;
    let documents = documents(body)?;
    let top = top(body, documents.len())?;
    if cohere && body.get("api_version").and_then(Value::as_u64) != Some(API_VERSION) {
        return Err(Refusal::malformed("#/api_version", "2 is required"));
    }
    let asked = embed::vector(query, DIMENSIONS);
    let score = |text: &str| {
        let vector = embed::vector(text, DIMENSIONS);
        let cosine: f64 = vector.iter().zip(&asked).map(|(one, other)| one * other).sum();
        f64::midpoint(cosine, 1.0).clamp(0.0, 1.0)
    };
    let mut ranks: Vec<(usize, f64)> =
        documents.iter().enumerate().map(|(at, text)| (at, score(text))).collect();
    ranks.sort_by(|one, other| other.1.total_cmp(&one.1));
    let results: Vec<Value> = ranks
        .into_iter()
        .take(top)
        .map(|(index, score)| json!({ "index": index, "relevance_score": score }))
        .collect();
    let body = json!({ "results": results }).to_string();
    Ok(Reply::bytes(200, "application/json", body.into_bytes().into()))
}

fn documents(body: &Value) -> Result<Vec<&str>, Refusal> {
    let Some(documents) = body.get("documents").and_then(Value::as_array) else {
        return Err(Refusal::malformed("#", "required key [documents] not found"));
    };
    if documents.is_empty() || documents.len() > DOCUMENTS {
        let problem = format!("expected 1 to {DOCUMENTS} items, found {}", documents.len());
        return Err(Refusal::malformed("#/documents", &problem));
    }
    let texts = documents.iter().enumerate().map(|(at, document)| {
        let text = document.as_str().filter(|text| !text.trim().is_empty());
        text.ok_or_else(|| Refusal::malformed(&format!("#/documents/{at}"), "expected a text"))
    });
    texts.collect()
}

fn top(body: &Value, documents: usize) -> Result<usize, Refusal> {
    let Some(top) = body.get("top_n") else { return Ok(documents) };
    let top = top.as_u64().and_then(|top| usize::try_from(top).ok());
    top.filter(|top| (1..=documents).contains(top))
        .ok_or_else(|| Refusal::malformed("#/top_n", "expected a number up to that of documents"))
}
