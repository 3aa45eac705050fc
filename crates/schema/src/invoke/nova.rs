//! Amazon Nova multimodal embeddings: one text in a call.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::Str;
use crate::openai::embeddings::Truncate;

/// A single input.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Request<'a> {
    pub task_type: TaskType,
    pub single_embedding_params: SingleEmbeddingParams<'a>,
}

/// The only synchronous task.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TaskType {
    SingleEmbedding,
}

/// `singleEmbeddingParams`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SingleEmbeddingParams<'a> {
    pub embedding_purpose: Purpose,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub embedding_dimension: Option<u32>,
    pub text: Text<'a>,
}

/// The purpose of a text vector.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Purpose {
    GenericIndex,
    GenericRetrieval,
    Classification,
    Clustering,
}

/// A text; `truncationMode` is required.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Text<'a> {
    pub truncation_mode: Truncate,
    pub value: Str<'a>,
}

/// The response. `inputTokenCount` is often only in the response's header.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Response<'a> {
    #[serde(borrow)]
    pub embeddings: Vec<Embedding<'a>>,
    pub input_token_count: Option<u64>,
}

/// A vector.
#[derive(Debug, Clone, Deserialize)]
pub struct Embedding<'a> {
    #[serde(borrow)]
    pub embedding: &'a RawValue,
}
