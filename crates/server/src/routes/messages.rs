//! `POST /v1/messages` and `/v1/messages/count_tokens`.

use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use schema::anthropic::count::TokenCount;
use translate::dialect::Dialect;
use translate::messages::Messages;

use super::count::{Counted, counted};
use crate::pipeline;
use crate::pipeline::json_response::{JsonResponse, respond};
use crate::request::context::RequestContext;
use crate::state::Worker;

/// Marks a number of tokens that was not counted by the model.
const ESTIMATE: HeaderName = HeaderName::from_static("x-outcrop-estimate");

/// Responds to a messages request.
pub(crate) async fn messages(
    worker: Data<Worker>,
    http: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    pipeline::serve::<Messages>(worker, http, payload).await
}

/// Responds with the number of input tokens of a messages request.
pub(crate) async fn count_tokens(
    worker: Data<Worker>,
    http: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    let mut context = RequestContext::begin(&http, "count_tokens");
    context.speaks(Messages::ERRORS);
    let mut is_estimate = false;
    let mut response = respond(context, async |context| {
        let Counted { tokens, model, report, request_id } =
            counted::<Messages>(&worker, &http, payload, context).await?;
        is_estimate = model.is_none();
        let answer = TokenCount { input_tokens: tokens };
        Ok(JsonResponse { answer, report, request_id, by: model })
    })
    .await;
    if is_estimate {
        response.headers_mut().insert(ESTIMATE, HeaderValue::from_static("true"));
    }
    response
}
