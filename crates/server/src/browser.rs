//! Protection against web pages. A browser sends any page's requests to a gateway on its machine or in
//! its network (cross-site requests). A page whose own host name is made to resolve to the gateway's
//! address can also read the responses (DNS rebinding). Without a configured key, these checks alone
//! keep pages out.

use std::net::SocketAddr;

use actix_web::dev::ServiceRequest;
use actix_web::http::Method;
use actix_web::http::header::{HOST, HeaderMap, HeaderName, ORIGIN};

pub(crate) mod cors;
pub(crate) mod host;

use cors::Cors;
use host::{AllowedHosts, Host};

/// Set by browsers only: pages cannot write it.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// Longest part of a header that is quoted back.
const QUOTED: usize = 200;

/// Settings for requests of browsers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BrowserSettings<'c> {
    /// Names of the gateway, besides loopback.
    pub(crate) hosts: &'c AllowedHosts,
    /// Pages that may call it.
    pub(crate) cors: &'c Cors,
}

/// The reason why a request may come from a web page.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// The request names another host than this one.
    #[error(
        "{0:?} is not a name of this gateway: call it as localhost or by the address it listens on, or list the name under allowed_hosts in its configuration (OUTCROP_ALLOWED_HOSTS)"
    )]
    Host(String),
    /// A page of this origin sent it.
    #[error(
        "pages of the origin {0:?} may not call this gateway; its operator lists allowed origins under cors.origins (OUTCROP_CORS_ORIGINS)"
    )]
    Origin(String),
    /// A page of another site sent it, without an origin.
    #[error(
        "the browser sent this request for a page of another site (Sec-Fetch-Site: {0}), which may not call this gateway; its operator lists allowed origins under cors.origins (OUTCROP_CORS_ORIGINS)"
    )]
    Site(String),
}

impl BrowserSettings<'_> {
    /// The origin to name in CORS headers, if a listed one sent the request.
    pub(crate) fn judge(
        &self,
        request: &ServiceRequest,
        listen: SocketAddr,
    ) -> Result<Option<String>, Refusal> {
        let host = text(request.headers(), &HOST);
        if listen.ip().is_loopback() || !self.hosts.is_empty() {
            // Clients differ in which of the two they use, so both must be allowed.
            let target = request.uri().authority().filter(|_| *request.method() != Method::CONNECT);
            for name in target.map(actix_web::http::uri::Authority::as_str).into_iter().chain(host)
            {
                if !Host::parse(name).is_some_and(|host| self.hosts.admit(&host, listen)) {
                    return Err(Refusal::Host(quoted(name)));
                }
            }
        }
        let own = host
            .filter(|name| Host::parse(name).is_some_and(|host| self.hosts.admit(&host, listen)));
        let origin = self.origin(request.headers(), own)?;
        match (origin, site(request.headers())) {
            (Sender::Listed(origin), _) => Ok(Some(origin)),
            (Sender::Own | Sender::Untold, None) => Ok(None),
            (Sender::Own | Sender::Untold, Some(site)) => Err(Refusal::Site(quoted(&site))),
        }
    }

    fn origin(&self, headers: &HeaderMap, own: Option<&str>) -> Result<Sender, Refusal> {
        let mut values = headers.get_all(ORIGIN);
        let Some(value) = values.next() else { return Ok(Sender::Untold) };
        let origin = String::from_utf8_lossy(value.as_bytes());
        if values.next().is_some() {
            return Err(Refusal::Origin(quoted(&origin)));
        }
        if self.cors.lists(&origin) {
            return Ok(Sender::Listed(origin.into_owned()));
        }
        if own.is_some_and(|own| cors::is_origin_of(&origin, own)) {
            return Ok(Sender::Own);
        }
        Err(Refusal::Origin(quoted(&origin)))
    }
}

/// The page that sent a request, according to `Origin`.
enum Sender {
    /// Its origin may call the gateway.
    Listed(String),
    /// It came from the gateway's own address.
    Own,
    /// No page, or a request without an origin.
    Untold,
}

/// The value of `Sec-Fetch-Site`, unless it is harmless. `none` means that a user typed the address.
fn site(headers: &HeaderMap) -> Option<String> {
    let mut values = headers
        .get_all(SEC_FETCH_SITE)
        .map(|value| String::from_utf8_lossy(value.as_bytes()).trim().to_ascii_lowercase());
    values.find(|value| !matches!(value.as_str(), "none" | "same-origin"))
}

fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    // Bytes that are not text are not a name either, and are refused.
    headers.get(name).map(|value| value.to_str().unwrap_or("?"))
}

fn quoted(text: &str) -> String {
    text.chars().take(QUOTED).collect()
}
