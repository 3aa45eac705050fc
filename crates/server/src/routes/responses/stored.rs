//! Responses that are kept: read, deleted, and the items of their input listed.

use std::sync::Arc;

use actix_web::http::header::ContentType;
use actix_web::web::{Data, Path, Query};
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use translate::Invalid;

use crate::error::GatewayError;
use crate::pipeline::{Admitted, Incoming};
use crate::reasoning_store::StoredResponse;
use crate::request::context::RequestContext;
use crate::state::Worker;

/// Items on a page, by default and at most.
const USUAL: usize = 20;
const MOST: usize = 100;
/// Length of the random part of a response's id that item ids repeat.
const RANDOM: usize = 28;

/// The query of a list of items.
#[derive(Debug, Deserialize)]
pub(crate) struct ItemPage {
    after: Option<String>,
    limit: Option<String>,
    order: Option<String>,
}

/// The query of a response.
#[derive(Debug, Deserialize)]
pub(crate) struct Reading {
    stream: Option<String>,
}

/// A page of items.
#[derive(Debug, Serialize)]
struct ItemList<'i> {
    object: &'static str,
    data: &'i [Value],
    first_id: Option<&'i Value>,
    last_id: Option<&'i Value>,
    has_more: bool,
}

/// Responds with a response.
pub(crate) async fn read(
    worker: Data<Worker>,
    http: HttpRequest,
    id: Path<String>,
    reading: Query<Reading>,
) -> HttpResponse {
    let mut context = RequestContext::begin(&http, "responses.read");
    if reading.stream.as_deref() == Some("true") {
        let message = "Only responses made in the background can be streamed again.";
        let refused = Invalid::value("stream", message).with_code("unsupported_parameter");
        return context.refuse(&refused.into());
    }
    match found(&worker, &http, &id, &mut context).await {
        Ok(response) => {
            context.complete();
            HttpResponse::Ok().content_type(ContentType::json()).body(response.object.clone())
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
    if !admitted.reasoning().responses().remove(&id) {
        return context.refuse(&GatewayError::UnknownResponse(id.into_inner()));
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
    let items = items.map(|(at, item)| full(&id, at, item)).collect();
    match paged(items, &page) {
        Ok((data, has_more)) => {
            context.complete();
            let id = |item: Option<&'_ Value>| item.and_then(|item| item.get("id")).cloned();
            let (first, last) = (id(data.first()), id(data.last()));
            HttpResponse::Ok().json(ItemList {
                object: "list",
                data: &data,
                first_id: first.as_ref(),
                last_id: last.as_ref(),
                has_more,
            })
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
    let found = admitted.reasoning().responses().find(id);
    found.ok_or_else(|| GatewayError::UnknownResponse(id.to_owned()))
}

/// An item with all members that strict clients require: an id, and of messages a type, a status and a
/// content of parts.
fn full(response: &str, at: usize, item: &str) -> Value {
    let mut members: Map<String, Value> = serde_json::from_str(item).unwrap_or_default();
    if !members.contains_key("type") && members.contains_key("role") {
        members.insert("type".to_owned(), "message".into());
    }
    let is_message = members.get("type").is_some_and(|kind| kind == "message");
    if members.get("id").is_none_or(Value::is_null) {
        let own = response.strip_prefix("resp_").unwrap_or(response);
        let own = own.get(..RANDOM).unwrap_or(own);
        let prefix = if is_message { "msg" } else { "item" };
        members.insert("id".to_owned(), format!("{prefix}_{own}in{at:04x}").into());
    }
    if is_message {
        members.entry("status").or_insert_with(|| "completed".into());
        let is_own = members.get("role").is_some_and(|role| role == "assistant");
        if let Some(Value::String(text)) = members.get("content") {
            let part = if is_own {
                json!({ "type": "output_text", "text": text, "annotations": [], "logprobs": [] })
            } else {
                json!({ "type": "input_text", "text": text })
            };
            members.insert("content".to_owned(), json!([part]));
        }
    }
    Value::Object(members)
}

/// The items of a page, and whether there are more.
fn paged(mut items: Vec<Value>, page: &ItemPage) -> Result<(Vec<Value>, bool), Invalid> {
    match page.order.as_deref() {
        None | Some("desc") => items.reverse(),
        Some("asc") => {}
        Some(_) => return Err(Invalid::value("order", "order must be asc or desc.")),
    }
    let limit = match page.limit.as_deref().map(str::parse) {
        None => USUAL,
        Some(Ok(limit)) if (1..=MOST).contains(&limit) => limit,
        Some(_) => return Err(Invalid::value("limit", "limit must be from 1 to 100.")),
    };
    if let Some(after) = page.after.as_deref() {
        let at = items.iter().position(|item| item.get("id").is_some_and(|id| id == after));
        let at = at.ok_or_else(|| Invalid::value("after", "No item has this id."))?;
        items.drain(..=at);
    }
    let has_more = items.len() > limit;
    items.truncate(limit);
    Ok((items, has_more))
}
