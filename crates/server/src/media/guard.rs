//! The guard before every fetch as one question, for the fuzzer to ask: where would this URL lead?

use std::net::IpAddr;

use super::link::{Link, Place};
use super::{MediaSettings, Reach};

/// What would be connected to, and what would be sent there.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Way {
    /// The URL as it is asked for.
    pub(crate) uri: http::Uri,
    /// The `host` header.
    pub(crate) authority: String,
    pub(crate) port: u16,
    /// The name to look up; `None` where the URL holds an address.
    pub(crate) name: Option<String>,
    /// The address, if it is one and may be connected to.
    pub(crate) address: Option<IpAddr>,
}

/// Where a URL leads, if it is followed at all.
pub(crate) fn way(url: &str, settings: &MediaSettings) -> Option<Way> {
    let Link { uri, host, port, authority } = Link::parse(url, settings).ok()?;
    let (name, address) = match host {
        Place::Name(name) => (Some(name), None),
        Place::Address(address) => (None, Some(address)),
    };
    if address.is_some_and(|address| !settings.reach.admits(address)) {
        return None;
    }
    Some(Way { uri, authority, port, name, address })
}

/// An operator who allows more than the default: no TLS, another port, one private network.
pub(crate) fn loose() -> MediaSettings {
    let allowed = "10.1.0.0/16".parse().into_iter().collect();
    MediaSettings {
        fetch: true,
        http: true,
        ports: vec![8080],
        reach: Reach { allowed, denied: Vec::new() },
        ..MediaSettings::default()
    }
}
