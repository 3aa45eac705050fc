//! Batches: files of requests that Bedrock answers later, as jobs at half the price; those too few for a job are run
//! as ordinary calls. A batch is a JSON object in the bucket of files. The process that holds its lease works on it,
//! and when that process dies another one goes on where the object says.

mod caller;
mod calls;
mod engine;
mod finish;
mod jobs;
mod lines;
mod output;
mod plans;
mod spool;
mod state;
mod store;
mod validate;
mod work;

pub(crate) use caller::BatchCaller;
pub use engine::BatchEngine;
pub(crate) use plans::BatchEndpoint;
pub(crate) use state::{BatchApi, BatchOrder, BatchState, BatchStatus, LineProblem};
pub(crate) use store::{BatchStore, KnownBatch};
