//! The one key that callers of the gateway prove: LiteLLM's `master_key`. Where it is configured, every route
//! but the probes and the page at the root refuses calls without it.

use actix_web::body::BoxBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{AUTHORIZATION, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use actix_web::middleware::Next;
use actix_web::web::{Data, Payload};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};

use crate::app::Worker;
use crate::body;
use crate::error::GatewayError;
use crate::routes::refusal;
use bedrock::AccountSecret;

/// Headers that carry a key as it is: Azure's, Anthropic's, LiteLLM's.
const KEY_HEADERS: [&str; 3] = ["api-key", "x-api-key", "x-litellm-api-key"];
const BEARER: &str = "Bearer ";
/// Scheme of requests that AWS's SDKs sign.
const SIGNED: &str = "AWS4-HMAC-SHA256 ";
/// Parts of a credential scope behind the access key id: date, region, service, `aws4_request`.
const SCOPE_PARTS: usize = 4;

/// The configured key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum MasterKey {
    Key(AccountSecret),
    /// A key is wanted, and the variable it should come from is not set, as the note says: no caller can
    /// prove it.
    Missing(String),
}

/// Reasons for which a caller is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum KeyRefusal {
    #[error("no key was sent")]
    NoKey,
    #[error("the key in the header {0} is not the gateway's master key")]
    Wrong(&'static str),
    #[error("the request is signed with an access key other than the gateway's master key")]
    Signed,
    #[error("a master key is configured, and the variable that should hold it is not set")]
    NotConfigured,
}

/// Refuses requests that do not carry the configured key.
pub(crate) async fn guard(
    mut request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let Some(worker) = request.app_data::<Data<Worker>>() else { return next.call(request).await };
    let now = worker.now();
    let judged = match &now.config.master_key {
        Some(key) if !is_open(request.method(), request.path()) => key.judge(request.headers()),
        Some(_) | None => Ok(()),
    };
    let Err(refusal) = judged else { return next.call(request).await };
    if let Ok(mut payload) = request.extract::<Payload>().await {
        body::skim(&mut payload).await;
    }
    let error = GatewayError::Key(refusal);
    let mut response = refusal::respond(request.request(), &now.config, "key", error);
    response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    Ok(request.into_response(response))
}

/// The page at the root names the gateway and calls no model.
fn is_open(method: &Method, path: &str) -> bool {
    path == "/" && (method == Method::GET || method == Method::HEAD)
}

impl MasterKey {
    /// Every key that a request carries must be the right one. The access key of a signature counts only
    /// where no other key is sent: SDKs sign whether or not their keys mean anything here.
    fn judge(&self, headers: &HeaderMap) -> Result<(), KeyRefusal> {
        let Self::Key(secret) = self else { return Err(KeyRefusal::NotConfigured) };
        let (mut proven, mut signed) = (false, None);
        for value in headers.get_all(AUTHORIZATION) {
            match access_key(value) {
                Some(id) => signed = Some(id),
                None if matches(secret, bearer(value)) => proven = true,
                None => return Err(KeyRefusal::Wrong("authorization")),
            }
        }
        for name in KEY_HEADERS {
            for value in headers.get_all(name) {
                if !matches(secret, bearer(value).or(Some(value.as_bytes()))) {
                    return Err(KeyRefusal::Wrong(name));
                }
                proven = true;
            }
        }
        match signed {
            _ if proven => Ok(()),
            Some(id) if matches(secret, Some(id)) => Ok(()),
            Some(_) => Err(KeyRefusal::Signed),
            None => Err(KeyRefusal::NoKey),
        }
    }
}

/// Compares hashes, in a time that tells neither how far two keys agree nor how long they are.
fn matches(secret: &AccountSecret, sent: Option<&[u8]>) -> bool {
    let Some(sent) = sent else { return false };
    let (wanted, sent) = (digest(&SHA256, secret.reveal().as_bytes()), digest(&SHA256, sent));
    verify_slices_are_equal(wanted.as_ref(), sent.as_ref()).is_ok()
}

/// The token of a value that begins with `Bearer`, in capitals or not.
fn bearer(value: &HeaderValue) -> Option<&[u8]> {
    let (scheme, token) = value.as_bytes().split_at_checked(BEARER.len())?;
    scheme.eq_ignore_ascii_case(BEARER.as_bytes()).then(|| token.trim_ascii())
}

/// The access key id of a signed request, without the `Bearer` that LiteLLM wants in front of it.
fn access_key(value: &HeaderValue) -> Option<&[u8]> {
    let rest = value.to_str().ok()?.strip_prefix(SIGNED)?;
    let credential = rest.split(", ").find_map(|part| part.trim().strip_prefix("Credential="));
    let id = credential.and_then(|scope| scope.rsplitn(SCOPE_PARTS + 1, '/').nth(SCOPE_PARTS));
    let id = id.unwrap_or_default();
    Some(id.strip_prefix(BEARER).unwrap_or(id).as_bytes())
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderName;

    use super::*;

    fn judged(headers: &[(&str, &str)]) -> Result<(), KeyRefusal> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            map.append(name, HeaderValue::from_str(value).unwrap());
        }
        MasterKey::Key(AccountSecret::new("sk-a/b=c")).judge(&map)
    }

    #[test]
    fn one_key_is_proven_by_any_of_the_headers() {
        let scope = "20260101/us-east-1/bedrock/aws4_request, SignedHeaders=host, Signature=0";
        let signed = |id: &str| format!("AWS4-HMAC-SHA256 Credential={id}/{scope}");
        let (right, prefixed, wrong) =
            (signed("sk-a/b=c"), signed("Bearer sk-a/b=c"), signed("AKID"));
        for (headers, expected) in [
            (&[("authorization", "Bearer sk-a/b=c")][..], Ok(())),
            (&[("authorization", "bearer  sk-a/b=c")], Ok(())),
            (&[("api-key", "sk-a/b=c")], Ok(())),
            (&[("x-api-key", "sk-a/b=c")], Ok(())),
            (&[("x-litellm-api-key", "Bearer sk-a/b=c")], Ok(())),
            (&[("authorization", &right)], Ok(())),
            (&[("authorization", &prefixed)], Ok(())),
            (&[("authorization", &wrong), ("x-api-key", "sk-a/b=c")], Ok(())),
            (&[("authorization", &wrong)], Err(KeyRefusal::Signed)),
            (&[], Err(KeyRefusal::NoKey)),
            (&[("authorization", "")], Err(KeyRefusal::Wrong("authorization"))),
            (&[("authorization", "sk-a/b=c")], Err(KeyRefusal::Wrong("authorization"))),
            (&[("authorization", "Basic sk-a/b=c")], Err(KeyRefusal::Wrong("authorization"))),
            (&[("authorization", "Bearer sk-a/b=")], Err(KeyRefusal::Wrong("authorization"))),
            (&[("authorization", "Bearer SK-A/B=C")], Err(KeyRefusal::Wrong("authorization"))),
            (&[("api-key", "")], Err(KeyRefusal::Wrong("api-key"))),
            (
                &[("authorization", "Bearer sk-a/b=c"), ("x-api-key", "other")],
                Err(KeyRefusal::Wrong("x-api-key")),
            ),
            (
                &[("authorization", "Bearer sk-a/b=c"), ("authorization", "Bearer x")],
                Err(KeyRefusal::Wrong("authorization")),
            ),
            (&[("authorization", "AWS4-HMAC-SHA256 Credential=sk-a")], Err(KeyRefusal::Signed)),
        ] {
            assert_eq!(judged(headers), expected, "{headers:?}");
        }
    }

    #[test]
    fn a_key_that_is_not_there_is_proven_by_no_one() {
        let headers = HeaderMap::new();
        assert_eq!(
            MasterKey::Missing(String::new()).judge(&headers),
            Err(KeyRefusal::NotConfigured)
        );
    }

    #[test]
    fn the_page_alone_is_open() {
        assert!(is_open(&Method::GET, "/") && is_open(&Method::HEAD, "/"));
        assert!(!is_open(&Method::POST, "/") && !is_open(&Method::GET, "/v1/models"));
        assert!(!is_open(&Method::GET, "//"));
    }
}
