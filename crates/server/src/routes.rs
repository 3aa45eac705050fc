//! What can be asked, one file a subject. The list of paths is in `app`.

pub(crate) mod address;
mod body_writer;
pub(crate) mod chat;
pub(crate) mod count;
mod deployment;
pub(crate) mod doors;
mod dry_run;
pub(crate) mod embeddings;
pub(crate) mod fallback;
pub(crate) mod health;
mod json;
mod json_response;
pub(crate) mod models;
pub(crate) mod moderations;
pub(crate) mod native;
pub(crate) mod page;
pub(crate) mod paths;
pub(crate) mod refusal;
