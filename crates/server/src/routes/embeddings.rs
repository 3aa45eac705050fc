//! `POST /v1/embeddings`.

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};

use crate::embeddings;
use crate::state::Worker;

/// Responds to an embeddings request.
pub(crate) async fn embeddings(
    worker: Data<Worker>,
    http: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    embeddings::respond(&worker, &http, payload.into()).await
}
