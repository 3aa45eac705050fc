//! OpenAI's HTTP API, as its official SDKs of November 2026 define it. Requests are strict in the
//! fields we know and collect the rest by name; answers are written exactly as clients check them.

pub mod annotation;
pub mod cache;
pub mod chat;
pub mod chunk;
pub mod content;
pub mod count;
pub mod embeddings;
pub mod error;
pub mod extensions;
pub mod format;
mod list;
pub mod message;
pub mod models;
pub mod moderations;
pub mod reasoning;
pub mod sources;
pub mod tool;
pub mod unknown;
pub mod usage;
