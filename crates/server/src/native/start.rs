//! The beginning of a native answer. A stream that begins with an exception is an attempt that failed,
//! which another target may make good, and so is one that ends or is damaged before a whole frame has come;
//! so its first frame is looked at before the client sees any of it. The bytes stay as they came.

use bytes::Bytes;

use super::table::Row;
use crate::bedrock::{Answer, Failure, FrameDecoder, Kind, Service, ServiceError};
use crate::routing::Brought;

/// An answer whose head has come, and the pieces of its body that were looked at.
#[derive(Debug)]
pub(crate) struct Begun {
    pub(crate) answer: Answer,
    /// Who gives it.
    pub(crate) service: Service,
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

/// Looks at the first frame of a stream. What comes after it is the client's to judge, damaged bytes
/// included.
///
/// # Errors
/// The body ended, the connection went or fell silent, or the bytes were no frame, before a whole one had
/// come.
pub(crate) async fn look(mut answer: Answer, row: &Row) -> Result<Start, Failure> {
    let (service, mut pieces) = (row.service, Vec::new());
    if row.kind == Kind::Unary {
        return Ok(Start::Good(Begun { answer, service, pieces }));
    }
    let mut decoder = FrameDecoder::new();
    loop {
        if let Some(frame) = decoder.next()? {
            let begun = Begun { answer, service, pieces };
            return Ok(match ServiceError::of_frame(&frame) {
                Some(error) => Start::Exception(begun, Box::new(error)),
                None => Start::Good(begun),
            });
        }
        let Some(piece) = answer.chunk().await? else {
            decoder.finish()?;
            return Err(Failure::Truncated("its body ended before its first event".to_owned()));
        };
        decoder.push(piece.clone());
        pieces.push(piece);
    }
}
