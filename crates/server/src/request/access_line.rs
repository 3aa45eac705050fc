//! Values of the access line that are a caller's own text, or may be unknown.

use std::fmt;

use schema::openai::usage::CostUsd;

/// The cost in the access log: a dash where it is unknown, because 0 would be a claim.
pub(super) struct CostField(pub(super) Option<CostUsd>);

impl fmt::Display for CostField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(cost) => write!(f, "{cost}"),
            None => f.write_str("-"),
        }
    }
}

/// Method and path in the access log, escaped and bounded: both are a caller's own text.
pub(super) struct Place<'e>(pub(super) Option<&'e (String, String)>);

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some((method, path)) => {
                write!(f, " method={:?} path={:?}", bounded(method, 32), bounded(path, 256))
            }
            None => Ok(()),
        }
    }
}

/// At most the first `bytes` of a text.
pub(super) fn bounded(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}
