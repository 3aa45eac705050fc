//! `SigV4` for the requests of the gateway, with the derived key of the day and without a copy of the request.
//! It gives the header that AWS's signer gives, byte for byte; what is unusual is left to that signer.

use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_credential_types::Credentials;
use aws_lc_rs::digest::{Context, SHA256};
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use http::header::{AUTHORIZATION, TRANSFER_ENCODING, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Request};

use super::derived_key::{CredentialScope, DerivedKeys};
use super::{BodyHash, SigningScope, hex};
use crate::endpoint::Service;
use crate::send::HOP;

pub(super) static DATE: HeaderName = HeaderName::from_static("x-amz-date");
pub(super) static TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");
/// Proxies may change these, so AWS's signer leaves them out too. The mark of a gateway is for gateways.
const UNSIGNED: [HeaderName; 5] =
    [AUTHORIZATION, TRANSFER_ENCODING, USER_AGENT, HeaderName::from_static("x-amzn-trace-id"), HOP];
/// Enough for the names of all signed headers and the rest of an `authorization` header.
const ROOM: usize = 320;

/// The values of the headers that authorise a request.
pub(super) struct Authorisation {
    pub(super) date: HeaderValue,
    pub(super) token: Option<HeaderValue>,
    pub(super) authorization: HeaderValue,
}

/// Signs a request; `None` if it has a part whose canonical form takes more than copying it.
pub(super) fn authorisation<B>(
    request: &Request<B>,
    body: &BodyHash,
    (keys, derived): (&Credentials, &DerivedKeys),
    SigningScope { service, region, now }: SigningScope<'_>,
) -> Option<Authorisation> {
    let uri = request.uri();
    // S3 has rules of its own.
    if service == Service::S3 || uri.query().is_some() || !is_normal(uri.path()) {
        return None;
    }
    let time = date_time(now)?;
    let date = HeaderValue::from_str(&time).ok()?;
    let token = keys.session_token().map(HeaderValue::from_str).transpose().ok()?;
    let headers = sorted(request.headers(), &date, token.as_ref())?;
    let mut signed_names = String::with_capacity(ROOM / 2);
    for (name, _) in &headers {
        if !signed_names.is_empty() {
            signed_names.push(';');
        }
        signed_names.push_str(name);
    }
    let canonical = hash(request.method().as_str(), uri.path(), &headers, &signed_names, body);

    let scope = CredentialScope { day: time.get(..8)?, region, service: service.signing_name() };
    let key = derived.of(keys, scope);
    let mut text = String::with_capacity(ROOM);
    // Writing into a string cannot fail.
    let _ = write!(text, "AWS4-HMAC-SHA256\n{time}\n{}\n{canonical}", key.scope());
    let signature = hex(key.sign(text.as_bytes()).as_ref());
    text.clear();
    let _ = write!(
        text,
        "AWS4-HMAC-SHA256 Credential={}/{}, SignedHeaders={signed_names}, Signature={signature}",
        keys.access_key_id(),
        key.scope()
    );
    Some(Authorisation { date, token, authorization: HeaderValue::from_maybe_shared(text).ok()? })
}

/// The hash of the canonical request, in hexadecimal.
fn hash(
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    signed_names: &str,
    body: &BodyHash,
) -> String {
    let mut canonical = Context::new(&SHA256);
    let mut add = |parts: &[&str]| parts.iter().for_each(|part| canonical.update(part.as_bytes()));
    add(&[method, "\n"]);
    // The path is encoded already, and once more for the signature.
    let mut rest = path;
    while let Some(at) = rest.find(|character| !is_plain(character)) {
        let (plain, tail) = rest.split_at(at);
        let length = tail.chars().next().map_or(0, char::len_utf8);
        add(&[plain]);
        for byte in tail[..length].bytes() {
            add(&["%", &format!("{byte:02X}")]);
        }
        rest = &tail[length..];
    }
    add(&[rest, "\n\n"]);
    for (name, value) in headers {
        add(&[name, ":", value, "\n"]);
    }
    add(&["\n", signed_names, "\n", &body.0]);
    hex(canonical.finish().as_ref())
}

/// The headers that are signed, by name; `None` if one is repeated or its value has spaces to remove.
fn sorted<'h>(
    headers: &'h HeaderMap,
    date: &'h HeaderValue,
    token: Option<&'h HeaderValue>,
) -> Option<Vec<(&'h str, &'h str)>> {
    if headers.len() != headers.keys_len() {
        return None;
    }
    let mut sorted = Vec::with_capacity(headers.len() + 2);
    let added = [Some((&DATE, date)), token.map(|token| (&TOKEN, token))];
    for (name, value) in headers.iter().chain(added.into_iter().flatten()) {
        if !UNSIGNED.contains(name) {
            sorted.push((name.as_str(), normal_value(value)?));
        }
    }
    sorted.sort_unstable_by_key(|(name, _)| *name);
    Some(sorted)
}

/// A value that is its own canonical form.
fn normal_value(value: &HeaderValue) -> Option<&str> {
    let text = value.to_str().ok()?;
    let is_normal = text.trim().len() == text.len() && !text.contains("  ");
    is_normal.then_some(text)
}

/// Whether a path has no segment that its canonical form leaves out.
fn is_normal(path: &str) -> bool {
    let mut segments = path.strip_prefix('/').unwrap_or(path).split('/');
    path.starts_with('/') && segments.all(|segment| !matches!(segment, "" | "." | ".."))
}

/// Characters that a canonical path holds as they are.
fn is_plain(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '/' | '-' | '_' | '.' | '~')
}

/// `YYYYMMDDTHHMMSSZ`; `None` for a time before 1970.
fn date_time(now: SystemTime) -> Option<String> {
    let seconds = now.duration_since(UNIX_EPOCH).ok()?.as_secs();
    let text = DateTime::from_secs(i64::try_from(seconds).ok()?).fmt(Format::DateTime).ok()?;
    Some(text.chars().filter(|character| !matches!(character, '-' | ':')).collect())
}

#[cfg(test)]
mod tests;
