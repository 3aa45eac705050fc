//! Server-sent events towards the client: early headers while an answer is pending, one stream of
//! Bedrock's events, and several streams merged into one.

pub(crate) mod choices;
pub(crate) mod pending;
pub(crate) mod stream;
