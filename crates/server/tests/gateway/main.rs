//! The whole gateway in one process, over real sockets: chat, streams, failures of the upstream,
//! clients that leave, limits. The emulator behind it judges what is sent.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod chat;
mod faults;
mod limits;
mod recordings;
mod rig;
mod tools;
