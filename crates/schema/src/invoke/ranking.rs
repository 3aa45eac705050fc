//! Rerankers: a query and documents, whose relevance the answer states.

use serde::{Deserialize, Serialize};

/// The body. Only one protocol has the last two members.
#[derive(Debug, Clone, Serialize)]
pub struct RankingRequest<'a> {
    pub query: &'a str,
    pub documents: Vec<&'a str>,
    /// Number of results, the most relevant ones.
    pub top_n: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_version: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens_per_doc: Option<i64>,
}

/// The answer.
#[derive(Debug, Clone, Deserialize)]
pub struct RankingResponse {
    pub results: Vec<Relevance>,
}

/// The relevance of one document.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
pub struct Relevance {
    /// Place of the document in the body.
    pub index: usize,
    /// From 0 to 1.
    pub relevance_score: f64,
}
