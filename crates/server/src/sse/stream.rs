//! Streams: reads frames and writes server-sent events, one write per Bedrock event. Only the current
//! event is held: the next frame is read when the client has taken it, and when the client disconnects,
//! dropping the stream drops the upstream call.

use std::convert::Infallible;
use std::pin::pin;
use std::time::Duration;

use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName};
use actix_web::{HttpResponse, HttpResponseBuilder};
use async_stream::stream;
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::Stream;
use schema::converse::event::StreamEvent;
use schema::converse::response::ConverseResponse;
use schema::openai::chunk::{Chunk, ChunkChoice};
use serde_json::Value;
use tokio::time::{Instant, timeout, timeout_at};
use translate::chat::{ChatStream, replay};
use translate::{Report, sse};

use crate::config::Config;
use crate::error::{GatewayError, Position};
use crate::json_schema::{End, Shown, StreamValidator, ValidationResult};
use crate::panic_guard;
use crate::reasoning_store::ReasoningStore;
use crate::request::context::{RequestContext, describe};
use crate::write_timeout::WriteTimeoutBody;
use bedrock::{EventStream, Failure, Frame, FrameKind, ServiceError};

/// Content type of a stream.
pub(crate) const EVENT_STREAM: &str = "text/event-stream; charset=utf-8";
/// Tells nginx and compatible proxies not to buffer a stream.
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
/// Longest wait for the end of a complete answer's connection, so that it can be reused.
pub(super) const PARTING: Duration = Duration::from_millis(250);
/// Initial buffer size, enough for a few events.
pub(super) const ROOM: usize = 4 * 1024;

/// A stream whose first frame has arrived: from here on the status is 200.
pub(crate) struct StartedStream {
    pub(super) first: Frame,
    pub(super) rest: EventStream,
}

impl StartedStream {
    /// AWS's id of the call.
    pub(crate) fn request_id(&self) -> Option<&str> {
        self.rest.request_id()
    }

    /// Waits for the first frame, so that a call that fails at once still gets a real status.
    pub(crate) async fn wait(mut events: EventStream) -> Result<Self, GatewayError> {
        let first = events.next().await?.ok_or(translate::chat::Truncated)?;
        match ServiceError::of_frame(&first) {
            Some(error) => Err(Failure::from(error).into()),
            None => Ok(Self { first, rest: events }),
        }
    }
}

/// The consumers of one answer's events: the translator, the reasoning store, and the validator of answers that
/// are to be JSON.
pub(crate) struct StreamSinks {
    pub(crate) chat: ChatStream,
    pub(crate) reasoning: ReasoningStore,
    pub(crate) validator: Option<StreamValidator>,
}

/// The facts that a response's headers state: ignored fields, and AWS's id of the call.
pub(crate) type Described<'r> = (&'r Report, Option<&'r str>);

/// The response that carries a stream.
pub(crate) fn respond(
    begun: StartedStream,
    sinks: StreamSinks,
    report: &Report,
    config: &Config,
    context: RequestContext,
) -> HttpResponse {
    let mut response = head((report, begun.rest.request_id()), &context);
    let events = events(begun, sinks, config.keep_alive, context);
    response
        .streaming(WriteTimeoutBody::of(panic_guard::told(events, panicked()), config.write_stall))
}

/// The response that carries a complete answer as the events of a stream.
///
/// # Errors
/// The answer cannot be translated.
pub(crate) async fn replayed(
    answer: ConverseResponse<'_>,
    sinks: StreamSinks,
    described: Described<'_>,
    context: &mut RequestContext,
) -> Result<HttpResponse, GatewayError> {
    let StreamSinks { mut chat, reasoning, mut validator } = sinks;
    let mut out = BytesMut::with_capacity(ROOM);
    replay(answer, &mut chat, &mut |chunk| show(&mut validator, &mut out, chunk))?;
    settle(&mut validator, &mut out).await;
    if let Some(kept) = chat.take_kept() {
        reasoning.keep(&kept).await;
    }
    context.settle(chat.usage());
    conclude(chat, &mut validator, &mut out).await?;
    context.complete();
    Ok(head(described, context).body(out.freeze()))
}

pub(super) fn head(
    (report, aws_request_id): Described<'_>,
    context: &RequestContext,
) -> HttpResponseBuilder {
    let mut response = event_stream();
    describe(&mut response, context, report, aws_request_id);
    response
}

/// The headers of every stream.
pub(crate) fn event_stream() -> HttpResponseBuilder {
    let mut response = HttpResponse::Ok();
    response.insert_header((CONTENT_TYPE, EVENT_STREAM));
    response.insert_header((CACHE_CONTROL, "no-cache"));
    response.insert_header((ACCEL_BUFFERING, "no"));
    response
}

fn events(
    begun: StartedStream,
    sinks: StreamSinks,
    keep_alive: Duration,
    mut context: RequestContext,
) -> impl Stream<Item = Result<Bytes, Infallible>> {
    stream! {
        let StreamSinks { mut chat, reasoning, mut validator } = sinks;
        let mut cut = context.cut();
        let StartedStream { first, mut rest } = begun;
        let mut out = BytesMut::with_capacity(ROOM);
        let mut frame = Some(first);
        // Only bytes sent to the client count: upstream events that produce no output do not end the
        // silence.
        let mut last_sent = Instant::now();
        let ended = loop {
            match frame {
                Some(frame) => {
                    let was_complete = chat.is_complete();
                    let shown = &mut |chunk: &Chunk<'_>| show(&mut validator, &mut out, chunk);
                    let stepped = step(&frame, &mut chat, shown);
                    settle(&mut validator, &mut out).await;
                    match stepped {
                        Ok(()) => {}
                        // No further event was expected.
                        Err(_) if was_complete => break Ok(()),
                        Err(error) => break Err(error),
                    }
                }
                None => break Ok(()),
            }
            if let Some(kept) = chat.take_kept() {
                reasoning.keep(&kept).await;
            }
            if !out.is_empty() {
                yield Ok(out.split().freeze());
                last_sent = Instant::now();
            } else if last_sent.elapsed() >= keep_alive {
                yield Ok(Bytes::from_static(sse::KEEP_ALIVE));
                last_sent = Instant::now();
            }
            // One future across all comments, so that its own idle limit keeps counting.
            let mut next = pin!(rest.next());
            let next = loop {
                if chat.is_complete() {
                    // The answer is complete; a connection that stays open does not concern the client.
                    let parting = timeout(PARTING, next.as_mut()).await.unwrap_or(Ok(None));
                    break parting.map_err(GatewayError::from);
                }
                let waited = timeout_at(last_sent + keep_alive, next.as_mut());
                match cut.or(waited).await {
                    Some(Ok(next)) => break next.map_err(GatewayError::from),
                    Some(Err(_)) => yield Ok(Bytes::from_static(sse::KEEP_ALIVE)),
                    None => break Err(GatewayError::Stopping),
                }
                last_sent = Instant::now();
            };
            match next {
                Ok(next) => frame = next,
                // The answer is complete, and the end of the connection is not part of it.
                Err(GatewayError::Upstream(Failure::Truncated(_) | Failure::Closed(_)))
                    if chat.is_complete() => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        context.settle(chat.usage());
        let concluded = match ended {
            Ok(()) => conclude(chat, &mut validator, &mut out).await,
            Err(error) => Err(error),
        };
        match concluded {
            Ok(()) => context.complete(),
            Err(error) => {
                context.break_off(&error);
                write_error(&error, &mut out);
            }
        }
        yield Ok(out.freeze());
    }
}

/// Pushes one frame through the translator into `out`.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn translate(
    frame: &Frame,
    chat: &mut ChatStream,
    out: &mut BytesMut,
) -> Result<(), GatewayError> {
    step(frame, chat, &mut |chunk| write(out, chunk))
}

pub(super) fn step(
    frame: &Frame,
    chat: &mut ChatStream,
    out: &mut impl FnMut(&Chunk<'_>) -> Result<(), GatewayError>,
) -> Result<(), GatewayError> {
    if let Some(error) = ServiceError::of_frame(frame) {
        return Err(Failure::from(error).into());
    }
    let FrameKind::Event(name) = &frame.kind else { return Ok(()) };
    let event = match StreamEvent::parse(name, &frame.payload) {
        Ok(event) => event,
        // An answer without some of its text or calls would be wrong; other parts may be missing.
        Err(error) if name == "contentBlockDelta" || is_of_call(name, &frame.payload) => {
            return Err(GatewayError::Unreadable(error));
        }
        Err(error) => {
            log::warn!("event {name:?} cannot be read: {}", Position(&error));
            return Ok(());
        }
    };
    chat.push(&event, out)
}

/// Whether an unreadable event may begin a call.
fn is_of_call(name: &str, payload: &[u8]) -> bool {
    let read = || serde_json::from_slice::<Value>(payload);
    name == "contentBlockStart" && read().map_or(true, |read| !read["start"]["toolUse"].is_null())
}

/// Ends a stream whose events have all been read.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn finish(chat: ChatStream, out: &mut BytesMut) -> Result<(), GatewayError> {
    chat.finish(&mut |chunk| write(out, chunk))?;
    out.extend_from_slice(sse::DONE);
    Ok(())
}

async fn conclude(
    chat: ChatStream,
    validator: &mut Option<StreamValidator>,
    out: &mut BytesMut,
) -> Result<(), GatewayError> {
    let finished = chat.finish(&mut |chunk| show(validator, out, chunk));
    settle(validator, out).await;
    finished?;
    if validator.as_ref().is_some_and(StreamValidator::is_refused) {
        return Err(GatewayError::Mismatch);
    }
    out.extend_from_slice(sse::DONE);
    Ok(())
}

/// Writes the events that were held until the answer is validated.
pub(super) async fn settle(validator: &mut Option<StreamValidator>, out: &mut BytesMut) {
    if let Some(validator) = validator {
        validator.settle(out).await;
    }
}

/// Writes a chunk to the place that the stream validator selects.
pub(super) fn show(
    validator: &mut Option<StreamValidator>,
    out: &mut BytesMut,
    chunk: &Chunk<'_>,
) -> Result<(), GatewayError> {
    match validator.as_mut().map_or(Shown::AsItIs, |validator| validator.see(chunk)) {
        Shown::AsItIs => write(out, chunk),
        Shown::After(after) => write(after, chunk),
        Shown::Ending(end) => {
            *end = ending(chunk)?;
            Ok(())
        }
        Shown::Withheld => Ok(()),
    }
}

/// The last chunk of an answer, for each validation result.
fn ending(chunk: &Chunk<'_>) -> Result<End, GatewayError> {
    let (mut valid, mut mismatch, mut unchecked) =
        (BytesMut::new(), BytesMut::new(), BytesMut::new());
    write(&mut valid, chunk)?;
    write_with(ValidationResult::Mismatch(Vec::new()).word(), &mut mismatch, chunk)?;
    write_with(ValidationResult::Unchecked.word(), &mut unchecked, chunk)?;
    Ok(End { valid: valid.freeze(), mismatch: mismatch.freeze(), unchecked: unchecked.freeze() })
}

/// Writes the last chunk of an answer with a validation result.
fn write_with(
    word: &'static str,
    out: &mut BytesMut,
    chunk: &Chunk<'_>,
) -> Result<(), GatewayError> {
    let [choice] = chunk.choices else { return write(out, chunk) };
    let mut outcrop = choice.outcrop.cloned().unwrap_or_default();
    outcrop.structured_output = Some(word);
    let choices = [ChunkChoice { outcrop: Some(&outcrop), ..choice.clone() }];
    write(out, &Chunk { choices: &choices, ..chunk.clone() })
}

fn write(out: &mut BytesMut, chunk: &Chunk<'_>) -> Result<(), GatewayError> {
    sse::write(&mut out.writer(), chunk).map_err(|error| GatewayError::Internal(error.to_string()))
}

/// The last event of a stream that ended in a panic.
pub(crate) fn panicked() -> Bytes {
    let mut out = BytesMut::new();
    write_error(&GatewayError::Panicked, &mut out);
    out.freeze()
}

pub(crate) fn write_error(error: &GatewayError, out: &mut BytesMut) {
    if let Err(error) = sse::write(&mut out.writer(), &error.render().envelope()) {
        log::error!("an error event could not be written: {error}");
    }
}
