//! The beginning of a native answer. A stream that begins with an exception is an attempt that failed,
//! which another target may make good; so its first frame is looked at before the client sees any of it.
//! The bytes stay as they came.

use bytes::Bytes;

use crate::bedrock::{Answer, Failure, FrameDecoder, FrameKind, Kind, ServiceError};
use crate::routing::Brought;

/// An answer whose head has come, and the pieces of its body that were looked at.
#[derive(Debug)]
pub(crate) struct Begun {
    pub(crate) answer: Answer,
    pub(crate) pieces: Vec<Bytes>,
}

impl Brought for Begun {}

/// How an answer begins.
pub(crate) enum Start {
    /// Well, as far as that can be seen.
    Good(Begun),
    /// With an exception.
    Exception(Begun, Box<ServiceError>),
}

/// Looks at the first frame of a stream. Whatever is not an exception is the client's to judge, damaged
/// bytes included.
///
/// # Errors
/// The connection went, or fell silent, before a whole frame had come.
pub(crate) async fn look(mut answer: Answer, kind: Kind) -> Result<Start, Failure> {
    let mut pieces = Vec::new();
    if kind == Kind::Unary {
        return Ok(Start::Good(Begun { answer, pieces }));
    }
    let mut decoder = FrameDecoder::new();
    loop {
        match decoder.next() {
            Ok(None) => {}
            Err(_) => return Ok(Start::Good(Begun { answer, pieces })),
            Ok(Some(frame)) => {
                let begun = Begun { answer, pieces };
                return Ok(match &frame.kind {
                    FrameKind::Exception(name) => {
                        let error = ServiceError::from_event(name, &frame.payload);
                        Start::Exception(begun, Box::new(error))
                    }
                    FrameKind::Error { code, message: _ } => {
                        let error = ServiceError::from_event(code, &frame.payload);
                        Start::Exception(begun, Box::new(error))
                    }
                    FrameKind::Event(_) | FrameKind::Unknown(_) => Start::Good(begun),
                });
            }
        }
        let Some(piece) = answer.chunk().await? else {
            return Ok(Start::Good(Begun { answer, pieces }));
        };
        decoder.push(piece.clone());
        pieces.push(piece);
    }
}
