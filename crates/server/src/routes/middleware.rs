//! Work on every request, before and after its route: request id, panics, the end of the process, web
//! pages, and calls that another gateway forwarded.

use std::time::Instant;

use actix_web::HttpMessage as _;
use actix_web::HttpResponse;
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::InternalError;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue, WWW_AUTHENTICATE};
use actix_web::http::{ConnectionType, StatusCode};
use actix_web::middleware::Next;
use actix_web::web::{Data, Payload};
use translate::dialect::ErrorDialect;

use super::refusal::{self, RequestApi};
use super::{admin, native, paths, recorded};
use crate::body;
use crate::browser::cors;
use crate::credential::{self, AuthRefusal, Identity, OperatorKeys};
use crate::error::GatewayError;
use crate::native::path::is_below;
use crate::panic_guard::{self, Panicked};
use crate::request::context::{RequestId, cut_of};
use crate::state::Worker;
use bedrock::HOP;

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The same by Anthropic's name, which its clients show with errors.
const ANTHROPIC_REQUEST_ID: HeaderName = HeaderName::from_static("request-id");

/// Gives every request an id and returns it to the client in every response. A panic is answered as
/// well; otherwise the connection would be closed.
pub(crate) async fn identify(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    paths::normalise(&mut request);
    let id = RequestId::new();
    request.extensions_mut().insert(id.clone());
    let worker = request.app_data::<Data<Worker>>();
    let shape = worker.map_or(RequestApi::Front(ErrorDialect::OpenAi), |worker| {
        let (method, uri, headers) = (request.method(), request.uri(), request.headers());
        RequestApi::of(method.as_str(), uri, headers, &worker.now().config)
    });
    match panic_guard::caught(id.as_str(), next.call(request)).await {
        Ok(answered) => {
            let mut response = answered?;
            name_request(response.headers_mut(), shape, id);
            close_while_draining(&mut response);
            Ok(response)
        }
        Err(Panicked) => {
            let mut response = refusal::panicked(shape, id.as_str());
            name_request(response.headers_mut(), shape, id);
            // The request went with the panic, and a response needs one.
            Err(InternalError::from_response("panic", response).into())
        }
    }
}

/// Has the client open another connection for its next request while the process drains: that one reaches another
/// replica, and no request is on its way here when the port closes.
fn close_while_draining(response: &mut ServiceResponse<impl MessageBody>) {
    let worker = response.request().app_data::<Data<Worker>>();
    if worker.is_some_and(|worker| worker.shared.draining.has_begun()) {
        response.response_mut().head_mut().set_connection_type(ConnectionType::Close);
    }
}

/// Returns the id of a request in the headers that clients of its API read.
fn name_request(headers: &mut HeaderMap, shape: RequestApi, id: RequestId) {
    if shape == RequestApi::Front(ErrorDialect::Anthropic) {
        headers.insert(ANTHROPIC_REQUEST_ID, id.0.clone());
    }
    headers.insert(REQUEST_ID, id.0);
}

/// Responds to requests that the end of the process cuts off before they have an answer.
pub(crate) async fn answer_before_the_end(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let mut cut = cut_of(request.app_data::<Data<Worker>>());
    let id = request.extensions().get::<RequestId>().cloned().unwrap_or_else(RequestId::new);
    let shape = match is_below(request.path()) {
        true => RequestApi::Aws,
        false => RequestApi::Front(refusal::dialect(request.path(), request.headers())),
    };
    match cut.or(next.call(request)).await {
        Some(answered) => answered,
        None => {
            let mut response = stopping(&id, shape);
            // An error response skips the layer that adds the id.
            name_request(response.headers_mut(), shape, id);
            Err(InternalError::from_response("the process ends", response).into())
        }
    }
}

fn stopping(id: &RequestId, shape: RequestApi) -> HttpResponse {
    match shape {
        RequestApi::Aws => native::stopping(id),
        RequestApi::Front(dialect) => GatewayError::Stopping.respond(dialect, id.as_str()),
    }
}

/// Refuses calls that a gateway forwarded: an endpoint that is a gateway is a mistake, and one that
/// leads back here would call itself for ever.
pub(super) async fn refuse_loops(
    request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let worker = request.app_data::<Data<Worker>>();
    match worker.filter(|_| request.headers().contains_key(HOP.as_str())) {
        None => next.call(request).await,
        Some(worker) => {
            let now = worker.now();
            let response =
                refusal::respond(request.request(), &now.config, "loop", GatewayError::Loop);
            Ok(request.into_response(response))
        }
    }
}

/// Refuses requests of web pages that are not allowed, responds to preflights, and lets allowed pages
/// read responses.
pub(super) async fn guard_browsers(
    mut request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let Some(worker) = request.app_data::<Data<Worker>>() else { return next.call(request).await };
    let now = worker.now();
    let settings = now.config.browser();
    let allowed = match settings.judge(&request, request.app_config().local_addr()) {
        Ok(allowed) => allowed,
        Err(refusal) => {
            if let Ok(mut payload) = request.extract::<Payload>().await {
                body::skim(&mut payload).await;
            }
            let error = GatewayError::Browser(refusal);
            let response = refusal::respond(request.request(), &now.config, "browser", error);
            return Ok(request.into_response(response));
        }
    };
    let Some(origin) = allowed else { return next.call(request).await };
    if cors::is_preflight(request.method(), request.headers()) {
        let response = settings.cors.preflight(&origin, request.headers());
        return Ok(request.into_response(response));
    }
    let mut response = next.call(request).await?;
    settings.cors.describe(&origin, response.headers_mut());
    Ok(response)
}

/// Finds the caller, and refuses requests without a credential that is known. The others are recorded where the operator
/// keeps content: a layer of its own would cost every request an allocation.
pub(super) async fn authenticate(
    mut request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let Some(worker) = request.app_data::<Data<Worker>>().cloned() else {
        return next.call(request).await;
    };
    if credential::is_open(request.method(), request.path()) {
        return recorded::record(request, next).await;
    }
    // Connections without an address are those of this machine's own socket.
    let address = request.peer_addr().filter(|_| admin::is_admin(request.path()));
    let (address, wrong_keys) = (address.map(|peer| peer.ip()), &worker.shared.wrong_keys);
    let wait = address.and_then(|address| wrong_keys.wait(address, Instant::now()));
    let found = match wait {
        Some(wait) => Err(AuthRefusal::TooManyWrong { wait }),
        None => caller(&worker, request.headers()).await,
    };
    let refusal = match found {
        Ok(identity) => {
            if let Some(identity) = identity {
                request.extensions_mut().insert(identity);
            }
            return recorded::record(request, next).await;
        }
        Err(refusal) => refusal,
    };
    if let Some(address) = address.filter(|_| refusal.is_wrong_key()) {
        wrong_keys.count(address, Instant::now());
    }
    let now = worker.now();
    if let Ok(mut payload) = request.extract::<Payload>().await {
        body::skim(&mut payload).await;
    }
    let error = GatewayError::Auth(refusal);
    let mut response = refusal::respond(request.request(), &now.config, "key", error);
    if response.status() == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    Ok(request.into_response(response))
}

/// The caller that the headers name; `None` where no keys are configured.
///
/// # Errors
/// There is no credential, it is not known, or there are several.
pub(super) async fn caller(
    worker: &Worker,
    headers: &HeaderMap,
) -> Result<Option<Identity>, AuthRefusal> {
    let now = worker.now();
    let accounts = worker.shared.accounts.as_deref();
    let Some(master) = &now.config.master_key else {
        let Some(master) = &worker.shared.demo_key else { return Ok(None) };
        let keys = OperatorKeys { master, read_only: None };
        // A demo asks for no key: one that it does not know counts as none.
        return Ok(credential::authenticate(keys, accounts, headers).await.ok());
    };
    let read_only = now.config.admin.read_only_key.as_ref();
    let keys = OperatorKeys { master, read_only };
    credential::authenticate(keys, accounts, headers).await.map(Some)
}
