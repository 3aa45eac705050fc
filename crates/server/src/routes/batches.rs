//! `/v1/batches`: files of requests that are answered later.

mod shown;

use actix_web::web::{Data, Path, Payload, Query};
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use serde_json::{Map, Value};
use translate::Invalid;

use self::shown::{shown, shown_page};
use super::{metadata, page_limit};
use crate::batches::{
    BatchApi, BatchCaller, BatchEndpoint, BatchOrder, BatchState, BatchStore, KnownBatch,
};
use crate::error::{FileRefusal, GatewayError};
use crate::pipeline::json::parse;
use crate::pipeline::json_response::respond_without_call;
use crate::pipeline::reserve::{CallEstimate, EstimatedCost};
use crate::pipeline::{Admitted, Incoming};
use crate::request::context::RequestContext;
use crate::state::Worker;

/// Batches on a page, by default and at most.
const USUAL: usize = 20;
const MOST: usize = 100;
/// Hours in which a batch may be completed: those of Bedrock's jobs.
const HOURS: std::ops::RangeInclusive<u64> = 24..=168;
const HOUR: u64 = 3_600;
/// Seconds that the output of a batch may be kept for.
const SECONDS: std::ops::RangeInclusive<u64> = 3_600..=2_592_000;
const API: BatchApi = BatchApi::OpenAi;

/// A batch as a client orders it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sent {
    input_file_id: Option<String>,
    endpoint: Option<String>,
    completion_window: Option<String>,
    metadata: Option<Map<String, Value>>,
    output_expires_after: Option<ExpiresAfter>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpiresAfter {
    anchor: String,
    seconds: u64,
}

/// The query of a list of batches.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct BatchQuery {
    after: Option<String>,
    limit: Option<String>,
}

/// Makes a batch.
pub(crate) async fn create(
    worker: Data<Worker>,
    http: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    let mut context = RequestContext::begin(&http, "batches.create");
    let made = made(&worker, &http, payload, &mut context).await;
    respond_without_call(context, made.map(|state| shown(&state)))
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
    let sent: Sent = parse(&body)?;
    let input_file_id = required(sent.input_file_id, "input_file_id")?;
    let endpoint = endpoint(&required(sent.endpoint, "endpoint")?)?;
    admitted.check_route(endpoint.path())?;
    let completion_window = sent.completion_window.unwrap_or_else(|| "24h".to_owned());
    let hours = hours(&completion_window)?;
    let metadata = sent.metadata.map(metadata::checked).transpose()?;
    let output_seconds = sent.output_expires_after.map(ExpiresAfter::seconds).transpose()?;
    let input = admitted.files()?.find(&input_file_id).await?;
    if input.purpose != "batch" {
        let message = "The purpose of this file is not batch.";
        return Err(Invalid::value("input_file_id", message).into());
    }
    let order = BatchOrder {
        api: API,
        caller: caller(&admitted)?,
        endpoint,
        input_file_id,
        completion_window,
        metadata,
        output_seconds,
    };
    start(&admitted, BatchState::new(order, hours * HOUR), context).await
}

/// Keeps a new batch, unless the budget of its caller is spent, and wakes the engine.
pub(super) async fn start(
    admitted: &Admitted,
    state: BatchState,
    context: &mut RequestContext,
) -> Result<BatchState, GatewayError> {
    let estimate = CallEstimate { call_type: "acreate_batch", cost: EstimatedCost::Nothing };
    admitted.reserve(estimate, context).await?;
    store(admitted)?.create(&state).await?;
    admitted.worker().shared.new_batches.notify_one();
    Ok(state)
}

/// Lists batches, the latest first.
pub(crate) async fn list(
    worker: Data<Worker>,
    http: HttpRequest,
    query: Query<BatchQuery>,
) -> HttpResponse {
    let mut context = RequestContext::begin(&http, "batches.list");
    let listed = async {
        let (store, caller) = batches(&worker, &http, &mut context).await?;
        let limit = page_limit::of(query.limit.as_deref(), USUAL, MOST)?;
        let owner = caller.owner();
        let mut ids = store.ids(&owner, API).await?;
        if let Some(after) = query.after.as_deref() {
            let at = ids.iter().position(|id| id == after);
            let at = at.ok_or_else(|| Invalid::value("after", "No batch has this id."))?;
            ids.drain(..=at);
        }
        let has_more = ids.len() > limit;
        ids.truncate(limit);
        Ok(shown_page(&store.states(&owner, &ids).await?, has_more))
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
    let mut context = RequestContext::begin(&http, "batches.read");
    let found = async {
        let (_, known) = found(&worker, &http, (API, &id), &mut context).await?;
        Ok(shown(&known.state))
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
    let mut context = RequestContext::begin(&http, "batches.cancel");
    let cancelled = async {
        let (store, known) = found(&worker, &http, (API, &id), &mut context).await?;
        Ok(shown(&store.cancel(known).await?))
    };
    let cancelled = cancelled.await;
    respond_without_call(context, cancelled)
}

/// The batches of the caller.
pub(super) async fn batches(
    worker: &Data<Worker>,
    http: &HttpRequest,
    context: &mut RequestContext,
) -> Result<(BatchStore, BatchCaller), GatewayError> {
    let admitted = Incoming::list(worker, http).await?.admit(None, context).await?;
    admitted.check_route(http.path())?;
    Ok((store(&admitted)?, caller(&admitted)?))
}

/// A batch of the caller.
pub(super) async fn found(
    worker: &Data<Worker>,
    http: &HttpRequest,
    batch: (BatchApi, &str),
    context: &mut RequestContext,
) -> Result<(BatchStore, KnownBatch), GatewayError> {
    let (store, caller) = batches(worker, http, context).await?;
    let known = store.find(&caller.owner(), batch).await?;
    Ok((store, known))
}

fn store(admitted: &Admitted) -> Result<BatchStore, GatewayError> {
    let bucket = admitted.worker().bucket(admitted.now());
    Ok(BatchStore::new(bucket.ok_or(FileRefusal::NoBucket)?))
}

/// The caller as it is kept with a batch.
pub(super) fn caller(admitted: &Admitted) -> Result<BatchCaller, GatewayError> {
    let caller = BatchCaller::of(admitted.admission().principal());
    caller.ok_or_else(|| GatewayError::Internal("the read-only key made a batch".to_owned()))
}

fn required(value: Option<String>, name: &'static str) -> Result<String, Invalid> {
    value.filter(|value| !value.is_empty()).ok_or_else(|| {
        Invalid::value(name, format!("{name} is missing.")).with_code("missing_required_parameter")
    })
}

fn endpoint(path: &str) -> Result<BatchEndpoint, Invalid> {
    BatchEndpoint::named(path).ok_or_else(|| {
        let all: Vec<&str> = BatchEndpoint::ALL.iter().map(|endpoint| endpoint.path()).collect();
        Invalid::value("endpoint", format!("endpoint must be one of {}.", all.join(", ")))
    })
}

fn hours(window: &str) -> Result<u64, Invalid> {
    let hours = window.strip_suffix('h').and_then(|hours| hours.parse().ok());
    hours.filter(|hours| HOURS.contains(hours)).ok_or_else(|| {
        let message = "completion_window must be a number of hours from 24h to 168h.";
        Invalid::value("completion_window", message)
    })
}

impl ExpiresAfter {
    fn seconds(self) -> Result<u64, Invalid> {
        let Self { anchor, seconds } = self;
        if anchor == "created_at" && SECONDS.contains(&seconds) {
            return Ok(seconds);
        }
        let message =
            "output_expires_after has the anchor created_at and seconds from 3600 to 2592000.";
        Err(Invalid::value("output_expires_after", message))
    }
}
