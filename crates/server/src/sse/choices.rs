//! Several answers in one stream (`n` above 1); each chunk carries the index of its answer. All
//! upstream calls are polled by the one future that writes to the client: while the client does not
//! read, no call is read; when it disconnects or a call fails, all are dropped.

use std::convert::Infallible;
use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::HttpResponse;
use async_stream::stream;
use bytes::{Bytes, BytesMut};
use futures_util::stream::{LocalBoxStream, Stream, StreamExt};
use schema::openai::chunk::Chunk;
use tokio::time::{Instant, timeout_at};
use translate::chat::{ChatStream, Spent, replay};
use translate::sse;

use super::stream::{
    Described, PARTING, ROOM, StartedStream, head, panicked, settle, show, step, write_error,
};
use crate::config::Config;
use crate::error::GatewayError;
use crate::json_schema::StreamValidator;
use crate::panic_guard;
use crate::reasoning_store::ReasoningStore;
use crate::request::context::{RequestContext, of_quota};
use crate::write_timeout::WriteTimeoutBody;
use bedrock::{Failure, Frame, Kind};
use routing::{Classify, InFlight, Timestamp};

/// One of several answers, before any of it is translated.
pub(crate) struct Choice {
    pub(crate) source: AnswerSource,
    pub(crate) chat: ChatStream,
    /// The call, for its target's health and usage.
    pub(crate) in_flight: InFlight,
}

/// The source of an answer.
pub(crate) enum AnswerSource {
    /// Events, beginning with the first.
    Live(Box<StartedStream>),
    /// The body of a complete answer.
    Told(Bytes),
}

/// The response that carries several answers.
pub(crate) fn respond(
    choices: Choices,
    described: Described<'_>,
    config: &Config,
    context: RequestContext,
) -> HttpResponse {
    let mut response = head(described, &context);
    let events = events(choices, config.keep_alive, context);
    response
        .streaming(WriteTimeoutBody::of(panic_guard::told(events, panicked()), config.write_stall))
}

fn events(
    mut choices: Choices,
    keep_alive: Duration,
    mut context: RequestContext,
) -> impl Stream<Item = Result<Bytes, Infallible>> {
    stream! {
        let mut cut = context.cut();
        let mut out = BytesMut::with_capacity(ROOM);
        // Only bytes sent to the client count: upstream events that produce no output do not end the
        // silence.
        let mut last_sent = Instant::now();
        let ended = loop {
            if last_sent.elapsed() >= keep_alive {
                yield Ok(Bytes::from_static(sse::KEEP_ALIVE));
                last_sent = Instant::now();
            }
            let whole = choices.whole();
            let silent = last_sent + keep_alive;
            let until = if whole.is_some() { Instant::now() + PARTING } else { silent };
            let Some(next) = cut.or(timeout_at(until, choices.next())).await else {
                break Err(GatewayError::Stopping);
            };
            let (at, piece) = match (next, whole) {
                (Ok(Some(next)), _) => next,
                (Ok(None), _) => break Ok(()),
                // The answer is complete; a connection that stays open does not concern the client.
                (Err(_), Some(at)) => (at, None),
                (Err(_), None) => continue,
            };
            if let Err(error) = choices.take(at, piece, &mut out).await {
                break Err(error);
            }
            if !out.is_empty() {
                yield Ok(out.split().freeze());
                last_sent = Instant::now();
            }
        };
        context.settle(choices.spent().usage());
        match ended {
            Ok(()) => {
                out.extend_from_slice(sse::DONE);
                context.complete();
            }
            Err(error) => {
                context.break_off(&error);
                write_error(&error, &mut out);
            }
        }
        // The client may take long to read the last piece, and Bedrock need not wait for it.
        drop(choices);
        yield Ok(out.freeze());
    }
}

/// The answers in progress.
pub(crate) struct Choices {
    lines: Vec<Line>,
    /// The validator, if JSON was requested.
    validator: Option<StreamValidator>,
    /// Index of the answer that is polled first, so that a fast answer does not delay the others.
    turn: usize,
    /// Usage of the answers that have ended.
    spent: Spent,
    reasoning: ReasoningStore,
}

/// One answer in progress.
struct Line {
    pieces: LocalBoxStream<'static, Result<Piece, Failure>>,
    chat: ChatStream,
    in_flight: InFlight,
}

/// A part of an answer.
enum Piece {
    Frame(Frame),
    Whole(Bytes),
}

/// A piece of an answer; `None` is its end.
type Next = Option<Result<Piece, Failure>>;

/// State of an answer after a piece: more is to come, or it is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Heard {
    More,
    All,
}

impl Choices {
    pub(crate) fn new(
        choices: Vec<Choice>,
        validator: Option<StreamValidator>,
        reasoning: ReasoningStore,
    ) -> Self {
        let lines = choices.into_iter().map(|Choice { source, chat, in_flight }| Line {
            pieces: pieces(source),
            chat,
            in_flight,
        });
        Self { lines: lines.collect(), validator, turn: 0, spent: Spent::default(), reasoning }
    }

    /// The next piece of any answer, with the answer's index.
    async fn next(&mut self) -> Option<(usize, Next)> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// An answer that is complete except for the end of its connection.
    fn whole(&self) -> Option<usize> {
        self.lines.iter().position(|line| line.chat.is_complete())
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<(usize, Next)>> {
        let count = self.lines.len();
        if count == 0 {
            return Poll::Ready(None);
        }
        for step in 0..count {
            let at = (self.turn + step) % count;
            if let Poll::Ready(piece) = self.lines[at].pieces.poll_next_unpin(cx) {
                self.turn = at + 1;
                return Poll::Ready(Some((at, piece)));
            }
        }
        Poll::Pending
    }

    /// Translates a piece into `out`.
    async fn take(
        &mut self,
        at: usize,
        piece: Next,
        out: &mut BytesMut,
    ) -> Result<(), GatewayError> {
        let mut shown = |chunk: &Chunk<'_>| show(&mut self.validator, out, chunk);
        let heard = self.lines[at].hear(piece, &self.reasoning, &mut shown).await;
        settle(&mut self.validator, out).await;
        match heard {
            Ok(Heard::More) => {}
            Ok(Heard::All) => {
                let ended = self.end(at, out);
                settle(&mut self.validator, out).await;
                ended?;
            }
            Err(error) => return Err(blamed(&mut self.lines[at].in_flight, error)),
        }
        if self.validator.as_ref().is_some_and(StreamValidator::is_refused) {
            return Err(GatewayError::Mismatch);
        }
        Ok(())
    }

    /// Ends one answer; the last one adds the usage of all.
    fn end(&mut self, at: usize, out: &mut BytesMut) -> Result<(), GatewayError> {
        let Line { pieces: _, chat, mut in_flight } = self.lines.remove(at);
        if let Some(usage) = chat.usage() {
            in_flight.settle(of_quota(usage));
        }
        let mut shown = |chunk: &Chunk<'_>| show(&mut self.validator, out, chunk);
        let ended = if self.lines.is_empty() {
            chat.finish_after(self.spent, &mut shown)
        } else {
            chat.conclude(&mut shown).map(|own| self.spent.and(own))
        };
        match ended {
            Ok(spent) => {
                self.spent = spent;
                Ok(())
            }
            Err(error) => Err(blamed(&mut in_flight, error)),
        }
    }

    /// The usage of all answers so far.
    fn spent(&self) -> Spent {
        self.lines.iter().fold(self.spent, |spent, line| spent.and(line.chat.spent()))
    }
}

impl Line {
    async fn hear(
        &mut self,
        piece: Next,
        reasoning: &ReasoningStore,
        out: &mut impl FnMut(&Chunk<'_>) -> Result<(), GatewayError>,
    ) -> Result<Heard, GatewayError> {
        match piece {
            None => return Ok(Heard::All),
            // The answer is complete, and the end of the connection is not part of it.
            Some(Err(_)) if self.chat.is_complete() => return Ok(Heard::All),
            Some(Err(failure)) => return Err(failure.into()),
            Some(Ok(Piece::Frame(frame))) => {
                let was_complete = self.chat.is_complete();
                match step(&frame, &mut self.chat, out) {
                    Ok(()) => {}
                    // No further event was expected.
                    Err(_) if was_complete => return Ok(Heard::All),
                    Err(error) => return Err(error),
                }
            }
            Some(Ok(Piece::Whole(body))) => {
                let answer = serde_json::from_slice(&body).map_err(GatewayError::Unreadable)?;
                replay(answer, &mut self.chat, out)?;
            }
        }
        // Saved before the client sees the tool calls, which it may answer at once.
        if let Some(kept) = self.chat.take_kept() {
            reasoning.keep(&kept).await;
        }
        Ok(Heard::More)
    }
}

/// Records an error in the health of the target that caused it.
fn blamed(in_flight: &mut InFlight, error: GatewayError) -> GatewayError {
    in_flight.failed(Timestamp::now(), error.verdict(Kind::Unary).fault);
    error
}

/// One stream for the whole answer, so that its idle limit keeps counting while others are read.
fn pieces(source: AnswerSource) -> LocalBoxStream<'static, Result<Piece, Failure>> {
    stream! {
        match source {
            AnswerSource::Told(body) => yield Ok(Piece::Whole(body)),
            AnswerSource::Live(begun) => {
                let StartedStream { first, mut rest } = *begun;
                yield Ok(Piece::Frame(first));
                while let Some(next) = rest.next().await.transpose() {
                    yield next.map(Piece::Frame);
                }
            }
        }
    }
    .boxed_local()
}
