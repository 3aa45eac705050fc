//! Cohere embeddings: up to 96 texts in a call.

use std::fmt;

use serde::de::value::SeqAccessDeserializer;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::Str;
use crate::openai::embeddings::{InputType, Truncate};

/// The texts. Only the fourth version accepts `output_dimension`.
#[derive(Debug, Clone, Serialize)]
pub struct Request<'a> {
    pub texts: Vec<Str<'a>>,
    pub input_type: InputType,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub truncate: Option<Truncate>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_dimension: Option<u32>,
}

/// The response. It has no token count: only the response's header does.
#[derive(Debug, Clone, Deserialize)]
pub struct Response<'a> {
    #[serde(borrow)]
    pub embeddings: Embeddings<'a>,
}

/// The float vectors, from a plain list or from an object by type.
#[derive(Debug, Clone)]
pub struct Embeddings<'a>(pub Vec<&'a RawValue>);

impl<'de: 'a, 'a> Deserialize<'de> for Embeddings<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(EmbeddingsVisitor).map(Embeddings)
    }
}

struct EmbeddingsVisitor;

impl<'de> Visitor<'de> for EmbeddingsVisitor {
    type Value = Vec<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("vectors, or an object with vectors by type")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(seq))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut vectors = None;
        while let Some(kind) = map.next_key::<Str<'de>>()? {
            if &*kind == "float" {
                vectors = Some(map.next_value()?);
            } else {
                map.next_value::<serde::de::IgnoredAny>()?;
            }
        }
        vectors.ok_or_else(|| serde::de::Error::missing_field("float"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_hold_the_same_vectors() {
        for json in [
            r#"{"embeddings":[[0.10,2],[-3e-5]],"id":"x"}"#,
            r#"{"embeddings":{"int8":[[1]],"float":[[0.10,2],[-3e-5]]}}"#,
        ] {
            let response: Response<'_> = serde_json::from_str(json).unwrap();
            let texts: Vec<&str> = response.embeddings.0.iter().map(|raw| raw.get()).collect();
            assert_eq!(texts, ["[0.10,2]", "[-3e-5]"]);
        }
        assert!(serde_json::from_str::<Response<'_>>(r#"{"embeddings":{"int8":[]}}"#).is_err());
    }
}
