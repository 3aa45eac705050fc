//! Verification of signature version 4: parsing of a signed request, and computation of its expected
//! signature.

use hmac::{Hmac, KeyInit as _, Mac as _};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use sha2::{Digest as _, Sha256};

/// RFC 3986 unreserved characters are not encoded.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A parsed `Authorization: AWS4-HMAC-SHA256 ...` header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Authorization<'a> {
    pub(crate) access_key_id: &'a str,
    /// `YYYYMMDD`.
    pub(crate) date: &'a str,
    pub(crate) region: &'a str,
    pub(crate) service: &'a str,
    pub(crate) signed_headers: Vec<&'a str>,
    pub(crate) signature: &'a str,
}

/// The signed parts of a request.
pub(crate) struct Signed<'a> {
    pub(crate) method: &'a str,
    /// As sent, still percent-encoded.
    pub(crate) path: &'a str,
    pub(crate) query: &'a str,
    /// Names in lower case, in the order received.
    pub(crate) headers: &'a [(String, String)],
    pub(crate) body: &'a [u8],
    /// Value of `x-amz-date`.
    pub(crate) timestamp: &'a str,
    /// The services that the request may be for.
    pub(crate) services: &'a [&'a str],
}

impl<'a> Authorization<'a> {
    /// Parses the text after the scheme; the error names the missing part as AWS does.
    pub(crate) fn parse(parameters: &'a str) -> Result<Self, &'static str> {
        let part = |name: &str| {
            parameters
                .split(',')
                .map(str::trim)
                .find_map(|part| part.strip_prefix(name).and_then(|rest| rest.strip_prefix('=')))
        };
        let credential = part("Credential").ok_or("'Credential'")?;
        let signed_headers = part("SignedHeaders").ok_or("'SignedHeaders'")?;
        let signature = part("Signature").ok_or("'Signature'")?;
        // The access key may contain a slash; the other four parts never do.
        let mut scope = credential.splitn(5, '/');
        let mut next = || scope.next().filter(|part| !part.is_empty()).ok_or("'Credential'");
        let (access_key_id, date, region, service) = (next()?, next()?, next()?, next()?);
        if next()? != "aws4_request" {
            return Err("'Credential'");
        }
        let hex = signature.len() == 64 && signature.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !hex {
            return Err("'Signature'");
        }
        let signed_headers = signed_headers.split(';').collect();
        Ok(Self { access_key_id, date, region, service, signed_headers, signature })
    }

    /// Whether the signature is the one that `secret` produces for `request`.
    pub(crate) fn verify(&self, secret: &str, request: &Signed<'_>) -> bool {
        let canonical = self.canonical(request);
        let scope = format!("{}/{}/{}/aws4_request", self.date, self.region, self.service);
        let to_sign = format!(
            "AWS4-HMAC-SHA256\n{}\n{scope}\n{}",
            request.timestamp,
            hex(&Sha256::digest(canonical.as_bytes()))
        );
        let mut key = hmac(format!("AWS4{secret}").as_bytes(), self.date.as_bytes());
        for part in [self.region, self.service, "aws4_request"] {
            key = hmac(&key, part.as_bytes());
        }
        hex(&hmac(&key, to_sign.as_bytes())) == self.signature.to_ascii_lowercase()
    }

    fn canonical(&self, request: &Signed<'_>) -> String {
        // Except for S3, the path as sent is encoded once more.
        let path = match self.service {
            "s3" => request.path.split('/').map(|part| encode(&decode(part))).collect::<Vec<_>>(),
            _ => request.path.split('/').map(encode).collect(),
        };
        let path = path.join("/");
        let mut headers = String::new();
        for name in &self.signed_headers {
            let values: Vec<String> = request
                .headers
                .iter()
                .filter(|(key, _)| key == name)
                .map(|(_, value)| value.split_whitespace().collect::<Vec<_>>().join(" "))
                .collect();
            headers.push_str(&format!("{name}:{}\n", values.join(",")));
        }
        let hash = request
            .headers
            .iter()
            .find(|(name, _)| name == "x-amz-content-sha256")
            .map_or_else(|| hex(&Sha256::digest(request.body)), |(_, value)| value.clone());
        let (method, query) = (request.method, canonical_query(request.query));
        let names = self.signed_headers.join(";");
        format!("{method}\n{path}\n{query}\n{headers}\n{names}\n{hash}")
    }
}

/// HMAC-SHA256 of `data`.
pub(crate) fn hmac(key: &[u8], data: &[u8]) -> Vec<u8> {
    // HMAC accepts a key of any length, so this cannot fail.
    match Hmac::<Sha256>::new_from_slice(key) {
        Ok(mut mac) => {
            mac.update(data);
            mac.finalize().into_bytes().to_vec()
        }
        Err(_) => Vec::new(),
    }
}

/// Seconds since 1970 of a `YYYYMMDDTHHMMSSZ` timestamp.
pub(crate) fn seconds(timestamp: &str) -> Option<i64> {
    let bytes = timestamp.as_bytes();
    if bytes.len() != 16 || bytes[8] != b'T' || bytes[15] != b'Z' {
        return None;
    }
    let number = |range: std::ops::Range<usize>| timestamp.get(range)?.parse::<i64>().ok();
    let (year, month, day) = (number(0..4)?, number(4..6)?, number(6..8)?);
    let (hour, minute, second) = (number(9..11)?, number(11..13)?, number(13..15)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Days from civil: years start in March, so that the leap day comes last.
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = 365 * year + year / 4 - year / 100 + year / 400 + day_of_year - 719_468;
    Some(days * 86_400 + hour * 3_600 + minute * 60 + second)
}

/// The inverse of [`seconds`].
pub(crate) fn timestamp(seconds: i64) -> String {
    let (days, time) = (seconds.div_euclid(86_400) + 719_468, seconds.rem_euclid(86_400));
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (time / 3_600, time / 60 % 60, time % 60);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

fn canonical_query(query: &str) -> String {
    let mut pairs: Vec<(String, String)> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (encode(&decode(name)), encode(&decode(value)))
        })
        .collect();
    pairs.sort();
    pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

fn encode(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

fn decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_parsed_and_formatted() {
        for (text, value) in [
            ("19700101T000000Z", 0),
            ("20000229T235959Z", 951_868_799),
            ("20261121T120000Z", 1_795_262_400),
        ] {
            assert_eq!(seconds(text), Some(value));
            assert_eq!(timestamp(value), text);
        }
        assert_eq!(seconds("2026-11-21T12:00"), None);
    }

    #[test]
    fn the_published_example_verifies() {
        // The ListUsers request of the signing documentation.
        let headers = [
            ("content-type", "application/x-www-form-urlencoded; charset=utf-8"),
            ("host", "iam.amazonaws.com"),
            ("x-amz-date", "20150830T123600Z"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let request = Signed {
            method: "GET",
            path: "/",
            query: "Version=2010-05-08&Action=ListUsers",
            headers: &headers,
            body: b"",
            timestamp: "20150830T123600Z",
            services: &["iam"],
        };
        let text = "Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, SignedHeaders=content-type;host;x-amz-date, Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7";
        let authorization = Authorization::parse(text).expect("well formed");
        assert!(authorization.verify("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", &request));
        assert!(!authorization.verify("another", &request));
    }

    #[test]
    fn missing_parts_are_named() {
        assert_eq!(Authorization::parse("SignedHeaders=host"), Err("'Credential'"));
        let short = "Credential=A/20150830/us-east-1/bedrock/aws4_request, SignedHeaders=host, Signature=abc";
        assert_eq!(Authorization::parse(short), Err("'Signature'"));
    }
}
