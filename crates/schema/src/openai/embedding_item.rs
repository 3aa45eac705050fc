//! One input of an embeddings request that holds more than a text: content parts as in chat.

use std::fmt;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Visitor};

use crate::Str;

/// An input: a text, a part, or several parts that give one vector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InputItem<'a> {
    Text(Str<'a>),
    Part(InputPart<'a>),
    Parts(Vec<InputPart<'a>>),
}

/// A content part; `type` says which other member counts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct InputPart<'a> {
    #[serde(borrow, rename = "type")]
    pub kind: Option<Str<'a>>,
    #[serde(borrow)]
    pub text: Option<Str<'a>>,
    #[serde(borrow)]
    pub image_url: Option<MediumUrl<'a>>,
    #[serde(borrow)]
    pub video_url: Option<MediumUrl<'a>>,
    #[serde(borrow)]
    pub input_audio: Option<InputAudio<'a>>,
    #[serde(borrow)]
    content: Option<Vec<Self>>,
}

/// The URL of a medium, alone or in an object.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum MediumUrl<'a> {
    Url(#[serde(borrow)] Str<'a>),
    Object {
        #[serde(borrow)]
        url: Str<'a>,
    },
}

/// A recording in base64.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct InputAudio<'a> {
    #[serde(borrow)]
    pub data: Str<'a>,
    #[serde(borrow)]
    pub format: Str<'a>,
}

impl MediumUrl<'_> {
    /// The URL.
    pub fn url(&self) -> &str {
        match self {
            Self::Url(url) | Self::Object { url } => url,
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for InputItem<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ItemVisitor)
    }
}

struct ItemVisitor;

impl<'de> Visitor<'de> for ItemVisitor {
    type Value = InputItem<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or a content part")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(InputItem::Text(text.into()))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(InputItem::Text(text.to_owned().into()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        item(map)
    }
}

/// Reads an object: a part, or `content` with several.
pub(super) fn item<'de, A: MapAccess<'de>>(map: A) -> Result<InputItem<'de>, A::Error> {
    let mut part = InputPart::deserialize(MapAccessDeserializer::new(map))?;
    Ok(match part.content.take() {
        Some(parts) => InputItem::Parts(parts),
        None => InputItem::Part(part),
    })
}
