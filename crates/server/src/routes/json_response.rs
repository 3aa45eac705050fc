//! What routes have in common whose answer is one JSON object from beginning to end.

use actix_web::HttpResponse;
use actix_web::http::header::HeaderValue;
use serde::Serialize;
use translate::Report;

use crate::error::GatewayError;
use crate::request::context::{MODEL, RequestContext, describe};

/// An answer, and what its headers tell.
pub(super) struct JsonResponse<T> {
    pub(super) answer: T,
    pub(super) report: Report,
    /// AWS's id of the call, or of the first of several.
    pub(super) request_id: Option<String>,
    /// Who answered, where no call to a target tells it.
    pub(super) by: Option<String>,
}

/// Responds with what `answer` brings, or why it brings nothing.
pub(super) async fn respond<T: Serialize>(
    mut context: RequestContext,
    answer: impl AsyncFnOnce(&mut RequestContext) -> Result<JsonResponse<T>, GatewayError>,
) -> HttpResponse {
    match answer(&mut context).await {
        Ok(JsonResponse { answer, report, request_id, by }) => {
            context.complete();
            let mut response = HttpResponse::Ok();
            describe(&mut response, &context, &report, request_id.as_deref());
            if let Some(by) = by.and_then(|by| HeaderValue::from_str(&by).ok()) {
                response.insert_header((MODEL, by));
            }
            response.json(answer)
        }
        Err(error) => context.refuse(&error),
    }
}
