//! `POST /v1/vector_stores/{id}/search`: passages of a knowledge base in the gateway's own account, by
//! `Retrieve` of bedrock-agent-runtime.

use actix_web::http::header::ContentType;
use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use bedrock::{Call, Failure, Kind, Service, unsigned};
use bytes::Bytes;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method};
use routing::AttemptLog;
use schema::openai::vector_stores::VectorSearchRequest;
use translate::Report;
use translate::vector_stores::{answer, question};

use crate::error::GatewayError;
use crate::pipeline::invoke::Untold;
use crate::pipeline::json::parse;
use crate::pipeline::parsed_request::Untranslated;
use crate::pipeline::reserve::{CallEstimate, EstimatedCost};
use crate::pipeline::{Admitted, Incoming, dry_run};
use crate::request::answer_headers::describe;
use crate::request::context::RequestContext;
use crate::request::options::{CallMode, RouteOptions};
use crate::state::Worker;
use crate::telemetry::traces::RequestStep;

/// Largest answer accepted for one call, in bytes: fifty passages.
const ANSWER_LIMIT: usize = 16 * 1024 * 1024;
/// Calls of one request in flight.
const CONCURRENCY: usize = 4;
/// Characters of a knowledge base's id.
const ID_LENGTH: usize = 10;
/// The operation, as policies name it.
const RETRIEVE: &str = "Retrieve";

/// Responds to a search.
pub(crate) async fn search(
    worker: Data<Worker>,
    http: HttpRequest,
    id: Path<String>,
    payload: Payload,
) -> HttpResponse {
    let mut context = RequestContext::begin(&http, "vector_stores.search");
    let searched = searched(&worker, (&http, payload), &id, &mut context).await;
    searched.unwrap_or_else(|error| context.refuse(&error))
}

async fn searched(
    worker: &Data<Worker>,
    (http, mut payload): (&HttpRequest, Payload),
    id: &str,
    context: &mut RequestContext,
) -> Result<HttpResponse, GatewayError> {
    let mut incoming =
        Incoming::identify(worker, http, Some(&mut payload), RouteOptions::DryRun).await?;
    let body = incoming.read(payload, context).await?;
    let admitted = incoming.admit(None, context).await?;
    if id.len() != ID_LENGTH || !id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(GatewayError::UnknownVectorStore(id.to_owned()));
    }
    let path = format!("/knowledgebases/{id}/retrieve");
    admitted.check_operation(RETRIEVE)?;
    admitted.check_passthrough(&path)?;
    let offload = admitted.offload();
    let Searching { calls, report } = offload.run(body.len(), searching(body.clone())).await??;
    let policy = admitted.options().policy(admitted.now().config.unsupported_params);
    let report = report.under(policy)?;
    let calls: Vec<Call> = calls.into_iter().map(|body| call(path.clone(), body)).collect();
    if admitted.options().mode == CallMode::DryRun {
        return show(&admitted, &calls, &report, context).await;
    }
    let estimate =
        CallEstimate { call_type: "avector_store_search", cost: EstimatedCost::Unpriced };
    admitted.reserve(estimate, context).await?;
    let attempts = u32::try_from(calls.len()).unwrap_or(u32::MAX);
    context.went(AttemptLog { attempts, ..log(&admitted) });
    let sent = calls.into_iter().map(|call| retrieved(&admitted, call));
    context.step(RequestStep::Dispatch);
    let wait = admitted.settlement().waits();
    let answered: Result<Vec<_>, _> = stream::iter(sent).buffered(CONCURRENCY).try_collect().await;
    drop(wait);
    context.step(RequestStep::Respond);
    let answered = answered.map_err(|failure| of_store(failure, id))?;
    let request_id = answered.iter().find_map(|(_, request_id)| request_id.clone());
    let bodies: Vec<Bytes> = answered.into_iter().map(|(body, _)| body).collect();
    let length = bodies.iter().map(Bytes::len).sum();
    let told = offload.run(length, told(body, bodies)).await??;
    context.complete();
    let mut response = HttpResponse::Ok();
    describe(&mut response, context, &report, request_id.as_deref());
    Ok(response.content_type(ContentType::json()).body(told))
}

/// A translated search: the bodies of its calls.
struct Searching {
    calls: Vec<Bytes>,
    report: Report,
}

async fn searching(body: Bytes) -> Result<Searching, Untranslated> {
    let request: VectorSearchRequest<'_> = parse(&body)?;
    let question = question(&request)?;
    let calls = question.bodies().map(|body| serde_json::to_vec(&body).map(Bytes::from));
    let calls = calls.collect::<Result<_, _>>()?;
    Ok(Searching { calls, report: question.report })
}

fn call(path: String, body: Bytes) -> Call {
    let json = HeaderValue::from_static("application/json");
    Call {
        service: Service::AgentRuntime,
        method: Method::POST,
        path,
        query: None,
        headers: HeaderMap::from_iter([(CONTENT_TYPE, json.clone()), (ACCEPT, json)]),
        body,
        kind: Kind::Unary,
    }
}

/// The log of calls in the gateway's own account.
fn log(admitted: &Admitted) -> AttemptLog {
    let region = admitted.now().names.home().region().to_owned();
    AttemptLog { region, ..AttemptLog::default() }
}

/// Answers a dry run.
async fn show(
    admitted: &Admitted,
    calls: &[Call],
    report: &Report,
    context: &mut RequestContext,
) -> Result<HttpResponse, GatewayError> {
    let home = admitted.now().names.home();
    let requests = calls.iter().map(|call| unsigned(home, call)).collect::<Result<_, _>>()?;
    dry_run::tell(log(admitted), requests, report, context, admitted.offload()).await
}

/// The answer to one call, and AWS's id of it.
async fn retrieved(admitted: &Admitted, call: Call) -> Result<(Bytes, Option<String>), Failure> {
    let answer = admitted.account_transport(admitted.now().names.home()).send(call).await?;
    let request_id = answer.request_id.clone();
    Ok((answer.bytes(ANSWER_LIMIT).await?, request_id))
}

/// A failure; one that says that the knowledge base does not exist is about the vector store.
fn of_store(failure: Failure, id: &str) -> GatewayError {
    match failure {
        Failure::Service(error) if error.status == 404 => {
            GatewayError::UnknownVectorStore(id.to_owned())
        }
        other => other.into(),
    }
}

/// The page as JSON. The request is read again, because its queries are part of the page.
async fn told(body: Bytes, answered: Vec<Bytes>) -> Result<Vec<u8>, Untold> {
    let request: VectorSearchRequest<'_> = parse(&body)?;
    let page = answer(&request, &answered).map_err(Untold::Answer)?;
    Ok(serde_json::to_vec(&page)?)
}
