//! Refusals that are made before a route is chosen: of callers without the key, of web pages, of calls that another gateway sent on, of
//! bodies that are not declared as JSON.

use super::{INVALID, Rendered, SERVER};
use crate::browser::Refusal;
use crate::master_key::KeyRefusal;

const LOOP: &str = "This call comes from a gateway whose Bedrock endpoint is a gateway: set its AWS_ENDPOINT_URL and AWS_ENDPOINT_URL_BEDROCK_RUNTIME to Bedrock's own, or unset them.";

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

pub(super) fn key(refusal: KeyRefusal) -> Rendered {
    const WAYS: &str = "send the gateway's master key in the header \"authorization: Bearer KEY\" (the api_key of OpenAI's SDKs, OPENAI_API_KEY), x-api-key or api-key";
    let message = match refusal {
        KeyRefusal::NoKey => format!("No API key was sent: {WAYS}."),
        KeyRefusal::Wrong(header) => {
            format!("Incorrect API key provided in the header {header}: {WAYS}.")
        }
        KeyRefusal::Signed => "The access key of this request's signature is not known to the gateway: send its master key as the access key id (AWS_ACCESS_KEY_ID, with any secret access key), or as a bearer key (AWS_BEARER_TOKEN_BEDROCK).".to_owned(),
        KeyRefusal::NotConfigured => "The gateway is to check a master key and has none, so that it refuses every call; its operator sets the variable that master_key names.".to_owned(),
    };
    Rendered::new(401, INVALID, Some("invalid_api_key"), message)
}

pub(super) fn media_type(found: Option<&str>) -> Rendered {
    let found = match found {
        Some(found) => format!("it came with {found:?}"),
        None => "it came without one".to_owned(),
    };
    let message = format!(
        "Unsupported content type: send the body with the header \"content-type: application/json\" (curl: -H 'content-type: application/json'); {found}."
    );
    Rendered::new(415, INVALID, Some("unsupported_content_type"), message)
}
