//! S3 objects that a native body names: Bedrock reads and writes them with the gateway's own permissions,
//! so the operator's list applies to these bodies too. A body that names none, which is the common case, is
//! only searched for key words.

use std::borrow::Cow;
use std::fmt;

use memchr::memmem;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use translate::S3Access;

/// Operations with bodies for a model: their conversations contain foreign JSON (tool inputs, schemas), so
/// only the two members that models interpret count.
const FOR_MODELS: [&str; 6] = [
    "Converse",
    "ConverseStream",
    "CountTokens",
    "InvokeModel",
    "InvokeModelWithResponseStream",
    "StartAsyncInvoke",
];
/// Operations with a body for a program of the operator's, which reads it with its own permissions.
const OF_PROGRAMS: [&str; 2] = ["InvokeAgentRuntime", "InvokeAgentRuntimeCommand"];
/// Operations that pass a document of any shape to a flow, whose nodes read it with their own permissions.
const OF_FLOWS: [&str; 2] = ["InvokeFlow", "StartFlowExecution"];

/// Members that hold a URI, in various objects.
const LOCATIONS: [&str; 2] = ["s3Location", "s3OutputDataConfig"];
const URIS: [&str; 2] = ["uri", "s3Uri"];
/// Members that name a bucket, and those beside them that name its contents.
const BUCKETS: [&str; 3] = ["s3BucketName", "bucketName", "bucketArn"];
const KEYS: [&str; 3] = ["s3ObjectKey", "keyPrefix", "inclusionPrefixes"];
const NAMED: [&[&str]; 3] = [&URIS, &BUCKETS, &KEYS];
/// Each member above contains one of these words, except for those beside a bucket.
const WORDS: [&str; 5] = ["s3", "S3", "uri", "Uri", "ucket"];
/// Maps with the caller's own names, for prompts and functions.
const FREE: [&str; 2] = ["sessionAttributes", "promptSessionAttributes"];
/// Beginning of an escaped ASCII letter or digit; the next digit is 3 to 7.
const ESCAPE: &[u8] = br"\u00";

/// The S3 objects that native bodies may name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum NativeS3 {
    /// The operator's list for all callers.
    #[default]
    Listed,
    /// All objects within the gateway's own permissions.
    Allow,
}

impl NativeS3 {
    /// The value in a configuration.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Listed => "listed",
            Self::Allow => "allow",
        }
    }
}

/// Reasons for refusing a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum S3Error {
    #[error(
        "the body names an object in S3 that the gateway's operator has not listed: send the bytes themselves, or ask for its prefix in media.s3_prefixes (native.s3: allow opens all), and in allowed_s3_prefixes of the key"
    )]
    NotListed,
    #[error("the body cannot be read as JSON, so nobody can tell which objects in S3 it names")]
    Unreadable,
}

/// Checks the body of an operation.
pub(crate) fn judge(operation: &str, body: &[u8], stores: &S3Access) -> Result<(), S3Error> {
    let rule = Rule::of(operation);
    if !rule.may_name(body) {
        return Ok(());
    }
    let mut admitted = true;
    let mut reader = serde_json::Deserializer::from_slice(body);
    let walk = Walk { stores, admitted: &mut admitted, rule, is_location: false };
    walk.deserialize(&mut reader).map_err(|_| S3Error::Unreadable)?;
    reader.end().map_err(|_| S3Error::Unreadable)?;
    if admitted { Ok(()) } else { Err(S3Error::NotListed) }
}

/// Whether JSON may hold one of these words. Escaped ASCII letters, which are rare, may spell it; words here have no
/// accented letters, which are often escaped.
pub(super) fn may_mention(body: &[u8], words: &[&str]) -> bool {
    let is_plain = |at: usize| matches!(body.get(at + ESCAPE.len()), Some(b'3'..=b'7'));
    words.iter().any(|word| memmem::find(body, word.as_bytes()).is_some())
        || memmem::find_iter(body, ESCAPE).any(is_plain)
}

/// Rule by which bodies of an operation name objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// In the two members that models interpret.
    Model,
    /// In any member with a matching name.
    Any,
    /// The same, except for the documents of a flow.
    Flow,
    /// Nowhere.
    Program,
}

impl Rule {
    fn of(operation: &str) -> Self {
        if FOR_MODELS.contains(&operation) {
            Self::Model
        } else if OF_FLOWS.contains(&operation) {
            Self::Flow
        } else if OF_PROGRAMS.contains(&operation) {
            Self::Program
        } else {
            Self::Any
        }
    }

    /// Whether the body may name an object; then it is parsed in full.
    fn may_name(self, body: &[u8]) -> bool {
        let words = match self {
            Self::Program => return false,
            Self::Model => LOCATIONS.as_slice(),
            Self::Any | Self::Flow => WORDS.as_slice(),
        };
        may_mention(body, words)
    }

    /// Whether the value of a member describes an S3 location. In AWS's own bodies, this includes all
    /// values below such a member.
    fn is_location(self, key: &str, within: bool) -> bool {
        match self {
            Self::Program => false,
            Self::Model => LOCATIONS.contains(&key),
            Self::Any | Self::Flow => within || key.contains("s3") || key.contains("S3"),
        }
    }

    /// Whether the value of a member is the caller's own data.
    fn is_free(self, key: &str) -> bool {
        match self {
            Self::Model | Self::Program => false,
            Self::Any => FREE.contains(&key),
            Self::Flow => key == "document",
        }
    }
}

/// Walks a whole body.
struct Walk<'w> {
    stores: &'w S3Access,
    admitted: &'w mut bool,
    rule: Rule,
    /// Whether this value describes a location.
    is_location: bool,
}

impl Walk<'_> {
    /// Whether a member of a location holds its URI.
    fn is_uri(&self, key: &str) -> bool {
        self.is_location && URIS.contains(&key)
    }

    /// Checks a member that holds a URI, at any position; it may be a web URI.
    fn uri(&mut self, key: &str, value: &Value) {
        let is_admitted = match value.as_str() {
            Some(uri) if self.is_location || key == "s3Uri" || is_uri(uri) => {
                self.stores.admits(uri)
            }
            Some(_) => true,
            None => !self.is_location,
        };
        *self.admitted &= is_admitted;
    }
}

/// Whether a text is the URI of an object, in any case.
fn is_uri(text: &str) -> bool {
    text.trim_start().get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("s3://"))
}

/// A bucket and its contents, as far as the members of one object name them.
#[derive(Default)]
struct Bucket {
    names: Vec<Value>,
    keys: Vec<Value>,
}

impl Bucket {
    /// Whether every object that it can mean is listed.
    fn is_admitted(&self, stores: &S3Access) -> bool {
        self.names.iter().all(|name| {
            let Some(name) = name.as_str() else { return false };
            // A bucket's ARN has neither region nor account.
            let name = match name.split_once(":s3:::") {
                Some((_, name)) => name,
                None => name,
            };
            let listed = |key: &Value| {
                key.as_str().is_some_and(|key| stores.admits(&format!("s3://{name}/{key}")))
            };
            let mut keys = self.keys.iter().flat_map(|key| match key {
                Value::Array(items) => items.as_slice(),
                one => std::slice::from_ref(one),
            });
            match keys.next() {
                Some(first) => listed(first) && keys.all(listed),
                None => stores.admits(&format!("s3://{name}/")),
            }
        })
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

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        let mut bucket = Bucket::default();
        while let Some(key) = map.next_key::<Key<'de>>()? {
            let key = &*key.0;
            let is_own = self.rule != Rule::Model;
            if self.rule.is_free(key) {
                map.next_value::<IgnoredAny>()?;
            } else if NAMED.iter().any(|names| names.contains(&key)) && (is_own || self.is_uri(key))
            {
                let value: Value = map.next_value()?;
                if is_own && value.is_object() {
                    // A function parameter that happens to have this name.
                    let (stores, admitted, rule) = (self.stores, &mut *self.admitted, self.rule);
                    let is_location = self.is_location;
                    let walk = Walk { stores, admitted, rule, is_location };
                    walk.deserialize(value).map_err(A::Error::custom)?;
                } else if BUCKETS.contains(&key) {
                    bucket.names.push(value);
                } else if KEYS.contains(&key) {
                    bucket.keys.push(value);
                } else {
                    self.uri(key, &value);
                }
            } else {
                let is_location = self.rule.is_location(key, self.is_location);
                let (stores, admitted, rule) = (self.stores, &mut *self.admitted, self.rule);
                map.next_value_seed(Walk { stores, admitted, rule, is_location })?;
            }
        }
        *self.admitted &= bucket.is_admitted(self.stores);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let Self { stores, admitted, rule, is_location } = self;
        while seq.next_element_seed(Walk { stores, admitted, rule, is_location })?.is_some() {}
        Ok(())
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        // A URI in a member that is not known yet.
        if self.rule != Rule::Model && self.is_location && is_uri(text) {
            *self.admitted &= self.stores.admits(text);
        }
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

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

#[derive(serde::Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use translate::s3_access::S3Prefix;

    use super::*;

    #[test]
    fn only_bodies_that_may_name_an_object_are_parsed() {
        for (body, read) in [
            (r#"{"text":"na\u00efve caf\u00E9"}"#, false),
            (r#"{"text":"a\nb"}"#, false),
            (r#"{"\u0073\u0033Location":{}}"#, true),
            (r#"{"s3\u004Cocation":{}}"#, true),
            (r#"{"s3Location":{}}"#, true),
        ] {
            assert_eq!(Rule::Model.may_name(body.as_bytes()), read, "{body}");
        }
    }

    #[test]
    fn objects_are_found_in_every_member_and_spelling() {
        let prefix = "s3://pictures/in/".to_owned();
        let stores = S3Access::new(vec![S3Prefix { prefix, bucket_owner: None }]);
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
            for operation in FOR_MODELS.into_iter().chain(["InvokeAgent", "CreateFlow"]) {
                assert_eq!(judge(operation, body.as_bytes(), &stores), judged, "{body}");
            }
        }
    }

    #[test]
    fn bodies_of_every_operation_are_checked() {
        let prefix = "s3://pictures/in/".to_owned();
        let stores = S3Access::new(vec![S3Prefix { prefix, bucket_owner: None }]);
        for (operation, body, listed) in [
            (
                "RetrieveAndGenerate",
                r#"{"c":{"sources":[{"sourceType":"S3","s3Location":{"uri":"s3://x/a"}}]}}"#,
                false,
            ),
            (
                "RetrieveAndGenerateStream",
                r#"{"c":{"sources":[{"sourceType":"S3","s3Location":{"uri":"s3://pictures/in/a"}}]}}"#,
                true,
            ),
            (
                "InvokeInlineAgent",
                r#"{"inlineSessionState":{"files":[{"source":{"s3Location":{"u\u0072i":"S3://x/a"}}}]}}"#,
                false,
            ),
            (
                "InvokeInlineAgent",
                r#"{"actionGroups":[{"apiSchema":{"s3":{"s3ObjectKey":"a","s3BucketName":"x"}}}]}"#,
                false,
            ),
            (
                "InvokeInlineAgent",
                r#"{"actionGroups":[{"apiSchema":{"s3":{"s3BucketName":"pictures","s3ObjectKey":"in/a"}}}]}"#,
                true,
            ),
            (
                "InvokeInlineAgent",
                r#"{"a":{"s3":{"s3BucketName":"pictures","s3BucketName":"x","s3ObjectKey":"in/a"}}}"#,
                false,
            ),
            ("InvokeInlineAgent", r#"{"inputText":"Where is s3://x/a?","instruction":"s3"}"#, true),
            (
                "InvokeAgent",
                r#"{"sessionState":{"sessionAttributes":{"s3Path":"s3://x/a"},"files":[]}}"#,
                true,
            ),
            ("InvokeAgent", r#"{"sessionState":{"s3Things":["s3://x/a"]}}"#, false),
            (
                "PutInvocationStep",
                r#"{"image":{"source":{"s3Location":{"uri":"s3://x/a"}}}}"#,
                false,
            ),
            (
                "CreateModelInvocationJob",
                r#"{"inputDataConfig":{"s3InputDataConfig":{"s3Uri":"s3://x/a","s3InputFormat":"JSONL"}}}"#,
                false,
            ),
            (
                "CreateModelCustomizationJob",
                r#"{"trainingDataConfig":{"s3Uri":"s3://x/a"},"outputDataConfig":{"s3Uri":"s3://x/"}}"#,
                false,
            ),
            ("PutModelInvocationLoggingConfiguration", r#"{"s3Config":{"bucketName":"x"}}"#, false),
            (
                "PutModelInvocationLoggingConfiguration",
                r#"{"s3Config":{"bucketName":"pictures","keyPrefix":"in/logs"}}"#,
                true,
            ),
            (
                "CreateDataSource",
                r#"{"s3Configuration":{"bucketArn":"arn:aws:s3:::pictures","inclusionPrefixes":["in/a","out"]}}"#,
                false,
            ),
            (
                "CreateDataSource",
                r#"{"s3Configuration":{"bucketArn":"arn:aws:s3:::pictures","inclusionPrefixes":["in/a"]}}"#,
                true,
            ),
            (
                "CreateDataSource",
                r#"{"s3Configuration":{"bucketArn":"arn:aws:s3:::pictures"}}"#,
                false,
            ),
            ("InvokeFlow", r#"{"inputs":[{"content":{"document":{"s3Uri":"s3://x/a"}}}]}"#, true),
            ("InvokeFlow", r#"{"inputs":[{"s3Uri":"s3://x/a"}]}"#, false),
            (
                "InvokeInlineAgent",
                r#"{"parameters":{"s3Uri":{"type":"string"},"bucketName":{"type":"string"}}}"#,
                true,
            ),
            ("Rerank", r#"{"uri":{"s3Location":{"uri":"s3://x/a"}}}"#, false),
            ("Rerank", r#"{"uri":"https://example.com/a"}"#, true),
            ("Rerank", r#"{"uri":"s3://x/a"}"#, false),
            ("ListAgents", "", true),
        ] {
            let expected = if listed { Ok(()) } else { Err(S3Error::NotListed) };
            assert_eq!(judge(operation, body.as_bytes(), &stores), expected, "{operation} {body}");
        }
        assert_eq!(judge("InvokeAgent", b"{\"s3\"", &stores), Err(S3Error::Unreadable));
    }
}
