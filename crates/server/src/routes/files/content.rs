//! `GET /v1/files/{id}/content`: the bytes of a file as S3 sends them, all or those of a range.

use actix_web::body::SizedStream;
use actix_web::http::StatusCode;
use actix_web::http::header::{
    ACCEPT_RANGES, CONTENT_RANGE, CONTENT_TYPE, HeaderName, RANGE, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use async_stream::stream;
use bedrock::UpstreamResponse;
use http::HeaderValue;

use super::files;
use crate::error::{FileRefusal, GatewayError};
use crate::file_store::FileStore;
use crate::request::context::RequestContext;
use crate::state::Worker;

/// Type of a file whose sender declared none. Browsers must not guess another.
const NO_TYPE: &str = "application/octet-stream";

/// Responds with the content of a file.
pub(crate) async fn content(
    worker: Data<Worker>,
    http: HttpRequest,
    id: Path<String>,
) -> HttpResponse {
    let mut context = RequestContext::begin(&http, "files.content");
    match opened(&worker, &http, &id, &mut context).await {
        Ok((answer, length)) => sent(answer, length, context),
        Err(error) => context.refuse(&error),
    }
}

async fn opened(
    worker: &Data<Worker>,
    http: &HttpRequest,
    id: &str,
    context: &mut RequestContext,
) -> Result<(UpstreamResponse, u64), GatewayError> {
    let files = files(worker, http, context).await?;
    files.find(id).await?;
    let range = http.headers().get(RANGE).map(|range| HeaderValue::from_bytes(range.as_bytes()));
    let range = range.transpose().map_err(|_| GatewayError::from(FileRefusal::Range))?;
    measured(files.open(id, range.as_ref()).await?)
}

/// Begins to read a whole file.
///
/// # Errors
/// The caller has no such file.
pub(in crate::routes) async fn whole(
    files: &FileStore,
    id: &str,
) -> Result<(UpstreamResponse, u64), GatewayError> {
    files.find(id).await?;
    measured(files.open(id, None).await?)
}

fn measured(answer: UpstreamResponse) -> Result<(UpstreamResponse, u64), GatewayError> {
    let length = answer.headers.get(http::header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
    let unknown = || GatewayError::Internal("S3 states no length of an object".to_owned());
    Ok((answer, length.ok_or_else(unknown)?))
}

/// The answer of S3 as the caller's. What breaks off is cut short, which the length tells.
pub(in crate::routes) fn sent(
    mut answer: UpstreamResponse,
    length: u64,
    mut context: RequestContext,
) -> HttpResponse {
    let status = StatusCode::from_u16(answer.status.as_u16()).unwrap_or(StatusCode::OK);
    let mut response = HttpResponse::build(status);
    response.insert_header((CONTENT_TYPE, NO_TYPE)).insert_header((ACCEPT_RANGES, "bytes"));
    response.insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"));
    let held = |name: HeaderName| answer.headers.get(name.as_str())?.to_str().ok();
    if let Some(range) = held(CONTENT_RANGE) {
        response.insert_header((CONTENT_RANGE, range.to_owned()));
    }
    let pieces = stream! {
        loop {
            match answer.chunk().await {
                Ok(Some(piece)) => yield Ok(piece),
                Ok(None) => break context.complete(),
                Err(failure) => {
                    let refusal = GatewayError::from(FileRefusal::from(failure));
                    context.fails_with(&refusal);
                    yield Err(std::io::Error::other(refusal.to_string()));
                    break;
                }
            }
        }
    };
    response.body(SizedStream::new(length, Box::pin(pieces)))
}
