//! Code shared by routes whose answer is one complete JSON object.

use actix_web::HttpResponse;
use actix_web::http::header::HeaderValue;
use serde::Serialize;
use translate::Report;

use crate::error::GatewayError;
use crate::request::answer_headers::describe;
use crate::request::context::{MODEL, RequestContext};

/// An answer and the values of its headers.
pub(crate) struct JsonResponse<T> {
    pub(crate) answer: T,
    pub(crate) report: Report,
    /// AWS's id of the call, or of the first of several.
    pub(crate) request_id: Option<String>,
    /// The model that answered, if no call to a target determines it.
    pub(crate) by: Option<String>,
}

/// Responds with an answer that no model was called for, or with its error.
pub(crate) fn respond_without_call<T: Serialize>(
    mut context: RequestContext,
    answer: Result<T, GatewayError>,
) -> HttpResponse {
    match answer {
        Ok(answer) => {
            context.complete();
            HttpResponse::Ok().json(answer)
        }
        Err(error) => context.refuse(&error),
    }
}

/// Responds with the answer, or with its error.
pub(crate) async fn respond<T: Serialize>(
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
