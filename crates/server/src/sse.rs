//! Server-sent events towards the client: an answer that is awaited behind early headers, one stream of
//! Bedrock's events, and several merged into one.

pub(crate) mod choices;
pub(crate) mod pending;
pub(crate) mod stream;

pub(crate) use pending::PendingResponse;
