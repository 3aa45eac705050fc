//! Authorises one request: SigV4 over the whole body, or a bearer key.

use std::time::SystemTime;

use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue, Request};

use super::credentials::Proof;
use super::error::Failure;

/// All Bedrock services sign under this one name.
const SIGNING_NAME: &str = "bedrock";

/// Adds `authorization` (and, for SigV4, `x-amz-date` and `x-amz-security-token`) to a request that is
/// otherwise complete: with an absolute URI, its `host` and its `content-length`.
pub(super) fn authorise<B>(
    request: &mut Request<B>,
    body: &[u8],
    proof: &Proof,
    region: &str,
    now: SystemTime,
) -> Result<(), Failure> {
    let identity = match proof {
        Proof::Bearer(header) => {
            request.headers_mut().insert(AUTHORIZATION, header.clone());
            return Ok(());
        }
        Proof::Keys { identity, .. } => identity,
    };
    // The defaults are what Bedrock wants: path encoded twice, no checksum header, token signed.
    let params = v4::SigningParams::builder()
        .identity(identity)
        .region(region)
        .name(SIGNING_NAME)
        .time(now)
        .settings(SigningSettings::default())
        .build()
        .map_err(|error| Failure::Request(error.to_string()))?
        .into();
    let instructions = {
        let uri = request.uri().to_string();
        let mut headers = Vec::with_capacity(request.headers().len());
        for (name, value) in request.headers() {
            let value = value
                .to_str()
                .map_err(|_| Failure::Request(format!("header {name} is not plain text")))?;
            headers.push((name.as_str(), value));
        }
        let signable = SignableRequest::new(
            request.method().as_str(),
            uri,
            headers.into_iter(),
            SignableBody::Bytes(body),
        )
        .map_err(|error| Failure::Request(error.to_string()))?;
        sign(signable, &params).map_err(|error| Failure::Request(error.to_string()))?.into_parts().0
    };
    // Applied by hand: the crate's own way panics on a session token that is no header value.
    for header in instructions.into_parts().0 {
        let mut value = HeaderValue::from_str(header.value()).map_err(|_| {
            Failure::Request(format!("the credentials give an invalid {} header", header.name()))
        })?;
        value.set_sensitive(true);
        request.headers_mut().insert(HeaderName::from_static(header.name()), value);
    }
    Ok(())
}
