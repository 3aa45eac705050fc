//! One message as a request: through the pipeline, and its events one by one.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;

use actix_web::body::MessageBody;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::web::Data;
use actix_web::{HttpMessage, HttpRequest, HttpResponse};
use async_stream::stream;
use bytestring::ByteString;
use futures_util::Stream;
use translate::dialect::ErrorDialect;
use translate::responses::Responses;

use super::events::{EventCutter, EventText, error_event};
use super::message::Create;
use crate::body::BodySource;
use crate::credential::Identity;
use crate::error::GatewayError;
use crate::panic_guard;
use crate::pipeline;
use crate::reasoning_store::ConnectionResponses;
use crate::request::context::RequestId;
use crate::request::socket_turn::SocketTurn;
use crate::routes::middleware;
use crate::sse::stream::EVENT_STREAM;
use crate::state::Worker;

/// A step of a turn.
#[derive(Debug)]
pub(super) enum TurnStep {
    Event(EventText),
    /// The caller may send no further requests.
    Denied(EventText),
    /// The answer was broken off without an event that says so.
    BrokenOff,
}

/// The steps of a request. Dropping them drops its calls.
pub(super) fn steps(
    (worker, http): (Data<Worker>, HttpRequest),
    kept: Arc<ConnectionResponses>,
    create: Create,
) -> impl Stream<Item = TurnStep> {
    stream! {
        let Create { body, previous: _, mode, stream_id } = create;
        let id = RequestId::new();
        let in_stream = |event| of_stream(event, stream_id.as_deref());
        match middleware::caller(&worker, http.headers()).await {
            Ok(caller) => {
                let mut extensions = http.extensions_mut();
                // The signature was verified when the connection was opened.
                if let Some(caller) = caller.map(Identity::of_verified) {
                    extensions.insert(caller);
                }
                extensions.insert(id.clone());
                extensions.insert(SocketTurn { kept, mode });
            }
            Err(refusal) => {
                yield TurnStep::Denied(in_stream(refused(&refusal.into(), &id).await));
                return;
            }
        }
        let mut cut = worker.shared.cutoff.watch();
        let answer = pipeline::serve::<Responses>(worker, http, BodySource::Message(body));
        let response = match cut.or(panic_guard::caught(id.as_str(), answer)).await {
            Some(Ok(response)) => response,
            Some(Err(panicked)) => {
                yield TurnStep::Event(in_stream(refused(&panicked.into(), &id).await));
                return;
            }
            None => {
                yield TurnStep::Event(in_stream(refused(&GatewayError::Stopping, &id).await));
                return;
            }
        };
        drop(cut);
        if !is_stream(&response) {
            yield TurnStep::Event(in_stream(error_event(response).await));
            return;
        }
        let (mut body, mut cutter) = (pin!(response.into_body()), EventCutter::default());
        while let Some(piece) = poll_fn(|cx| body.as_mut().poll_next(cx)).await {
            let Ok(piece) = piece else {
                yield TurnStep::BrokenOff;
                return;
            };
            cutter.add(piece);
            while let Some(event) = cutter.next() {
                yield TurnStep::Event(in_stream(event));
            }
        }
    }
}

/// The event of a message that becomes no request.
pub(super) async fn refused(error: &GatewayError, id: &RequestId) -> EventText {
    error_event(error.respond(ErrorDialect::OpenAi, id.as_str())).await
}

fn is_stream(response: &HttpResponse) -> bool {
    response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == EVENT_STREAM)
}

/// The event with the id of the stream that the client gave the request.
fn of_stream(event: EventText, stream_id: Option<&str>) -> EventText {
    let (Some(id), Some(rest)) = (stream_id, event.text.strip_prefix('{')) else { return event };
    EventText { text: ByteString::from(format!("{{\"stream_id\":{id},{rest}")), ..event }
}
