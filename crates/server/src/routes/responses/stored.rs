//! Responses that are kept: read, streamed again, cancelled, deleted, and the items of their input listed.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::ContentType;
use actix_web::web::{Data, Path, Query};
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use serde_json::json;
use tokio::time::{Instant, sleep, timeout};
use translate::Invalid;

use super::item_list::ItemPage;
use crate::error::GatewayError;
use crate::pipeline::{Admitted, Incoming};
use crate::reasoning_store::{StoredResponse, complete_item};
use crate::request::context::RequestContext;
use crate::sse::follow;
use crate::state::Worker;

const NO_EVENTS: &str =
    "Only responses made with background: true and stream: true can be streamed again.";
const ELSEWHERE: &str = "Another process of the gateway makes this response: read it without stream until it has ended.";
const DROPPED: &str = "The first events of this response are not kept any more: it is too long.";

/// Longest wait for the end of a response that is cancelled.
const PATIENCE: Duration = Duration::from_secs(10);
/// Time between two looks at a response that another process ends.
const GLANCE: Duration = Duration::from_millis(200);

/// The query of a response.
#[derive(Debug, Deserialize)]
pub(crate) struct Reading {
    stream: Option<String>,
    starting_after: Option<String>,
}

impl Reading {
    /// The sequence number of the first event that the client asks for; `None` if it asks for no events.
    ///
    /// # Errors
    /// A member has no value that it may have.
    fn first_event(&self) -> Result<Option<usize>, Invalid> {
        let after = match self.starting_after.as_deref().map(str::parse::<u32>) {
            None => None,
            Some(Ok(after)) => Some(after),
            Some(Err(_)) => {
                let message = "starting_after must be the sequence number of an event.";
                return Err(Invalid::value("starting_after", message));
            }
        };
        match self.stream.as_deref() {
            Some("true") => Ok(Some(after.map_or(0, |after| after as usize + 1))),
            None | Some("false") if after.is_none() => Ok(None),
            None | Some("false") => {
                let message = "starting_after needs stream=true.";
                Err(Invalid::value("starting_after", message))
            }
            Some(_) => Err(Invalid::value("stream", "stream must be true or false.")),
        }
    }
}

/// Responds with a response, or with its events.
pub(crate) async fn read(
    worker: Data<Worker>,
    http: HttpRequest,
    id: Path<String>,
    reading: Query<Reading>,
) -> HttpResponse {
    let mut context = RequestContext::begin(&http, "responses.read");
    let read = async {
        let first = reading.first_event()?;
        let admitted = admitted(&worker, &http, &mut context).await?;
        let response = admitted.reasoning().response(&id).await?;
        match first {
            None => {
                let object = response.object.clone();
                Ok(HttpResponse::Ok().content_type(ContentType::json()).body(object))
            }
            Some(first) => events(&admitted, (&id, &response), first).await,
        }
    };
    let read = read.await;
    answered(context, read)
}

/// The events of a response, from a sequence number on.
async fn events(
    admitted: &Admitted,
    (id, response): (&str, &StoredResponse),
    first: usize,
) -> Result<HttpResponse, GatewayError> {
    let refused = |message| Invalid::value("stream", message).with_code("unsupported_parameter");
    if let Some(job) = admitted.reasoning().job(id) {
        if !job.streams() {
            return Err(refused(NO_EVENTS).into());
        }
        if job.events_from(first).is_none() {
            return Err(refused(DROPPED).into());
        }
        return Ok(follow::respond(job, first, admitted.now().config.timeouts.keep_alive));
    }
    match response.events_from(first) {
        Some(logged) => Ok(follow::replay(&logged)),
        None if response.is_pending() => Err(refused(ELSEWHERE).into()),
        None if response.events.is_some() => Err(refused(DROPPED).into()),
        None => Err(refused(NO_EVENTS).into()),
    }
}

/// Cancels a response that is made in the background, and responds with what there is of it.
pub(crate) async fn cancel(
    worker: Data<Worker>,
    http: HttpRequest,
    id: Path<String>,
) -> HttpResponse {
    let mut context = RequestContext::begin(&http, "responses.cancel");
    let cancelled = async {
        let admitted = admitted(&worker, &http, &mut context).await?;
        let store = admitted.reasoning();
        let mut response = store.response(&id).await?;
        if !response.is_background() {
            let message = "Only responses made with background: true can be cancelled.";
            return Err(Invalid::value("response_id", message).into());
        }
        if let Some(job) = store.job(&id) {
            job.cancel();
            let _ = timeout(PATIENCE, job.ended()).await;
            response = store.response(&id).await?;
        } else if response.is_pending() {
            response = cancelled_elsewhere(&admitted, &id).await?;
        }
        let object = response.object.clone();
        Ok(HttpResponse::Ok().content_type(ContentType::json()).body(object))
    };
    let cancelled = cancelled.await;
    answered(context, cancelled)
}

/// Has another process end a response.
async fn cancelled_elsewhere(
    admitted: &Admitted,
    id: &str,
) -> Result<Arc<StoredResponse>, GatewayError> {
    admitted.reasoning().responses().cancel(id).await?;
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        sleep(GLANCE).await;
        let response = admitted.reasoning().response(id).await?;
        if !response.is_pending() {
            return Ok(response);
        }
    }
    Err(GatewayError::MadeElsewhere)
}

fn answered(
    mut context: RequestContext,
    answer: Result<HttpResponse, GatewayError>,
) -> HttpResponse {
    match answer {
        Ok(response) => {
            context.complete();
            response
        }
        Err(error) => context.refuse(&error),
    }
}

/// Deletes a response.
pub(crate) async fn delete(
    worker: Data<Worker>,
    http: HttpRequest,
    id: Path<String>,
) -> HttpResponse {
    let mut context = RequestContext::begin(&http, "responses.delete");
    let admitted = match admitted(&worker, &http, &mut context).await {
        Ok(admitted) => admitted,
        Err(error) => return context.refuse(&error),
    };
    if let Some(job) = admitted.reasoning().job(&id) {
        job.cancel();
        let _ = timeout(PATIENCE, job.ended()).await;
    }
    if let Err(error) = admitted.reasoning().responses().remove(&id).await {
        return context.refuse(&error);
    }
    context.complete();
    let id = id.into_inner();
    HttpResponse::Ok().json(json!({ "id": id, "object": "response.deleted", "deleted": true }))
}

/// Lists the items of the request that a response answers, the last first by default.
pub(crate) async fn input_items(
    worker: Data<Worker>,
    http: HttpRequest,
    id: Path<String>,
    page: Query<ItemPage>,
) -> HttpResponse {
    let mut context = RequestContext::begin(&http, "responses.input_items");
    let response = match found(&worker, &http, &id, &mut context).await {
        Ok(response) => response,
        Err(error) => return context.refuse(&error),
    };
    let items = response.input.items.iter().enumerate();
    let items = items.map(|(at, item)| complete_item(&id, at, item)).collect();
    match page.of(items) {
        Ok(list) => {
            context.complete();
            HttpResponse::Ok().json(list)
        }
        Err(invalid) => context.refuse(&invalid.into()),
    }
}

async fn admitted(
    worker: &Data<Worker>,
    http: &HttpRequest,
    context: &mut RequestContext,
) -> Result<Admitted, GatewayError> {
    Incoming::list(worker, http).await?.admit(None, context).await
}

/// The caller's response with this id.
async fn found(
    worker: &Data<Worker>,
    http: &HttpRequest,
    id: &str,
    context: &mut RequestContext,
) -> Result<Arc<StoredResponse>, GatewayError> {
    let admitted = admitted(worker, http, context).await?;
    admitted.reasoning().response(id).await
}
