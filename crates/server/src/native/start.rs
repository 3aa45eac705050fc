//! The beginning of a native response. A stream that begins with an exception is a failed attempt that
//! another target may replace, and so is one that ends or is damaged before its first complete frame; its
//! first frame is therefore read before the client gets any of it. The bytes stay unchanged.

use bytes::Bytes;

use super::table::OperationRow;
use crate::call_price::CallPrice;
use bedrock::{Failure, FrameDecoder, Kind, ServiceError, UpstreamResponse};
use routing::AttemptOutcome;

/// A response with its headers and the chunks of its body read so far.
#[derive(Debug)]
pub(crate) struct Begun {
    pub(crate) answer: UpstreamResponse,
    /// The operation that responds.
    pub(crate) row: &'static OperationRow,
    pub(crate) pieces: Vec<Bytes>,
    /// The price of the call, if it names a model.
    pub(crate) price: Option<CallPrice>,
}

impl AttemptOutcome for Begun {}

/// The beginning of a response.
pub(crate) enum Start {
    /// A success, as far as it has been read.
    Good(Begun),
    /// An exception.
    Exception(Begun, Box<ServiceError>),
}

/// Reads the first frame of a stream. The client checks everything after it, damaged bytes included.
///
/// # Errors
/// The body ended, the connection closed or fell silent, or the bytes were not a frame, before a complete
/// one had arrived.
pub(crate) async fn look(
    mut answer: UpstreamResponse,
    row: &'static OperationRow,
) -> Result<Start, Failure> {
    let mut pieces = Vec::new();
    if row.kind == Kind::Unary {
        return Ok(Start::Good(Begun { answer, row, pieces, price: None }));
    }
    let mut decoder = FrameDecoder::new();
    loop {
        if let Some(frame) = decoder.next()? {
            let begun = Begun { answer, row, pieces, price: None };
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
