//! Names with several targets, some of which are not well: what clients feel of it, and how often each
//! target is asked. Real sockets throughout; what is waited for is an event, never a guess at a time.

mod affinity;
mod fallbacks;
mod lines;
mod native;
mod region;
mod retries;
mod setup;
mod sharing;
mod streams;
mod trouble;
