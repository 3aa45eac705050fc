//! Filters headers and queries between caller and Bedrock by name. Names without a known meaning to Bedrock
//! are dropped: credentials, cookies, hop-by-hop headers, tracing of other systems.

use http::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::table::is_documented;
use bedrock::Service;

/// Longest value accepted, in bytes; SDKs send none longer except for request metadata.
const LONGEST: usize = 8 * 1024 + 512;

/// Prefix of the headers of Bedrock's operations. The prefix passes as a whole, so that headers of newer
/// service models, such as the project that a call is billed to, are kept.
const FAMILY: &str = "x-amzn-bedrock-";
/// Further request headers in the service models.
const REQUEST: &[&str] = &["x-amz-source-arn", "x-amz-client-token"];

/// Those of bedrock-agentcore alone.
const AGENTCORE: &[&str] = &[
    "baggage",
    "mcp-method",
    "mcp-name",
    "mcp-protocol-version",
    "mcp-session-id",
    "traceparent",
    "tracestate",
    "x-amzn-browser-session-id",
    "x-amzn-code-interpreter-session-id",
    "x-amzn-trace-id",
];
/// Those of the APIs on bedrock-mantle.
const MANTLE: &[&str] =
    &["anthropic-beta", "anthropic-version", "anthropic-workspace-id", "openai-project"];
/// Further response headers in the service models.
const RESPONSE: &[&str] =
    &["baggage", "mcp-protocol-version", "mcp-session-id", "traceparent", "tracestate"];

/// Whether a caller's header is forwarded to a service.
pub(crate) fn goes_up(service: Service, name: &str, value: &[u8]) -> bool {
    let own = match service {
        Service::AgentCore => AGENTCORE,
        Service::Mantle => MANTLE,
        Service::Runtime
        | Service::Control
        | Service::AgentRuntime
        | Service::Agent
        | Service::S3
        | Service::AgentCoreControl
        | Service::DataAutomation
        | Service::DataAutomationRuntime => &[],
    };
    let known = name == CONTENT_TYPE.as_str()
        || name == ACCEPT.as_str()
        || name.starts_with(FAMILY)
        || REQUEST.contains(&name)
        || own.contains(&name);
    known && value.len() <= LONGEST
}

/// The headers of Bedrock's response that the caller gets.
pub(crate) fn come_down(upstream: &HeaderMap) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
    upstream.iter().filter(|(name, _)| {
        let name = name.as_str();
        name == CONTENT_TYPE.as_str()
            // The request asks for no encoding; if one is used all the same, the bytes are unusable without
            // this header.
            || name == CONTENT_ENCODING.as_str()
            || name == "retry-after"
            || name.starts_with("x-amzn-")
            || name.starts_with("x-amz-bedrock-")
            || RESPONSE.contains(&name)
    })
}

/// The documented pairs of a query, unchanged. `None` if none is left.
pub(crate) fn query(raw: &str) -> Option<String> {
    let kept: Vec<&str> = raw
        .split('&')
        .filter(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            is_documented(name)
                && value.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~%+:/=,".contains(&b))
        })
        .collect();
    (!kept.is_empty()).then(|| kept.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_headers_known_to_bedrock_are_forwarded() {
        for name in [
            "content-type",
            "accept",
            "x-amzn-bedrock-trace",
            "x-amzn-bedrock-projectidentifier",
            "x-amzn-bedrock-of-tomorrow",
            "x-amz-source-arn",
        ] {
            assert!(goes_up(Service::Runtime, name, b"x"), "{name}");
        }
        for name in [
            "authorization",
            "cookie",
            "host",
            "x-amz-date",
            "x-amz-security-token",
            "x-forwarded-for",
            "te",
            "expect",
            "x-api-key",
            "traceparent",
            "x-amzn-trace-id",
            "x-amzn-requestid",
            "x-amzn-bedrock",
        ] {
            assert!(!goes_up(Service::Runtime, name, b"x"), "{name}");
        }
        let long = vec![b'x'; 9000];
        assert!(!goes_up(Service::Runtime, "x-amzn-bedrock-request-metadata", &long));
        for (service, name) in [
            (Service::AgentCore, "traceparent"),
            (Service::AgentCore, "mcp-session-id"),
            (Service::Mantle, "openai-project"),
            (Service::Mantle, "anthropic-version"),
        ] {
            assert!(goes_up(service, name, b"x"), "{name}");
            assert!(!goes_up(Service::AgentRuntime, name, b"x"), "{name}");
        }
        assert!(!goes_up(Service::Mantle, "authorization", b"x"));
    }

    #[test]
    fn queries_are_kept_by_name() {
        assert_eq!(
            query("maxResults=5&evil=1&nextToken=a%2Bb").as_deref(),
            Some("maxResults=5&nextToken=a%2Bb")
        );
        let project = "projectIdentifier=arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Aproject%2Fx";
        assert_eq!(query(project).as_deref(), Some(project));
        assert_eq!(query("x=1"), None);
        assert_eq!(query("nextToken=a b"), None);
    }
}
