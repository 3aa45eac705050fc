//! The place where the tasks of connections run. Work of an actix worker runs in a `LocalSet`. A connection's
//! task outside of it wakes the set through the runtime, which asks the system for events in between: one
//! system call for each event of a stream.

use hyper::rt::Executor;

/// Spawns the tasks of connections.
#[derive(Debug, Clone, Copy)]
pub(super) enum Spawner {
    /// As tasks of the current runtime.
    Runtime,
    /// As tasks of the current `LocalSet`. Panics outside of one, so only a worker's pool uses it.
    LocalSet,
}

impl<F> Executor<F> for Spawner
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    fn execute(&self, task: F) {
        match self {
            Self::Runtime => drop(tokio::spawn(task)),
            Self::LocalSet => drop(tokio::task::spawn_local(task)),
        }
    }
}
