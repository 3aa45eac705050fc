//! Streams that are slow to begin. A proxy on the way to the client closes a connection without
//! traffic. If a stream was requested and no answer has begun in time, its headers are therefore sent
//! early, followed by comments. The dispatch continues, attempts and fallbacks included, because no
//! part of an answer was sent. An error from then on has no status any more and becomes an event.

use std::error::Error;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::body::{MessageBody, to_bytes};
use actix_web::http::header::{CONTENT_TYPE, ContentType};
use async_stream::stream;
use bytes::Bytes;
use futures_util::Stream;
use tokio::time::{Instant, timeout, timeout_at};
use translate::answer_stream::Received;
use translate::sse;

use crate::cutoff::Cut;
use crate::error::GatewayError;
use crate::panic_guard;
use crate::reasoning_store::Job;
use crate::request::PendingResponse;
use crate::sse::follow;
use crate::sse::stream::{EVENT_STREAM, event_stream, panicked};

/// Returns the response of `answer`, or the early headers of a stream. Dropping either drops `answer`,
/// and with it all calls that it waits for.
pub(crate) async fn respond<A>(
    mut answer: Pin<Box<A>>,
    head: PendingResponse,
    silence: Duration,
    cut: Cut,
) -> HttpResponse
where
    A: Future<Output = HttpResponse> + 'static,
{
    // Never zero: a waiting request must let others run.
    let silence = silence.max(Duration::from_millis(1));
    let mut until = Instant::now() + silence;
    loop {
        if let Ok(step) = timeout_at(until, step(answer.as_mut(), &head)).await {
            return step.unwrap_or_else(|job| accepted(job, silence));
        }
        let now = Instant::now();
        until = head.asked().unwrap_or(now) + silence;
        if until <= now {
            break;
        }
    }
    head.goes_out();
    let last = panicked(Some(head.clone()));
    // The client has received comments at most: events have a guard of their own.
    let last = move |_: Received<'_>| last(Received::Head);
    event_stream().streaming(panic_guard::told(body(answer, head, silence, cut), last))
}

/// The answer, or the job that makes it in the background: then the client need not wait.
async fn step<A>(mut answer: Pin<&mut A>, head: &PendingResponse) -> Result<HttpResponse, Arc<Job>>
where
    A: Future<Output = HttpResponse>,
{
    poll_fn(|cx| {
        let polled = answer.as_mut().poll(cx);
        match head.running() {
            Some(running) => Poll::Ready(Err(Arc::clone(&running.job))),
            None => polled.map(Ok),
        }
    })
    .await
}

/// The response to a request whose answer is made in the background: its events, or how it stands.
fn accepted(job: Arc<Job>, silence: Duration) -> HttpResponse {
    if job.streams() {
        return follow::respond(job, 0, silence);
    }
    HttpResponse::Ok().content_type(ContentType::json()).body(job.queued().to_owned())
}

/// Sends comments until there is an answer, then its events.
fn body<A>(
    mut answer: Pin<Box<A>>,
    head: PendingResponse,
    silence: Duration,
    mut cut: Cut,
) -> impl Stream<Item = Result<Bytes, Box<dyn Error>>>
where
    A: Future<Output = HttpResponse> + 'static,
{
    stream! {
        let response = loop {
            yield Ok(Bytes::from_static(sse::KEEP_ALIVE));
            match cut.or(timeout(silence, step(answer.as_mut(), &head))).await {
                Some(Ok(step)) => break step.unwrap_or_else(|job| accepted(job, silence)),
                Some(Err(_)) => {}
                None => {
                    drop(answer);
                    yield Ok(head.failed(&GatewayError::Stopping, Received::Head));
                    return;
                }
            }
        };
        drop(answer);
        if let Some(refusal) = head.take_refusal() {
            yield Ok(refusal);
            return;
        }
        if response.headers().get(CONTENT_TYPE).is_none_or(|kind| kind != EVENT_STREAM) {
            yield Ok(one_event(response, &head).await);
            return;
        }
        let mut body = pin!(response.into_body());
        while let Some(piece) = poll_fn(|cx| body.as_mut().poll_next(cx)).await {
            yield piece;
        }
    }
}

/// A response that is not a stream as the only event of one.
async fn one_event(response: HttpResponse, head: &PendingResponse) -> Bytes {
    match to_bytes(response.into_body()).await {
        // The JSON is a single line, like all JSON that is written here.
        Ok(told) => [b"data: ", &*told, b"\n\n"].concat().into(),
        Err(error) => {
            log::error!("a response could not be read: {error}");
            let error = GatewayError::Internal("a response could not be read".to_owned());
            head.failed(&error, Received::Head)
        }
    }
}
