//! Objects in a bucket of S3: read, written under conditions, listed, and uploaded in parts while they arrive. The
//! calls go over the same transport as those of Bedrock, with the bucket in the path.

mod upload;
mod xml;

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, ETAG, IF_MATCH, IF_NONE_MATCH, RANGE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::endpoint::{Service, encode_segment};
use super::error::{Failure, ProtocolError, ServiceError};
use super::response::UpstreamResponse;
use super::send::{Call, Kind, Transport};

pub use upload::Upload;
pub(super) use xml::error;

/// Attempts of a call that fails for no fault of its own.
const ATTEMPTS: u32 = 4;
/// The pause before the second attempt; it doubles.
const PAUSE: Duration = Duration::from_millis(100);
/// Longest answer besides objects, in bytes.
const ANSWER: usize = 4 * 1024 * 1024;

/// A bucket, or the part of it below a prefix.
#[derive(Debug, Clone)]
pub struct Bucket {
    transport: Transport,
    name: String,
    prefix: String,
}

/// A condition of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WriteCondition {
    /// None: an object that exists is replaced.
    Always,
    /// There is no object yet.
    Absent,
    /// The object has this entity tag.
    Matches(String),
}

/// An object that was read whole.
#[derive(Debug, Clone)]
pub struct StoredObject {
    /// The content.
    pub body: Bytes,
    /// The entity tag, for [`WriteCondition::Matches`].
    pub etag: String,
}

/// An object in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedObject {
    /// The key below the prefix of the bucket.
    pub key: String,
    /// Size in bytes.
    pub size: u64,
}

/// A page of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObjectPage {
    /// The objects, in the order of their keys.
    pub objects: Vec<ListedObject>,
    /// Token of the next page.
    pub next: Option<String>,
}

/// One call about an object or the bucket.
struct ObjectCall<'c> {
    method: Method,
    key: &'c str,
    query: Option<String>,
    headers: HeaderMap,
    body: Bytes,
}

impl Bucket {
    /// The objects of a bucket whose keys begin with `prefix`, which is part of no key here.
    pub fn new(transport: Transport, name: &str, prefix: &str) -> Self {
        Self { transport, name: name.to_owned(), prefix: prefix.to_owned() }
    }

    /// The address of an object for other services, `s3://bucket/key`.
    pub fn address(&self, key: &str) -> String {
        format!("s3://{}/{}{key}", self.name, self.prefix)
    }

    /// Begins to read an object or some bytes of it, which a header `Range` names; absent without one.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn open(
        &self,
        key: &str,
        range: Option<&HeaderValue>,
    ) -> Result<Option<UpstreamResponse>, Failure> {
        let mut call = ObjectCall::new(Method::GET, key);
        if let Some(range) = range {
            call.headers.insert(RANGE, range.clone());
        }
        found(self.send(call).await)
    }

    /// Reads an object of at most `limit` bytes; absent without one.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn read(&self, key: &str, limit: usize) -> Result<Option<StoredObject>, Failure> {
        let mut attempt = 1;
        loop {
            let Some(answer) = self.open(key, None).await? else { return Ok(None) };
            let etag = etag_of(&answer.headers);
            match answer.bytes(limit).await {
                Ok(body) => return Ok(Some(StoredObject { body, etag })),
                Err(failure) if attempt < ATTEMPTS && may_repeat(&failure) => attempt += 1,
                Err(failure) => return Err(failure),
            }
        }
    }

    /// Writes an object if a condition holds, and returns its entity tag; absent where the condition does not hold.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn write(
        &self,
        key: &str,
        body: Bytes,
        condition: &WriteCondition,
    ) -> Result<Option<String>, Failure> {
        let mut call = ObjectCall { body, ..ObjectCall::new(Method::PUT, key) };
        call.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        call.on(condition)?;
        match self.send(call).await {
            Ok(answer) => {
                let etag = etag_of(&answer.headers);
                answer.bytes(ANSWER).await?;
                Ok(Some(etag))
            }
            // 409 tells of another write at the same time, 404 of an object that was to match.
            Err(failure)
                if matches!(status_of(&failure), Some(404 | 409 | 412))
                    && *condition != WriteCondition::Always =>
            {
                Ok(None)
            }
            Err(failure) => Err(failure),
        }
    }

    /// Size of an object, in bytes; absent without one.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn size(&self, key: &str) -> Result<Option<u64>, Failure> {
        let Some(answer) = found(self.send(ObjectCall::new(Method::HEAD, key)).await)? else {
            return Ok(None);
        };
        let length = answer.headers.get(http::header::CONTENT_LENGTH);
        let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
        length.map(Some).ok_or_else(|| malformed("a size"))
    }

    /// Removes an object. One that does not exist is no failure.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn remove(&self, key: &str) -> Result<(), Failure> {
        match found(self.send(ObjectCall::new(Method::DELETE, key)).await)? {
            Some(answer) => answer.bytes(ANSWER).await.map(|_| ()),
            None => Ok(()),
        }
    }

    /// Lists the objects whose keys begin with `prefix`, a page at a time; `token` is that of the page before.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn list(&self, prefix: &str, token: Option<&str>) -> Result<ObjectPage, Failure> {
        let mut query = "encoding-type=url&list-type=2&prefix=".to_owned();
        encode_segment(&self.prefix, &mut query);
        encode_segment(prefix, &mut query);
        if let Some(token) = token {
            query.push_str("&continuation-token=");
            encode_segment(token, &mut query);
        }
        let call = ObjectCall { query: Some(query), ..ObjectCall::new(Method::GET, "") };
        let answer = self.send(call).await?.bytes(ANSWER).await?;
        xml::page(&answer, &self.prefix).ok_or_else(|| malformed("a list"))
    }

    /// Every key that begins with `prefix`, in order, at most `most`.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn keys(&self, prefix: &str, most: usize) -> Result<Vec<String>, Failure> {
        let (mut keys, mut token) = (Vec::new(), None);
        loop {
            let page = self.list(prefix, token.as_deref()).await?;
            keys.extend(page.objects.into_iter().map(|object| object.key));
            token = page.next;
            if token.is_none() || keys.len() >= most {
                keys.truncate(most);
                return Ok(keys);
            }
        }
    }

    /// Begins an upload whose length is not known. Makes no call yet.
    pub fn upload(&self, key: &str) -> Upload {
        Upload::new(self.clone(), key)
    }

    /// Makes a call, again where it failed for no fault of its own: every operation here may be repeated.
    async fn send(&self, call: ObjectCall<'_>) -> Result<UpstreamResponse, Failure> {
        let ObjectCall { method, key, query, headers, body } = call;
        let mut path = format!("/{}", self.name);
        if !key.is_empty() {
            path.push('/');
            let full = format!("{}{key}", self.prefix);
            for (at, segment) in full.split('/').enumerate() {
                if at > 0 {
                    path.push('/');
                }
                encode_segment(segment, &mut path);
            }
        }
        let kind = Kind::Unary;
        let call = Call { service: Service::S3, method, path, query, headers, body, kind };
        let (mut attempt, mut pause) = (1, PAUSE);
        loop {
            match self.transport.send(call.clone()).await {
                Err(failure) if attempt < ATTEMPTS && may_repeat(&failure) => {
                    log::debug!("S3 did not answer, trying again: {failure}");
                    tokio::time::sleep(pause).await;
                    (attempt, pause) = (attempt + 1, pause * 2);
                }
                sent => return sent,
            }
        }
    }
}

impl<'c> ObjectCall<'c> {
    fn new(method: Method, key: &'c str) -> Self {
        Self { method, key, query: None, headers: HeaderMap::new(), body: Bytes::new() }
    }

    fn on(&mut self, condition: &WriteCondition) -> Result<(), Failure> {
        let (name, value): (HeaderName, _) = match condition {
            WriteCondition::Always => return Ok(()),
            WriteCondition::Absent => (IF_NONE_MATCH, HeaderValue::from_static("*")),
            WriteCondition::Matches(etag) => {
                let value = HeaderValue::from_str(etag);
                (IF_MATCH, value.map_err(|error| Failure::Request(error.to_string()))?)
            }
        };
        self.headers.insert(name, value);
        Ok(())
    }
}

/// The HTTP status of a refusal.
pub fn status_of(failure: &Failure) -> Option<u16> {
    match failure {
        Failure::Service(error) => Some(error.status),
        Failure::Protocol(
            ProtocolError::ErrorPage { status, .. } | ProtocolError::Status(status),
        ) => Some(*status),
        _ => None,
    }
}

/// The service's own words of a refusal, for the operator.
pub fn refusal_of(failure: &Failure) -> Option<&ServiceError> {
    match failure {
        Failure::Service(error) => Some(error),
        _ => None,
    }
}

fn found(sent: Result<UpstreamResponse, Failure>) -> Result<Option<UpstreamResponse>, Failure> {
    match sent {
        // A bucket that does not exist is no missing object; a HEAD has no body that would tell.
        Err(failure) if status_of(&failure) == Some(404) && !xml::is_bucket_missing(&failure) => {
            Ok(None)
        }
        sent => sent.map(Some),
    }
}

fn may_repeat(failure: &Failure) -> bool {
    match failure {
        Failure::Connect(_) | Failure::Closed(_) | Failure::Timeout(_) | Failure::Truncated(_) => {
            true
        }
        Failure::Service(_) | Failure::Protocol(_) => {
            status_of(failure).is_some_and(|status| status >= 500 || status == 429)
        }
        Failure::Tls(_) | Failure::Frame(_) | Failure::Credentials(_) | Failure::Request(_) => {
            false
        }
    }
}

fn etag_of(headers: &HeaderMap) -> String {
    let etag = headers.get(ETAG).and_then(|etag| etag.to_str().ok());
    etag.unwrap_or_default().to_owned()
}

fn malformed(what: &str) -> Failure {
    ProtocolError::Malformed(format!("S3's answer holds not {what}")).into()
}
