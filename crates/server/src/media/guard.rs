//! The check before every fetch as one function, for the fuzzer: the destination of a URL.

use std::net::IpAddr;

use super::MediaSettings;
use super::link::{Link, LinkPlace};

/// Destination of a connection, and the data sent there.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Way {
    /// The URL as requested.
    pub(crate) uri: http::Uri,
    /// The `host` header.
    pub(crate) authority: String,
    pub(crate) port: u16,
    /// The name to look up; `None` if the URL contains an address.
    pub(crate) name: Option<String>,
    /// The address, if the URL contains one that may be reached.
    pub(crate) address: Option<IpAddr>,
}

/// The destination of a URL, if it is allowed.
pub(crate) fn way(url: &str, settings: &MediaSettings) -> Option<Way> {
    let Link { uri, host, port, authority } = Link::parse(url, settings).ok()?;
    let (name, address) = match host {
        LinkPlace::Name(name) => (Some(name), None),
        LinkPlace::Address(address) => (None, Some(address)),
    };
    if address.is_some_and(|address| !settings.admits(address)) {
        return None;
    }
    Some(Way { uri, authority, port, name, address })
}

/// Settings of an operator who allows more than the default: no TLS, another port, one private network.
pub(crate) fn loose() -> MediaSettings {
    MediaSettings {
        fetch: true,
        allow_http: true,
        ports: vec![8080],
        allow_private: "10.1.0.0/16".parse().into_iter().collect(),
        ..MediaSettings::default()
    }
}
