//! OpenAI's HTTP API, as its official SDKs of November 2026 define it. Requests are strict in the
//! known fields and collect the names of the others; responses have exactly the form that clients
//! check.

pub mod annotation;
pub mod cache;
pub mod chat;
pub mod chunk;
pub mod codex_models;
pub mod completions;
pub mod content;
pub mod count;
pub mod embedding_item;
pub mod embeddings;
pub mod error;
pub mod extensions;
pub mod format;
pub mod images;
mod list;
pub mod message;
pub mod models;
pub mod moderations;
pub mod reasoning;
pub mod responses;
pub mod sources;
pub mod tool;
pub mod transcriptions;
pub mod unknown;
pub mod usage;
pub mod vector_stores;
