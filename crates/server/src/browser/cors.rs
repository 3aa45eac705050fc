//! Cross-origin resource sharing: the pages that may call the gateway from a browser and read its
//! responses. Off until origins are listed.

use actix_web::HttpResponse;
use actix_web::http::Method;
use actix_web::http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, HeaderMap, HeaderName,
    HeaderValue, ORIGIN, RETRY_AFTER, VARY,
};

/// Sent by browsers before a page of a public site reaches a private address.
const REQUEST_PRIVATE_NETWORK: HeaderName =
    HeaderName::from_static("access-control-request-private-network");
const ALLOW_PRIVATE_NETWORK: HeaderName =
    HeaderName::from_static("access-control-allow-private-network");
const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE";
/// Seconds for which a browser may cache a preflight.
const MAX_AGE: u32 = 600;

/// Pages that may call the gateway.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Cors {
    pub(crate) origins: Origins,
    /// Whether the browser may add cookies, for a proxy in front that requires them.
    pub(crate) credentials: bool,
}

/// Origins, as browsers write them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origins {
    /// All pages.
    Any,
    Listed(Vec<String>),
}

impl Default for Origins {
    fn default() -> Self {
        Self::Listed(Vec::new())
    }
}

impl Cors {
    /// Whether pages of an origin may call the gateway.
    pub(crate) fn lists(&self, origin: &str) -> bool {
        match &self.origins {
            Origins::Any => true,
            Origins::Listed(origins) => {
                let origin = origin.to_ascii_lowercase();
                origins.contains(&origin)
            }
        }
    }

    /// Responds to a preflight.
    pub(crate) fn preflight(&self, origin: &str, asked: &HeaderMap) -> HttpResponse {
        let mut response = HttpResponse::NoContent();
        response.insert_header((ACCESS_CONTROL_ALLOW_METHODS, METHODS));
        response.insert_header((ACCESS_CONTROL_MAX_AGE, MAX_AGE));
        // Listed in full, because `*` does not include `authorization`.
        if let Some(names) = asked.get(ACCESS_CONTROL_REQUEST_HEADERS) {
            response.insert_header((ACCESS_CONTROL_ALLOW_HEADERS, names.clone()));
        }
        if asked.contains_key(REQUEST_PRIVATE_NETWORK) {
            response.insert_header((ALLOW_PRIVATE_NETWORK, "true"));
        }
        let mut response = response.finish();
        self.allow(origin, response.headers_mut());
        for name in [ACCESS_CONTROL_REQUEST_METHOD, ACCESS_CONTROL_REQUEST_HEADERS] {
            response.headers_mut().append(VARY, HeaderValue::from_name(name));
        }
        response
    }

    /// Lets a page read a response, with the headers that clients use.
    pub(crate) fn describe(&self, origin: &str, headers: &mut HeaderMap) {
        let read = |name: &&HeaderName| name.as_str().starts_with("x-") || **name == RETRY_AFTER;
        let mut names: Vec<&str> = headers.keys().filter(read).map(HeaderName::as_str).collect();
        // Added later, to every response.
        names.push("x-request-id");
        names.sort_unstable();
        names.dedup();
        if let Ok(value) = HeaderValue::from_str(&names.join(", ")) {
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, value);
        }
        self.allow(origin, headers);
    }

    fn allow(&self, origin: &str, headers: &mut HeaderMap) {
        let Ok(origin) = HeaderValue::from_str(origin) else { return };
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.append(VARY, HeaderValue::from_name(ORIGIN));
        if self.credentials {
            let yes = HeaderValue::from_static("true");
            headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, yes);
        }
    }
}

/// Whether a request is a preflight.
pub(crate) fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
    *method == Method::OPTIONS && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// Whether pages served by the host of a request have this origin. Its scheme is ignored, because a
/// proxy in front may use https.
pub(crate) fn is_origin_of(origin: &str, host: &str) -> bool {
    let origin = origin.to_ascii_lowercase();
    let (port, authority) = match origin.split_once("://") {
        Some(("http", authority)) => (":80", authority),
        Some(("https", authority)) => (":443", authority),
        _ => return false,
    };
    let host = host.to_ascii_lowercase();
    host.strip_suffix(port).unwrap_or(&host) == authority
}

/// Reads an origin as a browser writes it: scheme, host, and the port if it is not the scheme's
/// default.
pub(crate) fn parse(text: &str) -> Option<String> {
    let text = text.to_ascii_lowercase();
    let (scheme, authority) = text.split_once("://")?;
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_lowercase())
        && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
    let is_authority = !authority.is_empty()
        && authority.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b));
    if !is_scheme || !is_authority {
        return None;
    }
    let port = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => "",
    };
    let authority = authority.strip_suffix(port).unwrap_or(authority);
    Some(format!("{scheme}://{authority}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_read_as_browsers_write_them() {
        for (text, read) in [
            ("https://chat.example.com", Some("https://chat.example.com")),
            ("HTTPS://Chat.Example.com:443", Some("https://chat.example.com")),
            ("http://localhost:3000", Some("http://localhost:3000")),
            ("http://a:80", Some("http://a")),
            ("http://a:443", Some("http://a:443")),
            ("http://[::1]:3000", Some("http://[::1]:3000")),
            ("app://obsidian.md", Some("app://obsidian.md")),
            ("chrome-extension://abcdef", Some("chrome-extension://abcdef")),
            ("https://chat.example.com/", None),
            ("https://*.example.com", None),
            ("https://user@example.com", None),
            ("chat.example.com", None),
            ("null", None),
            ("https://", None),
            ("https://münchen.example", None),
        ] {
            assert_eq!(parse(text).as_deref(), read, "{text}");
        }
    }

    #[test]
    fn an_origin_matches_the_host_it_names() {
        for (origin, host, same) in [
            ("http://localhost:4000", "localhost:4000", true),
            ("http://LOCALHOST:4000", "localhost:4000", true),
            ("https://gateway.example", "gateway.example", true),
            ("https://gateway.example", "gateway.example:443", true),
            ("http://gateway.example", "gateway.example:80", true),
            ("http://localhost:3000", "localhost:4000", false),
            ("http://localhost", "localhost:4000", false),
            ("http://localhost:4000.example", "localhost:4000", false),
            ("null", "null", false),
            ("localhost:4000", "localhost:4000", false),
        ] {
            assert_eq!(is_origin_of(origin, host), same, "{origin} {host}");
        }
    }
}
