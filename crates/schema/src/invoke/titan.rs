//! Amazon Titan embeddings: one text in a call.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::Str;

/// A text for the text models. Only the second version accepts `dimensions`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TextRequest<'a> {
    pub input_text: Str<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dimensions: Option<u32>,
}

/// A text for the multimodal model.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MultimodalRequest<'a> {
    pub input_text: Str<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub embedding_config: Option<EmbeddingConfig>,
}

/// `embeddingConfig`.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EmbeddingConfig {
    pub output_embedding_length: u32,
}

/// The response of all models. The multimodal model may return an error in `message` instead.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Response<'a> {
    #[serde(borrow)]
    pub embedding: Option<&'a RawValue>,
    pub input_text_token_count: Option<u64>,
    #[serde(borrow)]
    pub message: Option<Str<'a>>,
}
