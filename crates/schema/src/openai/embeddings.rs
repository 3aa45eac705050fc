//! `POST /v1/embeddings`: the request and the response.

use std::fmt;

use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::embedding_item::{InputItem, item};
use super::list::{TextOrList, rest, text_or_list};
use super::unknown::{Collector, Unknown};
use crate::Str;

/// An embeddings request. Every optional field accepts null; the names of unknown fields are kept
/// in `extra`.
#[derive(Debug, Clone, Deserialize)]
#[serde(remote = "Self")]
pub struct EmbeddingsRequest<'a> {
    #[serde(borrow, deserialize_with = "crate::text::model_name")]
    pub model: Str<'a>,
    #[serde(borrow)]
    pub input: Input<'a>,
    #[serde(default, deserialize_with = "crate::whole::optional")]
    pub dimensions: Option<i64>,
    pub encoding_format: Option<EncodingFormat>,
    #[serde(borrow)]
    pub user: Option<Str<'a>>,

    /// De facto extension: the purpose of the vectors.
    pub input_type: Option<InputType>,
    /// De facto extension: the end at which a text that is too long may be cut.
    pub truncate: Option<Truncate>,
    /// De facto extension, of LiteLLM: what targets are chosen by.
    #[serde(borrow)]
    pub tags: Option<&'a RawValue>,

    /// Fields unknown here.
    #[serde(skip)]
    pub extra: Unknown<'a>,
}

impl<'de: 'a, 'a> Deserialize<'de> for EmbeddingsRequest<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut extra = Unknown::default();
        let request = Self::deserialize(Collector::new(deserializer, &mut extra))?;
        Ok(Self { extra, ..request })
    }
}

/// `input`: texts, or the tokens of texts. An empty array is read as no texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input<'a> {
    Text(Str<'a>),
    Texts(Vec<Str<'a>>),
    /// One text.
    Tokens(Vec<u32>),
    /// One text each.
    TokenLists(Vec<Vec<u32>>),
    /// Texts and other content.
    Items(Vec<InputItem<'a>>),
}

/// The encoding of a vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EncodingFormat {
    /// As JSON numbers.
    #[default]
    Float,
    /// As base64 of little-endian 32-bit floats.
    Base64,
}

/// The purpose of vectors, under Cohere's names and those of other services for the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum InputType {
    #[serde(alias = "document", alias = "passage")]
    SearchDocument,
    #[serde(alias = "query")]
    SearchQuery,
    Classification,
    Clustering,
}

/// The end at which a text that is too long may be cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Truncate {
    /// None: a text that is too long is an error.
    #[serde(alias = "none")]
    None,
    #[serde(alias = "start")]
    Start,
    #[serde(alias = "end")]
    End,
}

/// The response: a vector for each text, in order.
#[derive(Debug, Serialize)]
pub struct EmbeddingsResponse {
    pub object: &'static str,
    pub data: Vec<EmbeddedText>,
    pub model: String,
    pub usage: EmbeddingsUsage,
}

/// The `object` of the response.
pub const LIST_OBJECT: &str = "list";

/// The vector of one text.
#[derive(Debug, Serialize)]
pub struct EmbeddedText {
    pub object: &'static str,
    pub index: usize,
    pub embedding: Embedding,
}

/// The `object` of a vector.
pub const EMBEDDING_OBJECT: &str = "embedding";

/// A vector in the requested encoding.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum Embedding {
    /// An array of numbers, in the provider's notation.
    Float(Box<RawValue>),
    /// Little-endian 32-bit floats in base64, with padding.
    Base64(String),
}

/// Tokens read; no tokens are generated, so the two are the same.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct EmbeddingsUsage {
    pub prompt_tokens: u64,
    pub total_tokens: u64,
}

impl<'de: 'a, 'a> Deserialize<'de> for Input<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text_or_list(deserializer)
    }
}

impl<'de> TextOrList<'de> for Input<'de> {
    const EXPECTED: &'static str =
        "a string, an array of strings and content parts, or arrays of tokens";

    fn of_text(text: Str<'de>) -> Self {
        Self::Text(text)
    }

    /// The first element decides whether the others are content or tokens: a mixed array fails at the first
    /// other element.
    fn of_list<A: SeqAccess<'de>>(mut seq: A) -> Result<Self, A::Error> {
        Ok(match seq.next_element()? {
            None => Input::Texts(Vec::new()),
            Some(Element::Text(first)) => texts(first, seq)?,
            Some(Element::Item(first)) => Input::Items(rest(first, seq)?),
            Some(Element::Token(first)) => Input::Tokens(rest(first, seq)?),
            Some(Element::Tokens(first)) => Input::TokenLists(rest(first, seq)?),
        })
    }
}

/// An array that begins with a text: of texts, unless another content is in it.
fn texts<'de, A: SeqAccess<'de>>(first: Str<'de>, mut seq: A) -> Result<Input<'de>, A::Error> {
    let mut texts = vec![first];
    while let Some(next) = seq.next_element()? {
        match next {
            InputItem::Text(text) => texts.push(text),
            other => {
                let before = texts.into_iter().map(InputItem::Text);
                let mut items: Vec<_> = before.chain([other]).collect();
                while let Some(next) = seq.next_element()? {
                    items.push(next);
                }
                return Ok(Input::Items(items));
            }
        }
    }
    Ok(Input::Texts(texts))
}

/// The first element of an array.
enum Element<'a> {
    Text(Str<'a>),
    Item(InputItem<'a>),
    Token(u32),
    Tokens(Vec<u32>),
}

impl<'de: 'a, 'a> Deserialize<'de> for Element<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ElementVisitor)
    }
}

struct ElementVisitor;

impl<'de> Visitor<'de> for ElementVisitor {
    type Value = Element<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string, a content part, a token or an array of tokens")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Element::Text(text.into()))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Element::Text(text.to_owned().into()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        item(map).map(Element::Item)
    }

    fn visit_u64<E: Error>(self, token: u64) -> Result<Self::Value, E> {
        let token = u32::try_from(token)
            .map_err(|_| E::invalid_value(serde::de::Unexpected::Unsigned(token), &self))?;
        Ok(Element::Token(token))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut tokens = Vec::new();
        while let Some(token) = seq.next_element()? {
            tokens.push(token);
        }
        Ok(Element::Tokens(tokens))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_is_read_in_its_four_forms() {
        for (json, expected) in [
            (r#""a""#, Input::Text("a".into())),
            (r#""a\n""#, Input::Text("a\n".into())),
            ("[]", Input::Texts(vec![])),
            (r#"["a","b"]"#, Input::Texts(vec!["a".into(), "b".into()])),
            ("[1,2]", Input::Tokens(vec![1, 2])),
            ("[[1],[],[2,3]]", Input::TokenLists(vec![vec![1], vec![], vec![2, 3]])),
        ] {
            assert_eq!(serde_json::from_str::<Input<'_>>(json).unwrap(), expected, "{json}");
        }
    }

    #[test]
    fn other_forms_of_input_are_refused() {
        for json in
            ["null", "1", "{}", "[null]", "[1.5]", "[-1]", "[4294967296]", r#"["a",1]"#, "[1,[2]]"]
        {
            assert!(serde_json::from_str::<Input<'_>>(json).is_err(), "{json}");
        }
    }
}
