//! `/bedrock/...`: Bedrock's own API with Bedrock's own bytes. The path is judged and rebuilt, the
//! model's name resolved, the call signed with the gateway's credentials; bodies pass untouched, and
//! what goes wrong is told in AWS's shape, so that SDKs raise the exceptions they know.

use std::time::Duration;

use actix_web::http::header::{CONTENT_TYPE, HeaderName};
use actix_web::http::{StatusCode, header};
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use async_stream::stream;
use bytes::Bytes;
use futures_util::Stream;
use http::{HeaderMap, HeaderValue, Method};

use crate::app::{Snapshot, Worker};
use crate::bedrock::{Answer, Call, Failure, Service, ServiceError};
use crate::body;
use crate::error::GatewayError;
use crate::exchange::Exchange;
use crate::native::guardrail::{self, GuardrailError};
use crate::native::path::{Matched, PathError, find};
use crate::native::{headers, tap::Tap};
use crate::outflow::Outflow;
use crate::routing::Route;

/// Where SDKs look for the id of a call; errors of our own have one too.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");
/// SDKs do not have it: it needs HTTP/2 and signed frames in both directions.
const BIDIRECTIONAL: &str = "InvokeModelWithBidirectionalStream";

/// Passes one call through.
pub(crate) async fn relay(
    worker: Data<Worker>,
    http: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    let mut exchange = Exchange::begin(&http, "native");
    let now = worker.now();
    match send(&worker, &now, &http, payload, &mut exchange).await {
        Ok(answer) => respond(answer, now.config.write_stall, exchange),
        Err(error) => refuse(&error, &mut exchange),
    }
}

async fn send(
    worker: &Worker,
    now: &Snapshot,
    http: &HttpRequest,
    payload: Payload,
    exchange: &mut Exchange,
) -> Result<Answer, NativeError> {
    let matched = operation(http, &now.config.native_services)?;
    if matched.row.operation == BIDIRECTIONAL {
        return Err(NativeError::Bidirectional);
    }
    let body = body::read(http.headers(), payload, now.config.body).await;
    let body = body.map_err(GatewayError::from)?;
    let route = match matched.model() {
        Some(name) => {
            exchange.names_model(name);
            Some(now.names.resolve(name).await.map_err(GatewayError::from)?)
        }
        None => None,
    };
    let account = route.as_ref().map_or(now.names.home(), |route| &route.account);
    let call = call(http, &matched, body, route.as_ref())?;
    Ok(worker.transport(account).send(call).await?)
}

/// The operation a request names, below the mount or at the root.
pub(crate) fn operation(http: &HttpRequest, added: &[Service]) -> Result<Matched, PathError> {
    let raw = http.uri().path();
    let below = raw.strip_prefix(MOUNT).filter(|below| below.starts_with('/')).unwrap_or(raw);
    find(http.method().as_str(), below, added)
}

/// Where the native API hangs.
pub(crate) const MOUNT: &str = "/bedrock";

fn call(
    http: &HttpRequest,
    matched: &Matched,
    mut body: Bytes,
    route: Option<&Route>,
) -> Result<Call, NativeError> {
    let mut sent = HeaderMap::with_capacity(4);
    for (name, value) in http.headers() {
        if headers::goes_up(name.as_str(), value.as_bytes()) {
            // actix speaks an older `http` than the rest of us.
            let name = http::HeaderName::from_bytes(name.as_str().as_bytes());
            let value = HeaderValue::from_bytes(value.as_bytes());
            if let (Ok(name), Ok(value)) = (name, value) {
                sent.append(name, value);
            }
        }
    }
    if let Some(guardrail) = route.and_then(|route| route.guardrail.as_deref()) {
        guardrail::apply(guardrail, matched.row.operation, &mut sent, &mut body)?;
    }
    let method = Method::from_bytes(matched.row.method.as_bytes())
        .map_err(|error| GatewayError::Internal(error.to_string()))?;
    Ok(Call {
        service: matched.row.service,
        method,
        path: matched.upstream(route.map(|route| route.target.model_id.as_str())),
        query: http.uri().query().and_then(headers::query),
        headers: sent,
        body,
        kind: matched.row.kind,
    })
}

fn respond(answer: Answer, write_stall: Duration, exchange: Exchange) -> HttpResponse {
    let mut response = builder(answer.status.as_u16(), &answer.headers);
    response.streaming(Outflow::of(bytes(answer, exchange), write_stall))
}

/// Status and headers of Bedrock's, as they came.
fn builder(status: u16, upstream: &HeaderMap) -> HttpResponseBuilder {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
    let mut response = HttpResponseBuilder::new(status);
    for (name, value) in headers::come_down(upstream) {
        let value = header::HeaderValue::from_bytes(value.as_bytes());
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_str().as_bytes()), value) {
            response.append_header((name, value));
        }
    }
    response
}

/// The body, piece by piece as it comes. A piece is looked at for what the call cost, never changed
/// or held back; a body that breaks off is broken off, so that no SDK takes it for a whole one.
fn bytes(mut answer: Answer, mut exchange: Exchange) -> impl Stream<Item = Result<Bytes, Failure>> {
    let mut tap = Tap::of(&answer.headers);
    stream! {
        loop {
            match answer.chunk().await {
                Ok(Some(piece)) => {
                    tap.see(&piece);
                    yield Ok(piece);
                }
                Ok(None) => {
                    exchange.settle(tap.finish());
                    exchange.complete();
                    break;
                }
                Err(failure) => {
                    exchange.settle(tap.finish());
                    let error = GatewayError::Upstream(failure);
                    exchange.break_off(&error);
                    if let GatewayError::Upstream(failure) = error {
                        yield Err(failure);
                    }
                    break;
                }
            }
        }
    }
}

/// Why a call has no answer of Bedrock's to pass on.
#[derive(Debug, thiserror::Error)]
enum NativeError {
    #[error(transparent)]
    Path(#[from] PathError),
    #[error("bidirectional streams do not pass through: they need HTTP/2 on both sides")]
    Bidirectional,
    #[error(transparent)]
    Guardrail(#[from] GuardrailError),
    #[error(transparent)]
    Gateway(#[from] GatewayError),
    #[error(transparent)]
    Upstream(#[from] Failure),
}

fn refuse(error: &NativeError, exchange: &mut Exchange) -> HttpResponse {
    let mut response = match error {
        NativeError::Upstream(Failure::Service(error)) => passed_on(error),
        NativeError::Upstream(failure) => {
            let (status, exception) = exception_of(failure);
            ours(status, exception, "The gateway could not get an answer from Bedrock.")
        }
        NativeError::Path(PathError::Unknown) => {
            ours(404, "UnknownOperationException", &error.to_string())
        }
        NativeError::Path(PathError::Malformed) => {
            ours(400, "ValidationException", &error.to_string())
        }
        NativeError::Bidirectional => ours(501, "UnknownOperationException", &error.to_string()),
        NativeError::Guardrail(GuardrailError::Other) => {
            ours(403, "AccessDeniedException", &error.to_string())
        }
        NativeError::Guardrail(GuardrailError::Unreadable) => {
            ours(400, "ValidationException", &error.to_string())
        }
        NativeError::Gateway(error) => {
            let rendered = error.render();
            let exception = match error {
                GatewayError::NotListed(_) => "ResourceNotFoundException",
                _ => "ValidationException",
            };
            let response = ours(rendered.status, exception, &rendered.message);
            match error {
                GatewayError::Body(unread) => unread.close_after(response),
                _ => response,
            }
        }
    };
    if response.status().is_server_error() {
        log::warn!("{} native: {error}", exchange.id());
    }
    if !response.headers().contains_key(REQUEST_ID)
        && let Ok(id) = header::HeaderValue::from_str(exchange.id())
    {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    exchange.refused_with(response.status().as_u16());
    response
}

/// An error of AWS's, untouched.
fn passed_on(error: &ServiceError) -> HttpResponse {
    builder(error.status, &error.headers).body(error.body.clone())
}

/// An error of the gateway's, in AWS's shape.
fn ours(status: u16, exception: &'static str, message: &str) -> HttpResponse {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
    HttpResponseBuilder::new(status)
        .insert_header((ERROR_TYPE, exception))
        .insert_header((CONTENT_TYPE, "application/json"))
        .body(serde_json::json!({ "message": message }).to_string())
}

/// The exception that SDKs know for a failure on the way.
fn exception_of(failure: &Failure) -> (u16, &'static str) {
    match failure {
        Failure::Timeout(_) => (408, "ModelTimeoutException"),
        Failure::Service(_)
        | Failure::Connect(_)
        | Failure::Tls(_)
        | Failure::Closed(_)
        | Failure::Truncated(_)
        | Failure::Frame(_)
        | Failure::Credentials(_)
        | Failure::Protocol(_) => (503, "ServiceUnavailableException"),
        Failure::Request(_) => (400, "ValidationException"),
    }
}
