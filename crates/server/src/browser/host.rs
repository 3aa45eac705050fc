//! Names in `Host`. With DNS rebinding a page's requests carry the page's own host name, which no
//! browser setting hides. An address, or a name that only the owner of this machine assigns, proves
//! that no foreign name was resolved.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// Names of this machine that need not be listed. The last two are the names of the host inside
/// containers of Docker and Podman; they are not in the DNS, because `.internal` is reserved for
/// private use.
const OWN: [&str; 3] = ["localhost", "host.docker.internal", "host.containers.internal"];

/// A host, without port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Host {
    /// Lower case, without the dot at its end.
    Name(String),
    /// An address; IPv4 inside IPv6 is IPv4.
    Ip(IpAddr),
}

impl Host {
    /// Reads `name`, `name:port`, `[v6]:port`. `None` for anything else, credentials included.
    pub(crate) fn parse(authority: &str) -> Option<Self> {
        let (host, port) = match authority.strip_prefix('[') {
            Some(rest) => {
                let (address, rest) = rest.split_once(']')?;
                let address: Ipv6Addr = address.parse().ok()?;
                return is_port(rest).then(|| Self::Ip(IpAddr::from(address).to_canonical()));
            }
            None => authority.find(':').map_or((authority, ""), |at| authority.split_at(at)),
        };
        let host = host.strip_suffix('.').unwrap_or(host);
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if host.is_empty() || !host.bytes().all(is_name) || !is_port(port) {
            return None;
        }
        Some(match host.parse() {
            Ok(address) => Self::Ip(address),
            Err(_) => Self::Name(host.to_ascii_lowercase()),
        })
    }
}

/// Whether the text is `:` and digits, which may be missing.
fn is_port(text: &str) -> bool {
    text.is_empty()
        || text.strip_prefix(':').is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Names that the operator lists.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct AllowedHosts(Vec<HostPattern>);

/// One listed name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum HostPattern {
    /// `*`: every name.
    Any,
    /// `*.example.com`, kept with its first dot: names below it.
    Below(String),
    /// One name or address.
    One(Host),
}

impl HostPattern {
    /// Reads a name, an address, or `*.` and a name. A port is refused, because it would have no
    /// effect.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self::Any);
        }
        if let Some(rest) = text.strip_prefix("*.") {
            return match Host::parse(rest)? {
                Host::Name(name) if !rest.contains(':') => Some(Self::Below(format!(".{name}"))),
                Host::Name(_) | Host::Ip(_) => None,
            };
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Some(Self::One(Host::Ip(address.to_canonical())));
        }
        let has_port = text.rsplit_once(']').map_or(text, |(_, rest)| rest).contains(':');
        Host::parse(text).filter(|_| !has_port).map(Self::One)
    }

    /// The pattern as it was written, for `outcrop check`.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Any => "*".to_owned(),
            Self::Below(name) => format!("*{name}"),
            Self::One(Host::Name(name)) => name.clone(),
            Self::One(Host::Ip(address)) => address.to_string(),
        }
    }
}

impl AllowedHosts {
    pub(crate) fn new(patterns: Vec<HostPattern>) -> Self {
        Self(patterns)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &HostPattern> {
        self.0.iter()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the host is a name of the gateway that listens at `listen`.
    pub(crate) fn admit(&self, host: &Host, listen: SocketAddr) -> bool {
        let is_own = match host {
            Host::Name(name) => OWN.contains(&name.as_str()),
            // Addresses are immune to rebinding. A listener on all addresses cannot know which one was
            // used.
            Host::Ip(address) => {
                let own = listen.ip().to_canonical();
                address.is_loopback() || *address == own || own.is_unspecified()
            }
        };
        is_own
            || self.0.iter().any(|pattern| match (pattern, host) {
                (HostPattern::Any, _) => true,
                (HostPattern::Below(end), Host::Name(name)) => {
                    name.len() > end.len() && name.ends_with(end.as_str())
                }
                (HostPattern::Below(_), Host::Ip(_)) => false,
                (HostPattern::One(one), host) => one == host,
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admits(listed: &[&str], authority: &str, listen: &str) -> bool {
        let listed = listed.iter().map(|text| HostPattern::parse(text).unwrap()).collect();
        let host = Host::parse(authority);
        host.is_some_and(|host| AllowedHosts::new(listed).admit(&host, listen.parse().unwrap()))
    }

    #[test]
    fn loopback_names_are_admitted() {
        for own in [
            "localhost",
            "localhost:4000",
            "LOCALHOST:1",
            "localhost.",
            "localhost.:4000",
            "localhost:",
            "127.0.0.1:4000",
            "127.8.9.1",
            "[::1]:4000",
            "[::1]",
            "[0:0:0:0:0:0:0:1]:80",
            "[::ffff:127.0.0.1]:4000",
            "host.docker.internal:4000",
        ] {
            assert!(admits(&[], own, "127.0.0.1:4000"), "{own}");
        }
        for foreign in [
            "",
            ":4000",
            "rebound.example",
            "localhost.rebound.example:4000",
            "127.0.0.1.rebound.example",
            "notlocalhost",
            "a.localhost",
            "localhost..",
            "192.168.1.7:4000",
            "0.0.0.0:4000",
            "[::]:4000",
            "::1",
            "[::1",
            "[::1]x",
            "[fe80::1%25lo]",
            "[::2]:4000",
            "localhost:4000@rebound.example",
            "rebound.example@localhost",
            "localhost:x",
            "localhost/x",
            "localhost, rebound.example",
            "127.1",
            "2130706433",
        ] {
            assert!(!admits(&[], foreign, "127.0.0.1:4000"), "{foreign}");
        }
    }

    #[test]
    fn other_names_must_be_listed() {
        let listed = ["Gateway.Example", "*.svc.cluster.local", "10.1.2.3", "[fd00::7]"];
        for admitted in [
            "gateway.example:4000",
            "GATEWAY.example.",
            "outcrop.team.svc.cluster.local:4000",
            "10.1.2.3",
            "[fd00:0::7]:4000",
            "localhost",
        ] {
            assert!(admits(&listed, admitted, "127.0.0.1:4000"), "{admitted}");
        }
        for foreign in ["a.gateway.example", "svc.cluster.local", "xsvc.cluster.local", "10.1.2.4"]
        {
            assert!(!admits(&listed, foreign, "127.0.0.1:4000"), "{foreign}");
        }
        assert!(admits(&["*"], "anything.example", "127.0.0.1:4000"));
    }

    #[test]
    fn the_listening_address_is_admitted() {
        assert!(admits(&[], "10.0.0.5:4000", "10.0.0.5:4000"));
        assert!(!admits(&[], "10.0.0.6:4000", "10.0.0.5:4000"));
        for any in ["0.0.0.0:4000", "[::]:4000"] {
            assert!(admits(&[], "10.0.0.6:4000", any) && !admits(&[], "pod.example", any));
        }
    }

    #[test]
    fn a_listed_name_has_no_port() {
        for text in ["", "a:80", "[::1]:80", "*.", "*.10.0.0.1", "a b", "http://a", "*.a:80", "a/b"]
        {
            assert_eq!(HostPattern::parse(text), None, "{text}");
        }
    }
}
