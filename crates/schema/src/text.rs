//! A JSON string that borrows from the request body where possible. Under serde, `Cow<str>` does
//! not do this inside an `Option` or a `Vec`, which hold the large strings.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

/// JSON kept as its original text, with key order and number notation.
pub type Raw<'a> = Cow<'a, RawValue>;

/// A string, borrowed from the body unless it has escapes.
#[derive(Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Str<'a>(Cow<'a, str>);

impl<'a> Str<'a> {
    /// The string itself, without its wrapper.
    pub fn into_cow(self) -> Cow<'a, str> {
        self.0
    }

    /// The text as a slice.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Longest name of a model, in bytes; also the limit of Bedrock's own ids.
const MODEL_NAME: usize = 2_048;

/// The name of a model; a longer text is refused.
pub(crate) fn model_name<'de: 'a, 'a, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Str<'a>, D::Error> {
    let name = Str::deserialize(deserializer)?;
    match name.len() {
        0..=MODEL_NAME => Ok(name),
        length => Err(D::Error::custom(format_args!(
            "a model's name has up to {MODEL_NAME} bytes, and this one has {length}"
        ))),
    }
}

impl Deref for Str<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Str<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl fmt::Display for Str<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'a> From<&'a str> for Str<'a> {
    fn from(text: &'a str) -> Self {
        Self(Cow::Borrowed(text))
    }
}

impl From<String> for Str<'_> {
    fn from(text: String) -> Self {
        Self(Cow::Owned(text))
    }
}

impl PartialEq<str> for Str<'_> {
    fn eq(&self, other: &str) -> bool {
        &*self.0 == other
    }
}

impl PartialEq<&str> for Str<'_> {
    fn eq(&self, other: &&str) -> bool {
        &*self.0 == *other
    }
}

impl Serialize for Str<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Str<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(StrVisitor)
    }
}

struct StrVisitor;

impl<'de> Visitor<'de> for StrVisitor {
    type Value = Str<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Str(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Str(Cow::Owned(text.to_owned())))
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Self::Value, E> {
        Ok(Str(Cow::Owned(text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn borrows_unless_the_text_is_escaped() {
        let plain: Option<Str<'_>> =
            serde_json::from_str(r#""data:image/png;base64,AAAA""#).unwrap();
        assert!(matches!(plain, Some(Str(Cow::Borrowed(_)))));
        let escaped: Str<'_> = serde_json::from_str(r#""a\nb""#).unwrap();
        assert_eq!(escaped, "a\nb");
        assert!(matches!(escaped, Str(Cow::Owned(_))));
    }
}
