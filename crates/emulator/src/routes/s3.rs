//! S3: objects of one region, by path (`/bucket/key`) and by host (`bucket.s3.region.amazonaws.com/key`). Requests
//! are those whose signatures are for this service. Errors are XML with S3's own codes.

mod list;
mod xml;

pub(super) use xml::iso_date;

use std::time::{SystemTime, UNIX_EPOCH};

use actix_web::HttpRequest;
use bytes::Bytes;
use percent_encoding::percent_decode_str;
use sha2::{Digest as _, Sha256};

use super::State;
use crate::{
    auth,
    delivery::Reply,
    error::Refusal,
    objects::{Condition, Object, Objection},
    sigv4::{Signed, hex},
};

/// The name that its requests are signed for.
const SERVICE: &str = "s3";
/// Buckets with such names do not exist.
const MISSING: &str = "missing";
const METADATA: &str = "x-amz-meta-";
const BODY_HASH: &str = "x-amz-content-sha256";
const NO_TYPE: &str = "binary/octet-stream";

/// A request about a bucket or an object.
struct ObjectRequest<'r> {
    method: &'r str,
    bucket: String,
    /// Empty for the bucket itself.
    key: String,
    query: Vec<(String, String)>,
    headers: &'r [(String, String)],
    body: &'r Bytes,
}

/// An error in S3's terms.
struct Denied {
    status: u16,
    code: &'static str,
    message: String,
}

/// Whether a request is one for S3: its signature says so.
pub(super) fn is_for(headers: &[(String, String)]) -> bool {
    let scope =
        |value: &String| value.split(',').next().is_some_and(|it| it.ends_with("/s3/aws4_request"));
    headers.iter().any(|(name, value)| name == "authorization" && scope(value))
}

/// Answers a request.
pub(super) fn answer(
    state: &State,
    http: &HttpRequest,
    headers: &[(String, String)],
    body: &Bytes,
) -> Reply {
    let mut signed = Signed {
        method: http.method().as_str(),
        path: http.uri().path(),
        query: http.uri().query().unwrap_or_default(),
        headers,
        body,
        timestamp: "",
        services: &[SERVICE],
    };
    let authenticated = auth::authenticate(&state.options, &mut signed).map_err(Denied::from);
    let answered = authenticated.and_then(|_| {
        let request = ObjectRequest::read(http, headers, body)?;
        request.whole()?;
        request.answer(state)
    });
    answered.unwrap_or_else(|denied| denied.reply(http.method().as_str()))
}

impl<'r> ObjectRequest<'r> {
    fn read(
        http: &'r HttpRequest,
        headers: &'r [(String, String)],
        body: &'r Bytes,
    ) -> Result<Self, Denied> {
        let host = header(headers, "host").unwrap_or_default();
        let path = http.uri().path().trim_start_matches('/');
        let (bucket, key) = match bucket_of_host(host) {
            Some(bucket) => (bucket.to_owned(), path),
            None => {
                let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
                (decoded(bucket), key)
            }
        };
        if bucket.is_empty() {
            return Err(Denied::new(501, "NotImplemented", "This emulator does not list buckets."));
        }
        if bucket.starts_with(MISSING) {
            return Err(Denied::new(404, "NoSuchBucket", "The specified bucket does not exist"));
        }
        let query = http.uri().query().unwrap_or_default().split('&').filter(|it| !it.is_empty());
        let query = query.map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name), decoded(value))
        });
        let (method, key) = (http.method().as_str(), decoded(key));
        Ok(Self { method, bucket, key, query: query.collect(), headers, body })
    }

    /// Checks the hash of the body that the signature covers.
    fn whole(&self) -> Result<(), Denied> {
        let Some(told) = self.header(BODY_HASH) else {
            return Err(Denied::new(
                400,
                "InvalidRequest",
                "Missing required header for this request: x-amz-content-sha256",
            ));
        };
        if told == "UNSIGNED-PAYLOAD" || told == hex(&Sha256::digest(self.body)) {
            return Ok(());
        }
        if told.starts_with("STREAMING-") {
            return Err(Denied::new(
                501,
                "NotImplemented",
                "This emulator takes no body in signed chunks.",
            ));
        }
        let message =
            "The provided 'x-amz-content-sha256' header does not match what was computed.";
        Err(Denied::new(400, "XAmzContentSHA256Mismatch", message))
    }

    fn answer(&self, state: &State) -> Result<Reply, Denied> {
        match (self.method, self.key.is_empty(), self.parameter("uploadId")) {
            ("HEAD", true, _) => Ok(plain(200).with_header("x-amz-bucket-region", "us-east-1")),
            ("PUT", true, _) => Ok(plain(200).with_header("Location", format!("/{}", self.bucket))),
            ("GET", true, _) => list::answer(self, state),
            ("GET", false, None) => self.object(state),
            ("HEAD", false, None) => self.object(state),
            ("PUT", false, None) => self.put(state),
            ("DELETE", false, None) => {
                state.objects.remove(&self.bucket, &self.key);
                Ok(plain(204))
            }
            ("POST", false, None) if self.parameter("uploads").is_some() => Ok(self.begin(state)),
            ("PUT", false, Some(id)) => self.part(state, id),
            ("POST", false, Some(id)) => self.complete(state, id),
            ("DELETE", false, Some(id)) => {
                state.objects.abort(id)?;
                Ok(plain(204))
            }
            _ => Err(Denied::new(
                501,
                "NotImplemented",
                "This emulator does not have this operation.",
            )),
        }
    }

    fn object(&self, state: &State) -> Result<Reply, Denied> {
        let Some(object) = state.objects.find(&self.bucket, &self.key) else {
            return Err(Objection::NoSuchKey.into());
        };
        let length = object.body.len();
        let range = self.header("range").map(|range| range_of(range, length));
        let (status, body) = match range {
            None | Some(Ranged::Whole) => (200, object.body.clone()),
            Some(Ranged::Part(from, to)) => (206, object.body.slice(from..to)),
            Some(Ranged::Nothing) => {
                return Err(Denied::new(
                    416,
                    "InvalidRange",
                    "The requested range is not satisfiable",
                ));
            }
        };
        let mut reply = Reply::bytes(status, &object.content_type, body)
            .with_header("ETag", object.etag)
            .with_header("Accept-Ranges", "bytes")
            .with_header("Last-Modified", xml::http_date(object.modified));
        if let Some(Ranged::Part(from, to)) = range {
            reply = reply.with_header("Content-Range", format!("bytes {from}-{}/{length}", to - 1));
        }
        reply.headers.extend(object.metadata);
        Ok(reply)
    }

    fn put(&self, state: &State) -> Result<Reply, Denied> {
        if self.header("x-amz-copy-source").is_some() {
            return Err(Denied::new(501, "NotImplemented", "This emulator copies no objects."));
        }
        let mut object = Object::new(self.body.clone(), self.content_type(), now());
        object.metadata = self.metadata();
        let etag = object.etag.clone();
        state.objects.put((&self.bucket, &self.key), object, &self.condition())?;
        Ok(plain(200).with_header("ETag", etag))
    }

    fn begin(&self, state: &State) -> Reply {
        let place = (self.bucket.as_str(), self.key.as_str());
        let id = state.objects.begin(place, self.content_type(), self.metadata());
        let members = [("Bucket", self.bucket.as_str()), ("Key", &self.key), ("UploadId", &id)];
        xml::reply(200, "InitiateMultipartUploadResult", &xml::members(&members))
    }

    fn part(&self, state: &State, id: &str) -> Result<Reply, Denied> {
        let number = self.parameter("partNumber").and_then(|number| number.parse::<u32>().ok());
        let number = number.filter(|number| (1..=10_000).contains(number));
        let Some(number) = number else {
            let message = "Part number must be an integer between 1 and 10000, inclusive";
            return Err(Denied::new(400, "InvalidArgument", message));
        };
        let etag = state.objects.part(id, number, self.body.clone())?;
        Ok(plain(200).with_header("ETag", etag))
    }

    fn complete(&self, state: &State, id: &str) -> Result<Reply, Denied> {
        let text = String::from_utf8_lossy(self.body);
        let named = xml::elements(&text, "Part").map(|part| {
            let number = xml::text(part, "PartNumber").and_then(|number| number.parse().ok())?;
            Some((number, xml::text(part, "ETag")?))
        });
        let Some(named) = named.collect::<Option<Vec<(u32, String)>>>() else {
            let message = "The XML you provided was not well-formed or did not validate against our published schema";
            return Err(Denied::new(400, "MalformedXML", message));
        };
        let etag = state.objects.complete(id, &named, (&self.condition(), now()))?;
        let members = [("Bucket", self.bucket.as_str()), ("Key", &self.key), ("ETag", &etag)];
        Ok(xml::reply(200, "CompleteMultipartUploadResult", &xml::members(&members)))
    }

    fn header(&self, name: &str) -> Option<&str> {
        header(self.headers, name)
    }

    fn parameter(&self, wanted: &str) -> Option<&str> {
        self.query.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str())
    }

    fn content_type(&self) -> &str {
        self.header("content-type").unwrap_or(NO_TYPE)
    }

    fn metadata(&self) -> Vec<(String, String)> {
        self.headers.iter().filter(|(name, _)| name.starts_with(METADATA)).cloned().collect()
    }

    fn condition(&self) -> Condition {
        match (self.header("if-none-match"), self.header("if-match")) {
            (Some(_), _) => Condition::Absent,
            (None, Some(etag)) => Condition::Matches(etag.to_owned()),
            (None, None) => Condition::Always,
        }
    }
}

impl Denied {
    fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    fn reply(self, method: &str) -> Reply {
        if method == "HEAD" {
            return plain(self.status);
        }
        let members = [("Code", self.code), ("Message", self.message.as_str())];
        xml::reply(self.status, "Error", &xml::members(&members))
    }
}

impl From<Objection> for Denied {
    fn from(objection: Objection) -> Self {
        let (status, code, message) = match objection {
            Objection::PreconditionFailed => (
                412,
                "PreconditionFailed",
                "At least one of the pre-conditions you specified did not hold",
            ),
            Objection::NoSuchKey => (404, "NoSuchKey", "The specified key does not exist."),
            Objection::NoSuchUpload => (
                404,
                "NoSuchUpload",
                "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.",
            ),
            Objection::InvalidPart => {
                (400, "InvalidPart", "One or more of the specified parts could not be found.")
            }
            Objection::InvalidPartOrder => {
                (400, "InvalidPartOrder", "The list of parts was not in ascending order.")
            }
            Objection::EntityTooSmall => (
                400,
                "EntityTooSmall",
                "Your proposed upload is smaller than the minimum allowed size",
            ),
            Objection::SlowDown => (503, "SlowDown", "The memory of this emulator is full."),
        };
        Self::new(status, code, message)
    }
}

/// The refusals of other services, by S3's codes.
impl From<Refusal> for Denied {
    fn from(refusal: Refusal) -> Self {
        let code = match refusal.kind.as_str() {
            "InvalidSignatureException" if refusal.message.contains("expired") => {
                "RequestTimeTooSkewed"
            }
            "InvalidSignatureException" => "SignatureDoesNotMatch",
            "UnrecognizedClientException" => "InvalidAccessKeyId",
            "IncompleteSignatureException" => "AuthorizationHeaderMalformed",
            _ => "AccessDenied",
        };
        Self::new(403, code, refusal.message)
    }
}

/// The bytes that a header `Range` selects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ranged {
    /// No range that S3 reads: it is ignored.
    Whole,
    /// From, and to without the last.
    Part(usize, usize),
    Nothing,
}

fn range_of(header: &str, length: usize) -> Ranged {
    let Some((from, to)) = header.strip_prefix("bytes=").and_then(|range| range.split_once('-'))
    else {
        return Ranged::Whole;
    };
    match (from.parse::<usize>(), to.parse::<usize>()) {
        (Ok(from), _) if from >= length => Ranged::Nothing,
        (Ok(from), Ok(to)) if to >= from => Ranged::Part(from, length.min(to.saturating_add(1))),
        (Ok(from), Err(_)) if to.is_empty() => Ranged::Part(from, length),
        (Err(_), Ok(0)) if from.is_empty() => Ranged::Nothing,
        (Err(_), Ok(last)) if from.is_empty() && length > 0 => {
            Ranged::Part(length.saturating_sub(last), length)
        }
        _ => Ranged::Whole,
    }
}

/// The bucket that a host names, if it names one.
fn bucket_of_host(host: &str) -> Option<&str> {
    let name = host.split(':').next().unwrap_or_default();
    let marks = [".s3.", ".s3-", ".localhost"];
    let found = marks.iter().find_map(|mark| name.split_once(mark).map(|(bucket, _)| bucket));
    found.filter(|bucket| !bucket.is_empty())
}

/// An answer without a body.
fn plain(status: u16) -> Reply {
    Reply::bytes(status, "application/xml", Bytes::new())
}

fn header<'h>(headers: &'h [(String, String)], wanted: &str) -> Option<&'h str> {
    headers.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str())
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// Seconds since 1970.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_select_bytes_as_http_says() {
        for (header, expected) in [
            ("bytes=0-3", Ranged::Part(0, 4)),
            ("bytes=2-", Ranged::Part(2, 10)),
            ("bytes=-3", Ranged::Part(7, 10)),
            ("bytes=-30", Ranged::Part(0, 10)),
            ("bytes=8-99", Ranged::Part(8, 10)),
            ("bytes=10-", Ranged::Nothing),
            ("bytes=-0", Ranged::Nothing),
            ("bytes=3-2", Ranged::Whole),
            ("lines=1-2", Ranged::Whole),
        ] {
            assert_eq!(range_of(header, 10), expected, "{header}");
        }
    }

    #[test]
    fn hosts_name_buckets() {
        for (host, bucket) in [
            ("my.bucket.s3.eu-west-1.amazonaws.com", Some("my.bucket")),
            ("b.s3-accelerate.amazonaws.com:80", Some("b")),
            ("b.localhost:4566", Some("b")),
            ("s3.us-east-1.amazonaws.com", None),
            ("127.0.0.1:4566", None),
        ] {
            assert_eq!(bucket_of_host(host), bucket, "{host}");
        }
    }
}
