//! Forward proxies between the gateway and AWS, from `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and
//! `NO_PROXY`. A configured proxy is never bypassed: if it cannot be reached or parsed, the call fails.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use http::uri::Scheme;
use http::{HeaderValue, Uri};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};

/// Container credentials of ECS and of EKS Pod Identity over IPv6, and their instance metadata.
const AWS_LOCAL: [&str; 2] = ["fd00:ec2::23", "fd00:ec2::254"];

/// The proxies of the process.
#[derive(Debug, Default)]
pub(super) struct Proxies {
    /// For destinations without a port in `NO_PROXY`; `None` if no proxy is configured.
    general: Option<Matcher>,
    /// For destinations whose port an entry of `NO_PROXY` names.
    by_port: BTreeMap<u16, Matcher>,
}

/// A variable without a usable proxy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{variable} names no proxy: give http://HOST:PORT, https://HOST:PORT or socks5://HOST:PORT"
)]
pub struct BadProxy {
    /// Its value may hold a password and is not shown.
    variable: &'static str,
}

/// The proxy for a destination.
#[derive(Clone)]
pub(super) struct Proxy(Intercept);

/// Written by hand: the proxy's credentials are a secret.
impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Proxy").field(self.0.uri()).finish()
    }
}

impl Proxies {
    /// Reads the variables. Lower-case names take precedence; a blank variable counts as unset.
    ///
    /// # Errors
    /// The first variable without a usable proxy.
    pub(super) fn of(environment: impl Fn(&str) -> Option<String>) -> Result<Self, BadProxy> {
        let first = |names: [&'static str; 2]| {
            names.into_iter().find_map(|name| {
                let value = environment(name).filter(|value| !value.trim().is_empty())?;
                Some((name, value.trim().to_owned()))
            })
        };
        let http = first(["http_proxy", "HTTP_PROXY"]);
        let https = first(["https_proxy", "HTTPS_PROXY"]);
        let all = first(["all_proxy", "ALL_PROXY"]);
        for (variable, value) in [&http, &https, &all].into_iter().flatten() {
            judge(variable, value)?;
        }
        if http.is_none() && https.is_none() && all.is_none() {
            return Ok(Self::default());
        }
        let exempt = first(["no_proxy", "NO_PROXY"]).map(|(_, value)| value).unwrap_or_default();
        let (general, by_port) = Self::exemptions(&exempt);
        let [http, https, all] =
            [http, https, all].map(|told| told.map(|(_, value)| value).unwrap_or_default());
        let matcher = |no: &[String]| {
            Matcher::builder().http(&http).https(&https).all(&all).no(no.join(",")).build()
        };
        let by_port = by_port
            .into_iter()
            .map(|(port, entries)| (port, matcher(&[general.clone(), entries].concat())))
            .collect();
        Ok(Self { general: Some(matcher(&general)), by_port })
    }

    /// The entries of `NO_PROXY` in the matcher's format: those for every port, and those for one.
    fn exemptions(text: &str) -> (Vec<String>, BTreeMap<u16, Vec<String>>) {
        let (mut general, mut by_port) = (Vec::new(), BTreeMap::<u16, Vec<String>>::new());
        for entry in text.split(|c: char| c == ',' || c.is_whitespace()) {
            let (host, port) = with_port(entry);
            // Some programs write `.example.com` as `*.example.com`.
            let host = host.strip_prefix('*').filter(|rest| rest.starts_with('.')).unwrap_or(host);
            match port {
                _ if host.is_empty() => {}
                Some(port) => by_port.entry(port).or_default().push(host.to_owned()),
                None => general.push(host.to_owned()),
            }
        }
        (general, by_port)
    }

    /// The proxy for a destination; `None` if it is reached directly.
    ///
    /// Plain HTTP to loopback, link-local and container addresses is direct: instance metadata, container
    /// credentials and an emulator are available only locally.
    pub(super) fn find(&self, destination: &Uri) -> Option<Proxy> {
        let general = self.general.as_ref()?;
        let is_plain = destination.scheme() != Some(&Scheme::HTTPS);
        let host = destination.host()?;
        if is_plain && is_local(host) {
            return None;
        }
        let port = destination.port_u16().unwrap_or(if is_plain { 80 } else { 443 });
        self.by_port.get(&port).unwrap_or(general).intercept(destination).map(Proxy)
    }
}

impl Proxy {
    /// Address of the proxy.
    pub(super) fn uri(&self) -> &Uri {
        self.0.uri()
    }

    /// Whether the proxy itself is reached over TLS.
    pub(super) fn is_tls(&self) -> bool {
        self.uri().scheme() == Some(&Scheme::HTTPS)
    }

    /// Whether it speaks SOCKS and not HTTP; if so, the side that resolves names.
    pub(super) fn socks(&self) -> Option<ResolvedBy> {
        match self.uri().scheme_str() {
            Some("socks5") => Some(ResolvedBy::Client),
            Some("socks5h") => Some(ResolvedBy::Proxy),
            _ => None,
        }
    }

    /// Value of `proxy-authorization`.
    pub(super) fn authorization(&self) -> Option<&HeaderValue> {
        self.0.basic_auth()
    }

    /// User and password of a SOCKS proxy.
    pub(super) fn login(&self) -> Option<(String, String)> {
        self.0.raw_auth().map(|(user, password)| (user.to_owned(), password.to_owned()))
    }
}

/// The side that looks up the destination's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ResolvedBy {
    Client,
    Proxy,
}

fn judge(variable: &'static str, value: &str) -> Result<(), BadProxy> {
    let schemes = ["http", "https", "socks5", "socks5h"];
    let is_known = |uri: &Uri| uri.scheme_str().is_none_or(|scheme| schemes.contains(&scheme));
    // The matcher treats an unusable value as unset.
    let probe = Uri::from_static("https://bedrock-runtime.us-east-1.amazonaws.com/");
    let is_read = Matcher::builder().all(value).build().intercept(&probe).is_some();
    match value.parse::<Uri>() {
        Ok(uri) if is_known(&uri) && is_read => Ok(()),
        _ => Err(BadProxy { variable }),
    }
}

/// Splits an entry into host and port. A colon within an IPv6 address starts no port.
fn with_port(entry: &str) -> (&str, Option<u16>) {
    if let Some(rest) = entry.strip_prefix('[') {
        let (host, port) = rest.split_once(']').unwrap_or((rest, ""));
        return (host, port.strip_prefix(':').and_then(|port| port.parse().ok()));
    }
    match entry.split_once(':') {
        Some((host, port)) if !port.contains(':') => match port.parse() {
            Ok(port) => (host, Some(port)),
            Err(_) => (entry, None),
        },
        Some(_) | None => (entry, None),
    }
}

fn is_local(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    match host.parse::<IpAddr>() {
        Ok(IpAddr::V4(ip)) => ip.is_loopback() || ip.is_link_local(),
        Ok(IpAddr::V6(ip)) => {
            ip.is_loopback() || ip.is_unicast_link_local() || AWS_LOCAL.contains(&host)
        }
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(variables: &[(&str, &str)]) -> Result<Proxies, BadProxy> {
        let value = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        Proxies::of(value)
    }

    fn way(variables: &[(&str, &str)], destination: &str) -> Option<String> {
        let found = proxies(variables).unwrap().find(&destination.parse().unwrap());
        found.map(|proxy| proxy.uri().to_string())
    }

    const BEDROCK: &str = "https://bedrock-runtime.us-east-1.amazonaws.com/model/x/converse";

    #[test]
    fn the_variable_of_the_scheme_applies_and_lower_case_first() {
        let upper = ("HTTPS_PROXY", "http://upper:1");
        assert_eq!(way(&[upper], BEDROCK).as_deref(), Some("http://upper:1/"));
        let both = [upper, ("https_proxy", "http://lower:1")];
        assert_eq!(way(&both, BEDROCK).as_deref(), Some("http://lower:1/"));
        let blank = [upper, ("https_proxy", " ")];
        assert_eq!(way(&blank, BEDROCK).as_deref(), Some("http://upper:1/"));
        assert_eq!(way(&[("HTTP_PROXY", "http://p:1")], BEDROCK), None);
        assert_eq!(
            way(&[("ALL_PROXY", "proxy.corp:3128")], BEDROCK).as_deref(),
            Some("http://proxy.corp:3128/")
        );
        assert_eq!(way(&[], BEDROCK), None);
        let plain = "http://vpce.local/x";
        assert_eq!(way(&[("http_proxy", "http://p:1")], plain).as_deref(), Some("http://p:1/"));
    }

    #[test]
    fn credentials_of_a_proxy_are_read_and_not_shown() {
        let all = proxies(&[("HTTPS_PROXY", "http://us%40er:@p:1")]).unwrap();
        let proxy = all.find(&BEDROCK.parse().unwrap()).unwrap();
        assert_eq!(proxy.authorization().unwrap(), "Basic dXNAZXI6");
        assert!(!format!("{proxy:?}{all:?}").contains("us%40er"));
        let socks = proxies(&[("ALL_PROXY", "socks5h://u:p@s:1")]).unwrap();
        let proxy = socks.find(&BEDROCK.parse().unwrap()).unwrap();
        assert_eq!(proxy.socks(), Some(ResolvedBy::Proxy));
        assert_eq!(proxy.login(), Some(("u".to_owned(), "p".to_owned())));
    }

    #[test]
    fn a_variable_that_names_no_proxy_is_an_error() {
        for value in ["ftp://p:1", "http://", "p :1", "socks4://p:1", "/path"] {
            let error = proxies(&[("HTTPS_PROXY", value)]).unwrap_err();
            assert!(
                error.to_string().starts_with("HTTPS_PROXY names no proxy"),
                "{value}: {error}"
            );
        }
    }

    #[test]
    fn the_forms_of_no_proxy() {
        let host = "https://bedrock-runtime.us-east-1.amazonaws.com/";
        for (no_proxy, destination, is_direct) in [
            ("amazonaws.com", host, true),
            (".amazonaws.com", host, true),
            ("*.amazonaws.com", host, true),
            ("bedrock-runtime.us-east-1.amazonaws.com", host, true),
            ("BEDROCK-RUNTIME.us-east-1.AMAZONAWS.com", host, true),
            ("zonaws.com", host, false),
            ("us-east-2.amazonaws.com", host, false),
            ("*", host, true),
            ("", host, false),
            (" localhost , amazonaws.com ", host, true),
            ("localhost amazonaws.com", host, true),
            ("localhost,,", host, false),
            ("amazonaws.com:443", host, true),
            ("amazonaws.com:8443", host, false),
            ("amazonaws.com:8443", "https://x.amazonaws.com:8443/", true),
            ("10.0.0.0/8", "https://10.1.2.3/", true),
            ("10.0.0.0/8", "https://11.1.2.3/", false),
            ("10.1.2.3", "https://10.1.2.3:8443/", true),
            ("10.1.2.3:8443", "https://10.1.2.3/", false),
            ("10.1.2.3:8443", "https://10.1.2.3:8443/", true),
            ("2001:db8::/32", "https://[2001:db8::1]/", true),
            ("[2001:db8::1]:8443", "https://[2001:db8::1]:8443/", true),
            ("[2001:db8::1]", "https://[2001:db8::1]/", true),
            ("::1", "https://[::1]:4000/", true),
            ("127.0.0.1", "https://127.0.0.1:4000/", true),
            ("localhost", "https://127.0.0.1:4000/", false),
        ] {
            let variables = [("HTTPS_PROXY", "http://p:1"), ("NO_PROXY", no_proxy)];
            let direct = way(&variables, destination).is_none();
            assert_eq!(direct, is_direct, "{no_proxy:?} {destination}");
        }
    }

    #[test]
    fn metadata_and_container_credentials_bypass_the_proxy() {
        for destination in [
            "http://169.254.169.254/latest/meta-data",
            "http://169.254.170.2/v2/credentials",
            "http://169.254.170.23/v1/credentials",
            "http://[fd00:ec2::23]/v1/credentials",
            "http://[fd00:ec2::254]/latest",
            "http://127.0.0.1:4566/model",
            "http://localhost:4566/model",
            "http://[::1]:4566/model",
        ] {
            assert_eq!(way(&[("ALL_PROXY", "http://p:1")], destination), None, "{destination}");
        }
    }
}
