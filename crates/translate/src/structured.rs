//! What an answer was asked to be. It is kept word for word beside what the model is asked for, so that
//! whoever can judge an answer judges it by what the caller said.

use std::sync::Arc;

/// What an answer must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// A JSON object, of whatever members.
    Object,
    /// JSON that is valid against this JSON Schema, in the caller's own words.
    Schema(Arc<str>),
}
