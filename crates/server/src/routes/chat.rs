//! `POST /v1/chat/completions`: parse, resolve, translate the question, send it, translate the
//! answer, whole or as it comes.

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
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
use crate::routing::{self, Operation, Route};
use crate::{body, pump};

/// The longest whole answer accepted, in bytes.
const ANSWER_LIMIT: usize = 64 * 1024 * 1024;

/// What a translated body may need beyond the bytes it was made of.
const ROOM: usize = 1024;

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
                pump::respond(begun, chat, &asked.report, &now.config, exchange)
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
    let Ready { route, operation, body, reply, report } = {
        let body = body::read(http.headers(), payload, now.config.body).await?;
        prepare(now, &body, exchange).await?
    };
    let transport = worker.transport(&route.account);
    let answer = routing::send(&transport, &route, operation, body).await?;
    Ok(Asked { answer, kind: operation.kind(), reply, report })
}

/// A question ready to be sent.
struct Ready {
    route: Route,
    operation: Operation,
    body: Bytes,
    reply: Reply,
    report: Report,
}

/// From the client's bytes to Bedrock's. Nothing of the client's request outlives this: a call may
/// wait for minutes, and should not hold its pictures twice.
async fn prepare(
    now: &Snapshot,
    body: &[u8],
    exchange: &mut Exchange,
) -> Result<Ready, GatewayError> {
    let request: ChatRequest<'_> = parse(body)?;
    exchange.names_model(&request.model);
    let route = now.names.resolve(&request.model).await?.settled().await;
    let Question { body: mut converse, reply, report } = question(&request, &route.target.profile)?;
    converse.guardrail_config = route.guardrail.as_deref().map(|guardrail| GuardrailConfig {
        guardrail_identifier: guardrail.id.as_str().into(),
        guardrail_version: guardrail.version.as_str().into(),
    });
    let operation = match request.stream {
        Some(true) => Operation::ConverseStream,
        Some(false) | None => Operation::Converse,
    };
    let mut sent = Vec::with_capacity(body.len() + ROOM);
    serde_json::to_writer(&mut sent, &converse)
        .map_err(|error| GatewayError::Internal(error.to_string()))?;
    drop(converse);
    Ok(Ready { route, operation, body: sent.into(), reply, report })
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
