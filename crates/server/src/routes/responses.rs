//! `POST /v1/responses`, the same over a WebSocket, the count of its input, compaction, and the responses that are kept.

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use schema::openai::count::RESPONSE_INPUT_TOKENS_OBJECT;
use translate::responses::{Compact, Responses};

use super::count;
use crate::pipeline;
use crate::state::Worker;

pub(super) mod item_list;
pub(crate) mod stored;
pub(crate) mod websocket;

/// Responds to a request for a response.
pub(crate) async fn create(
    worker: Data<Worker>,
    http: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    pipeline::serve::<Responses>(worker, http, payload).await
}

/// Responds with a conversation in fewer words.
pub(crate) async fn compact(
    worker: Data<Worker>,
    http: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    pipeline::serve::<Compact>(worker, http, payload).await
}

/// Responds with the number of input tokens of a request for a response.
pub(crate) async fn input_tokens(
    worker: Data<Worker>,
    http: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    count::respond_with::<Responses>(worker, http, payload, RESPONSE_INPUT_TOKENS_OBJECT).await
}
