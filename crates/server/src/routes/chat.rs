//! `POST /v1/chat/completions`.

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use translate::chat::Chat;

use crate::pipeline;
use crate::state::Worker;

/// Responds to a chat request.
pub(crate) async fn completions(
    worker: Data<Worker>,
    http: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    pipeline::serve::<Chat>(worker, http, payload).await
}
