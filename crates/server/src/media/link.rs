//! A caller's URL, parsed once: the checked parts are the ones connected to.

use std::net::IpAddr;

use http::Uri;
use url::{Host, Url};

use super::MediaSettings;

/// Longest URL accepted, in bytes.
const LONGEST: usize = 8192;

/// A URL that may be looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) uri: Uri,
    pub(super) host: LinkPlace,
    pub(super) port: u16,
    /// Host, and port unless it is the scheme's default.
    pub(super) authority: String,
}

/// Host of a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LinkPlace {
    Name(String),
    Address(IpAddr),
}

impl Link {
    /// Parses and checks a URL.
    ///
    /// # Errors
    /// The reason why it is not followed; for the log only, never for callers.
    pub(super) fn parse(text: &str, settings: &MediaSettings) -> Result<Self, &'static str> {
        if text.len() > LONGEST {
            return Err("the URL is too long");
        }
        let mut url = Url::parse(text).map_err(|_| "not a URL")?;
        url.set_fragment(None);
        let allowed = match url.scheme() {
            "https" => true,
            "http" => settings.allow_http,
            _ => false,
        };
        if !allowed {
            return Err("the scheme is not allowed");
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("the URL holds a user");
        }
        let port = url.port_or_known_default().ok_or("no port")?;
        let usual = port == 443 || (port == 80 && settings.allow_http);
        if !usual && !settings.ports.contains(&port) {
            return Err("the port is not allowed");
        }
        let host = match url.host().ok_or("no host")? {
            Host::Ipv4(address) => LinkPlace::Address(address.into()),
            Host::Ipv6(address) => LinkPlace::Address(address.into()),
            Host::Domain(name) => LinkPlace::Name(public_name(name, settings)?.to_owned()),
        };
        let name = url.host_str().ok_or("no host")?;
        let authority = match url.port() {
            Some(port) => format!("{name}:{port}"),
            None => name.to_owned(),
        };
        let uri = Uri::try_from(url.as_str()).map_err(|_| "not a URL")?;
        Ok(Self { uri, host, port, authority })
    }
}

/// Names inside a network are only for operators who allow addresses inside it.
fn public_name<'n>(name: &'n str, settings: &MediaSettings) -> Result<&'n str, &'static str> {
    if name.ends_with('.') {
        return Err("the name ends in a dot");
    }
    if !name.contains('.') && settings.allow_private.is_empty() {
        return Err("the name has a single label");
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_links_are_followed() {
        let settings = MediaSettings::default();
        for url in [
            "http://example.com/a.png",
            "ftp://example.com/a.png",
            "file:///etc/passwd",
            "gopher://example.com/",
            "https://user@example.com/",
            "https://user:secret@example.com/",
            "https://example.com:8443/",
            "https://example.com:22/",
            "https://example.com./",
            "https://localhost/",
            "https://metadata/",
            "https://",
            "https:///a",
            "//example.com/a",
            "example.com/a",
            "https://exa mple.com/",
        ] {
            assert!(Link::parse(url, &settings).is_err(), "{url}");
        }
        let link = Link::parse("https://Example.com:443/a%20b.png?x=1#top", &settings).unwrap();
        assert_eq!(link.host, LinkPlace::Name("example.com".to_owned()));
        assert_eq!((link.port, link.authority.as_str()), (443, "example.com"));
        assert_eq!(link.uri.path_and_query().unwrap().as_str(), "/a%20b.png?x=1");
    }

    #[test]
    fn every_spelling_of_an_address_is_that_address() {
        let settings = MediaSettings::default();
        for host in [
            "127.0.0.1",
            "2130706433",
            "0x7f000001",
            "0x7f.1",
            "0177.0.0.1",
            "127.1",
            "%3127.0.0.1",
        ] {
            let link = Link::parse(&format!("https://{host}/"), &settings).unwrap();
            assert_eq!(link.host, LinkPlace::Address([127, 0, 0, 1].into()), "{host}");
        }
    }
}
