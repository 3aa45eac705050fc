//! AWS's published example, and every way to be refused.

use super::*;
use crate::{Pepper, SecretKey};

const NOW: &str = "2026-11-28T12:00:00Z";

/// Of the documentation: a request to list users, signed with the documentation's keys.
#[test]
fn the_published_example_has_its_signature() {
    let headers = [
        ("content-type", "application/x-www-form-urlencoded; charset=utf-8"),
        ("host", "iam.amazonaws.com"),
        ("x-amz-date", "20150830T123600Z"),
    ];
    let request = ReceivedRequest {
        method: "GET",
        path: "/",
        query: "Action=ListUsers&Version=2010-05-08",
        headers: &headers,
        body_hash: sha256(b""),
    };
    let signature = CallerSignature {
        access_key_id: "AKIDEXAMPLE".into(),
        date: "20150830".into(),
        region: "us-east-1".into(),
        service: "iam".into(),
        signed_headers: headers.iter().map(|(name, _)| (*name).to_owned()).collect(),
        signature: String::new(),
    };
    let secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
    assert_eq!(
        signature.signature_of(&request, "20150830T123600Z", secret),
        "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
    );
}

fn pair() -> AwsKeyPair {
    let pepper = Pepper::given("a pepper of the tests").unwrap();
    let key = SecretKey::generate().unwrap();
    AwsKeyPair::derive(key.public_id().unwrap(), &key.digest(&pepper), &pepper)
}

/// A request signed as boto3 signs Converse: host, time and type, no hash of the body.
struct Signed {
    pair: AwsKeyPair,
    path: &'static str,
    query: &'static str,
    time: &'static str,
    scope: &'static str,
    body: &'static [u8],
    more: Vec<(&'static str, String)>,
}

impl Signed {
    fn new() -> Self {
        Self {
            pair: pair(),
            path: "/model/a.model-v1%3A0/converse",
            query: "",
            time: "20261128T120100Z",
            scope: "20261128/eu-west-3/bedrock/aws4_request",
            body: b"{}",
            more: Vec::new(),
        }
    }

    fn headers(&self) -> Vec<(&str, &str)> {
        let mut headers = vec![
            ("content-type", "application/json"),
            ("host", "127.0.0.1:4000"),
            ("x-amz-date", self.time),
        ];
        headers.extend(self.more.iter().map(|(name, value)| (*name, value.as_str())));
        headers
    }

    fn authorization(&self) -> String {
        let start = format!(
            "{SCHEME} Credential={}/{}, SignedHeaders=content-type;host;x-amz-date, Signature=",
            self.pair.id(),
            self.scope
        );
        let Ok(unsigned) = CallerSignature::parse(&start) else { return start };
        let headers = self.headers();
        start + &unsigned.signature_of(&self.request(&headers), self.time, self.pair.secret())
    }

    fn request<'r>(&'r self, headers: &'r [(&'r str, &'r str)]) -> ReceivedRequest<'r> {
        let Self { path, query, body, .. } = self;
        ReceivedRequest { method: "POST", path, query, headers, body_hash: sha256(body) }
    }

    fn judged(&self, authorization: &str) -> Result<(), SignatureError> {
        let signature = CallerSignature::parse(authorization)?;
        assert_eq!(signature.access_key_id(), self.pair.id());
        let headers = self.headers();
        signature.verify(&self.request(&headers), &self.pair, UtcTime::parse(NOW).unwrap())
    }
}

#[test]
fn a_signed_request_passes_and_a_changed_one_does_not() {
    let good = Signed::new();
    let authorization = good.authorization();
    assert_eq!(good.judged(&authorization), Ok(()));
    let mismatch = Err(SignatureError::Mismatch);
    type Change = fn(&mut Signed);
    let changes: [(Change, Result<(), SignatureError>); 9] = [
        (|_| {}, Ok(())),
        (|s| s.body = b"{ }", mismatch),
        (|s| s.path = "/model/b.model-v1%3A0/converse", mismatch),
        (|s| s.path = "/model/a.model-v1:0/converse", mismatch),
        (|s| s.query = "a=b", mismatch),
        (|s| s.time = "20261128T120200Z", mismatch),
        (|s| s.more.push(("host", "elsewhere".into())), mismatch),
        (|s| s.more.push(("x-amz-date", "20261128T120100Z".into())), Err(SignatureError::Time)),
        (|s| s.more.push(("x-amz-security-token", "any".into())), Ok(())),
    ];
    for (at, (change, expected)) in changes.into_iter().enumerate() {
        let id = good.pair.id();
        let pair = Signed { pair: AwsKeyPair::derive_again(&good.pair), ..Signed::new() };
        let mut changed = pair;
        change(&mut changed);
        assert_eq!(changed.judged(&authorization), expected, "{at} {id}");
    }
    // The secret of another key.
    let other = Signed { pair: AwsKeyPair::renamed(&pair(), good.pair.id()), ..Signed::new() };
    assert_eq!(other.judged(&authorization), mismatch);
}

#[test]
fn times_scopes_and_bodies_are_judged() {
    let with = |change: fn(&mut Signed)| {
        let mut signed = Signed::new();
        change(&mut signed);
        let authorization = signed.authorization();
        signed.judged(&authorization)
    };
    assert_eq!(with(|s| s.query = "b=2&a=%20x&a"), Ok(()));
    assert_eq!(with(|s| s.time = "20261128T120500Z"), Ok(()));
    assert_eq!(with(|s| s.time = "20261128T120501Z"), Err(SignatureError::Skew));
    assert_eq!(with(|s| s.time = "20261128T115459Z"), Err(SignatureError::Skew));
    assert_eq!(with(|s| s.time = "2026-11-28T12:00"), Err(SignatureError::Time));
    let scope: fn(&mut Signed) = |s| s.scope = "20261127/eu-west-3/bedrock/aws4_request";
    assert_eq!(with(scope), Err(SignatureError::Time));
    assert_eq!(
        with(|s| s.scope = "20261128/eu-west-3/s3/aws4_request"),
        Err(SignatureError::Service)
    );
    assert_eq!(with(|s| s.scope = "20261128/eu-west-3/bedrock"), Err(SignatureError::Malformed));
    assert_eq!(with(|s| s.scope = "20261128/us-east-1/bedrock-mantle/aws4_request"), Ok(()));
    let hash: fn(&mut Signed) = |s| s.more.push(("x-amz-content-sha256", hex(&sha256(b"{}"))));
    assert_eq!(with(hash), Ok(()));
    let unsigned: fn(&mut Signed) =
        |s| s.more.push(("x-amz-content-sha256", "UNSIGNED-PAYLOAD".into()));
    assert_eq!(with(unsigned), Err(SignatureError::Body));
}

#[test]
fn other_headers_are_no_signatures() {
    let scope = "Credential=OCabcdefghijkl/20261128/eu-west-3/bedrock/aws4_request";
    for (text, expected) in [
        ("Bearer sk-x".to_owned(), SignatureError::Malformed),
        (format!("{SCHEME} {scope}"), SignatureError::Malformed),
        (format!("{SCHEME} {scope}, SignedHeaders=host, Signature=0"), SignatureError::Uncovered),
        (
            format!("{SCHEME} {scope}, SignedHeaders=x-amz-date;host, Signature=0"),
            SignatureError::Malformed,
        ),
        (
            format!("{SCHEME} {scope}, {scope}, SignedHeaders=host;x-amz-date, Signature=0"),
            SignatureError::Malformed,
        ),
        (
            format!("{SCHEME} {scope}, SignedHeaders=host;x-amz-date, Signature=0, X=1"),
            SignatureError::Malformed,
        ),
    ] {
        assert_eq!(CallerSignature::parse(&text), Err(expected), "{text}");
    }
}
