//! Requests that match no route.

use actix_web::http::header::{ALLOW, CONTENT_TYPE, HeaderMap, HeaderValue};
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};

use super::{SERVED, address, native, refusal};
use crate::body;
use crate::error::GatewayError;
use crate::missing_api::RequestedUrl;
use crate::quoting;
use crate::request::context::RequestContext;
use crate::state::Worker;

/// The longest part of a path that is quoted back.
const QUOTED: usize = 200;

/// Handles an operation of Bedrock if its API is also served at the root; otherwise responds with 404
/// in OpenAI's format.
pub(crate) async fn unknown_route(
    worker: Data<Worker>,
    http: HttpRequest,
    mut payload: Payload,
) -> HttpResponse {
    let config = &worker.now().config;
    if config.native.root && native::operation(&http, &config.native.services).is_ok() {
        return native::relay(worker, http, payload).await;
    }
    body::skim(&mut payload).await;
    refuse(&http, "unknown", &GatewayError::UnknownRoute(Box::new(asked(&http))))
}

/// 404 of a listener that calls no model.
pub(crate) async fn unknown_path(http: HttpRequest, mut payload: Payload) -> HttpResponse {
    body::skim(&mut payload).await;
    refuse(&http, "unknown", &GatewayError::UnknownRoute(Box::new(asked(&http))))
}

/// 405 in OpenAI's shape, with the methods that are `allowed`.
pub(crate) async fn wrong_method(
    http: HttpRequest,
    mut payload: Payload,
    allowed: &'static str,
) -> HttpResponse {
    body::skim(&mut payload).await;
    let error = GatewayError::Method { asked: Box::new(asked(&http)), allowed };
    let mut response = refuse(&http, "method", &error);
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    response
}

/// 415 in OpenAI's format.
pub(crate) async fn wrong_type(http: HttpRequest, mut payload: Payload) -> HttpResponse {
    body::skim(&mut payload).await;
    let found = http.headers().get(CONTENT_TYPE);
    let found = found.map(|found| String::from_utf8_lossy(found.as_bytes()).into_owned());
    refuse(&http, "content_type", &GatewayError::MediaType(found))
}

/// 415 for a route that takes a form.
pub(crate) async fn not_a_form(http: HttpRequest, mut payload: Payload) -> HttpResponse {
    body::skim(&mut payload).await;
    let found = http.headers().get(CONTENT_TYPE);
    let found = found.map(|found| String::from_utf8_lossy(found.as_bytes()).into_owned());
    refuse(&http, "content_type", &GatewayError::NotAForm(found))
}

/// Whether a body is declared as JSON and as no other type. Parameters are ignored, because JSON is
/// always UTF-8.
pub(crate) fn is_json(headers: &HeaderMap) -> bool {
    let is_json = |value: &HeaderValue| {
        let essence = value.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
        essence.trim_ascii().eq_ignore_ascii_case(b"application/json")
    };
    headers.contains_key(CONTENT_TYPE) && headers.get_all(CONTENT_TYPE).all(is_json)
}

fn refuse(http: &HttpRequest, route: &'static str, error: &GatewayError) -> HttpResponse {
    let mut context = RequestContext::begin(http, route);
    context.speaks(refusal::dialect(http.path(), http.headers()));
    context.refuse(error)
}

fn asked(http: &HttpRequest) -> RequestedUrl {
    let take = |text: &str| text.chars().take(QUOTED).collect();
    let path = quoting::path_without_keys(http.path());
    let (method, path) = (take(http.method().as_str()), take(&path));
    RequestedUrl { method, path, base: address::of(http), served: SERVED }
}
