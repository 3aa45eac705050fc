//! `POST /v1/chat/completions`: parse, resolve, translate the question, send it, translate the
//! answer, whole or as it comes.

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use schema::converse::request::GuardrailConfig;
use schema::converse::response::ConverseResponse;
use schema::openai::chat::ChatRequest;
use translate::chat::{ChatStream, Question, answer, question};
use translate::{Reply, Report};

use super::json::parse;
use crate::app::{Snapshot, Worker};
use crate::bedrock::{Answer, Kind};
use crate::error::GatewayError;
use crate::exchange::{Exchange, describe};
use crate::routing::{self, Operation};
use crate::{body, pump};

/// The longest whole answer accepted, in bytes.
const ANSWER_LIMIT: usize = 64 * 1024 * 1024;

/// Answers a chat request.
pub(crate) async fn completions(
    worker: Data<Worker>,
    http: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    let mut exchange = Exchange::begin(&http, "chat");
    let now = worker.now();
    let asked = match ask(&worker, &now, &http, payload, &mut exchange).await {
        Ok(asked) => asked,
        Err(error) => return exchange.refuse(&error),
    };
    match asked.kind {
        Kind::Unary => match whole(asked, &mut exchange).await {
            Ok(response) => response,
            Err(error) => exchange.refuse(&error),
        },
        Kind::Stream => match begin(asked.answer).await {
            Ok(begun) => {
                let chat = ChatStream::new(asked.reply, exchange.stamp());
                let keep_alive = now.config.keep_alive;
                pump::respond(begun, chat, &asked.report, keep_alive, exchange)
            }
            Err(error) => exchange.refuse(&error),
        },
    }
}

/// A question that Bedrock has begun to answer.
struct Asked {
    answer: Answer,
    kind: Kind,
    reply: Reply,
    report: Report,
}

async fn ask(
    worker: &Worker,
    now: &Snapshot,
    http: &HttpRequest,
    payload: Payload,
    exchange: &mut Exchange,
) -> Result<Asked, GatewayError> {
    let body = body::read(http.headers(), payload, now.config.body).await?;
    let request: ChatRequest<'_> = parse(&body)?;
    exchange.names_model(&request.model);
    let route = now.names.resolve(&request.model).await?;
    let Question { mut body, reply, report } = question(&request, &route.target.profile)?;
    body.guardrail_config = route.guardrail.as_deref().map(|guardrail| GuardrailConfig {
        guardrail_identifier: guardrail.id.as_str().into(),
        guardrail_version: guardrail.version.as_str().into(),
    });
    let operation = match request.stream {
        Some(true) => Operation::ConverseStream,
        Some(false) | None => Operation::Converse,
    };
    let body =
        serde_json::to_vec(&body).map_err(|error| GatewayError::Internal(error.to_string()))?;
    let transport = worker.transport(&route.account);
    let answer = routing::send(&transport, &route, operation, body.into()).await?;
    Ok(Asked { answer, kind: operation.kind(), reply, report })
}

async fn whole(asked: Asked, exchange: &mut Exchange) -> Result<HttpResponse, GatewayError> {
    let request_id = asked.answer.request_id.clone();
    let body = asked.answer.bytes(ANSWER_LIMIT).await?;
    let converse: ConverseResponse<'_> =
        serde_json::from_slice(&body).map_err(GatewayError::Unreadable)?;
    let completion = answer(&converse, &asked.reply, exchange.stamp());
    exchange.settle(Some(converse.usage));
    exchange.complete();
    let mut response = HttpResponse::Ok();
    describe(&mut response, &asked.report, request_id.as_deref());
    Ok(response.json(completion))
}

async fn begin(answer: Answer) -> Result<pump::Begun, GatewayError> {
    pump::Begun::wait(answer.events()?).await
}
