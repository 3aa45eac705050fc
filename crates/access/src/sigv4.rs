//! Verification of AWS Signature Version 4 on requests that callers signed with a key pair of the gateway's. Pure: the
//! request, the pair and the time are values. [`CallerSignature::parse`] reads the header, the access key id finds the
//! pair, [`CallerSignature::verify`] recomputes the signature over the request as it was received.
//!
//! Refused: presigned URLs, bodies signed in chunks or not at all, a time more than five minutes off, other services
//! than Bedrock, signatures that do not cover the host and the time. Session tokens and the region have no meaning.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign};
use subtle::ConstantTimeEq;

use crate::key::{hex, sha256};
use crate::{AwsKeyPair, UtcTime};

const SCHEME: &str = "AWS4-HMAC-SHA256";
const SERVICES: [&str; 2] = ["bedrock", "bedrock-mantle"];
const END: &str = "aws4_request";
const HOST: &str = "host";
const TIME: &str = "x-amz-date";
const BODY_HASH: &str = "x-amz-content-sha256";
/// Most difference between the signer's clock and ours.
const SKEW: Duration = Duration::from_mins(5);

/// A request as it was received.
#[derive(Debug, Clone, Copy)]
pub struct ReceivedRequest<'r> {
    /// The method, in upper case.
    pub method: &'r str,
    /// The path, not decoded.
    pub path: &'r str,
    /// The query without its question mark, not decoded; empty without one.
    pub query: &'r str,
    /// All headers, names in lower case, in the order received.
    pub headers: &'r [(&'r str, &'r str)],
    /// SHA-256 of the body.
    pub body_hash: [u8; 32],
}

/// The header `Authorization` of a signed request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallerSignature {
    access_key_id: String,
    date: String,
    region: String,
    service: String,
    signed_headers: Vec<String>,
    signature: String,
}

/// The reasons for which a signature is refused. None of them repeats a part of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The header has another form.
    #[error("the signature is not a header of AWS Signature Version 4")]
    Malformed,
    /// The scope names another service.
    #[error("the signature is for another service than bedrock")]
    Service,
    /// The host or the time is not signed.
    #[error("the signature must cover the headers host and x-amz-date")]
    Uncovered,
    /// The time is missing, unreadable, or not that of the scope.
    #[error("the header x-amz-date is missing or does not match the signature")]
    Time,
    /// The time is too far from ours.
    #[error("the request was signed more than five minutes ago, or the clock is wrong")]
    Skew,
    /// The body is not signed as a whole, or another body was signed.
    #[error("the header x-amz-content-sha256 does not match the body")]
    Body,
    /// The signature does not match.
    #[error("the signature does not match the request")]
    Mismatch,
}

impl CallerSignature {
    /// Reads a header `Authorization`.
    ///
    /// # Errors
    /// It has another form, or names another service.
    pub fn parse(authorization: &str) -> Result<Self, SignatureError> {
        let malformed = SignatureError::Malformed;
        let fields = authorization
            .strip_prefix(SCHEME)
            .and_then(|rest| rest.strip_prefix(' '))
            .ok_or(malformed)?;
        let mut found = BTreeMap::new();
        for field in fields.split(',') {
            let (name, value) = field.trim().split_once('=').ok_or(malformed)?;
            if found.insert(name, value).is_some() {
                return Err(malformed);
            }
        }
        let take = |name| found.get(name).copied().ok_or(malformed);
        let scope: Vec<_> = take("Credential")?.split('/').collect();
        let [access_key_id, date, region, service, end] = scope.as_slice() else {
            return Err(malformed);
        };
        if *end != END || found.len() != 3 {
            return Err(malformed);
        }
        if !SERVICES.contains(service) {
            return Err(SignatureError::Service);
        }
        let signed_headers: Vec<_> = take("SignedHeaders")?.split(';').map(str::to_owned).collect();
        if !signed_headers.is_sorted_by(|a, b| a < b) {
            return Err(malformed);
        }
        if ![HOST, TIME].iter().all(|name| signed_headers.iter().any(|signed| signed == name)) {
            return Err(SignatureError::Uncovered);
        }
        let owned = |text: &str| text.to_owned();
        Ok(Self {
            access_key_id: owned(access_key_id),
            date: owned(date),
            region: owned(region),
            service: owned(service),
            signed_headers,
            signature: owned(take("Signature")?),
        })
    }

    /// The access key id, by which [`crate::Accounts::signer`] finds the pair.
    pub fn access_key_id(&self) -> &str {
        &self.access_key_id
    }

    /// Checks the signature of a request.
    ///
    /// # Errors
    /// The first check that fails; the signature itself is compared in constant time.
    pub fn verify(
        &self,
        request: &ReceivedRequest<'_>,
        pair: &AwsKeyPair,
        now: UtcTime,
    ) -> Result<(), SignatureError> {
        let time = request.only(TIME).ok_or(SignatureError::Time)?;
        let at = read_time(time).ok_or(SignatureError::Time)?;
        if !time.starts_with(&self.date) || self.date.len() != 8 {
            return Err(SignatureError::Time);
        }
        if at.since(now) > SKEW || now.since(at) > SKEW {
            return Err(SignatureError::Skew);
        }
        let body = hex(&request.body_hash);
        if request.values(BODY_HASH).any(|told| told != body) {
            return Err(SignatureError::Body);
        }
        let expected = self.signature_of(request, time, pair.secret());
        let same: bool = expected.as_bytes().ct_eq(self.signature.as_bytes()).into();
        if same && pair.id() == self.access_key_id { Ok(()) } else { Err(SignatureError::Mismatch) }
    }

    fn signature_of(&self, request: &ReceivedRequest<'_>, time: &str, secret: &str) -> String {
        let Self { date, region, service, .. } = self;
        let canonical = self.canonical(request);
        let hash = hex(&sha256(canonical.as_bytes()));
        let to_sign = format!("{SCHEME}\n{time}\n{date}/{region}/{service}/{END}\n{hash}");
        let mut key = mac(format!("AWS4{secret}").as_bytes(), date);
        for part in [region, service, END] {
            key = mac(&key, part);
        }
        hex(&mac(&key, &to_sign))
    }

    fn canonical(&self, request: &ReceivedRequest<'_>) -> String {
        let path = if request.path.is_empty() { "/" } else { request.path };
        // Encoded once more: SDKs sign the encoded path as if it were plain, for all services but S3.
        let mut text = format!(
            "{}\n{}\n{}\n",
            request.method,
            encoded(path.as_bytes(), b"/"),
            query(request.query)
        );
        for name in &self.signed_headers {
            let values: Vec<_> = request.values(name).map(tidy).collect();
            text.push_str(&format!("{name}:{}\n", values.join(",")));
        }
        text.push_str(&format!("\n{}\n{}", self.signed_headers.join(";"), hex(&request.body_hash)));
        text
    }
}

impl<'r> ReceivedRequest<'r> {
    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'r str> + 'a {
        self.headers.iter().filter(move |(found, _)| *found == name).map(|(_, value)| *value)
    }

    /// The value of a header that comes once.
    fn only(&self, name: &str) -> Option<&'r str> {
        let mut values = self.values(name);
        let first = values.next();
        if values.next().is_some() { None } else { first }
    }
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    sign(&Key::new(HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
}

/// Reads `20150830T123600Z`.
fn read_time(text: &str) -> Option<UtcTime> {
    let digits = |from: usize, to: usize| {
        text.get(from..to).filter(|part| part.bytes().all(|b| b.is_ascii_digit()))
    };
    if text.len() != 16 || text.as_bytes()[8] != b'T' || !text.ends_with('Z') {
        return None;
    }
    let (year, month, day) = (digits(0, 4)?, digits(4, 6)?, digits(6, 8)?);
    let (hour, minute, second) = (digits(9, 11)?, digits(11, 13)?, digits(13, 15)?);
    UtcTime::parse(&format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z"))
}

/// Parameters decoded, encoded in AWS's way, and sorted.
fn query(raw: &str) -> String {
    let mut pairs: Vec<_> = raw
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (encoded(&decoded(name), b""), encoded(&decoded(value), b""))
        })
        .collect();
    pairs.sort();
    pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

fn encoded(bytes: &[u8], kept: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) || kept.contains(byte) {
            text.push(char::from(*byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

fn decoded(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let digit = |at: usize| bytes.get(at).and_then(|b| char::from(*b).to_digit(16));
    let (mut plain, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while let Some(byte) = bytes.get(at) {
        match (byte, digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                plain.extend(u8::try_from(high * 16 + low).ok());
                at += 3;
            }
            _ => {
                plain.push(*byte);
                at += 1;
            }
        }
    }
    plain
}

/// A header's value without the spaces around it, and with one for several inside.
fn tidy(value: &str) -> String {
    value.split(' ').filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
