//! Cohere: many texts in a call, a required purpose, token counts only in a header.

use schema::Str;
use schema::invoke::cohere::{Request, Response};
use schema::openai::embeddings::InputType;

use super::{Body, Part, VectorOptions};
use crate::Invalid;

/// Most texts in one call.
const BATCH: usize = 96;

pub(super) fn third<'a>(
    texts: Vec<Str<'a>>,
    wish: &VectorOptions,
) -> Result<Vec<Body<'a>>, Invalid> {
    wish.size(&[1024])?;
    Ok(calls(texts, wish, None))
}

pub(super) fn fourth<'a>(
    texts: Vec<Str<'a>>,
    wish: &VectorOptions,
) -> Result<Vec<Body<'a>>, Invalid> {
    let size = wish.size(&[256, 512, 1024, 1536])?;
    Ok(calls(texts, wish, size))
}

pub(super) fn read(body: &[u8]) -> Result<Part<'_>, serde_json::Error> {
    let Response { embeddings } = serde_json::from_slice(body)?;
    Ok(Part { vectors: embeddings.0, tokens: None })
}

fn calls<'a>(
    texts: Vec<Str<'a>>,
    wish: &VectorOptions,
    output_dimension: Option<u32>,
) -> Vec<Body<'a>> {
    let mut texts = texts.into_iter().peekable();
    let mut bodies = Vec::with_capacity(texts.len().div_ceil(BATCH));
    while texts.peek().is_some() {
        bodies.push(Body::Cohere(Request {
            texts: texts.by_ref().take(BATCH).collect(),
            input_type: wish.input_type.unwrap_or(InputType::SearchDocument),
            truncate: wish.truncate,
            output_dimension,
        }));
    }
    bodies
}
