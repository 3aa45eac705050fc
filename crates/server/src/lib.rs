//! Outcrop: an OpenAI-compatible gateway on AWS Bedrock. actix-web in front, one signed transport
//! behind, pure translation between. The order of a request is told in `routes::chat`.

pub mod bedrock;

mod announce;
mod app;
mod body;
mod browser;
mod catalogue;
mod cli;
mod config;
#[cfg(test)]
mod cpu_time;
mod early;
mod error;
mod exchange;
mod files;
mod foreseen;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod http2;
mod listen;
mod log;
mod master_key;
mod media;
mod native;
mod nearest;
mod offload;
mod outflow;
mod own_address;
mod panics;
mod pump;
mod quoting;
mod readiness;
mod recall;
mod reload;
mod routes;
mod routing;
mod serve;
mod shutdown;
mod structured;
mod supervise;
mod tls;
mod tokens;

pub use cli::{Cli, drop_blank_variables, run};
pub use config::{Config, Problem, Problems, Sources};
pub use reload::{ReloadError, Reloader};
pub use routing::OpenError;
pub use serve::{ServeError, Serving, serve};
