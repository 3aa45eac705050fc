//! Outcrop: an OpenAI-compatible gateway on AWS Bedrock. actix-web in front, one signed transport
//! behind, pure translation between. The order of a request is told in `routes::chat`.

mod announce;
mod app;
mod body;
mod browser;
mod cli;
mod config;
#[cfg(test)]
mod cpu_time;
mod error;
mod files;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod guardrail_api;
mod http2;
mod json_schema;
mod listen;
mod log;
mod master_key;
mod media;
mod native;
mod offload;
mod own_address;
mod panic_guard;
mod quoting;
mod readiness;
mod reasoning_store;
mod reload;
mod request;
mod routes;
mod serve;
mod shutdown;
mod sse;
mod supervise;
mod tls;
mod token_estimate;
mod token_ids;
mod write_timeout;

pub use cli::{Cli, drop_blank_variables, run};
pub use config::{Config, Problem, Problems, Sources};
pub use reload::{ReloadError, Reloader};
pub use routing::OpenError;
pub use serve::{ServeError, Serving, serve};
