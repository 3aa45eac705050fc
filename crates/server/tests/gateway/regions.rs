//! Names with several targets, some of them unhealthy: the effect on clients, and the number of calls of
//! each target. Uses real sockets throughout; waits for events, never for a guessed time.

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
