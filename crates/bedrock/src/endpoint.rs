//! Endpoints of the Bedrock services, and encoding of model ids in paths. The SDK's rules decide the host
//! of bedrock-runtime; its sister services follow the same pattern.

use std::fmt;

use aws_sdk_bedrockruntime::config::endpoint::{DefaultResolver, Params, ResolveEndpoint};
use http::uri::{Authority, Scheme, Uri};

/// The services the gateway calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Service {
    /// `bedrock-runtime`: Converse, InvokeModel.
    Runtime,
    /// `bedrock`: models, profiles, batch jobs.
    Control,
    /// `bedrock-agent-runtime`: rerank, knowledge bases, agents.
    AgentRuntime,
    /// `bedrock-agent`: definitions of agents and prompts.
    Agent,
    /// `s3`: files, and the records of batch jobs.
    S3,
    /// `bedrock-mantle`: models in the APIs of OpenAI and Anthropic.
    Mantle,
    /// `bedrock-agentcore`: agents that run in AgentCore, their memory and tools.
    AgentCore,
    /// `bedrock-agentcore-control`: definitions of those.
    AgentCoreControl,
    /// `bedrock-data-automation`: projects and blueprints.
    DataAutomation,
    /// `bedrock-data-automation-runtime`: documents, images and recordings read by those.
    DataAutomationRuntime,
}

impl Service {
    /// Every service of Bedrock.
    pub const ALL: [Self; 9] = [
        Self::Runtime,
        Self::Control,
        Self::AgentRuntime,
        Self::Agent,
        Self::Mantle,
        Self::AgentCore,
        Self::AgentCoreControl,
        Self::DataAutomation,
        Self::DataAutomationRuntime,
    ];

    /// First label of the host name.
    pub fn host_label(self) -> &'static str {
        match self {
            Self::Runtime => "bedrock-runtime",
            Self::Control => "bedrock",
            Self::AgentRuntime => "bedrock-agent-runtime",
            Self::Agent => "bedrock-agent",
            Self::S3 => "s3",
            Self::Mantle => "bedrock-mantle",
            Self::AgentCore => "bedrock-agentcore",
            Self::AgentCoreControl => "bedrock-agentcore-control",
            Self::DataAutomation => "bedrock-data-automation",
            Self::DataAutomationRuntime => "bedrock-data-automation-runtime",
        }
    }

    /// The name that calls are signed for.
    pub(super) fn signing_name(self) -> &'static str {
        match self {
            Self::Runtime
            | Self::Control
            | Self::AgentRuntime
            | Self::Agent
            | Self::DataAutomation
            | Self::DataAutomationRuntime => "bedrock",
            Self::S3 => "s3",
            Self::Mantle => "bedrock-mantle",
            Self::AgentCore | Self::AgentCoreControl => "bedrock-agentcore",
        }
    }

    /// Whether the service has hosts of dual stack alone.
    fn is_dual_stack(self) -> bool {
        match self {
            Self::Mantle => true,
            Self::Runtime
            | Self::Control
            | Self::AgentRuntime
            | Self::Agent
            | Self::S3
            | Self::AgentCore
            | Self::AgentCoreControl
            | Self::DataAutomation
            | Self::DataAutomationRuntime => false,
        }
    }

    /// The SDK's service id: names the override variable (`AWS_ENDPOINT_URL_BEDROCK_AGENT`) and the
    /// key in a profile's services section (`bedrock_agent`).
    pub(super) fn service_id(self) -> &'static str {
        match self {
            Self::Runtime => "Bedrock Runtime",
            Self::Control => "Bedrock",
            Self::AgentRuntime => "Bedrock Agent Runtime",
            Self::Agent => "Bedrock Agent",
            Self::S3 => "S3",
            Self::Mantle => "Bedrock Mantle",
            Self::AgentCore => "Bedrock AgentCore",
            Self::AgentCoreControl => "Bedrock AgentCore Control",
            Self::DataAutomation => "Bedrock Data Automation",
            Self::DataAutomationRuntime => "Bedrock Data Automation Runtime",
        }
    }

    pub(super) fn index(self) -> usize {
        match self {
            Self::Runtime => 0,
            Self::Control => 1,
            Self::AgentRuntime => 2,
            Self::Agent => 3,
            Self::S3 => 4,
            Self::Mantle => 5,
            Self::AgentCore => 6,
            Self::AgentCoreControl => 7,
            Self::DataAutomation => 8,
            Self::DataAutomationRuntime => 9,
        }
    }
}

/// Base URL of a service: scheme, host and port, and the path an override may carry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    scheme: Scheme,
    authority: Authority,
    base_path: String,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme, self.authority, self.base_path)
    }
}

impl Endpoint {
    /// Parses `http[s]://host[:port][/base/path]`.
    ///
    /// # Errors
    /// A sentence that describes the error in the URL.
    pub fn parse(url: &str) -> Result<Self, String> {
        let parts = url.parse::<Uri>().map_err(|error| format!("{url:?}: {error}"))?.into_parts();
        let (Some(scheme), Some(authority)) = (parts.scheme, parts.authority) else {
            return Err(format!("{url:?} is not an absolute URL"));
        };
        if scheme != Scheme::HTTP && scheme != Scheme::HTTPS {
            return Err(format!("{url:?}: the scheme must be http or https"));
        }
        if authority.as_str().contains('@') {
            return Err("an endpoint URL cannot carry a user name or password".to_owned());
        }
        let path = parts.path_and_query;
        if path.as_ref().is_some_and(|path| path.query().is_some()) {
            return Err(format!("{url:?}: an endpoint URL cannot carry a query"));
        }
        let base_path = path.map(|path| path.path().trim_end_matches('/').to_owned());
        Ok(Self { scheme, authority, base_path: base_path.unwrap_or_default() })
    }

    /// Whether it is one of AWS's own hosts, private ones of a VPC included.
    pub fn is_aws(&self) -> bool {
        const DOMAINS: [&str; 7] = [
            ".amazonaws.com",
            ".amazonaws.com.cn",
            ".api.aws",
            ".amazonaws.eu",
            ".c2s.ic.gov",
            ".sc2s.sgov.gov",
            ".csp.hci.ic.gov",
        ];
        let host = self.authority.host().trim_end_matches('.').to_ascii_lowercase();
        DOMAINS.iter().any(|domain| host.ends_with(domain))
    }

    /// Whether calls go over TLS.
    pub fn is_https(&self) -> bool {
        self.scheme == Scheme::HTTPS
    }

    /// Host, an IPv6 address in brackets, and port.
    pub fn host_and_port(&self) -> (&str, u16) {
        let default = if self.is_https() { 443 } else { 80 };
        (self.authority.host(), self.authority.port_u16().unwrap_or(default))
    }

    /// Value of the `host` header: without the scheme's default port.
    pub fn host(&self) -> &str {
        let default = if self.is_https() { 443 } else { 80 };
        let full = self.authority.as_str();
        match self.authority.port_u16() {
            Some(port) if port == default => full.rsplit_once(':').map_or(full, |(host, _)| host),
            _ => full,
        }
    }

    /// Absolute URI of a path (already percent-encoded, starting with `/`) and a query under this base.
    pub(super) fn uri(&self, path: &str, query: Option<&str>) -> Result<Uri, http::Error> {
        let target = match query {
            Some(query) => format!("{}{path}?{query}", self.base_path),
            None => format!("{}{path}", self.base_path),
        };
        Uri::builder()
            .scheme(self.scheme.clone())
            .authority(self.authority.clone())
            .path_and_query(target)
            .build()
    }
}

/// Host of a service by the SDK's rules for bedrock-runtime, without any override.
///
/// The SDK compiles in the rules of its own service alone. Those of the sister services are generated from
/// the same template (`{label}[-fips].{region}.{suffix of the partition}`), so its result is used with
/// another label: partitions, FIPS and dual stack remain decided by the SDK.
pub(super) async fn regional(
    service: Service,
    region: &str,
    fips: Option<bool>,
    dual_stack: Option<bool>,
) -> Result<Endpoint, String> {
    let params = Params::builder()
        .region(region)
        .use_fips(fips.unwrap_or_default())
        .use_dual_stack(dual_stack.unwrap_or_default() || service.is_dual_stack())
        .build()
        .map_err(|error| error.to_string())?;
    let resolver = DefaultResolver::new();
    let resolved = resolver.resolve_endpoint(&params).await.map_err(|error| error.to_string())?;
    let url = resolved.url();
    let rest = url
        .strip_prefix("https://")
        .and_then(|host| host.strip_prefix(Service::Runtime.host_label()))
        .ok_or_else(|| format!("cannot derive the host of {} from {url}", service.host_label()))?;
    // S3 marks dual stack by a label of its own, in the older domain.
    let host = match (service, rest.strip_suffix(".api.aws")) {
        (Service::S3, Some(region)) => {
            let (kind, region) = region.rsplit_once('.').unwrap_or(("", region));
            format!("s3{kind}.dualstack.{region}.amazonaws.com")
        }
        _ => format!("{}{rest}", service.host_label()),
    };
    Endpoint::parse(&format!("https://{host}"))
}

/// A model id that cannot be a path segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a model id has 1 to 2048 characters and is neither \".\" nor \"..\"")]
pub struct InvalidModelId;

/// Path of a model operation: `/model/{id}/{operation}`. Every byte of the id but letters, digits and
/// `-._~` is percent-encoded, as the SDK does, so that an ARN is one segment.
///
/// # Errors
/// [`InvalidModelId`] for an empty or overlong id, and for the dot segments that would leave `/model`.
pub fn model_path(model_id: &str, operation: &str) -> Result<String, InvalidModelId> {
    if model_id.is_empty() || model_id.len() > 2048 || model_id == "." || model_id == ".." {
        return Err(InvalidModelId);
    }
    let mut path = String::with_capacity(16 + model_id.len() * 3 / 2 + operation.len());
    path.push_str("/model/");
    encode_segment(model_id, &mut path);
    path.push('/');
    path.push_str(operation);
    Ok(path)
}

/// Appends one path segment: every byte but letters, digits and `-._~` is percent-encoded.
pub fn encode_segment(text: &str, path: &mut String) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            path.push(char::from(byte));
        } else {
            path.push('%');
            path.push(char::from(HEX[usize::from(byte >> 4)]));
            path.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn model_ids_become_one_segment() {
        let path = |id| model_path(id, "converse").unwrap();
        assert_eq!(path("us.a.b-v1:0"), "/model/us.a.b-v1%3A0/converse");
        assert_eq!(
            path("arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc"),
            "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Aapplication-inference-profile%2Fabc/converse"
        );
        assert_eq!(path("a%3A/é"), "/model/a%253A%2F%C3%A9/converse");
        for bad in ["", ".", "..", &"x".repeat(2049)] {
            assert_eq!(model_path(bad, "converse"), Err(InvalidModelId));
        }
    }

    #[test]
    fn endpoints_keep_their_base_path_and_lose_the_default_port() {
        let endpoint = Endpoint::parse("http://127.0.0.1:8080/prefix/").unwrap();
        assert_eq!(endpoint.to_string(), "http://127.0.0.1:8080/prefix");
        assert_eq!(endpoint.host(), "127.0.0.1:8080");
        let uri = endpoint.uri("/model/a%3A0/converse", Some("x=1")).unwrap();
        assert_eq!(uri, "http://127.0.0.1:8080/prefix/model/a%3A0/converse?x=1");
        assert_eq!(Endpoint::parse("https://[::1]:443").unwrap().host(), "[::1]");
        assert_eq!(Endpoint::parse("http://h:443/").unwrap().host(), "h:443");
        for bad in ["bedrock", "/path", "ftp://h/", "https://u:p@h/", "https://h/?q=1", ""] {
            assert!(Endpoint::parse(bad).is_err(), "{bad}");
        }
        let leaked = Endpoint::parse("https://user:hunter2@h/").unwrap_err();
        assert!(!leaked.contains("hunter2"));
    }

    #[tokio::test]
    async fn regional_hosts_follow_partition_fips_and_dual_stack() {
        let cases = [
            (
                Service::Control,
                "us-east-1",
                false,
                false,
                "https://bedrock.us-east-1.amazonaws.com",
            ),
            (
                Service::AgentRuntime,
                "eu-west-1",
                false,
                false,
                "https://bedrock-agent-runtime.eu-west-1.amazonaws.com",
            ),
            (
                Service::Agent,
                "us-west-2",
                true,
                false,
                "https://bedrock-agent-fips.us-west-2.amazonaws.com",
            ),
            (
                Service::Control,
                "us-gov-west-1",
                true,
                true,
                "https://bedrock-fips.us-gov-west-1.api.aws",
            ),
            (
                Service::AgentRuntime,
                "cn-north-1",
                false,
                false,
                "https://bedrock-agent-runtime.cn-north-1.amazonaws.com.cn",
            ),
            (Service::S3, "eu-west-1", false, false, "https://s3.eu-west-1.amazonaws.com"),
            (
                Service::S3,
                "us-gov-west-1",
                true,
                true,
                "https://s3-fips.dualstack.us-gov-west-1.amazonaws.com",
            ),
            (
                Service::Mantle,
                "us-gov-west-1",
                false,
                false,
                "https://bedrock-mantle.us-gov-west-1.api.aws",
            ),
            (
                Service::AgentCoreControl,
                "us-west-2",
                false,
                true,
                "https://bedrock-agentcore-control.us-west-2.api.aws",
            ),
            (
                Service::DataAutomationRuntime,
                "us-west-2",
                true,
                false,
                "https://bedrock-data-automation-runtime-fips.us-west-2.amazonaws.com",
            ),
            (
                Service::Runtime,
                "cn-north-1",
                false,
                true,
                "https://bedrock-runtime.cn-north-1.api.amazonwebservices.com.cn",
            ),
        ];
        for (service, region, fips, dual, expected) in cases {
            let endpoint = regional(service, region, Some(fips), Some(dual)).await.unwrap();
            assert_eq!(endpoint.to_string(), expected);
        }
        assert!(regional(Service::Agent, "not a region", None, None).await.is_err());
    }
}
