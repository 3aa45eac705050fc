//! Checks a SigV4 signature from its definition alone. Shares no code with the signer: the canonical
//! request is rebuilt from the bytes the server received, HMAC is written out over a plain SHA-256.

use super::recorder::Seen;

/// The parts of an `authorization` header.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Authorization {
    pub(crate) access_key_id: String,
    /// Region, service and terminator; the date is the request's own.
    pub(crate) scope: String,
    pub(crate) signed_headers: Vec<String>,
    signature: String,
}

/// Parses and verifies; panics with the reason if the signature is wrong.
pub(crate) fn verified(request: &Seen, secret: &str) -> Authorization {
    let authorization = parse(request.header("authorization").expect("authorization"));
    let date_time = request.header("x-amz-date").expect("x-amz-date");
    let (date, rest) = date_time.split_at(8);
    assert!(rest.starts_with('T') && rest.ends_with('Z'), "{date_time}");

    let canonical = canonical_request(request, &authorization.signed_headers);
    let scope = format!("{date}/{}", authorization.scope);
    let to_sign =
        format!("AWS4-HMAC-SHA256\n{date_time}\n{scope}\n{}", hex(&sha256(canonical.as_bytes())));
    let mut key = format!("AWS4{secret}").into_bytes();
    for part in std::iter::once(date).chain(authorization.scope.split('/')) {
        key = hmac(&key, part.as_bytes());
    }
    let expected = hex(&hmac(&key, to_sign.as_bytes()));
    assert_eq!(authorization.signature, expected, "canonical request:\n{canonical}");
    authorization
}

fn parse(header: &str) -> Authorization {
    let rest = header.strip_prefix("AWS4-HMAC-SHA256 ").expect("algorithm");
    let field = |name: &str| {
        let part = rest.split(", ").find_map(|part| part.strip_prefix(name));
        part.and_then(|part| part.strip_prefix('=')).expect(name).to_owned()
    };
    let credential = field("Credential");
    let (access_key_id, scope) = credential.split_once('/').unwrap();
    let (_date, scope) = scope.split_once('/').unwrap();
    Authorization {
        access_key_id: access_key_id.to_owned(),
        scope: scope.to_owned(),
        signed_headers: field("SignedHeaders").split(';').map(ToOwned::to_owned).collect(),
        signature: field("Signature"),
    }
}

fn canonical_request(request: &Seen, signed_headers: &[String]) -> String {
    let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
    let mut parameters: Vec<&str> = query.split('&').filter(|part| !part.is_empty()).collect();
    parameters.sort_unstable();
    let mut headers = String::new();
    for name in signed_headers {
        let value = request.header(name).unwrap_or_else(|| panic!("{name} is signed, not sent"));
        headers += &format!("{name}:{value}\n");
    }
    // The path is encoded a second time: every percent sign of the first encoding becomes %25.
    [
        request.method.as_str(),
        &path.replace('%', "%25"),
        &parameters.join("&"),
        &headers,
        &signed_headers.join(";"),
        &hex(&sha256(&request.body)),
    ]
    .join("\n")
}

fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut block = if key.len() > 64 { sha256(key) } else { key.to_vec() };
    block.resize(64, 0);
    let pad = |byte: u8| block.iter().map(|b| b ^ byte).collect::<Vec<u8>>();
    let inner = sha256(&[pad(0x36), message.to_vec()].concat());
    sha256(&[pad(0x5c), inner].concat())
}

/// SHA-256 from the TLS library, the only available implementation that is not the signer's.
fn sha256(bytes: &[u8]) -> Vec<u8> {
    let suite = rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256;
    let hash = suite.tls13().unwrap().common.hash_provider;
    hash.hash(bytes).as_ref().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_published_examples_are_verified() {
    assert_eq!(
        hex(&hmac(b"Jefe", b"what do ya want for nothing?")),
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    );
    let mut key = b"AWS4wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_vec();
    for part in ["20150830", "us-east-1", "iam", "aws4_request"] {
        key = hmac(&key, part.as_bytes());
    }
    assert_eq!(hex(&key), "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9");
}
