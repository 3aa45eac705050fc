//! Protection against web pages. A browser sends to a gateway on its machine or in its network what any page
//! asks for (cross-site requests), and a page whose own name is made to resolve to the gateway's address also
//! reads the answers (DNS rebinding). Where no key is configured, these checks are what keeps pages out.

use std::net::SocketAddr;

use actix_web::body::BoxBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{HOST, HeaderMap, HeaderName, ORIGIN};
use actix_web::middleware::Next;
use actix_web::web::{Data, Payload};

use crate::app::Worker;
use crate::body;
use crate::error::GatewayError;
use crate::routes::refusal;

pub(crate) mod cors;
pub(crate) mod host;

use cors::Cors;
use host::{AllowedHosts, Host};

/// Set by browsers alone: pages cannot write it.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// Longest stretch of a header that is quoted back.
const QUOTED: usize = 200;

/// Settings for requests of browsers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct BrowserSettings {
    /// Names that the gateway is called by, beside loopback.
    pub(crate) hosts: AllowedHosts,
    /// Pages that may call it.
    pub(crate) cors: Cors,
}

/// Why a request may be a web page's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// The request names another host than this one.
    #[error(
        "this gateway is not called by the name {0:?}: call it as localhost or by the address it listens on, or list the name under allowed_hosts in its configuration (OUTCROP_ALLOWED_HOSTS)"
    )]
    Host(String),
    /// A page of this origin sent it.
    #[error(
        "pages of the origin {0:?} may not call this gateway; its operator lists those that may under cors.origins (OUTCROP_CORS_ORIGINS)"
    )]
    Origin(String),
    /// A page sent it, in a way that tells no origin.
    #[error(
        "the browser sends this request for a page of another site (Sec-Fetch-Site: {0}), which may not call this gateway; its operator lists the origins that may under cors.origins (OUTCROP_CORS_ORIGINS)"
    )]
    Site(String),
}

/// Refuses requests of web pages that are not allowed, answers preflights, and lets allowed pages read answers.
pub(crate) async fn guard(
    mut request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let Some(worker) = request.app_data::<Data<Worker>>() else { return next.call(request).await };
    let now = worker.now();
    let settings = &now.config.browser;
    let allowed = match settings.judge(&request, worker.shared.address) {
        Ok(allowed) => allowed,
        Err(refusal) => {
            if let Ok(mut payload) = request.extract::<Payload>().await {
                body::skim(&mut payload).await;
            }
            let error = GatewayError::Browser(refusal);
            let response = refusal::respond(request.request(), &now.config, "browser", error);
            return Ok(request.into_response(response));
        }
    };
    let Some(origin) = allowed else { return next.call(request).await };
    if cors::is_preflight(request.method(), request.headers()) {
        let response = settings.cors.preflight(&origin, request.headers());
        return Ok(request.into_response(response));
    }
    let mut response = next.call(request).await?;
    settings.cors.describe(&origin, response.headers_mut());
    Ok(response)
}

impl BrowserSettings {
    /// The origin to answer as CORS wants it, if a listed one sent the request.
    fn judge(
        &self,
        request: &ServiceRequest,
        listen: SocketAddr,
    ) -> Result<Option<String>, Refusal> {
        let host = text(request.headers(), &HOST);
        if listen.ip().is_loopback() || !self.hosts.is_empty() {
            // Whichever of the two a client believes in, it must be one of ours.
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

/// The page behind a request, by what `Origin` says.
enum Sender {
    /// Its origin may call the gateway.
    Listed(String),
    /// It came from the gateway's own address.
    Own,
    /// No page, or a request for which browsers tell no origin.
    Untold,
}

/// What `Sec-Fetch-Site` says, unless that is harmless. `none` is a person at the address bar.
fn site(headers: &HeaderMap) -> Option<String> {
    let mut values = headers
        .get_all(SEC_FETCH_SITE)
        .map(|value| String::from_utf8_lossy(value.as_bytes()).trim().to_ascii_lowercase());
    values.find(|value| !matches!(value.as_str(), "none" | "same-origin"))
}

fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    // Bytes that are no text are no name either, and are refused as such.
    headers.get(name).map(|value| value.to_str().unwrap_or("?"))
}

fn quoted(text: &str) -> String {
    text.chars().take(QUOTED).collect()
}
