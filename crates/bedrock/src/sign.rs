//! Authorises one request: SigV4 over the whole body, or a bearer key.

mod derived_key;
mod direct;

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_lc_rs::digest::{SHA256, digest};
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::identity::Identity;
use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue, Request};
use tokio::task::spawn_blocking;

use self::derived_key::DerivedKeys;
use super::credentials::Proof;
use super::endpoint::Service;
use super::error::Failure;
use super::send::HOP;

/// Bodies longer than this, in bytes, are hashed outside the worker's thread.
const LARGE: usize = 1024 * 1024;

/// The hash of a body, as used in signatures; empty if no body is signed.
#[derive(Debug, Clone)]
pub(super) struct BodyHash(String);

impl BodyHash {
    pub(super) async fn of(body: &Bytes, proof: &Proof) -> Result<Self, Failure> {
        if matches!(proof, Proof::Bearer(_)) {
            return Ok(Self(String::new()));
        }
        if body.len() <= LARGE {
            return Ok(Self::hash(body));
        }
        let body = body.clone();
        let hashed = spawn_blocking(move || Self::hash(&body)).await;
        hashed.map_err(|error| Failure::Request(error.to_string()))
    }

    fn hash(body: &[u8]) -> Self {
        Self(hex(digest(&SHA256, body).as_ref()))
    }
}

/// Access keys, ready to sign with.
#[derive(Clone)]
pub(super) struct SigningKeys {
    keys: Credentials,
    identity: Identity,
    derived: DerivedKeys,
}

impl SigningKeys {
    pub(super) fn new(keys: Credentials) -> Self {
        Self { identity: keys.clone().into(), keys, derived: DerivedKeys::default() }
    }

    pub(super) fn credentials(&self) -> &Credentials {
        &self.keys
    }
}

/// The service, region and time that a signature holds for.
#[derive(Debug, Clone, Copy)]
pub(super) struct SigningScope<'s> {
    pub(super) service: Service,
    pub(super) region: &'s str,
    pub(super) now: SystemTime,
}

/// Adds `authorization` (and, for SigV4, `x-amz-date` and `x-amz-security-token`) to a request that is
/// otherwise complete: with an absolute URI, its `host` and its `content-length`.
pub(super) fn authorise<B>(
    request: &mut Request<B>,
    body: &BodyHash,
    proof: &Proof,
    scope: SigningScope<'_>,
) -> Result<(), Failure> {
    let signing = match proof {
        Proof::Bearer(header) => {
            request.headers_mut().insert(AUTHORIZATION, header.clone());
            return Ok(());
        }
        Proof::Keys(signing) => signing,
    };
    let keys = (&signing.keys, &signing.derived);
    let Some(signed) = direct::authorisation(request, body, keys, scope) else {
        return by_aws(request, body, &signing.identity, scope);
    };
    let headers = request.headers_mut();
    let mut add = |name: &HeaderName, mut value: HeaderValue| {
        value.set_sensitive(true);
        headers.insert(name.clone(), value);
    };
    add(&direct::DATE, signed.date);
    add(&AUTHORIZATION, signed.authorization);
    if let Some(token) = signed.token {
        add(&direct::TOKEN, token);
    }
    Ok(())
}

/// Signs any request with AWS's signer.
fn by_aws<B>(
    request: &mut Request<B>,
    body: &BodyHash,
    identity: &Identity,
    SigningScope { service, region, now }: SigningScope<'_>,
) -> Result<(), Failure> {
    // The defaults are those that Bedrock requires: path encoded twice, no checksum header, token signed.
    let mut settings = SigningSettings::default();
    if service == Service::S3 {
        // Keys may hold what other paths do not, and the hash of the body is a header.
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    }
    let params = v4::SigningParams::builder()
        .identity(identity)
        .region(region)
        .name(service.signing_name())
        .time(now)
        .settings(settings)
        .build()
        .map_err(|error| Failure::Request(error.to_string()))?
        .into();
    let instructions = {
        let uri = request.uri().to_string();
        let mut headers = Vec::with_capacity(request.headers().len());
        // The mark is for gateways on the route; the signed headers stay those that the SDK signs.
        for (name, value) in request.headers().iter().filter(|(name, _)| **name != HOP) {
            let value = value
                .to_str()
                .map_err(|_| Failure::Request(format!("header {name} is not plain text")))?;
            headers.push((name.as_str(), value));
        }
        let signable = SignableRequest::new(
            request.method().as_str(),
            uri,
            headers.into_iter(),
            SignableBody::Precomputed(body.0.clone()),
        )
        .map_err(|error| Failure::Request(error.to_string()))?;
        sign(signable, &params).map_err(|error| Failure::Request(error.to_string()))?.into_parts().0
    };
    // Applied by hand: the crate's own method panics on a session token that is no header value.
    for header in instructions.into_parts().0 {
        let mut value = HeaderValue::from_str(header.value()).map_err(|_| {
            Failure::Request(format!("the credentials give an invalid {} header", header.name()))
        })?;
        value.set_sensitive(true);
        request.headers_mut().insert(HeaderName::from_static(header.name()), value);
    }
    Ok(())
}

/// Lower-case hexadecimal digits.
fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |value: u8| char::from(DIGITS[usize::from(value & 15)]);
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(digit(byte >> 4));
        text.push(digit(*byte));
    }
    text
}
