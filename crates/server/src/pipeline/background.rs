//! Requests whose answer is made in the background: the client gets the response as it stands, and the steps from
//! dispatch on go on without it. Its events, if it asked for a stream, go into a log that any client may follow.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use actix_web::HttpResponse;
use actix_web::body::MessageBody;
use actix_web::http::header::CONTENT_TYPE;
use bedrock::Kind;
use translate::answer_stream::KeptItem;
use translate::dialect::Dialect;
use translate::responses::background::in_progress;

use super::Admitted;
use super::pending_call::PendingCall;
use crate::cutoff::{Cut, Stop};
use crate::error::GatewayError;
use crate::reasoning_store::RunningJob;
use crate::request::PendingResponse;
use crate::request::context::RequestContext;
use crate::sse::stream::EVENT_STREAM;

/// Accepts a request in the background, if it asks for that: it is kept as one in progress from here on.
///
/// # Errors
/// The gateway is about to stop, or makes too many responses already.
pub(super) async fn accept<D: Dialect>(
    admitted: &Admitted,
    call: &PendingCall<D>,
    context: &RequestContext,
) -> Result<(), GatewayError> {
    // The client still waits for a failure to translate.
    let (Ok(translated), Some(head)) = (&call.translated, context.head()) else { return Ok(()) };
    let Some(queued) = D::queued(&translated.reply, context.stamp(D::ID_PREFIX)) else {
        return Ok(());
    };
    let streams = call.context.operation.kind() == Kind::Stream;
    let running = Box::pin(begin(admitted, queued, streams)).await?;
    head.is_background(running);
    Ok(())
}

async fn begin(
    admitted: &Admitted,
    queued: KeptItem,
    streams: bool,
) -> Result<RunningJob, GatewayError> {
    if admitted.worker().shared.draining.has_begun() {
        return Err(GatewayError::Stopping);
    }
    let store = admitted.reasoning();
    let begun = in_progress(&queued.json).map(|json| KeptItem { id: queued.id.clone(), json });
    let running = store.begin_job(queued, streams)?;
    if let Some(begun) = begun {
        store.keep_begun(begun).await?;
    }
    running.keep_lease().await;
    Ok(running)
}

/// An answer to the client, or one made in the background to its end.
pub(super) async fn attended(
    answer: impl Future<Output = HttpResponse>,
    head: PendingResponse,
    cut: Cut,
) -> HttpResponse {
    let mut answer = pin!(Some(answer));
    let first = poll_fn(|cx| match poll(answer.as_mut(), cx) {
        Poll::Ready(response) => Poll::Ready(Some(response)),
        Poll::Pending if head.running().is_some() => Poll::Ready(None),
        Poll::Pending => Poll::Pending,
    });
    let first = first.await;
    let Some(running) = head.running() else {
        return first.unwrap_or_else(|| HttpResponse::InternalServerError().finish());
    };
    let response = match first {
        Some(response) => Some(response),
        None => {
            let mut cut = cut.or_when(running.job.cancellation());
            let waited = cut.or(poll_fn(|cx| poll(answer.as_mut(), cx))).await;
            if waited.is_none() {
                // Dropping the answer ends its calls.
                answer.set(None);
                head.fails_job(&match cut.cause() {
                    Stop::Process => GatewayError::Stopping,
                    Stop::Client => GatewayError::Cancelled,
                });
            }
            waited
        }
    };
    if let Some(response) = response {
        listen(response, running).await;
    }
    Box::pin(running.end()).await;
    HttpResponse::Ok().finish()
}

fn poll<F: Future>(answer: Pin<&mut Option<F>>, cx: &mut Context<'_>) -> Poll<F::Output> {
    answer.as_pin_mut().map_or(Poll::Pending, |answer| answer.poll(cx))
}

/// Reads a stream to its end. Other answers were kept when they were made.
async fn listen(response: HttpResponse, running: &RunningJob) {
    if response.headers().get(CONTENT_TYPE).is_none_or(|kind| kind != EVENT_STREAM) {
        return;
    }
    let mut body = pin!(response.into_body());
    while let Some(Ok(piece)) = poll_fn(|cx| body.as_mut().poll_next(cx)).await {
        running.job.tell(&piece);
    }
}
