//! Responses over a WebSocket, which a `GET` of the same address opens. Every message of a client is a request like
//! one by `POST`, and takes the same eight steps; events are text messages.

use std::sync::Arc;

use actix_web::http::Version;
use actix_web::http::header::UPGRADE;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};

use crate::error::GatewayError;
use crate::panic_guard;
use crate::pipeline::Incoming;
use crate::request::context::RequestContext;
use crate::request::options::RouteOptions;
use crate::state::Worker;
use bounded::{UnreadBytes, bounded};
use connection::Connection;

mod bounded;
mod connection;
mod events;
mod message;
mod turn;

/// Opens a WebSocket, or refuses a `GET` that asks for none.
pub(crate) async fn open(
    worker: Data<Worker>,
    http: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    let mut context = RequestContext::begin(&http, "responses.websocket");
    match opened(&worker, &http, payload, &mut context).await {
        Ok((response, connection)) => {
            actix_rt::spawn(panic_guard::noted("a WebSocket", connection.run(context)));
            response
        }
        Err(error) => context.refuse(&error),
    }
}

/// Checks the caller, whose key is checked again with every message, and switches protocols.
async fn opened(
    worker: &Data<Worker>,
    http: &HttpRequest,
    payload: Payload,
    context: &mut RequestContext,
) -> Result<(HttpResponse, Connection), GatewayError> {
    if http.version() != Version::HTTP_11 || !http.headers().contains_key(UPGRADE) {
        return Err(GatewayError::Upgrade);
    }
    // No option header applies to the opening; a dry run of messages would have no events.
    let mut incoming = Incoming::identify(worker, http, None, RouteOptions::None).await?;
    incoming.has_no_body().await?;
    incoming.admit(None, context).await?;
    // Its messages have places among the calls in flight, and a connection that waits for them has none.
    context.is_in_flight(None);
    let (size, unread) = (worker.now().config.body.max_mib.bytes(), UnreadBytes::default());
    let payload = bounded(http, payload, (unread.clone(), size)).await?;
    let (response, session, messages) = actix_ws::handle(http, payload).map_err(|error| {
        log::debug!("WebSocket: {error}");
        GatewayError::Upgrade
    })?;
    let messages =
        messages.max_frame_size(size).aggregate_continuations().max_continuation_size(size);
    let call = (worker.clone(), http.clone());
    Ok((response, Connection::new(call, session, (messages, unread), Arc::default())))
}
