//! Requests that no route takes.

use actix_web::{HttpRequest, HttpResponse};

use crate::error::GatewayError;
use crate::exchange::Exchange;

/// The longest stretch of a path that is quoted back.
const QUOTED: usize = 200;

/// 404 in OpenAI's shape.
pub(crate) async fn unknown_route(http: HttpRequest) -> HttpResponse {
    let (method, path) = quoted(&http);
    Exchange::begin(&http, "unknown").refuse(&GatewayError::UnknownRoute { method, path })
}

/// 405 in OpenAI's shape.
pub(crate) async fn wrong_method(http: HttpRequest) -> HttpResponse {
    let (method, path) = quoted(&http);
    Exchange::begin(&http, "method").refuse(&GatewayError::Method { method, path })
}

fn quoted(http: &HttpRequest) -> (String, String) {
    let take = |text: &str| text.chars().take(QUOTED).collect();
    (take(http.method().as_str()), take(http.path()))
}
