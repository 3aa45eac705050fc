//! `POST /v1/audio/transcriptions` and `/v1/audio/translations`.

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use translate::transcriptions::{Transcriptions, Translations};

use crate::pipeline;
use crate::state::Worker;

/// Responds with the text of a recording.
pub(crate) async fn transcriptions(
    worker: Data<Worker>,
    http: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    pipeline::serve::<Transcriptions>(worker, http, payload).await
}

/// Responds with the text of a recording in English.
pub(crate) async fn translations(
    worker: Data<Worker>,
    http: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    pipeline::serve::<Translations>(worker, http, payload).await
}
