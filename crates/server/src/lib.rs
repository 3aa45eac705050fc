//! Outcrop: an OpenAI-compatible gateway on AWS Bedrock. actix-web serves clients, one signed transport
//! calls Bedrock, and translation between them is pure. `pipeline` describes the order of a request.
// A request is one future of many nested ones; optimised builds compute the layout of all of them at once.
#![recursion_limit = "256"]

mod accounts;
mod announce;
mod arrival;
mod batches;
mod body;
mod browser;
mod byte_size;
mod call_price;
mod cli;
mod config;
mod connection;
#[cfg(test)]
mod cpu_time;
mod credential;
mod credential_search;
mod cutoff;
mod disconnect;
mod drain;
mod draining;
mod embeddings;
mod error;
mod file_store;
mod files;
mod form;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod guardrail_api;
mod http2;
mod json_schema;
mod listen;
mod listener;
mod log;
mod master_key;
mod media;
mod memory_gauge;
mod missing_api;
mod native;
mod offload;
mod overload;
mod own_address;
mod panic_guard;
mod pieces;
mod pipeline;
mod quoting;
mod readiness;
mod reasoning_store;
mod reload;
mod request;
mod request_id;
mod response_cache;
mod routes;
mod serve;
mod shutdown;
mod socket;
mod sse;
mod startup;
mod state;
mod supervise;
mod telemetry;
mod tls;
mod token_estimate;
mod token_ids;
mod unix_time;
mod white_mask;
mod write_timeout;
mod wrong_keys;

pub use batches::BatchEngine;
pub use cli::{Cli, drop_blank_variables, run};
pub use config::{Config, Problem, Problems, Sources};
pub use reload::{ReloadError, Reloader};
pub use routing::OpenError;
pub use serve::{Serving, serve};
pub use socket::{Socket, SocketError};
pub use startup::ServeError;
