//! `POST /v1/completions`.

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use translate::completions::Completions;

use crate::pipeline;
use crate::state::Worker;

/// Responds to a text completions request.
pub(crate) async fn completions(
    worker: Data<Worker>,
    http: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    pipeline::serve::<Completions>(worker, http, payload).await
}
