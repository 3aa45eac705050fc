//! `/v1/messages/batches`: Anthropic's batches, on the same engine. The requests come in one body and are kept as a
//! file of lines.

use access::UtcTime;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::web::{Data, Path, Payload, Query};
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use translate::Invalid;
use translate::dialect::ErrorDialect;

use super::batches::{batches, caller, found, start};
use super::files::content;
use super::page_limit;
use crate::batches::{BatchApi, BatchEndpoint, BatchOrder, BatchState, BatchStatus};
use crate::error::{FileRefusal, GatewayError, KeptKind};
use crate::file_store::{FileRecord, FileStore};
use crate::pipeline::Incoming;
use crate::pipeline::json::parse;
use crate::pipeline::json_response::respond_without_call;
use crate::request::context::RequestContext;
use crate::state::Worker;

/// Batches on a page, by default and at most.
const USUAL: usize = 20;
const MOST: usize = 1_000;
/// Seconds in which a batch is completed.
const WINDOW: u64 = 24 * 3_600;
const API: BatchApi = BatchApi::Anthropic;
const ENDPOINT: BatchEndpoint = BatchEndpoint::Messages;
const LINES: &str = "application/x-jsonl";

#[derive(Debug, Deserialize)]
struct Sent<'b> {
    #[serde(borrow)]
    requests: Option<Vec<SentRequest<'b>>>,
}

#[derive(Debug, Deserialize)]
struct SentRequest<'b> {
    custom_id: String,
    #[serde(borrow)]
    params: &'b RawValue,
}

/// The query of a list of batches.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct MessageBatchQuery {
    after_id: Option<String>,
    before_id: Option<String>,
    limit: Option<String>,
}

/// Makes a batch.
pub(crate) async fn create(
    worker: Data<Worker>,
    http: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    let mut context = begun(&http, "messages.batches.create");
    let made = made(&worker, &http, payload, &mut context).await;
    respond_without_call(context, made.map(|state| shown(&state, &http)))
}

async fn made(
    worker: &Data<Worker>,
    http: &HttpRequest,
    payload: Payload,
    context: &mut RequestContext,
) -> Result<BatchState, GatewayError> {
    let (incoming, body) = Incoming::with_body(worker, http, payload, context).await?;
    let admitted = incoming.admit(None, context).await?;
    admitted.check_route(http.path())?;
    admitted.check_route(ENDPOINT.path())?;
    let sent: Sent<'_> = parse(&body)?;
    let requests = sent.requests.filter(|requests| !requests.is_empty());
    let requests = requests.ok_or_else(|| {
        let message = "requests is missing: it holds the requests, each with custom_id and params.";
        Invalid::value("requests", message).with_code("missing_required_parameter")
    })?;
    let files = admitted.files()?;
    let input = kept(&files, &requests).await?;
    let order = BatchOrder {
        api: API,
        caller: caller(&admitted)?,
        endpoint: ENDPOINT,
        input_file_id: input,
        completion_window: "24h".to_owned(),
        metadata: None,
        output_seconds: None,
    };
    start(&admitted, BatchState::new(order, WINDOW), context).await
}

/// Keeps the requests as lines of a file, and returns its id.
async fn kept(files: &FileStore, requests: &[SentRequest<'_>]) -> Result<String, GatewayError> {
    let mut record = FileRecord::new("requests.jsonl".to_owned(), "batch".to_owned());
    let mut upload = files.upload(&record.id);
    for SentRequest { custom_id, params } in requests {
        // A body may have line breaks, and a line has none.
        let params = params.get().replace(['\n', '\r'], " ");
        let (custom_id, path) = (json!(custom_id), ENDPOINT.path());
        let line = format!(
            "{{\"custom_id\":{custom_id},\"method\":\"POST\",\"url\":\"{path}\",\"body\":{params}}}\n"
        );
        upload.push(line.as_bytes()).await.map_err(FileRefusal::from)?;
    }
    record.bytes = upload.finish().await.map_err(FileRefusal::from)?;
    files.keep(&record).await?;
    Ok(record.id)
}

/// Lists batches, the latest first.
pub(crate) async fn list(
    worker: Data<Worker>,
    http: HttpRequest,
    query: Query<MessageBatchQuery>,
) -> HttpResponse {
    let mut context = begun(&http, "messages.batches.list");
    let listed = async {
        let (store, caller) = batches(&worker, &http, &mut context).await?;
        let limit = page_limit::of(query.limit.as_deref(), USUAL, MOST)?;
        let owner = caller.owner();
        let mut ids = store.ids(&owner, API).await?;
        let place = |ids: &[String], id: &str| ids.iter().position(|known| known == id);
        if let Some(after) = query.after_id.as_deref() {
            let at = place(&ids, after).ok_or_else(|| unknown("after_id"))?;
            ids.drain(..=at);
        }
        if let Some(before) = query.before_id.as_deref() {
            let at = place(&ids, before).ok_or_else(|| unknown("before_id"))?;
            ids.truncate(at);
            // The page that ends right before it.
            ids.drain(..at.saturating_sub(limit));
        }
        let has_more = ids.len() > limit;
        ids.truncate(limit);
        let states = store.states(&owner, &ids).await?;
        let data: Vec<_> = states.iter().map(|state| shown(state, &http)).collect();
        let id = |state: Option<&BatchState>| state.map(|state| state.id.clone());
        let (first, last) = (id(states.first()), id(states.last()));
        Ok(json!({ "data": data, "has_more": has_more, "first_id": first, "last_id": last }))
    };
    let listed = listed.await;
    respond_without_call(context, listed)
}

/// Responds with a batch.
pub(crate) async fn read(
    worker: Data<Worker>,
    http: HttpRequest,
    id: Path<String>,
) -> HttpResponse {
    let mut context = begun(&http, "messages.batches.read");
    let found = async {
        let (_, known) = found(&worker, &http, (API, &id), &mut context).await?;
        Ok(shown(&known.state, &http))
    };
    let found = found.await;
    respond_without_call(context, found)
}

/// Asks for the end of a batch.
pub(crate) async fn cancel(
    worker: Data<Worker>,
    http: HttpRequest,
    id: Path<String>,
) -> HttpResponse {
    let mut context = begun(&http, "messages.batches.cancel");
    let cancelled = async {
        let (store, known) = found(&worker, &http, (API, &id), &mut context).await?;
        Ok(shown(&store.cancel(known).await?, &http))
    };
    let cancelled = cancelled.await;
    respond_without_call(context, cancelled)
}

/// Deletes a batch that has ended, with its files.
pub(crate) async fn delete(
    worker: Data<Worker>,
    http: HttpRequest,
    id: Path<String>,
) -> HttpResponse {
    let mut context = begun(&http, "messages.batches.delete");
    let deleted = async {
        let (store, known) = found(&worker, &http, (API, &id), &mut context).await?;
        if !known.state.is_over() {
            let message = "A batch that has not ended cannot be deleted: cancel it first.";
            return Err(Invalid::value("message_batch_id", message).into());
        }
        store.remove(&known.state).await?;
        Ok(json!({ "id": *id, "type": "message_batch_deleted" }))
    };
    let deleted = deleted.await;
    respond_without_call(context, deleted)
}

/// Responds with the results of a batch, in the order of its requests.
pub(crate) async fn results(
    worker: Data<Worker>,
    http: HttpRequest,
    id: Path<String>,
) -> HttpResponse {
    let mut context = begun(&http, "messages.batches.results");
    let opened = async {
        let (store, known) = found(&worker, &http, (API, &id), &mut context).await?;
        if !known.state.has_output {
            return Err(GatewayError::NotKept(KeptKind::Results, id.to_string()));
        }
        let files = store.files(&known.state);
        content::whole(&files, &known.state.output_id).await
    };
    match opened.await {
        Ok((answer, length)) => {
            let mut response = content::sent(answer, length, context);
            let kind = actix_web::http::header::HeaderValue::from_static(LINES);
            response.headers_mut().insert(CONTENT_TYPE, kind);
            response
        }
        Err(error) => context.refuse(&error),
    }
}

fn begun(http: &HttpRequest, route: &'static str) -> RequestContext {
    let mut context = RequestContext::begin(http, route);
    context.speaks(ErrorDialect::Anthropic);
    context
}

fn unknown(param: &str) -> Invalid {
    Invalid::value(param, format!("No batch has the id in {param}."))
}

/// A batch in Anthropic's shape.
fn shown(state: &BatchState, http: &HttpRequest) -> Value {
    let counts = state.progress();
    let rest = counts.total.saturating_sub(counts.completed + counts.failed);
    let (mut processing, mut canceled, mut expired) = (0, 0, 0);
    match state.status {
        BatchStatus::Cancelled => canceled = rest,
        BatchStatus::Expired => expired = rest,
        _ => processing = rest,
    }
    let status = match state.status {
        _ if state.is_over() => "ended",
        BatchStatus::Cancelling => "canceling",
        _ => "in_progress",
    };
    let ended = [state.completed_at, state.failed_at, state.expired_at, state.cancelled_at];
    let ended = ended.into_iter().flatten().next();
    let base = super::address::of(http);
    let results = format!("{base}/v1/messages/batches/{}/results", state.id);
    json!({
        "id": state.id,
        "type": "message_batch",
        "processing_status": status,
        "request_counts": {
            "processing": processing,
            "succeeded": counts.completed,
            "errored": counts.failed,
            "canceled": canceled,
            "expired": expired,
        },
        "created_at": date(state.created_at),
        "expires_at": date(state.expires_at),
        "ended_at": ended.map(date),
        "cancel_initiated_at": state.cancelling_at.map(date),
        "archived_at": null,
        "results_url": state.has_output.then_some(results),
    })
}

fn date(seconds: u64) -> String {
    let millis = i64::try_from(seconds.saturating_mul(1000)).unwrap_or_default();
    UtcTime::from_millis(millis).to_string()
}
