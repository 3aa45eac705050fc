//! Refusals before a route is chosen: of web pages, of calls that another
//! gateway forwarded, and of bodies that are not declared as JSON.

use actix_web::http::header::{SEC_WEBSOCKET_VERSION, UPGRADE};
use translate::Invalid;

use super::{CREDENTIALS, INVALID, Rendered, SERVER, UNAVAILABLE};
use crate::browser::Refusal;
use crate::missing_api::RequestedUrl;
use crate::overload::{Shed, ShedReason};

const LOOP: &str = "This call comes from a gateway whose Bedrock endpoint is a gateway: set its AWS_ENDPOINT_URL and AWS_ENDPOINT_URL_BEDROCK_RUNTIME to Bedrock's own, or unset them.";

/// The message where the gateway finds no credentials.
pub(crate) const NO_CREDENTIALS: &str = "The gateway has no usable AWS credentials; its log says which source failed. Its operator gives it a role, AWS_PROFILE (with `aws sso login` for SSO), access keys, or a Bedrock API key in AWS_BEARER_TOKEN_BEDROCK.";

/// Retrying is in vain: the operator must act first.
pub(super) fn no_credentials() -> Rendered {
    let rendered = Rendered::new(503, UNAVAILABLE, Some(CREDENTIALS), NO_CREDENTIALS).after(5);
    Rendered { in_vain: true, ..rendered }
}

/// OpenAI's clients repeat calls that end in a 5xx, and this one cannot succeed.
pub(super) fn unknown_route(asked: &RequestedUrl) -> Rendered {
    if asked.is_not_implemented() {
        let rendered = Rendered::new(501, INVALID, Some("not_implemented"), asked.to_string());
        return Rendered { in_vain: true, ..rendered };
    }
    Rendered::new(404, INVALID, Some("unknown_url"), asked.to_string())
}

pub(super) fn method(asked: &RequestedUrl, allowed: &str) -> Rendered {
    let RequestedUrl { method, path, .. } = asked;
    let message = format!("{method} is not supported at {path}; use {allowed}.");
    Rendered::new(405, INVALID, Some("method_not_supported"), message)
}

/// A `GET` where a WebSocket is opened, that does not open one.
pub(super) fn upgrade() -> Rendered {
    let message = "A GET of this address opens a WebSocket, over HTTP/1.1 with the headers of version 13: send upgrade: websocket, or use POST.";
    Rendered::new(426, INVALID, Some("upgrade_required"), message)
        .with(UPGRADE, "websocket")
        .with(SEC_WEBSOCKET_VERSION, "13")
}

pub(super) fn stopping() -> Rendered {
    let message = "The gateway is being stopped and could not finish this request; send it again.";
    Rendered::new(503, UNAVAILABLE, Some("shutting_down"), message).after(1)
}

/// Another replica may have room, and so has this one soon.
pub(super) fn overloaded(shed: &Shed) -> Rendered {
    let message = match shed.reason {
        ShedReason::InFlight | ShedReason::Memory => {
            "The gateway has no room for another call; send the request again."
        }
        ShedReason::KeyShare => {
            "The gateway is busy, and this key has its share of the calls in flight; send the request again."
        }
    };
    let rendered = Rendered::new(503, "overloaded_error", Some("gateway_overloaded"), message);
    Rendered { retry_after: Some(shed.retry_after), ..rendered }
}

pub(super) fn unknown_vector_store(id: &str) -> Rendered {
    let id = crate::quoting::id(id);
    let message = format!(
        "Vector store '{id}' not found: a vector store is a knowledge base of Bedrock's in the gateway's account and region, and its id has ten letters and digits."
    );
    let rendered = Rendered::new(404, INVALID, Some("not_found"), message);
    Rendered { param: Some(std::borrow::Cow::Borrowed("vector_store_id")), ..rendered }
}

pub(super) fn looped() -> Rendered {
    Rendered::new(508, SERVER, Some("loop_detected"), LOOP)
}

pub(super) fn browser(refusal: &Refusal) -> Rendered {
    let code = match refusal {
        Refusal::Host(_) => "host_not_allowed",
        Refusal::Origin(_) | Refusal::Site(_) => "origin_not_allowed",
    };
    Rendered::new(403, INVALID, Some(code), format!("Refused: {refusal}."))
}

/// No target of a name has the tags of a request.
pub(super) fn not_tagged(name: &str, tags: &str) -> Invalid {
    let message = format!(
        "No target of {name:?} is for requests with the tags {tags:?}, and none is tagged \"default\": send other tags, or none."
    );
    Invalid::value("tags", message).with_code("no_target_for_tags")
}

/// Requests may not choose targets by tags of their own.
pub(super) fn tags_refused() -> Invalid {
    let message =
        "This gateway takes no tags from the body of a request: leave tags and metadata.tags out.";
    Invalid::value("tags", message).with_code("tags_not_allowed")
}

pub(super) fn content_type(found: Option<&str>, expected: &str, by_curl: &str) -> Rendered {
    let found = match found {
        Some(found) => format!("it came with {found:?}"),
        None => "it came without one".to_owned(),
    };
    let message = format!(
        "Unsupported content type: send the body with the header \"content-type: {expected}\" (curl: {by_curl}); {found}."
    );
    Rendered::new(415, INVALID, Some("unsupported_content_type"), message)
}
