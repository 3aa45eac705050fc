//! The place where the tasks of connections run. Work of an actix worker runs in a `LocalSet`. A connection's
//! task outside of it wakes the set through the runtime, which asks the system for events in between: one
//! system call for each event of a stream.

use std::thread::{self, ThreadId};

use hyper::rt::Executor;

/// Spawns the tasks of connections.
#[derive(Debug, Clone, Copy)]
pub(super) enum Spawner {
    /// As tasks of the current runtime.
    Runtime,
    /// As tasks of the `LocalSet` of this worker's thread. Calls that offloaded work makes from another thread
    /// get tasks of the runtime.
    LocalSet(ThreadId),
}

impl Spawner {
    /// For the calls of tasks of the current thread's `LocalSet`.
    pub(super) fn of_local_set() -> Self {
        Self::LocalSet(thread::current().id())
    }
}

impl<F> Executor<F> for Spawner
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    fn execute(&self, task: F) {
        match self {
            Self::LocalSet(worker) if *worker == thread::current().id() => {
                drop(tokio::task::spawn_local(task));
            }
            Self::LocalSet(_) | Self::Runtime => drop(tokio::spawn(task)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use tokio::runtime::{Builder, Handle};
    use tokio::task::LocalSet;

    use super::*;

    /// Names the thread that a task of `spawner` runs on.
    fn spawned(spawner: Spawner) -> tokio::sync::oneshot::Receiver<ThreadId> {
        let (tell, told) = tokio::sync::oneshot::channel();
        spawner.execute(async move { tell.send(thread::current().id()).unwrap() });
        told
    }

    #[test]
    fn offloaded_work_spawns_on_the_runtime() {
        let runtime = Builder::new_current_thread().build().unwrap();
        let worker = thread::current().id();
        LocalSet::new().block_on(&runtime, async {
            let spawner = Spawner::of_local_set();
            assert_eq!(spawned(spawner).await.unwrap(), worker);
            let handle = Handle::current();
            let (tell, told) = mpsc::channel();
            thread::spawn(move || handle.block_on(async { tell.send(spawned(spawner)).unwrap() }))
                .join()
                .unwrap();
            assert_eq!(told.recv().unwrap().await.unwrap(), worker);
        });
    }
}
