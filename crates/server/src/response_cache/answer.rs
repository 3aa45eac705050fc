//! A kept answer: its bytes, the headers that tell of it, and its age.

use std::time::Duration;

use actix_web::http::header::HeaderMap;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::reasoning_store::Weighed;
use crate::unix_time::unix_seconds;

/// Headers that are kept with an answer: those that describe the model and the translation.
const KEPT: [&str; 6] = [
    "x-outcrop-model",
    "x-outcrop-target",
    "x-outcrop-region",
    "x-outcrop-ignored",
    "x-outcrop-thinking",
    "x-outcrop-structured-output",
];

/// A complete answer to a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct KeptAnswer {
    about: About,
    pub(crate) body: Bytes,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct About {
    /// The time it was made, in Unix seconds.
    made: u32,
    /// The seconds for which it is used.
    ttl: u32,
    content_type: String,
    headers: Vec<(String, String)>,
}

impl Weighed for KeptAnswer {
    fn weight(&self) -> usize {
        let headers = self.about.headers.iter().map(|(name, value)| name.len() + value.len());
        self.body.len() + self.about.content_type.len() + headers.sum::<usize>()
    }
}

/// The parts of an answer that are known before its bytes.
#[derive(Debug, Clone)]
pub(crate) struct AnswerHead(About);

impl AnswerHead {
    /// The head of a response that is to be used for so long.
    pub(crate) fn of(headers: &HeaderMap, ttl: Duration) -> Self {
        let text = |name: &str| Some(headers.get(name)?.to_str().ok()?.to_owned());
        Self(About {
            made: unix_seconds(),
            ttl: u32::try_from(ttl.as_secs()).unwrap_or(u32::MAX),
            content_type: text("content-type").unwrap_or_default(),
            headers: KEPT
                .into_iter()
                .filter_map(|name| Some((name.to_owned(), text(name)?)))
                .collect(),
        })
    }

    /// The answer with its bytes.
    pub(crate) fn with(self, body: Bytes) -> KeptAnswer {
        KeptAnswer { about: self.0, body }
    }
}

impl KeptAnswer {
    /// The time since it was made.
    pub(crate) fn age(&self) -> Duration {
        Duration::from_secs(unix_seconds().saturating_sub(self.about.made).into())
    }

    /// The time for which it is still used.
    pub(crate) fn left(&self) -> Duration {
        Duration::from_secs(self.about.ttl.into()).saturating_sub(self.age())
    }

    pub(crate) fn content_type(&self) -> &str {
        &self.about.content_type
    }

    /// The headers that describe it.
    pub(crate) fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.about.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The value of one of them.
    pub(crate) fn header(&self, wanted: &str) -> Option<&str> {
        self.headers().find(|(name, _)| *name == wanted).map(|(_, value)| value)
    }

    /// The form in Redis: a line of JSON, then the body.
    pub(super) fn written(&self) -> Vec<u8> {
        let mut text = serde_json::to_vec(&self.about).unwrap_or_default();
        text.push(b'\n');
        text.extend_from_slice(&self.body);
        text
    }

    /// Reads that form. `None` for that of another version.
    pub(super) fn read(text: Vec<u8>) -> Option<Self> {
        let end = memchr::memchr(b'\n', &text)?;
        let about = serde_json::from_slice(text.get(..end)?).ok()?;
        Some(Self { about, body: Bytes::from(text).slice(end + 1..) })
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn an_answer_is_read_as_it_was_written() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("content-type", "text/event-stream"),
            ("x-outcrop-target", "a.b@us-east-1"),
            ("x-request-id", "req_1"),
        ] {
            let name = HeaderName::from_static(name);
            headers.insert(name, HeaderValue::from_static(value));
        }
        let head = AnswerHead::of(&headers, Duration::from_secs(60));
        let answer = head.with(Bytes::from_static(b"data: 1\n\ndata: [DONE]\n\n"));
        assert_eq!(KeptAnswer::read(answer.written()).unwrap(), answer);
        assert_eq!(answer.headers().collect::<Vec<_>>(), [("x-outcrop-target", "a.b@us-east-1")]);
        assert_eq!(answer.header("x-request-id"), None, "the id is that of one request");
        assert!(answer.left() > Duration::from_secs(50) && answer.age() < Duration::from_secs(10));
        for other in [&b""[..], b"{}\nbody", b"no line"] {
            assert_eq!(KeptAnswer::read(other.to_vec()), None);
        }
    }
}
