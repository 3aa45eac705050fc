//! Nova: one text in a call; purpose and truncation are required.

use schema::Str;
use schema::invoke::nova::{Purpose, Request, Response, SingleEmbeddingParams, TaskType, Text};
use schema::openai::embeddings::{InputType, Truncate};

use super::{Body, Part, VectorOptions};
use crate::Invalid;

pub(super) fn calls<'a>(
    texts: Vec<Str<'a>>,
    wish: &VectorOptions,
) -> Result<Vec<Body<'a>>, Invalid> {
    let (embedding_dimension, embedding_purpose) = options(wish)?;
    let truncation_mode = wish.truncate.unwrap_or(Truncate::None);
    let bodies = texts.into_iter().map(|value| {
        Body::Nova(Request {
            task_type: TaskType::SingleEmbedding,
            single_embedding_params: SingleEmbeddingParams {
                embedding_purpose,
                embedding_dimension,
                text: Text { truncation_mode, value },
            },
        })
    });
    Ok(bodies.collect())
}

/// Size and purpose of a vector.
pub(super) fn options(wish: &VectorOptions) -> Result<(Option<u32>, Purpose), Invalid> {
    let size = wish.size(&[256, 384, 1024, 3072])?;
    // An index may hold more than text, so only the generic purposes fit every index.
    let purpose = match wish.input_type {
        None | Some(InputType::SearchDocument) => Purpose::GenericIndex,
        Some(InputType::SearchQuery) => Purpose::GenericRetrieval,
        Some(InputType::Classification) => Purpose::Classification,
        Some(InputType::Clustering) => Purpose::Clustering,
    };
    Ok((size, purpose))
}

pub(super) fn read(body: &[u8]) -> Result<Part<'_>, serde_json::Error> {
    let Response { embeddings, input_token_count } = serde_json::from_slice(body)?;
    let vectors = embeddings.into_iter().map(|one| one.embedding).collect();
    Ok(Part { vectors, tokens: input_token_count })
}
