//! Signatures of AWS's Version 4 on incoming requests. An unmodified AWS SDK signs with the key pair of a key
//! of the gateway's; recomputing the signature proves that it knows the secret, and that method, path,
//! query, signed headers and body are those it sent. Session tokens mean nothing here and are ignored.

use aws_lc_rs::hmac;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};
use subtle::ConstantTimeEq;

use crate::UtcTime;
use crate::key::{hex, sha256};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// End of every credential scope.
const TERMINATOR: &str = "aws4_request";
/// Longest difference between the caller's clock and the gateway's, in milliseconds.
const WINDOW: i64 = 5 * 60 * 1000;
/// Services that a scope may name.
const SERVICES: [&str; 3] = ["bedrock", "bedrock-mantle", "bedrock-agentcore"];
/// Headers that every signature must cover.
const COVERED: [&str; 2] = ["host", "x-amz-date"];
/// Header with the hash of the body, if the caller sends one.
const BODY_HASH: &str = "x-amz-content-sha256";
/// Characters that a canonical query encodes: all but the unreserved ones.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
/// Characters that a canonical path encodes.
const RESERVED_IN_PATH: &AsciiSet = &RESERVED.remove(b'/');
/// Most signed headers.
const MOST_HEADERS: usize = 64;

/// The `authorization` header of a signed request, not yet verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignatureClaim {
    access_key_id: String,
    /// Eight digits.
    date: String,
    region: String,
    service: String,
    /// Names in lower case.
    signed: Vec<String>,
    /// 64 hex digits.
    signature: String,
}

/// The parts of a request that a signature covers.
#[derive(Clone, Copy)]
pub struct SignedRequest<'r> {
    /// The method.
    pub method: &'r str,
    /// The path as it was sent, percent-encoded.
    pub path: &'r str,
    /// The query as it was sent, without `?`; empty without one.
    pub query: &'r str,
    /// Values of the header with a name in lower case; `host` includes HTTP/2's `:authority`.
    pub header: &'r dyn Fn(&str) -> Vec<&'r [u8]>,
    /// The body.
    pub body: &'r [u8],
}

/// The reason why a signature proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The header cannot be read, or covers too little.
    #[error("the signature is incomplete: {0}")]
    Incomplete(&'static str),
    /// The scope names another service.
    #[error("the signature's credential scope names another service than bedrock")]
    Service,
    /// The date is outside the window.
    #[error("the signature expired, or the clocks differ: it was made at {at}, and it is {now}")]
    Expired {
        /// Date of the signature.
        at: UtcTime,
        /// The gateway's time.
        now: UtcTime,
    },
    /// The body has another hash than the header says, or was not signed.
    #[error("the body is not the one that was signed")]
    Body,
    /// The signature is another.
    #[error("the signature does not match the request")]
    Mismatch,
}

impl SignatureClaim {
    /// Reads an `authorization` header. `None` if it has another scheme.
    ///
    /// # Errors
    /// A part is missing or malformed.
    pub fn parse(authorization: &str) -> Result<Option<Self>, SignatureError> {
        let Some(rest) = authorization.strip_prefix(ALGORITHM) else { return Ok(None) };
        let part = |name: &str| {
            let mut parts = rest.split(',').filter_map(|part| part.trim().split_once('='));
            parts.find_map(|(key, value)| (key == name).then_some(value))
        };
        let missing = SignatureError::Incomplete;
        let credential = part("Credential").ok_or(missing("Credential is missing"))?;
        let signed = part("SignedHeaders").ok_or(missing("SignedHeaders is missing"))?;
        let signature = part("Signature").ok_or(missing("Signature is missing"))?;
        let scope: Vec<&str> = credential.rsplitn(5, '/').collect();
        let [end, service, region, date, access_key_id] = scope[..] else {
            return Err(missing("Credential is no credential scope"));
        };
        let is_date = date.len() == 8 && date.bytes().all(|byte| byte.is_ascii_digit());
        if end != TERMINATOR || !is_date || access_key_id.is_empty() {
            return Err(missing("Credential is no credential scope"));
        }
        let signed: Vec<String> = signed.split(';').map(str::to_ascii_lowercase).collect();
        if signed.len() > MOST_HEADERS
            || COVERED.iter().any(|name| !signed.iter().any(|s| s == name))
        {
            return Err(missing("SignedHeaders must have host and x-amz-date"));
        }
        Ok(Some(Self {
            access_key_id: access_key_id.to_owned(),
            date: date.to_owned(),
            region: region.to_owned(),
            service: service.to_owned(),
            signed,
            signature: signature.to_ascii_lowercase(),
        }))
    }

    /// The access key id that the signature claims.
    pub fn access_key_id(&self) -> &str {
        &self.access_key_id
    }

    /// Verifies that the holder of `secret` signed this request, within five minutes of `now`.
    ///
    /// # Errors
    /// It is another request, another secret, another service, or too old.
    pub fn verify(
        &self,
        request: &SignedRequest<'_>,
        secret: &str,
        now: UtcTime,
    ) -> Result<(), SignatureError> {
        if !SERVICES.contains(&self.service.as_str()) {
            return Err(SignatureError::Service);
        }
        let date = header(request, "x-amz-date");
        let at = basic_time(&date).ok_or(SignatureError::Incomplete("x-amz-date is no date"))?;
        if !date.starts_with(&self.date) {
            return Err(SignatureError::Incomplete("x-amz-date is another day than the scope's"));
        }
        if now.millis().saturating_sub(at.millis()).saturating_abs() > WINDOW {
            return Err(SignatureError::Expired { at, now });
        }
        let hash = hex(&sha256(request.body));
        let stated = header(request, BODY_HASH);
        if !stated.is_empty() && stated != hash {
            return Err(SignatureError::Body);
        }
        let scope = format!("{}/{}/{}/{TERMINATOR}", self.date, self.region, self.service);
        let canonical = hex(&sha256(self.canonical(request, &hash).as_bytes()));
        let text = format!("{ALGORITHM}\n{date}\n{scope}\n{canonical}");
        let mut key = mac(format!("AWS4{secret}").as_bytes(), self.date.as_bytes());
        for part in [&self.region, &self.service, TERMINATOR] {
            key = mac(&key, part.as_bytes());
        }
        let expected = hex(&mac(&key, text.as_bytes()));
        match bool::from(expected.as_bytes().ct_eq(self.signature.as_bytes())) {
            true => Ok(()),
            false => Err(SignatureError::Mismatch),
        }
    }

    /// The canonical request.
    fn canonical(&self, request: &SignedRequest<'_>, hash: &str) -> String {
        let mut text = format!(
            "{}\n{}\n{}\n",
            request.method,
            percent_encode(without_dots(request.path).as_bytes(), RESERVED_IN_PATH),
            canonical_query(request.query)
        );
        for name in &self.signed {
            text.push_str(name);
            text.push(':');
            text.push_str(&header(request, name));
            text.push('\n');
        }
        text.push('\n');
        text.push_str(&self.signed.join(";"));
        text.push('\n');
        text.push_str(hash);
        text
    }
}

/// The values of a header, joined by commas, each trimmed and with single spaces.
fn header(request: &SignedRequest<'_>, name: &str) -> String {
    let values = (request.header)(name);
    let values = values.iter().map(|value| String::from_utf8_lossy(value));
    let values = values.map(|value| value.split_whitespace().collect::<Vec<_>>().join(" "));
    values.collect::<Vec<_>>().join(",")
}

/// The path without empty and dot segments.
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                kept.pop();
            }
            segment => kept.push(segment),
        }
    }
    let end = if path.ends_with('/') && !kept.is_empty() { "/" } else { "" };
    format!("/{}{end}", kept.join("/"))
}

/// The pairs of a query, encoded in one way and sorted.
fn canonical_query(query: &str) -> String {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let encoded = |text: &str| {
        let decoded: Vec<u8> = percent_decode_str(text).collect();
        percent_encode(&decoded, RESERVED).to_string()
    };
    let mut pairs: Vec<(String, String)> = pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (encoded(name), encoded(value)))
        .collect();
    pairs.sort_unstable();
    let pairs = pairs.into_iter().map(|(name, value)| format!("{name}={value}"));
    pairs.collect::<Vec<_>>().join("&")
}

/// Reads `20261129T120000Z`.
fn basic_time(text: &str) -> Option<UtcTime> {
    let digits = text.len() == 16 && text.is_ascii();
    let part = |range| text.get(range).filter(|_| digits);
    let (year, month, day) = (part(0..4)?, part(4..6)?, part(6..8)?);
    let (hour, minute, second) = (part(9..11)?, part(11..13)?, part(13..15)?);
    if part(8..9)? != "T" || part(15..16)? != "Z" {
        return None;
    }
    UtcTime::parse(&format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z"))
}

fn mac(key: &[u8], text: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text).as_ref().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "s3cret-s3cret-s3cret-s3cret";
    const DATE: &str = "20261129T120000Z";
    const NOON: &str = "2026-11-29T12:00:00Z";

    /// A request with the signature that botocore 1.44.8 made for it.
    struct Signed {
        method: &'static str,
        path: &'static str,
        query: &'static str,
        headers: &'static [(&'static str, &'static str)],
        signed: &'static str,
        body: &'static str,
        signature: &'static str,
    }

    const SIGNED: [Signed; 4] = [
        Signed {
            method: "POST",
            path: "/bedrock/model/us.amazon.nova-lite-v1%3A0/converse",
            query: "",
            headers: &[("content-type", "application/json"), ("host", "localhost:4000")],
            signed: "content-type;host;x-amz-date",
            body: r#"{"messages":[]}"#,
            signature: "519a8eb9accd0314b1d4d9e6c4cb5579ec34ef042d15e6771fea7b03735629c8",
        },
        Signed {
            method: "GET",
            path: "/bedrock/foundation-models",
            query: "byProvider=amazon&byOutputModality=TEXT",
            headers: &[("host", "localhost:4000")],
            signed: "host;x-amz-date",
            body: "",
            signature: "b7f61b59791e8d1f93e07689fc3df94fad4621c70f61d0b3a8c3fd851d703db6",
        },
        Signed {
            method: "POST",
            path: "/bedrock/model/arn%3Aaws%3Abedrock%3Aeu-west-1%3A1%3Ainference-profile%2Fx/invoke",
            query: "",
            headers: &[
                ("content-type", "application/json"),
                ("host", "gateway.example"),
                ("x-amzn-bedrock-trace", "  ENABLED   and more "),
            ],
            signed: "content-type;host;x-amz-date;x-amzn-bedrock-trace",
            body: "Gr\u{fc}\u{df}e",
            signature: "b716fdbaf1005f505f0b38fc0f73e5fd3749717bcfa54ae582918f3d13e395e3",
        },
        Signed {
            method: "GET",
            path: "/bedrock/a/./b/../c//d",
            query: "x=1&a=%20b&a=B&flag",
            headers: &[("host", "localhost:4000")],
            signed: "host;x-amz-date",
            body: "",
            signature: "b3253e88cc1f3a979416e1a9b064bd4bfcc4779c3adf6723d8dae45f62c20e72",
        },
    ];

    impl Signed {
        fn claim(&self) -> SignatureClaim {
            let (signed, signature) = (self.signed, self.signature);
            let text = format!(
                "{ALGORITHM} Credential=OCabcdefghijkl/20261129/us-east-1/bedrock/aws4_request, SignedHeaders={signed}, Signature={signature}"
            );
            SignatureClaim::parse(&text).unwrap().unwrap()
        }

        fn verified(&self, change: impl Fn(&mut SignedRequest<'_>)) -> Result<(), SignatureError> {
            self.verified_with(self.headers, NOON, change)
        }

        fn verified_with(
            &self,
            headers: &[(&str, &str)],
            now: &str,
            change: impl Fn(&mut SignedRequest<'_>),
        ) -> Result<(), SignatureError> {
            let values = |name: &str| {
                let all = headers.iter().copied().chain([("x-amz-date", DATE)]);
                all.filter(|(key, _)| *key == name).map(|(_, value)| value.as_bytes()).collect()
            };
            let mut request = SignedRequest {
                method: self.method,
                path: self.path,
                query: self.query,
                header: &values,
                body: self.body.as_bytes(),
            };
            change(&mut request);
            self.claim().verify(&request, SECRET, UtcTime::parse(now).unwrap())
        }
    }

    #[test]
    fn requests_that_botocore_signed_are_verified() {
        for signed in &SIGNED {
            assert_eq!(signed.verified(|_| {}), Ok(()), "{}", signed.path);
            assert_eq!(signed.claim().access_key_id(), "OCabcdefghijkl");
        }
    }

    #[test]
    fn a_changed_request_is_refused() {
        for signed in &SIGNED {
            let path = signed.path;
            let refused = Err(SignatureError::Mismatch);
            assert_eq!(signed.verified(|request| request.method = "PUT"), refused, "{path}");
            assert_eq!(
                signed.verified(|request| request.path = "/bedrock/other"),
                refused,
                "{path}"
            );
            assert_eq!(signed.verified(|request| request.query = "more=1"), refused, "{path}");
            assert_eq!(signed.verified(|request| request.body = b"{}"), refused, "{path}");
        }
        let signed = &SIGNED[0];
        let elsewhere = [("host", "elsewhere"), ("content-type", "application/json")];
        let mismatch = Err(SignatureError::Mismatch);
        assert_eq!(signed.verified_with(&elsewhere, NOON, |_| {}), mismatch);
        let now = UtcTime::parse(NOON).unwrap();
        let values = |name: &str| {
            let all = signed.headers.iter().copied().chain([("x-amz-date", DATE)]);
            all.filter(|(key, _)| *key == name).map(|(_, value)| value.as_bytes()).collect()
        };
        let (method, path, body) = (signed.method, signed.path, signed.body.as_bytes());
        let request = SignedRequest { method, path, query: "", header: &values, body };
        assert_eq!(signed.claim().verify(&request, SECRET, now), Ok(()));
        assert_eq!(signed.claim().verify(&request, "another secret", now), mismatch);
    }

    #[test]
    fn the_hash_of_the_body_must_be_that_of_the_body() {
        for hash in ["UNSIGNED-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "00"] {
            let headers = [("x-amz-content-sha256", hash)];
            let refused = SIGNED[0].verified_with(&headers, NOON, |_| {});
            assert_eq!(refused, Err(SignatureError::Body), "{hash}");
        }
    }

    #[test]
    fn a_signature_holds_for_five_minutes_either_way() {
        for (now, holds) in [
            ("2026-11-29T11:55:00Z", true),
            ("2026-11-29T12:05:00Z", true),
            ("2026-11-29T11:54:59Z", false),
            ("2026-11-29T12:05:01Z", false),
            ("2027-11-29T12:00:00Z", false),
        ] {
            let verified = SIGNED[0].verified_with(SIGNED[0].headers, now, |_| {});
            assert_eq!(verified.is_ok(), holds, "{now}: {verified:?}");
        }
    }

    #[test]
    fn headers_that_are_no_signature_are_refused_and_other_schemes_are_none() {
        assert_eq!(SignatureClaim::parse("Bearer sk-1"), Ok(None));
        let scope = "Credential=OC1/20261129/us-east-1/bedrock/aws4_request";
        for rest in [
            "",
            scope,
            &format!("{scope}, SignedHeaders=host;x-amz-date"),
            &format!("{scope}, SignedHeaders=host, Signature=00"),
            &format!("{scope}, SignedHeaders=x-amz-date, Signature=00"),
            "Credential=OC1/2026/us-east-1/bedrock/aws4_request, SignedHeaders=host;x-amz-date, Signature=00",
            "Credential=/20261129/us-east-1/bedrock/aws4_request, SignedHeaders=host;x-amz-date, Signature=00",
            "Credential=OC1/20261129/us-east-1/bedrock/aws5, SignedHeaders=host;x-amz-date, Signature=00",
        ] {
            let parsed = SignatureClaim::parse(&format!("{ALGORITHM} {rest}"));
            assert!(matches!(parsed, Err(SignatureError::Incomplete(_))), "{rest}: {parsed:?}");
        }
        let other = "Credential=OC1/20261129/us-east-1/s3/aws4_request, SignedHeaders=host;x-amz-date, Signature=00";
        let claim = SignatureClaim::parse(&format!("{ALGORITHM} {other}")).unwrap().unwrap();
        let request = SignedRequest {
            method: "GET",
            path: "/",
            query: "",
            header: &|_| Vec::new(),
            body: b"",
        };
        let refused = claim.verify(&request, SECRET, UtcTime::default());
        assert_eq!(refused, Err(SignatureError::Service));
    }
}
