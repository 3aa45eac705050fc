//! Inputs of calls that were wrapped on the way to the model.

use crate::parts::tools::Unwrap;

/// The input that this piece yields.
pub(super) fn pushed(wrapped: &mut Unwrap, piece: &str) -> String {
    let mut out = String::with_capacity(piece.len());
    wrapped.push(piece, &mut out);
    out
}

/// The rest of an input, at its end.
pub(super) fn rest_of(mut wrapped: Unwrap) -> String {
    let mut out = String::new();
    wrapped.finish(&mut out);
    out
}
