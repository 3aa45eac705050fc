//! Parts shared by the dialects: media, tools, parameters, turns, stop reasons, usage. They are
//! parts, not an intermediate language: each works on Bedrock's own shapes, and takes the few values
//! that it needs from a request, never a dialect's type.

pub(crate) mod betas;
pub(crate) mod cache;
pub(crate) mod conversation;
pub(crate) mod digest;
pub(crate) mod format;
mod json_strings;
pub(crate) mod media;
pub(crate) mod model_fields;
pub(crate) mod params;
pub(crate) mod question;
pub(crate) mod request_metadata;
mod schemas;
pub(crate) mod service;
pub(crate) mod stop;
pub(crate) mod tags;
pub(crate) mod thinking;
pub(crate) mod tools;
pub(crate) mod turns;
pub(crate) mod usage;
pub(crate) mod written;

/// Size of the largest body that the service accepts, in bytes. Expansions in translation are
/// bounded by it.
pub const BODY_LIMIT: usize = 25_000_000;
