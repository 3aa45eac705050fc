//! The credential of a request: one key, or one signature of an AWS SDK. A key may come in any of the headers
//! that clients use; all that come must be equal, so that no header decides which of two callers it is.

use std::sync::Arc;
use std::time::Duration;

use access::accounts::AuthError;
use access::{
    Accounts, AwsKeyPair, Holder, Principal, SecretKey, SignatureClaim, SignatureError, UtcTime,
};
use actix_web::http::Method;
use actix_web::http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use actix_web::{HttpMessage, HttpRequest};
use bedrock::AccountSecret;

use crate::master_key::{MasterKey, is_same};

/// Headers that carry a key as it is: Azure's, Anthropic's, LiteLLM's, Azure API Management's and Google's.
static KEY_HEADERS: [HeaderName; 5] = [
    HeaderName::from_static("api-key"),
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("x-litellm-api-key"),
    HeaderName::from_static("ocp-apim-subscription-key"),
    HeaderName::from_static("x-goog-api-key"),
];
/// Further headers with secrets: the bearer key, and what AWS's SDKs and browsers send.
const SECRET_HEADERS: [&str; 4] =
    ["authorization", "proxy-authorization", "cookie", "x-amz-security-token"];
const BEARER: &str = "Bearer ";
/// Scheme of requests that AWS's SDKs sign.
const SIGNED: &str = "AWS4-HMAC-SHA256 ";
/// Beginning of keys: an access key id that has it is a key, as LiteLLM's users write it.
const KEY: &str = "sk-";
/// Parts of a credential scope after the access key id: date, region, service, `aws4_request`.
const SCOPE_PARTS: usize = 4;

/// The reasons for which a caller is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AuthRefusal {
    #[error("no key was sent")]
    NoKey,
    #[error("the key in the header {0} is not known")]
    Unknown(&'static str),
    #[error("the header {0} holds no key")]
    Malformed(&'static str),
    #[error("two headers hold different keys")]
    Different,
    #[error("the access key of the signature is not known")]
    UnknownSigner,
    #[error("the signature is refused: {0}")]
    Signature(#[from] SignatureError),
    #[error("the key expired at {at}")]
    Expired { at: UtcTime, now: UtcTime },
    #[error("a master key is configured, but the variable that should hold it is not set")]
    NotConfigured,
    #[error("the master key may not call models here")]
    MasterCalls,
    #[error("too many wrong keys came from this address")]
    TooManyWrong { wait: Duration },
    #[error("the store of accounts is away: {0}")]
    Unavailable(String),
}

impl AuthRefusal {
    /// Whether a key was sent that is none of this gateway.
    pub(crate) const fn is_wrong_key(&self) -> bool {
        matches!(self, Self::Unknown(_) | Self::Malformed(_) | Self::UnknownSigner)
    }
}

/// The caller of a request.
#[derive(Debug, Clone)]
pub(crate) enum Identity {
    /// It is known.
    Proven(Principal),
    /// It has signed the request, and the signature covers the body.
    Signed(Box<SignedIdentity>),
}

/// A caller whose signature is not verified yet.
#[derive(Debug, Clone)]
pub(crate) struct SignedIdentity {
    principal: Principal,
    pair: AwsKeyPair,
    claim: SignatureClaim,
}

/// The keys of the operator.
#[derive(Clone, Copy)]
pub(crate) struct OperatorKeys<'k> {
    pub(crate) master: &'k MasterKey,
    /// Reads all records, and changes none.
    pub(crate) read_only: Option<&'k AccountSecret>,
}

/// The path and query of a request as they were sent, where the routes know it by others.
#[derive(Debug, Clone)]
pub(crate) struct SentTarget(pub(crate) String, pub(crate) Option<String>);

/// The one credential in the headers of a request.
#[derive(Debug)]
enum Credential {
    Key(SecretKey, &'static str),
    Signature(Box<SignatureClaim>),
}

/// The page at the root names the gateway and calls no model.
pub(crate) fn is_open(method: &Method, path: &str) -> bool {
    path == "/" && (method == Method::GET || method == Method::HEAD)
}

/// Whether a header, by its name in small letters, may hold a key.
pub(crate) fn is_key_header(name: &str) -> bool {
    KEY_HEADERS.iter().any(|one| one == name) || SECRET_HEADERS.contains(&name)
}

/// The caller that the middleware found; none where no keys are configured.
pub(crate) fn identity_of(http: &HttpRequest) -> Option<Identity> {
    http.extensions().get::<Identity>().cloned()
}

/// The proven caller of a request; anonymous where no keys are configured.
pub(crate) fn principal(http: &HttpRequest) -> Option<Principal> {
    match http.extensions().get::<Identity>() {
        Some(Identity::Proven(principal)) => Some(principal.clone()),
        Some(Identity::Signed(_)) | None => None,
    }
}

/// Finds the caller of a request by its headers.
///
/// # Errors
/// There is no credential, it is not known, or there are several.
pub(crate) async fn authenticate(
    OperatorKeys { master, read_only }: OperatorKeys<'_>,
    accounts: Option<&Accounts>,
    headers: &HeaderMap,
) -> Result<Identity, AuthRefusal> {
    let MasterKey::Key(_) = master else { return Err(AuthRefusal::NotConfigured) };
    match Credential::of(headers, master)?.ok_or(AuthRefusal::NoKey)? {
        Credential::Key(key, _) if master.is(key.reveal().as_bytes()) => {
            Ok(Identity::Proven(Principal::Master))
        }
        Credential::Key(key, _)
            if read_only.is_some_and(|own| is_same(own, key.reveal().as_bytes())) =>
        {
            Ok(Identity::Proven(Principal::Viewer))
        }
        Credential::Key(key, header) => {
            let Some(accounts) = accounts else { return Err(AuthRefusal::Unknown(header)) };
            let known = accounts.authenticate(&key).await;
            known
                .map(Identity::Proven)
                .map_err(|error| refusal(error, AuthRefusal::Unknown(header)))
        }
        Credential::Signature(claim) => {
            let Some(accounts) = accounts else { return Err(AuthRefusal::UnknownSigner) };
            let signer = accounts.signer(claim.access_key_id()).await;
            let (principal, pair) =
                signer.map_err(|error| refusal(error, AuthRefusal::UnknownSigner))?;
            Ok(Identity::Signed(Box::new(SignedIdentity { principal, pair, claim: *claim })))
        }
    }
}

fn refusal(error: AuthError, unknown: AuthRefusal) -> AuthRefusal {
    match error {
        AuthError::Unknown => unknown,
        AuthError::Expired { at, now } => AuthRefusal::Expired { at, now },
        AuthError::Unavailable(cause) => AuthRefusal::Unavailable(cause.to_string()),
    }
}

impl Identity {
    /// The key that the request names, whether or not its signature is the key's.
    pub(crate) fn claimed(&self) -> Option<&Arc<Holder>> {
        match self {
            Self::Proven(principal) => principal.holder(),
            Self::Signed(signed) => signed.principal.holder(),
        }
    }

    /// The same caller, whose signature of the same headers was verified before.
    pub(crate) fn of_verified(self) -> Self {
        match self {
            Self::Proven(_) => self,
            Self::Signed(signed) => Self::Proven(signed.principal),
        }
    }
}

impl SignedIdentity {
    /// Verifies the signature of a request with this body.
    ///
    /// # Errors
    /// It is not the signer's, or too old.
    pub(crate) fn proven(
        self,
        request: &SignedParts,
        body: &[u8],
        now: UtcTime,
    ) -> Result<Principal, AuthRefusal> {
        request.verify(&self, body, now)?;
        Ok(self.principal)
    }
}

/// The parts of a request that a signature covers besides its body. Owned, so that a long body can be hashed on
/// another thread.
#[derive(Debug, Clone)]
pub(crate) struct SignedParts {
    method: String,
    target: SentTarget,
    headers: Vec<(String, Vec<u8>)>,
}

impl SignedParts {
    /// The parts of this request.
    pub(crate) fn of(http: &HttpRequest) -> Self {
        let sent = http.extensions().get::<SentTarget>().cloned();
        let target = sent.unwrap_or_else(|| {
            SentTarget(http.uri().path().to_owned(), http.uri().query().map(ToOwned::to_owned))
        });
        let held = http.headers().iter();
        let mut headers: Vec<_> = held
            .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_owned()))
            .collect();
        // HTTP/2 has the host in the address.
        if let (Some(host), false) =
            (http.uri().authority(), headers.iter().any(|(name, _)| name == "host"))
        {
            headers.push(("host".to_owned(), host.as_str().as_bytes().to_owned()));
        }
        Self { method: http.method().to_string(), target, headers }
    }

    fn verify(
        &self,
        identity: &SignedIdentity,
        body: &[u8],
        now: UtcTime,
    ) -> Result<(), SignatureError> {
        let SentTarget(path, query) = &self.target;
        let header = |name: &str| {
            let held = self.headers.iter().filter(|(known, _)| known == name);
            held.map(|(_, value)| value.as_slice()).collect()
        };
        let request = access::SignedRequest {
            method: &self.method,
            path,
            query: query.as_deref().unwrap_or_default(),
            header: &header,
            body,
        };
        identity.claim.verify(&request, identity.pair.secret(), now)
    }
}

impl Credential {
    /// Reads the one credential of a request. A signature counts only where no key is sent, because SDKs sign even
    /// if their keys have no meaning here.
    fn of(headers: &HeaderMap, master: &MasterKey) -> Result<Option<Self>, AuthRefusal> {
        let (mut key, mut signature) = (None, None);
        for value in headers.get_all(AUTHORIZATION) {
            match signed(value, master) {
                Some(Signed::Key(secret)) => agree(&mut key, secret, "authorization")?,
                Some(Signed::Claim) if signature.is_some() => return Err(AuthRefusal::Different),
                Some(Signed::Claim) => signature = Some(value),
                None => agree(&mut key, bearer(value).unwrap_or_default(), "authorization")?,
            }
        }
        for name in &KEY_HEADERS {
            for value in headers.get_all(name) {
                agree(&mut key, bearer(value).unwrap_or(value.as_bytes()), name.as_str())?;
            }
        }
        if let Some((key, header)) = key {
            return Ok(Some(Self::Key(key, header)));
        }
        let Some(value) = signature else { return Ok(None) };
        let text = value.to_str().map_err(|_| AuthRefusal::Malformed("authorization"))?;
        Ok(SignatureClaim::parse(text)?.map(|claim| Self::Signature(Box::new(claim))))
    }
}

/// Takes a key, which must be equal to those before it.
fn agree(
    known: &mut Option<(SecretKey, &'static str)>,
    sent: &[u8],
    header: &'static str,
) -> Result<(), AuthRefusal> {
    let key = std::str::from_utf8(sent).ok().and_then(SecretKey::presented);
    let key = key.ok_or(AuthRefusal::Malformed(header))?;
    match known {
        Some((first, _)) if !first.is(&key) => Err(AuthRefusal::Different),
        Some(_) => Ok(()),
        None => {
            *known = Some((key, header));
            Ok(())
        }
    }
}

/// The token of a value that begins with `Bearer`, in any case.
fn bearer(value: &HeaderValue) -> Option<&[u8]> {
    let (scheme, token) = value.as_bytes().split_at_checked(BEARER.len())?;
    scheme.eq_ignore_ascii_case(BEARER.as_bytes()).then(|| token.trim_ascii())
}

/// A signed request, by its access key id.
enum Signed<'v> {
    /// The id is a key itself, with or without the `Bearer` that LiteLLM expects before it.
    Key(&'v [u8]),
    /// The id is that of a key pair.
    Claim,
}

fn signed<'v>(value: &'v HeaderValue, master: &MasterKey) -> Option<Signed<'v>> {
    let rest = value.to_str().ok()?.strip_prefix(SIGNED)?;
    let credential = rest.split(',').find_map(|part| part.trim().strip_prefix("Credential="));
    let id = credential.and_then(|scope| scope.rsplitn(SCOPE_PARTS + 1, '/').nth(SCOPE_PARTS));
    let id = id.unwrap_or_default();
    let key = id.strip_prefix(BEARER).unwrap_or(id);
    let is_key = key.starts_with(KEY) || master.is(key.as_bytes());
    Some(if is_key { Signed::Key(key.as_bytes()) } else { Signed::Claim })
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderName;
    use bedrock::AccountSecret;

    use super::*;

    const SCOPE: &str =
        "20260101/us-east-1/bedrock/aws4_request, SignedHeaders=host;x-amz-date, Signature=0";

    fn judged(headers: &[(&str, &str)]) -> Result<bool, AuthRefusal> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            map.append(name, HeaderValue::from_str(value).unwrap());
        }
        let master = MasterKey::Key(AccountSecret::new("master/b=c"));
        match Credential::of(&map, &master)?.ok_or(AuthRefusal::NoKey)? {
            Credential::Key(key, header) if master.is(key.reveal().as_bytes()) => {
                assert!(headers.iter().any(|(name, _)| *name == header));
                Ok(true)
            }
            Credential::Key(_, header) => Err(AuthRefusal::Unknown(header)),
            Credential::Signature(_) => Ok(false),
        }
    }

    #[test]
    fn the_key_is_found_in_each_header() {
        let signed = |id: &str| format!("AWS4-HMAC-SHA256 Credential={id}/{SCOPE}");
        let (right, prefixed, pair) =
            (signed("master/b=c"), signed("Bearer master/b=c"), signed("OC0123456789ab"));
        let virtual_key = signed("sk-oc-other");
        let malformed = Err(AuthRefusal::Malformed("authorization"));
        for (headers, expected) in [
            (&[("authorization", "Bearer master/b=c")][..], Ok(true)),
            (&[("authorization", "bearer  master/b=c")], Ok(true)),
            (&[("api-key", "master/b=c")], Ok(true)),
            (&[("x-api-key", "master/b=c")], Ok(true)),
            (&[("x-litellm-api-key", "Bearer master/b=c")], Ok(true)),
            (&[("ocp-apim-subscription-key", "master/b=c")], Ok(true)),
            (&[("x-goog-api-key", "master/b=c")], Ok(true)),
            (&[("authorization", &right)], Ok(true)),
            (&[("authorization", &prefixed)], Ok(true)),
            (&[("authorization", &pair)], Ok(false)),
            (&[("authorization", &pair), ("x-api-key", "master/b=c")], Ok(true)),
            (&[("authorization", &virtual_key)], Err(AuthRefusal::Unknown("authorization"))),
            (&[], Err(AuthRefusal::NoKey)),
            (&[("authorization", "")], malformed.clone()),
            (&[("authorization", "master/b=c")], malformed.clone()),
            (&[("authorization", "Basic master/b=c")], malformed.clone()),
            (&[("authorization", "Bearer a b")], malformed),
            (&[("authorization", "Bearer master/b=")], Err(AuthRefusal::Unknown("authorization"))),
            (&[("api-key", "")], Err(AuthRefusal::Malformed("api-key"))),
            (&[("authorization", "Bearer master/b=c"), ("x-api-key", "master/b=c")], Ok(true)),
            (
                &[("authorization", "Bearer master/b=c"), ("x-api-key", "other")],
                Err(AuthRefusal::Different),
            ),
            (
                &[("authorization", "Bearer master/b=c"), ("authorization", "Bearer x")],
                Err(AuthRefusal::Different),
            ),
            (
                &[("authorization", "AWS4-HMAC-SHA256 Credential=OC")],
                Err(AuthRefusal::Signature(SignatureError::Incomplete("SignedHeaders is missing"))),
            ),
        ] {
            assert_eq!(judged(headers), expected, "{headers:?}");
        }
    }

    #[actix_rt::test]
    async fn a_missing_master_key_refuses_all_callers() {
        let refused = authenticate(
            OperatorKeys { master: &MasterKey::Missing(String::new()), read_only: None },
            None,
            &HeaderMap::new(),
        )
        .await;
        assert_eq!(refused.unwrap_err(), AuthRefusal::NotConfigured);
    }

    #[test]
    fn only_the_root_page_needs_no_key() {
        assert!(is_open(&Method::GET, "/") && is_open(&Method::HEAD, "/"));
        assert!(!is_open(&Method::POST, "/") && !is_open(&Method::GET, "/v1/models"));
        assert!(!is_open(&Method::GET, "//"));
    }
}
