//! Members of a request's root without a field. Only their names are kept: a flattened map would
//! hold every value, at many times its written size.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, IntoDeserializer, MapAccess, Visitor};
use serde::forward_to_deserialize_any;

use crate::Str;

/// Most names kept; more would not inform the caller.
const MOST: usize = 256;

/// Names of members without a field, except those that are null, in the order of their discovery;
/// the first 256.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unknown<'a>(Vec<Str<'a>>);

impl Unknown<'_> {
    /// The names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(Str::as_str)
    }
}

/// A deserializer that hides members without a field from a structure, and collects their names.
pub(crate) struct Collector<'c, 'de, D> {
    inner: D,
    unknown: &'c mut Unknown<'de>,
}

impl<'c, 'de, D> Collector<'c, 'de, D> {
    pub(crate) fn new(inner: D, unknown: &'c mut Unknown<'de>) -> Self {
        Self { inner, unknown }
    }
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Collector<'_, 'de, D> {
    type Error = D::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_any(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.inner.deserialize_map(Known { inner: visitor, fields, unknown: self.unknown })
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

/// A structure's visitor, or its map, restricted to members with a field.
struct Known<'c, 'de, V> {
    inner: V,
    fields: &'static [&'static str],
    unknown: &'c mut Unknown<'de>,
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Known<'_, 'de, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(f)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<V::Value, A::Error> {
        let Self { inner, fields, unknown } = self;
        inner.visit_map(Known { inner: map, fields, unknown })
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Known<'_, 'de, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        while let Some(name) = self.inner.next_key::<Str<'de>>()? {
            if self.fields.contains(&name.as_str()) {
                return seed.deserialize(name.as_str().into_deserializer()).map(Some);
            }
            let value = self.inner.next_value::<Option<IgnoredAny>>()?;
            if value.is_some() && self.unknown.0.len() < MOST {
                self.unknown.0.push(name);
            }
        }
        Ok(None)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.inner.next_value_seed(seed)
    }
}
