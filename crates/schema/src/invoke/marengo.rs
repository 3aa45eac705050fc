//! TwelveLabs Marengo embeddings: one text in a call.

use std::fmt;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::Str;

/// The only input type that OpenAI's endpoint has.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum InputType {
    Text,
}

/// A text for version 2.7.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FlatRequest<'a> {
    pub input_type: InputType,
    pub input_text: Str<'a>,
    pub text_truncate: TextTruncate,
}

/// Handling of a text that is too long; the default is silent truncation at the end.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TextTruncate {
    None,
    End,
}

/// A text for version 3.0.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NestedRequest<'a> {
    pub input_type: InputType,
    pub text: Text<'a>,
}

/// The text.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Text<'a> {
    pub input_text: Str<'a>,
}

/// The response: vectors in `data`, a list or a single one, or one vector at the top.
#[derive(Debug, Clone, Deserialize)]
pub struct Response<'a> {
    #[serde(borrow)]
    pub data: Option<Segments<'a>>,
    #[serde(borrow)]
    pub embedding: Option<&'a RawValue>,
}

/// One segment or several; a text has one.
#[derive(Debug, Clone)]
pub struct Segments<'a>(pub Vec<Segment<'a>>);

/// The vector of a segment.
#[derive(Debug, Clone, Deserialize)]
pub struct Segment<'a> {
    #[serde(borrow)]
    pub embedding: &'a RawValue,
}

impl<'de: 'a, 'a> Deserialize<'de> for Segments<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SegmentsVisitor).map(Segments)
    }
}

struct SegmentsVisitor;

impl<'de> Visitor<'de> for SegmentsVisitor {
    type Value = Vec<Segment<'de>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("segments or a segment")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(seq))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        Segment::deserialize(MapAccessDeserializer::new(map)).map(|segment| vec![segment])
    }
}
