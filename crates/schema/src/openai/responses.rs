//! `POST /v1/responses`: requests and their items and tools, responses and their events. Items and tools
//! are read openly: a type that is not known here has no effect, because clients always send some that
//! only other services run.

pub mod event;
pub mod item;
pub mod object;
pub mod request;
pub mod tool;
