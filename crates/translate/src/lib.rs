//! Pure conversion between the dialects of OpenAI and Anthropic and Bedrock's. This crate reads no clock, no
//! environment and no socket: what varies comes in as values, and what could not be honoured comes
//! out beside the result. The two halves meet only in a [`Reply`]: without having asked the
//! question, an answer cannot be translated.

mod answer;
pub mod answer_stream;
pub mod batch;
pub mod capsule;
pub mod chat;
pub mod completions;
pub mod dialect;
pub mod embeddings;
pub mod error;
pub mod errors;
pub mod estimate;
pub mod guardrail;
pub mod images;
pub mod messages;
pub mod moderations;
mod parts;
pub mod profile;
pub mod reasoning;
pub mod reply;
pub mod report;
pub mod requested_format;
pub mod rerank;
pub mod responses;
pub mod s3_access;
pub mod spent;
pub mod sse;
pub mod stored_prompt;
pub mod token_arrays;
pub mod transcriptions;
pub mod upstream;
pub mod vector_stores;

pub use error::Invalid;
pub use parts::BODY_LIMIT;
pub use parts::betas::add_betas;
pub use parts::media::is_media;
pub use profile::Profile;
pub use reply::{Reply, Stamp};
pub use report::{Report, Unsupported};
pub use s3_access::S3Access;
