//! Refusals that are made before a route is chosen: of web pages, of calls that another gateway sent on, of
//! bodies that are not declared as JSON.

use super::{INVALID, Rendered, SERVER};
use crate::browser::Refusal;

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
