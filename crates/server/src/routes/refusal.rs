//! Refusals that are made before a route is chosen, in the shape of the API that the path belongs to.

use actix_web::http::Uri;
use actix_web::{HttpRequest, HttpResponse};

use super::native;
use crate::config::Config;
use crate::error::GatewayError;
use crate::exchange::Exchange;

/// An API, as far as its errors have a shape of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    OpenAi,
    Aws,
}

impl Shape {
    /// The API that a request is for.
    pub(crate) fn of(method: &str, uri: &Uri, config: &Config) -> Self {
        let below = uri.path().strip_prefix(native::MOUNT);
        let is_native = below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            || config.native_root && native::matched(method, uri, &config.native_services).is_ok();
        if is_native { Self::Aws } else { Self::OpenAi }
    }
}

/// The answer to a refused request, and its line in the access log.
pub(crate) fn respond(
    http: &HttpRequest,
    config: &Config,
    route: &'static str,
    error: GatewayError,
) -> HttpResponse {
    let mut exchange = Exchange::begin(http, route);
    match Shape::of(http.method().as_str(), http.uri(), config) {
        Shape::OpenAi => exchange.refuse(&error),
        Shape::Aws => native::refused(error, &mut exchange),
    }
}

/// The answer to a request that a panic has ended.
pub(crate) fn panicked(shape: Shape, request_id: &str) -> HttpResponse {
    let error = GatewayError::Panicked;
    match shape {
        Shape::OpenAi => error.respond(request_id),
        Shape::Aws => native::panicked(&error, request_id),
    }
}
