//! Marengo: one short text in a call, one size. Version 3.0 nests the members that 2.7 has at the
//! top.

use schema::Str;
use schema::invoke::marengo::{
    FlatRequest, InputType, NestedRequest, Response, Segments, Text, TextTruncate,
};
use schema::openai::embeddings::Truncate;

use super::{Body, Part, VectorOptions, unreadable};
use crate::{Invalid, Report};

pub(super) fn second<'a>(
    texts: Vec<Str<'a>>,
    wish: &VectorOptions,
    report: &mut Report,
) -> Result<Vec<Body<'a>>, Invalid> {
    wish.size(&[1024])?;
    wish.purpose_unheard(report);
    let text_truncate = match wish.truncate {
        // The model's default is silent truncation, which no OpenAI client expects.
        None | Some(Truncate::None) => TextTruncate::None,
        Some(Truncate::End) => TextTruncate::End,
        Some(Truncate::Start) => {
            let message = "This model can cut off a text's end, not its start: END or NONE.";
            return Err(Invalid::value("truncate", message));
        }
    };
    let bodies = texts.into_iter().map(|input_text| FlatRequest {
        input_type: InputType::Text,
        input_text,
        text_truncate,
    });
    Ok(bodies.map(Body::MarengoFlat).collect())
}

pub(super) fn third<'a>(
    texts: Vec<Str<'a>>,
    wish: &VectorOptions,
    report: &mut Report,
) -> Result<Vec<Body<'a>>, Invalid> {
    wish.size(&[512])?;
    wish.purpose_unheard(report);
    wish.truncation_unheard(report);
    let bodies = texts
        .into_iter()
        .map(|input_text| NestedRequest { input_type: InputType::Text, text: Text { input_text } });
    Ok(bodies.map(Body::MarengoNested).collect())
}

pub(super) fn read(body: &[u8]) -> Result<Part<'_>, serde_json::Error> {
    let Response { data, embedding } = serde_json::from_slice(body)?;
    let vectors = match (data, embedding) {
        (Some(Segments(segments)), _) => segments.into_iter().map(|one| one.embedding).collect(),
        (None, Some(embedding)) => vec![embedding],
        (None, None) => return Err(unreadable("neither data nor embedding")),
    };
    Ok(Part { vectors, tokens: None })
}
