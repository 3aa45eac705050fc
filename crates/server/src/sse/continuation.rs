//! Streams that are continued by another call after they broke off. What the first call wrote is the beginning
//! of the second one's answer, so that its text goes on where the other ended: no text is sent twice.

use async_stream::stream;
use bedrock::{Failure, Frame, FrameKind, ServiceError};
use bytes::Bytes;
use futures_util::Stream;
use futures_util::future::LocalBoxFuture;
use routing::InFlight;
use schema::converse::event::StreamEvent;
use serde_json::json;

use super::choices::Piece;
use super::frames::StartedStream;
use crate::request::settlement::ContinuedBy;

/// Makes the call that continues a text; `None` if it cannot be made.
pub(crate) type Continue =
    Box<dyn FnOnce(AnswerSoFar) -> LocalBoxFuture<'static, Option<ContinuedCall>>>;

/// A call that continues another one.
pub(crate) struct ContinuedCall {
    pub(crate) stream: Box<StartedStream>,
    pub(crate) by: ContinuedBy,
    pub(crate) in_flight: InFlight,
}

/// The beginning of a call that continues another one, between the frames of both.
pub(super) struct Seam {
    pub(super) by: ContinuedBy,
    pub(super) in_flight: InFlight,
}

/// The text of an answer so far.
#[derive(Debug, Default)]
pub(crate) struct AnswerSoFar {
    text: String,
    /// The block that holds it.
    block: Option<u32>,
    state: Answered,
}

/// The state of an answer, as far as its continuation depends on it.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Answered {
    /// It consists of one block of text, which has not ended.
    #[default]
    Text,
    /// It has other parts, or its text has ended.
    Other,
    /// It is complete, except for its metadata.
    Complete,
}

impl AnswerSoFar {
    /// The text that a model can continue: without white space at its end, which models refuse there. `None` if
    /// the answer cannot be continued.
    pub(crate) fn prefill(&self) -> Option<&str> {
        let text = self.text.trim_end();
        (self.state == Answered::Text && !text.is_empty()).then_some(text)
    }

    /// Bytes of the text.
    pub(crate) fn length(&self) -> usize {
        self.text.len()
    }

    fn saw(&mut self, frame: &Frame) {
        let FrameKind::Event(name) = &frame.kind else { return };
        if self.state != Answered::Text {
            return;
        }
        match StreamEvent::parse(name, &frame.payload) {
            Ok(StreamEvent::ContentBlockDelta(delta)) => {
                let is_same = self.block.is_none_or(|block| block == delta.content_block_index);
                match delta.delta.text {
                    Some(text) if is_same => {
                        self.block = Some(delta.content_block_index);
                        self.text.push_str(&text);
                    }
                    _ => self.state = Answered::Other,
                }
            }
            Ok(StreamEvent::ContentBlockStart(start)) if start.start.tool_use.is_some() => {
                self.state = Answered::Other;
            }
            Ok(StreamEvent::ContentBlockStop(_)) | Err(_) => self.state = Answered::Other,
            Ok(StreamEvent::MessageStop(_)) => self.state = Answered::Complete,
            Ok(_) => {}
        }
    }
}

/// The part of an event of the second call that the client needs.
enum Fit {
    AsItIs,
    /// None: the client has it.
    Known,
    /// This text.
    Text(String),
}

/// Fits the events of the second call to what the client has.
struct Joint {
    /// White space at the end of the text so far, as far as the second call has not repeated it.
    white: String,
    block: u32,
}

impl Joint {
    fn of(so_far: &AnswerSoFar) -> Self {
        let white = so_far.text.get(so_far.text.trim_end().len()..).unwrap_or_default();
        Self { white: white.to_owned(), block: so_far.block.unwrap_or_default() }
    }

    /// The event as the client needs it; `None` if it has it already.
    fn fitted(&mut self, frame: Frame) -> Option<Frame> {
        match self.fit(&frame) {
            Fit::AsItIs => Some(frame),
            Fit::Known => None,
            Fit::Text(text) => Some(text_frame(self.block, &text)),
        }
    }

    fn fit(&mut self, frame: &Frame) -> Fit {
        let FrameKind::Event(name) = &frame.kind else { return Fit::AsItIs };
        match StreamEvent::parse(name, &frame.payload) {
            Ok(StreamEvent::MessageStart) => Fit::Known,
            Ok(StreamEvent::ContentBlockStart(start)) if start.start.tool_use.is_none() => {
                Fit::Known
            }
            Ok(StreamEvent::ContentBlockDelta(delta)) => match delta.delta.text {
                Some(text) => match self.without_white(&text) {
                    "" => Fit::Known,
                    rest => Fit::Text(rest.to_owned()),
                },
                None => Fit::AsItIs,
            },
            _ => Fit::AsItIs,
        }
    }

    /// A piece of text without the white space that the client has.
    fn without_white<'t>(&mut self, text: &'t str) -> &'t str {
        let mut rest = text;
        while let Some(first) = self.white.chars().next() {
            let Some(left) = rest.strip_prefix(first) else {
                if !rest.is_empty() {
                    self.white.clear();
                }
                break;
            };
            rest = left;
            self.white.remove(0);
        }
        rest
    }
}

fn text_frame(block: u32, text: &str) -> Frame {
    let payload = json!({ "contentBlockIndex": block, "delta": { "text": text } }).to_string();
    Frame { kind: FrameKind::Event("contentBlockDelta".into()), payload: Bytes::from(payload) }
}

/// The end of a stream that broke off.
enum Broken {
    /// Without its stop event.
    Early,
    Exception(Frame),
    Failure(Failure),
}

/// The pieces of an answer, continued once if it breaks off.
pub(super) fn pieces(
    begun: StartedStream,
    continues: Continue,
) -> impl Stream<Item = Result<Piece, Failure>> {
    stream! {
        let StartedStream { first, mut rest, upstream: _ } = begun;
        let mut so_far = AnswerSoFar::default();
        so_far.saw(&first);
        yield Ok(Piece::Frame(first));
        let broken = loop {
            match rest.next().await {
                Ok(Some(frame)) => {
                    let error = ServiceError::of_frame(&frame);
                    // The request itself is refused: another target would refuse it too.
                    if error.is_some_and(|error| error.status != 400) {
                        break Broken::Exception(frame);
                    }
                    so_far.saw(&frame);
                    yield Ok(Piece::Frame(frame));
                }
                Ok(None) if so_far.state == Answered::Complete => return,
                Ok(None) => break Broken::Early,
                Err(failure) => break Broken::Failure(failure),
            }
        };
        drop(rest);
        let mut joint = Joint::of(&so_far);
        let call = match so_far.prefill().is_some() {
            true => continues(so_far).await,
            false => None,
        };
        let Some(ContinuedCall { stream, by, in_flight }) = call else {
            match broken {
                // The translator tells that the stop event is missing.
                Broken::Early => {}
                Broken::Exception(frame) => yield Ok(Piece::Frame(frame)),
                Broken::Failure(failure) => yield Err(failure),
            }
            return;
        };
        yield Ok(Piece::Seam(Box::new(Seam { by, in_flight })));
        let StartedStream { first, mut rest, upstream: _ } = *stream;
        let mut next = Some(Ok(first));
        while let Some(piece) = next {
            match piece {
                Ok(frame) => {
                    if let Some(frame) = joint.fitted(frame) {
                        yield Ok(Piece::Frame(frame));
                    }
                }
                Err(failure) => yield Err(failure),
            }
            next = rest.next().await.transpose();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(name: &'static str, payload: &serde_json::Value) -> Frame {
        Frame { kind: FrameKind::Event(name.into()), payload: payload.to_string().into() }
    }

    fn after(frames: &[Frame]) -> AnswerSoFar {
        let mut so_far = AnswerSoFar::default();
        for frame in frames {
            so_far.saw(frame);
        }
        so_far
    }

    #[test]
    fn only_text_that_has_not_ended_is_continued() {
        let start = event("messageStart", &json!({ "role": "assistant" }));
        let stop = event("contentBlockStop", &json!({ "contentBlockIndex": 0 }));
        let tool = json!({ "contentBlockIndex": 1, "start": { "toolUse": { "toolUseId": "t", "name": "n" } } });
        let thought =
            json!({ "contentBlockIndex": 0, "delta": { "reasoningContent": { "text": "hm" } } });
        let text = text_frame(0, "one two \n");
        assert_eq!(after(&[start.clone(), text.clone()]).prefill(), Some("one two"));
        for frames in [
            vec![start.clone()],
            vec![start.clone(), text_frame(0, " \n")],
            vec![start.clone(), text.clone(), stop],
            vec![start.clone(), text.clone(), event("contentBlockStart", &tool)],
            vec![start.clone(), event("contentBlockDelta", &thought), text.clone()],
            vec![start, text.clone(), text_frame(1, "more")],
            vec![text, event("messageStop", &json!({ "stopReason": "end_turn" }))],
        ] {
            assert_eq!(after(&frames).prefill(), None, "{frames:?}");
        }
    }

    #[test]
    fn white_space_is_not_doubled() {
        for (so_far, pieces, expected) in [
            ("one ", &["two", " three"][..], "two three"),
            ("one ", &[" two"], "two"),
            ("one \n", &[" ", "\n", "two"], "two"),
            ("one \n", &[" two"], "two"),
            ("one", &[" two"], " two"),
            ("one ", &["", "\u{a0}two"], "\u{a0}two"),
        ] {
            let mut joint = Joint::of(&after(&[text_frame(2, so_far)]));
            let mut joined = String::new();
            for piece in pieces {
                if let Some(frame) = joint.fitted(text_frame(0, piece)) {
                    let read: serde_json::Value = serde_json::from_slice(&frame.payload).unwrap();
                    assert_eq!(read["contentBlockIndex"], 2);
                    joined.push_str(read["delta"]["text"].as_str().unwrap());
                }
            }
            assert_eq!(joined, expected, "{so_far:?} {pieces:?}");
        }
        let mut joint = Joint::of(&after(&[text_frame(0, "one")]));
        assert_eq!(joint.fitted(event("messageStart", &json!({ "role": "assistant" }))), None);
        let stop = event("messageStop", &json!({ "stopReason": "end_turn" }));
        assert_eq!(joint.fitted(stop.clone()), Some(stop));
    }
}
