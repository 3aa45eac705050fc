//! The one key that callers of the gateway send: LiteLLM's `master_key`. If it is configured, every
//! route except the probes and the page at the root refuses calls without it.

use actix_web::http::Method;
use actix_web::http::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};

use bedrock::AccountSecret;

/// Headers that carry a key as it is: Azure's, Anthropic's, LiteLLM's.
const KEY_HEADERS: [&str; 3] = ["api-key", "x-api-key", "x-litellm-api-key"];
const BEARER: &str = "Bearer ";
/// Scheme of requests that AWS's SDKs sign.
const SIGNED: &str = "AWS4-HMAC-SHA256 ";
/// Parts of a credential scope after the access key id: date, region, service, `aws4_request`.
const SCOPE_PARTS: usize = 4;

/// The configured key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum MasterKey {
    Key(AccountSecret),
    /// A key is required, but the variable it should come from is not set, as the note says: all
    /// callers are refused.
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
    #[error("a master key is configured, but the variable that should hold it is not set")]
    NotConfigured,
}

/// The page at the root names the gateway and calls no model.
pub(crate) fn is_open(method: &Method, path: &str) -> bool {
    path == "/" && (method == Method::GET || method == Method::HEAD)
}

impl MasterKey {
    /// Checks that every key in a request is the right one. The access key of a signature counts only
    /// if no other key is sent, because SDKs sign even if their keys have no meaning here.
    pub(crate) fn judge(&self, headers: &HeaderMap) -> Result<(), KeyRefusal> {
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

/// Compares hashes, in a time that reveals neither how far two keys agree nor how long they are.
fn matches(secret: &AccountSecret, sent: Option<&[u8]>) -> bool {
    let Some(sent) = sent else { return false };
    let (wanted, sent) = (digest(&SHA256, secret.reveal().as_bytes()), digest(&SHA256, sent));
    verify_slices_are_equal(wanted.as_ref(), sent.as_ref()).is_ok()
}

/// The token of a value that begins with `Bearer`, in any case.
fn bearer(value: &HeaderValue) -> Option<&[u8]> {
    let (scheme, token) = value.as_bytes().split_at_checked(BEARER.len())?;
    scheme.eq_ignore_ascii_case(BEARER.as_bytes()).then(|| token.trim_ascii())
}

/// The access key id of a signed request, without the `Bearer` that LiteLLM expects before it.
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
    fn the_key_is_accepted_in_each_header() {
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
    fn a_missing_key_refuses_all_callers() {
        let headers = HeaderMap::new();
        assert_eq!(
            MasterKey::Missing(String::new()).judge(&headers),
            Err(KeyRefusal::NotConfigured)
        );
    }

    #[test]
    fn only_the_root_page_needs_no_key() {
        assert!(is_open(&Method::GET, "/") && is_open(&Method::HEAD, "/"));
        assert!(!is_open(&Method::POST, "/") && !is_open(&Method::GET, "/v1/models"));
        assert!(!is_open(&Method::GET, "//"));
    }
}
