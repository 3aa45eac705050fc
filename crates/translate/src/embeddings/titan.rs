//! Titan: one text in a call, no purpose, and an error for a text that is too long.

use schema::Str;
use schema::invoke::titan::{EmbeddingConfig, MultimodalRequest, Response, TextRequest};

use super::{Body, Part, VectorOptions, unreadable};
use crate::{Invalid, Report};

pub(super) fn first<'a>(
    texts: Vec<Str<'a>>,
    wish: &VectorOptions,
    report: &mut Report,
) -> Result<Vec<Body<'a>>, Invalid> {
    wish.size(&[1536])?;
    unheard(wish, report);
    let bodies = texts.into_iter().map(|input_text| TextRequest { input_text, dimensions: None });
    Ok(bodies.map(Body::TitanText).collect())
}

pub(super) fn second<'a>(
    texts: Vec<Str<'a>>,
    wish: &VectorOptions,
    report: &mut Report,
) -> Result<Vec<Body<'a>>, Invalid> {
    let dimensions = wish.size(&[256, 512, 1024])?;
    unheard(wish, report);
    let bodies = texts.into_iter().map(|input_text| TextRequest { input_text, dimensions });
    Ok(bodies.map(Body::TitanText).collect())
}

pub(super) fn multimodal<'a>(
    texts: Vec<Str<'a>>,
    wish: &VectorOptions,
    report: &mut Report,
) -> Result<Vec<Body<'a>>, Invalid> {
    let size = wish.size(&[256, 384, 1024])?;
    let embedding_config =
        size.map(|output_embedding_length| EmbeddingConfig { output_embedding_length });
    unheard(wish, report);
    let bodies =
        texts.into_iter().map(|input_text| MultimodalRequest { input_text, embedding_config });
    Ok(bodies.map(Body::TitanMultimodal).collect())
}

pub(super) fn read(body: &[u8]) -> Result<Part<'_>, serde_json::Error> {
    let Response { embedding, input_text_token_count, message } = serde_json::from_slice(body)?;
    match embedding {
        Some(embedding) => Ok(Part { vectors: vec![embedding], tokens: input_text_token_count }),
        None => Err(unreadable(message.as_deref().unwrap_or("no embedding"))),
    }
}

fn unheard(wish: &VectorOptions, report: &mut Report) {
    wish.purpose_unheard(report);
    wish.truncation_unheard(report);
}
