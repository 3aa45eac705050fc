//! The gateway's own address, as a caller writes it, for what is shown to people.

use actix_web::HttpRequest;
use actix_web::http::header::{HOST, HeaderName, HeaderValue};

use crate::browser::host::Host;

/// Set by proxies that end TLS in front of the gateway.
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// Longest name that is shown; that of a longer one would crowd out the text around it.
const LENGTH: usize = 100;

/// Scheme, host and port, without a slash at the end: by `Host`, else the address listened on.
pub(crate) fn of(http: &HttpRequest) -> String {
    let forwarded = http.headers().get(FORWARDED_PROTO).map(HeaderValue::as_bytes);
    let is_secure = http.app_config().secure() || forwarded == Some(b"https");
    let scheme = if is_secure { "https" } else { "http" };
    let told = http.headers().get(HOST).and_then(|host| host.to_str().ok());
    match told.filter(|host| host.len() <= LENGTH && Host::parse(host).is_some()) {
        Some(host) => format!("{scheme}://{host}"),
        None => format!("{scheme}://{}", http.app_config().local_addr()),
    }
}
