//! Arrays of token ids: some clients split and count texts themselves and send only the tokens. Their
//! table is large and lives outside this crate.

use crate::Invalid;

/// The text of token ids. Invalid UTF-8 has been replaced.
pub type TextOf = fn(&[u32]) -> Result<String, UnknownToken>;

/// A token id that the vocabulary does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownToken {
    /// Position of the id in the array, from 0.
    pub at: usize,
}

/// The text of an array at `param`.
///
/// # Errors
/// An id is unknown; the error names its place.
pub(crate) fn decoded(tokens: &[u32], param: &str, text_of: TextOf) -> Result<String, Invalid> {
    text_of(tokens).map_err(|UnknownToken { at }| {
        let token = tokens.get(at).copied().unwrap_or_default();
        let message = format!(
            "{token} is no token of cl100k_base, the encoding that arrays of tokens are read with. Send text instead."
        );
        Invalid::value(format!("{param}[{at}]"), message)
    })
}
