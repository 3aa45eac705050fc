//! The whole gateway in one process, over real sockets: chat, streams, upstream failures, clients that
//! disconnect, limits. The emulator checks the requests sent to it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    missing_docs
)]

mod admin;
mod agents;
mod answers;
mod audio;
mod batches;
mod browsers;
mod cache;
mod caller_texts;
mod chat;
mod choices;
mod clock;
mod completions;
mod configured;
mod console_page;
mod continued;
mod costs;
mod count;
mod cpu_time;
mod directions;
mod doors;
mod each_door;
mod embedded_media;
mod embeddings;
mod faults;
mod files;
mod guarded;
mod hedging;
mod held;
mod http2;
mod images;
mod keys;
mod ledger;
mod limits;
mod master_key;
mod media;
mod messages;
mod models;
mod moderations;
mod native;
mod native_family;
mod native_keys;
mod native_limits;
mod overload;
mod parameters;
mod places;
mod quirks;
mod recorded_costs;
mod recorded_embeddings;
#[path = "../support/recorder.rs"]
#[allow(dead_code)]
mod recorder;
mod recordings;
#[path = "../../../access/tests/support/redis_server.rs"]
mod redis_server;
mod regions;
mod relay;
mod reload;
mod rerank;
mod response_cache;
mod responses;
mod rig;
mod routing;
#[path = "../../../translate/tests/support/shapes.rs"]
mod shapes;
mod shared_rates;
mod silence;
mod socket;
mod stored_prompts;
mod streams;
mod structured;
mod surfaces;
mod targets;
mod telemetry;
mod thinking;
mod thinking_doors;
mod tool_families;
mod tools;
mod vector_stores;
mod web_socket;

use admin::Folder;
