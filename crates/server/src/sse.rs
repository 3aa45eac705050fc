//! Server-sent events towards the client: early headers while an answer is pending, and one stream of the
//! events of one or several answers.

pub(crate) mod choices;
pub(crate) mod continuation;
pub(crate) mod follow;
pub(crate) mod frames;
pub(crate) mod pending;
pub(crate) mod stream;
