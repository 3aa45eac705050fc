//! Streams: reads frames and writes server-sent events. The events that have arrived together go out in one
//! write, and none waits for another. Only they are held: the next frame is read when the client has taken
//! them, and when the client disconnects, dropping the stream drops the upstream calls.

use std::convert::Infallible;
use std::time::Duration;

use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName};
use actix_web::{HttpResponse, HttpResponseBuilder};
use async_stream::stream;
use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use tokio::time::{Instant, timeout, timeout_at};
use translate::answer_stream::{AnswerStream, Received};
use translate::sse;

use super::choices::Choices;
use crate::config::Config;
use crate::cutoff::Stop;
use crate::disconnect::AnswerForm;
use crate::error::GatewayError;
use crate::panic_guard;
use crate::request::PendingResponse;
use crate::request::context::RequestContext;
use crate::write_timeout::WriteTimeoutBody;

/// Content type of a stream.
pub(crate) const EVENT_STREAM: &str = "text/event-stream; charset=utf-8";
/// Tells nginx and compatible proxies not to buffer a stream.
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
/// Longest wait for the end of a complete answer's connection, so that it can be reused.
const PARTING: Duration = Duration::from_millis(250);
/// Comments of one silence after which an event is sent instead, for clients that give up without events
/// and do not see comments.
const EVENT_AFTER: u32 = 4;
/// Initial buffer size, enough for a few events.
const ROOM: usize = 4 * 1024;
/// An event that follows the last write within this time is one of a burst: those that have arrived with it go
/// out in one write.
pub(crate) const BURST: Duration = Duration::from_millis(1);
/// Bytes of a write that gets no further event.
pub(crate) const WRITE: usize = 16 * 1024;

/// The response that carries the events of answers as they come. `response` holds its headers.
pub(crate) fn respond<S: AnswerStream + 'static>(
    mut response: HttpResponseBuilder,
    choices: Choices<S>,
    config: &Config,
    mut context: RequestContext,
) -> HttpResponse {
    let head = context.head();
    context.streams();
    let left = context.may_drain(config.access.on_disconnect, AnswerForm::Stream);
    // Boxed, because its state is large and each wrapper would move it.
    let events = Box::pin(events(choices, config.timeouts.keep_alive, context));
    let events = panic_guard::told(events, panicked(head));
    response.streaming(WriteTimeoutBody::of(events, config.timeouts.write_stall, left))
}

/// The events of answers that are complete already. An error still has its status.
///
/// # Errors
/// An answer cannot be translated, or does not match its format.
pub(crate) async fn replayed<S: AnswerStream>(
    mut choices: Choices<S>,
    context: &mut RequestContext,
) -> Result<Bytes, GatewayError> {
    let mut out = BytesMut::with_capacity(ROOM);
    let taken = choices.take_all(&mut out).await;
    context.settle(choices.spent());
    taken?;
    context.complete();
    Ok(out.freeze())
}

/// The headers of every stream.
pub(crate) fn event_stream() -> HttpResponseBuilder {
    let mut response = HttpResponse::Ok();
    response.insert_header((CONTENT_TYPE, EVENT_STREAM));
    response.insert_header((CACHE_CONTROL, "no-cache"));
    response.insert_header((ACCEL_BUFFERING, "no"));
    response
}

fn events<S: AnswerStream>(
    mut choices: Choices<S>,
    keep_alive: Duration,
    mut context: RequestContext,
) -> impl Stream<Item = Result<Bytes, Infallible>> {
    stream! {
        let mut cut = context.cut();
        let mut out = BytesMut::with_capacity(ROOM);
        // Only bytes sent to the client count: upstream events that produce no output do not end the
        // silence.
        let mut last_sent = Instant::now();
        let mut comments = 0_u32;
        let ended = loop {
            if last_sent.elapsed() >= keep_alive {
                comments += 1;
                if comments.is_multiple_of(EVENT_AFTER) {
                    choices.still_work(&mut out);
                }
                yield Ok(match out.is_empty() {
                    true => Bytes::from_static(sse::KEEP_ALIVE),
                    false => out.split().freeze(),
                });
                last_sent = Instant::now();
            }
            let next = match choices.complete() {
                // The answer is complete; a connection that stays open does not concern the client.
                Some(at) => timeout(PARTING, choices.next()).await.unwrap_or(Some((at, None))),
                None => match cut.or(timeout_at(last_sent + keep_alive, choices.next())).await {
                    Some(Ok(next)) => next,
                    Some(Err(_)) => continue,
                    None => {
                        break Err(match cut.cause() {
                            Stop::Process => GatewayError::Stopping,
                            Stop::Client => GatewayError::Cancelled,
                        });
                    }
                },
            };
            let Some(next) = next else { break Ok(()) };
            let taken = match last_sent.elapsed() < BURST {
                true => choices.take_burst(next, WRITE, &mut out).await,
                false => choices.take(next, &mut out).await,
            };
            if let Err(error) = taken {
                break Err(error);
            }
            if choices.are_over() {
                context.first_event();
                break Ok(());
            }
            if !out.is_empty() {
                context.first_event();
                yield Ok(out.split().freeze());
                last_sent = Instant::now();
                comments = 0;
            }
        };
        context.settle(choices.spent());
        match ended {
            Ok(()) => context.complete(),
            Err(error) => {
                context.break_off(&error);
                choices.fail(&error, &mut out).await;
            }
        }
        // The client may take long to read the last piece, and Bedrock need not wait for it.
        drop(choices);
        if !out.is_empty() {
            yield Ok(out.freeze());
        }
    }
}

/// The last events of a stream that ended in a panic.
pub(crate) fn panicked(head: Option<PendingResponse>) -> impl Fn(Received<'_>) -> Bytes {
    move |received: Received<'_>| match &head {
        Some(head) => head.failed(&GatewayError::Panicked, received),
        None => Bytes::new(),
    }
}
