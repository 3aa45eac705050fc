//! Objects in S3 that a native body names: Bedrock reads and writes them with the gateway's own rights, so
//! the operator's list counts for these bodies too. A body that names none, which is nearly every one, is
//! only searched for the word.

use std::borrow::Cow;
use std::fmt;

use memchr::memmem;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use translate::Stores;

/// Operations whose bodies are for a model.
const OPERATIONS: [&str; 6] = [
    "Converse",
    "ConverseStream",
    "CountTokens",
    "InvokeModel",
    "InvokeModelWithResponseStream",
    "StartAsyncInvoke",
];

/// Members that hold a URI, in one object or another.
const LOCATIONS: [&str; 2] = ["s3Location", "s3OutputDataConfig"];
const URIS: [&str; 2] = ["uri", "s3Uri"];
/// How the escape of a letter or digit of ASCII begins; the next digit is 3 to 7.
const ESCAPE: &[u8] = br"\u00";

/// What of S3 native bodies may name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum NativeS3 {
    /// What the operator lists for all callers.
    #[default]
    Listed,
    /// Whatever the gateway's own rights reach.
    Allow,
}

impl NativeS3 {
    /// The word for it in a configuration.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Listed => "listed",
            Self::Allow => "allow",
        }
    }
}

/// Why a body does not pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum S3Error {
    #[error(
        "the body names an object in S3 that the gateway's operator has not listed: send the bytes themselves, or ask for its prefix in media.s3_prefixes (native.s3: allow opens all)"
    )]
    NotListed,
    #[error("the body cannot be read as JSON, so nobody can tell which objects in S3 it names")]
    Unreadable,
}

/// Judges the body of an operation.
pub(crate) fn judge(operation: &str, body: &[u8], stores: &Stores) -> Result<(), S3Error> {
    if !OPERATIONS.contains(&operation) || !may_name(body) {
        return Ok(());
    }
    let mut admitted = true;
    let mut reader = serde_json::Deserializer::from_slice(body);
    let walk = Walk { stores, admitted: &mut admitted, is_location: false };
    walk.deserialize(&mut reader).map_err(|_| S3Error::Unreadable)?;
    reader.end().map_err(|_| S3Error::Unreadable)?;
    if admitted { Ok(()) } else { Err(S3Error::NotListed) }
}

/// A letter of the word may be written as an escape, which hardly anybody does: then the body is read. Letters
/// with accents, which many write so, are in none of the words.
fn may_name(body: &[u8]) -> bool {
    let is_plain = |at: usize| matches!(body.get(at + ESCAPE.len()), Some(b'3'..=b'7'));
    LOCATIONS.iter().any(|word| memmem::find(body, word.as_bytes()).is_some())
        || memmem::find_iter(body, ESCAPE).any(is_plain)
}

/// Goes through a whole body.
struct Walk<'w> {
    stores: &'w Stores,
    admitted: &'w mut bool,
    /// Whether this is what a location is described by.
    is_location: bool,
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
            if self.is_location && URIS.contains(&&*key.0) {
                let uri = map.next_value::<serde_json::Value>()?;
                *self.admitted &= uri.as_str().is_some_and(|uri| self.stores.admits(uri));
                continue;
            }
            let is_location = LOCATIONS.contains(&&*key.0);
            let (stores, admitted) = (self.stores, &mut *self.admitted);
            map.next_value_seed(Walk { stores, admitted, is_location })?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let Self { stores, admitted, is_location } = self;
        while seq.next_element_seed(Walk { stores, admitted, is_location })?.is_some() {}
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
    use translate::stores::Store;

    use super::*;

    #[test]
    fn only_bodies_that_may_name_an_object_are_read() {
        for (body, read) in [
            (r#"{"text":"na\u00efve caf\u00E9"}"#, false),
            (r#"{"text":"a\nb"}"#, false),
            (r#"{"\u0073\u0033Location":{}}"#, true),
            (r#"{"s3\u004Cocation":{}}"#, true),
            (r#"{"s3Location":{}}"#, true),
        ] {
            assert_eq!(may_name(body.as_bytes()), read, "{body}");
        }
    }

    #[test]
    fn objects_are_found_wherever_and_however_they_are_named() {
        let prefix = "s3://pictures/in/".to_owned();
        let stores = Stores::new(vec![Store { prefix, bucket_owner: None }]);
        let image = |source: &str| {
            format!(r#"{{"messages":[{{"content":[{{"image":{{"source":{source}}}}}]}}]}}"#)
        };
        for (body, judged) in [
            (image(r#"{"bytes":"AAAA"}"#), Ok(())),
            (image(r#"{"s3Location":{"uri":"s3://pictures/in/a.png"}}"#), Ok(())),
            (r#"{"text":"What is s3Location \u003c?"}"#.to_owned(), Ok(())),
            (image(r#"{"s3Location":{"uri":"s3://pictures/inner.png"}}"#), Err(S3Error::NotListed)),
            (image(r#"{"s3Location":{"uri":"S3://pictures/in/a"}}"#), Err(S3Error::NotListed)),
            (image(r#"{"s3Location":{"uri":7}}"#), Err(S3Error::NotListed)),
            (
                image(r#"{"s3Location":{"uri":"s3://x/a","uri":"s3://pictures/in/a"}}"#),
                Err(S3Error::NotListed),
            ),
            (image(r#"{"\u0073\u0033Location":{"uri":"s3://x/a"}}"#), Err(S3Error::NotListed)),
            (image(r#"{"s3Location":{"u\u0072i":"s3://x/a"}}"#), Err(S3Error::NotListed)),
            (image(r#"{"s3Location":[{"uri":"s3://x/a"}]}"#), Err(S3Error::NotListed)),
            (
                r#"{"outputDataConfig":{"s3OutputDataConfig":{"s3Uri":"s3://x/"}}}"#.to_owned(),
                Err(S3Error::NotListed),
            ),
            (r#"{"s3Location""#.to_owned(), Err(S3Error::Unreadable)),
        ] {
            for operation in OPERATIONS {
                assert_eq!(judge(operation, body.as_bytes(), &stores), judged, "{body}");
            }
            assert_eq!(judge("ListFoundationModels", body.as_bytes(), &stores), Ok(()));
        }
    }
}
