//! Refusals before a route is chosen, in the error format of the path's API.

use actix_web::http::Uri;
use actix_web::http::header::{HeaderMap, HeaderName};
use actix_web::{HttpRequest, HttpResponse};

use translate::dialect::ErrorDialect;

use super::native;
use crate::config::Config;
use crate::error::GatewayError;
use crate::missing_api;
use crate::native::path::MOUNT;
use crate::request::context::RequestContext;

/// Sent by every client of Anthropic's API.
const ANTHROPIC_VERSION: HeaderName = HeaderName::from_static("anthropic-version");

/// An API, as far as its errors have a shape of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RequestApi {
    Front(ErrorDialect),
    Aws,
}

impl RequestApi {
    /// The API that a request is for.
    pub(crate) fn of(method: &str, uri: &Uri, headers: &HeaderMap, config: &Config) -> Self {
        let below = uri.path().strip_prefix(MOUNT);
        let is_native = below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            || config.native.root && native::matched(method, uri, &config.native.services).is_ok();
        if is_native { Self::Aws } else { Self::Front(dialect(uri.path(), headers)) }
    }
}

/// The shape of errors at a path that is not native.
pub(crate) fn dialect(path: &str, headers: &HeaderMap) -> ErrorDialect {
    if missing_api::is_anthropics(path) || headers.contains_key(ANTHROPIC_VERSION) {
        ErrorDialect::Anthropic
    } else {
        ErrorDialect::OpenAi
    }
}

/// The response to a refused request, with its line in the access log.
pub(crate) fn respond(
    http: &HttpRequest,
    config: &Config,
    route: &'static str,
    error: GatewayError,
) -> HttpResponse {
    let mut context = RequestContext::begin(http, route);
    match RequestApi::of(http.method().as_str(), http.uri(), http.headers(), config) {
        RequestApi::Front(dialect) => {
            context.speaks(dialect);
            context.refuse(&error)
        }
        RequestApi::Aws => native::refused(error, &mut context),
    }
}

/// The response to a request that a panic has ended.
pub(crate) fn panicked(shape: RequestApi, request_id: &str) -> HttpResponse {
    let error = GatewayError::Panicked;
    match shape {
        RequestApi::Front(dialect) => error.respond(dialect, request_id),
        RequestApi::Aws => native::panicked(&error, request_id),
    }
}
