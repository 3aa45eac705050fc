//! The answers of one stream: one, or several (`n` above 1), whose events carry their index. All
//! upstream calls are polled by the one future that writes to the client: while the client does not
//! read, no call is read; when it disconnects or a call fails, all are dropped.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_stream::stream;
use bytes::{Bytes, BytesMut};
use futures_util::stream::{LocalBoxStream, StreamExt};
use translate::answer_stream::{AnswerStream, Progress, Truncated, replay};
use translate::reasoning::SavedTurn;
use translate::spent::Spent;
use translate::upstream::UpstreamEvents;

use super::continuation::{self, Continue, Seam};
use super::frames::{CHUNK, StartedStream, broken, step};
use crate::arrival::arrived;
use crate::call_price::{CallPrice, priced};
use crate::config::UsageCost;
use crate::error::GatewayError;
use crate::json_schema::{Conformity, StreamValidator};
use crate::reasoning_store::ReasoningStore;
use crate::request::context::{of_quota, unix_seconds};
use crate::request::settlement::{ContinuedBy, Settlement};
use crate::request::stream_end::logged;
use bedrock::{Failure, Frame, FrameKind, SSE_EVENT};
use routing::InFlight;

/// Bytes of an event of text besides the text: its JSON and Bedrock's padding.
const WRAPPING: usize = 70;
/// The same of an event in a model's own form, besides a quarter of it for base64.
const NATIVE_WRAPPING: usize = 130;

/// The same of an event in the API of another surface.
const SURFACE_WRAPPING: usize = 180;

/// One answer, before any of it is translated.
pub(crate) struct Choice<S> {
    pub(crate) source: AnswerSource,
    pub(crate) translator: S,
    /// The call, for its target's health and usage.
    pub(crate) in_flight: InFlight,
    pub(crate) price: Option<CallPrice>,
    /// The way to continue a stream that breaks off.
    pub(crate) continues: Option<Continue>,
}

/// The source of an answer.
pub(crate) enum AnswerSource {
    /// Events, beginning with the first.
    Live(Box<StartedStream>),
    /// The body of a complete answer.
    Whole(Bytes),
}

/// The answers in progress.
pub(crate) struct Choices<S> {
    answers: Vec<Answer<S>>,
    /// The validator, if JSON was requested.
    validator: Option<StreamValidator>,
    /// Index of the answer that is polled first, so that a fast answer does not delay the others.
    turn: usize,
    /// Usage of the answers that have ended.
    spent: Spent,
    reasoning: ReasoningStore,
    settlement: Arc<Settlement>,
    cost: UsageCost,
}

/// One answer in progress.
struct Answer<S> {
    pieces: LocalBoxStream<'static, Result<Piece, Failure>>,
    /// The translator of its events, if they are not Converse's.
    upstream: Option<UpstreamEvents>,
    translator: S,
    in_flight: InFlight,
    price: Option<CallPrice>,
}

/// A part of an answer.
pub(super) enum Piece {
    Frame(Frame),
    Whole(Bytes),
    /// The frames that follow are of a call that continues the one before.
    Seam(Box<Seam>),
}

/// A piece of an answer; `None` is its end.
pub(super) type Next = Option<Result<Piece, Failure>>;

/// State of an answer after a piece: more is to come, or it is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    More,
    Complete,
}

impl<S: AnswerStream> Choices<S> {
    pub(crate) fn new(
        choices: Vec<Choice<S>>,
        validator: Option<StreamValidator>,
        (reasoning, settlement): (ReasoningStore, Arc<Settlement>),
        cost: UsageCost,
    ) -> Self {
        let answer = |Choice { source, translator, in_flight, price, continues }| {
            let (pieces, upstream) = pieces(source, continues);
            Answer { pieces, upstream, translator, in_flight, price }
        };
        let answers = choices.into_iter().map(answer).collect();
        let spent = Spent::default();
        Self { answers, validator, turn: 0, spent, reasoning, settlement, cost }
    }

    /// The next piece of any answer, with the answer's index; `None` when all answers have ended.
    pub(super) async fn next(&mut self) -> Option<(usize, Next)> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// The next piece that has arrived already.
    async fn arrived(&mut self) -> Option<(usize, Next)> {
        arrived(|cx| self.poll_next(cx)).await.flatten()
    }

    /// An answer that is complete except for the end of its connection.
    pub(super) fn complete(&self) -> Option<usize> {
        self.answers.iter().position(|answer| answer.translator.is_complete())
    }

    /// Whether all answers have ended, and with them the stream.
    pub(super) fn are_over(&self) -> bool {
        self.answers.is_empty()
    }

    /// The usage of all answers so far.
    pub(super) fn spent(&self) -> Spent {
        self.answers.iter().fold(self.spent, |spent, answer| spent.and(answer.spent()))
    }

    /// Translates a piece into `out`; the end of the last answer ends the stream.
    pub(super) async fn take(
        &mut self,
        (at, piece): (usize, Next),
        out: &mut BytesMut,
    ) -> Result<(), GatewayError> {
        let Self { answers, validator, reasoning, settlement, .. } = self;
        let piece = match piece {
            Some(Ok(Piece::Seam(seam))) => {
                settlement.continued(answers[at].continued(*seam));
                return Ok(());
            }
            other => other,
        };
        if let Some(Ok(Piece::Frame(Frame { kind: FrameKind::Event(name), payload }))) = &piece {
            let wrapping = match &**name {
                "contentBlockDelta" => Some(WRAPPING),
                CHUNK => Some(payload.len() / 4 + NATIVE_WRAPPING),
                SSE_EVENT => Some(payload.len().min(SURFACE_WRAPPING)),
                _ => None,
            };
            settlement.wrote(wrapping.map_or(0, |wrapping| payload.len().saturating_sub(wrapping)));
        }
        match answers[at].take(piece, (validator.as_ref(), reasoning), out).await {
            Ok(State::More) => Ok(()),
            Ok(State::Complete) => self.end(at, out).await,
            Err(error) => Err(blamed(&mut answers[at].in_flight, error)),
        }
    }

    /// Tells a client that counts only events that the answers are still being made.
    pub(super) fn still_work(&mut self, out: &mut BytesMut) {
        if let Some(answer) = self.answers.first_mut() {
            logged(answer.translator.still_works(out));
        }
    }

    /// Ends the stream with an error, in the words of its dialect. What there is of the answer is kept.
    pub(super) async fn fail(&mut self, error: &GatewayError, out: &mut BytesMut) {
        // An answer that has ended leaves the error to one that has not.
        if let Some(answer) = self.answers.first_mut() {
            logged(answer.translator.fail(&error.render().failure(), out));
            self.reasoning.keep_response(answer.translator.kept_answer()).await;
        }
    }

    /// Translates all answers into `out`, if they are all complete already.
    pub(super) async fn take_all(&mut self, out: &mut BytesMut) -> Result<(), GatewayError> {
        while let Some(next) = self.next().await {
            self.take(next, out).await?;
        }
        Ok(())
    }

    /// Translates a piece into `out`, and those that have arrived with it, up to about `limit` bytes.
    pub(super) async fn take_burst(
        &mut self,
        first: (usize, Next),
        limit: usize,
        out: &mut BytesMut,
    ) -> Result<(), GatewayError> {
        let mut next = Some(first);
        while let Some(piece) = next {
            self.take(piece, out).await?;
            let goes_on = out.len() < limit && self.complete().is_none();
            next = if goes_on { self.arrived().await } else { None };
        }
        Ok(())
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<(usize, Next)>> {
        let count = self.answers.len();
        if count == 0 {
            return Poll::Ready(None);
        }
        for step in 0..count {
            let at = (self.turn + step) % count;
            if let Poll::Ready(piece) = self.answers[at].pieces.poll_next_unpin(cx) {
                self.turn = at + 1;
                return Poll::Ready(Some((at, piece)));
            }
        }
        Poll::Pending
    }

    /// Ends one answer; the last one ends the stream with the usage of all.
    async fn end(&mut self, at: usize, out: &mut BytesMut) -> Result<(), GatewayError> {
        let answer = &mut self.answers[at];
        let own = answer.spent();
        if let Some(usage) = own.usage() {
            answer.in_flight.settle(of_quota(usage));
        }
        let translator = &mut answer.translator;
        let closed = match translator.close(out) {
            Ok(progress) => judged(translator, progress, self.validator.as_ref(), out).await,
            Err(error) => Err(error.into()),
        };
        if let Err(error) = closed {
            return Err(blamed(&mut answer.in_flight, error));
        }
        let is_last = self.answers.len() == 1;
        if is_last {
            let total = self.cost.shown(self.spent.and(own));
            let translator = &mut self.answers[at].translator;
            translator.ends_at(unix_seconds());
            translator.finish(total, out)?;
            self.reasoning.keep_response(translator.kept_answer()).await;
        }
        self.answers.remove(at);
        self.spent = self.spent.and(own);
        Ok(())
    }
}

impl<S: AnswerStream> Answer<S> {
    /// The usage so far, with its cost.
    fn spent(&self) -> Spent {
        priced(self.price.as_ref(), self.translator.spent())
    }

    /// Goes on with another call.
    fn continued(&mut self, Seam { by, in_flight }: Seam) -> ContinuedBy {
        self.in_flight.broke_off(&GatewayError::from(Truncated));
        (self.in_flight, self.price) = (in_flight, Some(by.price.clone()));
        self.translator.continued(&by.label);
        by
    }

    async fn take(
        &mut self,
        piece: Next,
        (validator, store): (Option<&StreamValidator>, &ReasoningStore),
        out: &mut BytesMut,
    ) -> Result<State, GatewayError> {
        let was_complete = self.translator.is_complete();
        let progress = match piece {
            None => match self.upstream.as_mut().filter(|_| !was_complete) {
                Some(upstream) => {
                    let told = upstream.finish(&mut self.translator, out).map_err(broken)?;
                    if let Some(saved) = judged(&mut self.translator, told, validator, out).await? {
                        store.keep(&saved).await;
                    }
                    return Ok(State::Complete);
                }
                None => return Ok(State::Complete),
            },
            // The answer is complete, and the end of the connection is not part of it.
            Some(Err(_)) if was_complete => return Ok(State::Complete),
            Some(Err(failure)) => return Err(failure.into()),
            Some(Ok(Piece::Frame(frame))) => {
                match step(&frame, &mut self.translator, self.upstream.as_mut(), out) {
                    Ok(progress) => progress,
                    // No further event was expected.
                    Err(_) if was_complete => return Ok(State::Complete),
                    Err(error) => return Err(error),
                }
            }
            Some(Ok(Piece::Seam(_))) => return Ok(State::More),
            Some(Ok(Piece::Whole(body))) => {
                let answer = serde_json::from_slice(&body).map_err(GatewayError::Unreadable)?;
                replay(answer, &mut self.translator, out)?
            }
        };
        // Saved before the client sees the tool calls, which it may answer at once.
        if let Some(saved) = judged(&mut self.translator, progress, validator, out).await? {
            store.keep(&saved).await;
        }
        store.items().keep(self.translator.take_items());
        Ok(State::More)
    }
}

/// Validates a finished answer and writes its last event; passes reasoning on.
async fn judged(
    translator: &mut impl AnswerStream,
    Progress { reasoning, answer }: Progress,
    validator: Option<&StreamValidator>,
    out: &mut BytesMut,
) -> Result<Option<SavedTurn>, GatewayError> {
    if let Some(answer) = answer {
        let conformity = match validator {
            Some(validator) => validator.judge(&answer).await?,
            None => None,
        };
        translator.judged(conformity.map(Conformity::word), out)?;
    }
    Ok(reasoning)
}

/// Records an error in the health of the target that caused it.
fn blamed(in_flight: &mut InFlight, error: GatewayError) -> GatewayError {
    in_flight.broke_off(&error);
    error
}

/// One stream for the whole answer, so that its idle limit keeps counting while others are read.
fn pieces(
    source: AnswerSource,
    continues: Option<Continue>,
) -> (LocalBoxStream<'static, Result<Piece, Failure>>, Option<UpstreamEvents>) {
    match source {
        AnswerSource::Whole(body) => {
            (futures_util::stream::iter([Ok(Piece::Whole(body))]).boxed_local(), None)
        }
        AnswerSource::Live(begun) => {
            if let Some(continues) = continues {
                return (continuation::pieces(*begun, continues).boxed_local(), None);
            }
            let StartedStream { first, mut rest, upstream } = *begun;
            let pieces = stream! {
                yield Ok(Piece::Frame(first));
                while let Some(next) = rest.next().await.transpose() {
                    yield next.map(Piece::Frame);
                }
            };
            (pieces.boxed_local(), upstream)
        }
    }
}
