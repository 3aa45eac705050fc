//! `/v1/files`: files that a caller keeps here, for batches and for requests that refer to them.

pub(super) mod content;
mod upload;

use actix_web::web::{Data, Path, Payload, Query};
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use serde_json::{Value, json};
use translate::Invalid;

use super::page_limit;
use crate::body;
use crate::error::GatewayError;
use crate::file_store::{FileListAsk, FilePage, FileRecord, FileStore};
use crate::pipeline::Incoming;
use crate::pipeline::json_response::respond_without_call;
use crate::request::context::RequestContext;
use crate::state::Worker;

pub(crate) use content::content;

/// Files on a page, by default and at most.
const USUAL: usize = 1_000;
const MOST: usize = 10_000;

/// The query of a list of files.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct FileQuery {
    after: Option<String>,
    limit: Option<String>,
    order: Option<String>,
    purpose: Option<String>,
}

/// Takes a file.
pub(crate) async fn create(
    worker: Data<Worker>,
    http: HttpRequest,
    mut payload: Payload,
) -> HttpResponse {
    let mut context = RequestContext::begin(&http, "files.create");
    match upload::received(&worker, &http, &mut payload, &mut context).await {
        Ok(record) => {
            context.complete();
            HttpResponse::Ok().json(shown(&record))
        }
        Err(error) => {
            let response = context.refuse(&error);
            // A connection whose request is read may be used again.
            match body::skim_at_once(&mut payload).await {
                true => response,
                false => body::close_after(response, payload),
            }
        }
    }
}

/// Lists files.
pub(crate) async fn list(
    worker: Data<Worker>,
    http: HttpRequest,
    query: Query<FileQuery>,
) -> HttpResponse {
    let mut context = RequestContext::begin(&http, "files.list");
    let listed = async {
        let ask = query.ask()?;
        let page = files(&worker, &http, &mut context).await?.list(ask).await?;
        Ok(shown_page(&page))
    };
    let listed = listed.await;
    respond_without_call(context, listed)
}

/// Responds with the record of a file.
pub(crate) async fn read(
    worker: Data<Worker>,
    http: HttpRequest,
    id: Path<String>,
) -> HttpResponse {
    let mut context = RequestContext::begin(&http, "files.read");
    let found = async {
        let record = files(&worker, &http, &mut context).await?.find(&id).await?;
        Ok(shown(&record))
    };
    let found = found.await;
    respond_without_call(context, found)
}

/// Deletes a file.
pub(crate) async fn delete(
    worker: Data<Worker>,
    http: HttpRequest,
    id: Path<String>,
) -> HttpResponse {
    let mut context = RequestContext::begin(&http, "files.delete");
    let deleted = async {
        let files = files(&worker, &http, &mut context).await?;
        files.find(&id).await?;
        files.remove(&id).await?;
        Ok(json!({ "id": *id, "object": "file", "deleted": true }))
    };
    let deleted = deleted.await;
    respond_without_call(context, deleted)
}

/// The files of the caller.
async fn files(
    worker: &Data<Worker>,
    http: &HttpRequest,
    context: &mut RequestContext,
) -> Result<FileStore, GatewayError> {
    let admitted = Incoming::list(worker, http).await?.admit(None, context).await?;
    admitted.check_route(http.path())?;
    admitted.files()
}

/// A file in OpenAI's shape.
pub(crate) fn shown(record: &FileRecord) -> Value {
    let FileRecord { id, bytes, created_at, filename, purpose, expires_at, content_type: _ } =
        record;
    let mut shown = json!({
        "id": id,
        "object": "file",
        "bytes": bytes,
        "created_at": created_at,
        "filename": filename,
        "purpose": purpose,
        "status": "processed",
    });
    if let Some(at) = expires_at {
        shown["expires_at"] = json!(at);
    }
    shown
}

fn shown_page(page: &FilePage) -> Value {
    let ids: Vec<&str> = page.files.iter().map(|record| record.id.as_str()).collect();
    json!({
        "object": "list",
        "data": page.files.iter().map(shown).collect::<Vec<_>>(),
        "first_id": ids.first(),
        "last_id": ids.last(),
        "has_more": page.has_more,
    })
}

impl FileQuery {
    fn ask(&self) -> Result<FileListAsk<'_>, Invalid> {
        let limit = page_limit::of(self.limit.as_deref(), USUAL, MOST)?;
        let is_ascending = match self.order.as_deref() {
            None | Some("desc") => false,
            Some("asc") => true,
            Some(_) => return Err(Invalid::value("order", "order must be asc or desc.")),
        };
        let (after, purpose) = (self.after.as_deref(), self.purpose.as_deref());
        Ok(FileListAsk { after, limit, is_ascending, purpose })
    }
}
