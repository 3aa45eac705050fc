//! Requests that no route takes.

use actix_web::http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};

use super::native;
use crate::app::Worker;
use crate::body;
use crate::error::GatewayError;
use crate::exchange::Exchange;

/// The longest stretch of a path that is quoted back.
const QUOTED: usize = 200;

/// An operation of Bedrock's where its API hangs at the root too; else 404 in OpenAI's shape.
pub(crate) async fn unknown_route(
    worker: Data<Worker>,
    http: HttpRequest,
    mut payload: Payload,
) -> HttpResponse {
    let config = &worker.now().config;
    if config.native_root && native::operation(&http, &config.native_services).is_ok() {
        return native::relay(worker, http, payload).await;
    }
    body::skim(&mut payload).await;
    let (method, path) = quoted(&http);
    Exchange::begin(&http, "unknown").refuse(&GatewayError::UnknownRoute { method, path })
}

/// 405 in OpenAI's shape.
pub(crate) async fn wrong_method(http: HttpRequest, mut payload: Payload) -> HttpResponse {
    body::skim(&mut payload).await;
    let (method, path) = quoted(&http);
    Exchange::begin(&http, "method").refuse(&GatewayError::Method { method, path })
}

/// 415 in OpenAI's shape.
pub(crate) async fn wrong_type(http: HttpRequest, mut payload: Payload) -> HttpResponse {
    body::skim(&mut payload).await;
    let found = http.headers().get(CONTENT_TYPE);
    let found = found.map(|found| String::from_utf8_lossy(found.as_bytes()).into_owned());
    Exchange::begin(&http, "content_type").refuse(&GatewayError::MediaType(found))
}

/// Whether a body is declared as JSON, and as nothing beside it. Parameters say nothing: JSON is UTF-8.
pub(crate) fn is_json(headers: &HeaderMap) -> bool {
    let is_json = |value: &HeaderValue| {
        let essence = value.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
        essence.trim_ascii().eq_ignore_ascii_case(b"application/json")
    };
    headers.contains_key(CONTENT_TYPE) && headers.get_all(CONTENT_TYPE).all(is_json)
}

fn quoted(http: &HttpRequest) -> (String, String) {
    let take = |text: &str| text.chars().take(QUOTED).collect();
    (take(http.method().as_str()), take(http.path()))
}
