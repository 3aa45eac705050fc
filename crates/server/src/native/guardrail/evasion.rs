//! Members by which a call makes Bedrock apply its guardrail to a part of the call only, or after the
//! answer was sent. A mandatory guardrail refuses them at any position: the upstream meaning of a model's
//! own fields is not known here. Names match in any case and with any escapes.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Prefix of Bedrock's guardrail settings in model bodies.
const OF_MODELS: &str = "amazon-bedrock-guardrail";
/// Marks parts of a conversation: once one is marked, only marked parts are checked.
const MARKED: &str = "guardContent";
/// Names the tags that mark parts of a prompt.
const TAGS: &str = "tagSuffix";
/// Timing of the check of an answer.
const MODE: &str = "streamProcessingMode";
/// Another guardrail; it belongs at the root of Converse's body, which is checked elsewhere.
const CONFIG: &str = "guardrailConfig";

/// The JSON to search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// A complete Converse body, with its own guardrail setting.
    Converse,
    /// A model's body, or fields of one.
    Model,
}

/// The first member of JSON text that would weaken a guardrail.
///
/// # Errors
/// The text is not JSON.
pub(crate) fn find(body: &[u8], part: Part) -> Result<Option<&'static str>, serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let found = search(&mut reader, part)?;
    reader.end()?;
    Ok(found)
}

/// The same for JSON that is already parsed.
pub(crate) fn search<'de, D: Deserializer<'de>>(
    json: D,
    part: Part,
) -> Result<Option<&'static str>, D::Error> {
    let mut found = None;
    let place = match part {
        Part::Converse => Place::Root,
        Part::Model => Place::Below,
    };
    Walk { found: &mut found, place }.deserialize(json)?;
    Ok(found)
}

/// Position of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// At the root of Converse's body.
    Root,
    Below,
}

struct Walk<'w> {
    found: &'w mut Option<&'static str>,
    place: Place,
}

impl Walk<'_> {
    /// The name of a forbidden member, whatever its value.
    fn refused(&self, key: &str) -> Option<&'static str> {
        if key.eq_ignore_ascii_case(MARKED) {
            Some(MARKED)
        } else if key.eq_ignore_ascii_case(TAGS) {
            Some(TAGS)
        } else if key.eq_ignore_ascii_case(CONFIG) && !(self.place == Place::Root && key == CONFIG)
        {
            Some(CONFIG)
        } else if key.get(..OF_MODELS.len()).is_some_and(|k| k.eq_ignore_ascii_case(OF_MODELS))
            && !key.eq_ignore_ascii_case("amazon-bedrock-guardrailConfig")
        {
            Some(OF_MODELS)
        } else {
            None
        }
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<Key<'de>>()? {
            if let Some(name) = self.refused(&key.0) {
                self.found.get_or_insert(name);
                map.next_value::<IgnoredAny>()?;
            } else if key.0.eq_ignore_ascii_case(MODE) {
                // Converse writes the mode in lower case, model bodies in capitals.
                let mode = map.next_value::<serde_json::Value>()?;
                let in_time = mode.as_str().is_some_and(|mode| {
                    ["sync", "synchronous"].iter().any(|word| mode.eq_ignore_ascii_case(word))
                });
                if !in_time {
                    self.found.get_or_insert(MODE);
                }
            } else {
                map.next_value_seed(Walk { found: &mut *self.found, place: Place::Below })?;
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let Self { found, place: _ } = self;
        while seq.next_element_seed(Walk { found: &mut *found, place: Place::Below })?.is_some() {}
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

#[derive(serde::Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_that_weaken_a_guardrail_are_found_in_every_spelling() {
        use Part::{Converse, Model};
        for (part, body, found) in [
            (Converse, r#"{"messages":[{"content":[{"guardContent":{}}]}]}"#, Some(MARKED)),
            (Converse, r#"{"system":[{"text":"a"},{"guard\u0043ontent":null}]}"#, Some(MARKED)),
            (Converse, r#"{"messages":[{"content":[{"GuardContent":{}}]}]}"#, Some(MARKED)),
            (
                Converse,
                r#"{"additionalModelRequestFields":{"amazon-bedrock-guardrailConfig":{"tagSuffix":"x"}}}"#,
                Some(TAGS),
            ),
            (
                Converse,
                r#"{"additionalModelRequestFields":{"a":[{"guardrailConfig":{}}]}}"#,
                Some(CONFIG),
            ),
            (Converse, r#"{"guardrailConfig":{"streamProcessingMode":"async"}}"#, Some(MODE)),
            (Converse, r#"{"guardrailConfig":{"guardrailConfig":{}}}"#, Some(CONFIG)),
            (Converse, r#"{"GuardrailConfig":{}}"#, Some(CONFIG)),
            (Converse, r#"{"guardrailConfig":{"streamProcessingMode":"sync"}}"#, None),
            (Converse, r#"{"messages":[{"content":[{"text":"guardContent tagSuffix"}]}]}"#, None),
            (
                Model,
                r#"{"amazon-bedrock-guardrailConfig":{"streamProcessingMode":"ASYNCHRONOUS"}}"#,
                Some(MODE),
            ),
            (
                Model,
                r#"{"amazon-bedrock-guardrailConfig":{"stream\u0050rocessingMode":"asynchronous"}}"#,
                Some(MODE),
            ),
            (
                Model,
                r#"{"amazon-bedrock-guardrailConfig":{"streamProcessingMode":null}}"#,
                Some(MODE),
            ),
            (
                Model,
                r#"{"amazon-bedrock-guardrailConfig":{"streamProcessingMode":"SYNCHRONOUS"}}"#,
                None,
            ),
            (
                Model,
                r#"{"amazon-bedrock-guardrailConfig":{"streamProcessingMode":"SYNCHRONOUS","streamProcessingMode":"ASYNCHRONOUS"}}"#,
                Some(MODE),
            ),
            (Model, r#"{"amazon\u002dbedrock-guardrailConfig":{"tagSuffix":"x"}}"#, Some(TAGS)),
            (Model, r#"{"amazon-bedrock-guardrailDetails":{}}"#, Some(OF_MODELS)),
            (Model, r#"{"guardrailConfig":{"guardrailIdentifier":"x"}}"#, Some(CONFIG)),
            (Model, r#"{"max_tokens":5,"messages":[{"role":"user","content":"x"}]}"#, None),
            (Model, "[]", None),
        ] {
            assert_eq!(find(body.as_bytes(), part).unwrap(), found, "{body}");
        }
        for body in ["", "{", "{}{}", "x"] {
            assert!(find(body.as_bytes(), Model).is_err(), "{body}");
        }
    }
}
