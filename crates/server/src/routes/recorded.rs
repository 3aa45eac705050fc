//! Records answers for the request log, where the operator keeps one: every piece of a body on its way to the client.

use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::HttpMessage as _;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::CONTENT_TYPE;
use actix_web::middleware::Next;
use actix_web::web::{Bytes, Data};

use crate::request_id::RequestId;
use crate::state::Worker;
use crate::telemetry::request_log::Recording;

/// Records the answer of a request that is sampled.
pub(super) async fn record(
    request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let worker = request.app_data::<Data<Worker>>();
    let log = worker.and_then(|worker| worker.shared.telemetry.request_log.get());
    let id = request.extensions().get::<RequestId>().cloned();
    let Some(recording) = log.zip(id).and_then(|(log, id)| log.begin(&id)) else {
        return next.call(request).await;
    };
    request.extensions_mut().insert(recording.clone());
    let response = next.call(request).await?;
    let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    recording.answers_with(kind.unwrap_or_default());
    Ok(response.map_body(|_, body| BoxBody::new(Recorded { body, recording })))
}

struct Recorded {
    body: BoxBody,
    recording: Recording,
}

impl MessageBody for Recorded {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let polled = Pin::new(&mut self.body).poll_next(cx);
        if let Poll::Ready(Some(Ok(piece))) = &polled {
            self.recording.answered(piece);
        }
        polled
    }
}
