//! The wire formats as serde types, without logic: OpenAI's HTTP API and others on one side, Bedrock's
//! Converse on the other. Requests borrow from the body they are read from, so an image or a long
//! prompt is never copied; Bedrock's responses are read openly, so that a member unknown to this
//! build degrades an answer instead of failing it.
#![expect(
    missing_docs,
    reason = "fields carry the wire's own names; types and modules say what they are and where they come from"
)]

pub mod anthropic;
pub mod converse;
pub mod invoke;
mod lenient;
pub mod openai;
pub mod rerank;
pub mod retrieve;
pub mod surface;
mod text;
mod whole;

pub use text::{Raw, Str};
