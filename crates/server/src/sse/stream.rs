//! Streams: frames in, server-sent events out, one write per Bedrock event. Nothing is queued between
//! them but the one event under way: the next frame is read when the client has taken it, and when the
//! client leaves, dropping this drops the upstream call.

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

/// How the content of a stream is called.
pub(crate) const EVENT_STREAM: &str = "text/event-stream; charset=utf-8";
/// Tells nginx and its kin not to hold a stream back.
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
/// How long the end of a whole answer's connection is waited for, so that it can be used again.
pub(super) const PARTING: Duration = Duration::from_millis(250);
/// Room for a few events.
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

/// The response that carries a stream.
pub(crate) fn respond(
    begun: StartedStream,
    chat: ChatStream,
    reasoning: ReasoningStore,
    validator: Option<StreamValidator>,
    report: &Report,
    config: &Config,
    context: RequestContext,
) -> HttpResponse {
    let mut response = head(report, &context, begun.rest.request_id());
    let events = events(begun, chat, reasoning, validator, config.keep_alive, context);
    response
        .streaming(WriteTimeoutBody::of(panic_guard::told(events, panicked()), config.write_stall))
}

/// The response that carries a whole answer as the events it would have come in.
///
/// # Errors
/// The answer cannot be told.
pub(crate) async fn replayed(
    answer: ConverseResponse<'_>,
    mut chat: ChatStream,
    reasoning: &ReasoningStore,
    mut validator: Option<StreamValidator>,
    report: &Report,
    context: &mut RequestContext,
    aws_request_id: Option<&str>,
) -> Result<HttpResponse, GatewayError> {
    let mut out = BytesMut::with_capacity(ROOM);
    replay(answer, &mut chat, &mut |chunk| show(&mut validator, &mut out, chunk))?;
    settle(&mut validator, &mut out).await;
    if let Some(kept) = chat.take_kept() {
        reasoning.keep(&kept).await;
    }
    context.settle(chat.usage());
    conclude(chat, &mut validator, &mut out).await?;
    context.complete();
    Ok(head(report, context, aws_request_id).body(out.freeze()))
}

pub(super) fn head(
    report: &Report,
    context: &RequestContext,
    aws_request_id: Option<&str>,
) -> HttpResponseBuilder {
    let mut response = event_stream();
    describe(&mut response, context, report, aws_request_id);
    response
}

/// What the head of every stream says.
pub(crate) fn event_stream() -> HttpResponseBuilder {
    let mut response = HttpResponse::Ok();
    response.insert_header((CONTENT_TYPE, EVENT_STREAM));
    response.insert_header((CACHE_CONTROL, "no-cache"));
    response.insert_header((ACCEL_BUFFERING, "no"));
    response
}

fn events(
    begun: StartedStream,
    mut chat: ChatStream,
    reasoning: ReasoningStore,
    mut validator: Option<StreamValidator>,
    keep_alive: Duration,
    mut context: RequestContext,
) -> impl Stream<Item = Result<Bytes, Infallible>> {
    stream! {
        let mut cut = context.cut();
        let StartedStream { first, mut rest } = begun;
        let mut out = BytesMut::with_capacity(ROOM);
        let mut frame = Some(first);
        // Towards the client: what comes from the model and does not go out breaks no silence.
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
                        // Nothing was to come any more.
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
            // One future across the comments: its own idle limit keeps counting.
            let mut next = pin!(rest.next());
            let next = loop {
                if chat.is_complete() {
                    // The answer is whole; that its connection lingers is nothing to the client.
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
                // All has come that was to come; how the connection ends is no part of the answer.
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
        // Without its text or its calls an answer is wrong; without anything else it is poorer.
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

/// Whether an event that cannot be read begins a call, for all that can be told.
fn is_of_call(name: &str, payload: &[u8]) -> bool {
    let read = || serde_json::from_slice::<Value>(payload);
    name == "contentBlockStart" && read().map_or(true, |read| !read["start"]["toolUse"].is_null())
}

/// Ends a stream that has come to its end.
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

/// Writes what was held until an answer is judged.
pub(super) async fn settle(validator: &mut Option<StreamValidator>, out: &mut BytesMut) {
    if let Some(validator) = validator {
        validator.settle(out).await;
    }
}

/// Writes a chunk as the watch on the stream wants it to go out.
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

/// The chunk that ends an answer, for each finding.
fn ending(chunk: &Chunk<'_>) -> Result<End, GatewayError> {
    let (mut valid, mut mismatch, mut unchecked) =
        (BytesMut::new(), BytesMut::new(), BytesMut::new());
    write(&mut valid, chunk)?;
    write_with(ValidationResult::Mismatch(Vec::new()).word(), &mut mismatch, chunk)?;
    write_with(ValidationResult::Unchecked.word(), &mut unchecked, chunk)?;
    Ok(End { valid: valid.freeze(), mismatch: mismatch.freeze(), unchecked: unchecked.freeze() })
}

/// Writes the chunk that ends an answer, with a word on it.
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
