//! Work that takes long runs on other threads than the workers', which have other requests to serve: a few
//! pieces at a time, so that they leave the processors to the workers and their memory has a bound.

use std::sync::Arc;
use std::thread::available_parallelism;

use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use crate::error::GatewayError;
use crate::panic_guard;

/// Input of more bytes is worked on elsewhere. Parsing and translating as much takes a few milliseconds, a
/// change of threads some hundredths of one.
pub(crate) const LARGE: usize = 128 * 1024;

/// Permits for such work, shared by all workers.
#[derive(Debug, Clone)]
pub(crate) struct Offload {
    permits: Arc<Semaphore>,
}

impl Default for Offload {
    fn default() -> Self {
        let threads = available_parallelism().map_or(2, |threads| threads.get().max(2));
        Self { permits: Arc::new(Semaphore::new(threads)) }
    }
}

impl Offload {
    /// A number of permits of their own, for work that also waits for an upstream and must not keep those of
    /// work that does not.
    pub(crate) fn with_permits(permits: usize) -> Self {
        Self { permits: Arc::new(Semaphore::new(permits)) }
    }

    /// Runs `work`, which takes time in proportion to `bytes`: here if these are few, else on another thread.
    /// What it awaits is driven by the worker that it was called on.
    ///
    /// # Errors
    /// As [`Self::away`].
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        bytes: usize,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, GatewayError> {
        if bytes <= LARGE {
            return Ok(work.await);
        }
        let worker = Handle::current();
        self.away(move || worker.block_on(work)).await
    }

    /// Runs `work` on another thread. It goes on there even if its request is dropped meanwhile, and keeps its
    /// permit until it ends.
    ///
    /// # Errors
    /// It panicked.
    pub(crate) async fn away<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, GatewayError> {
        // Never closed.
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        let done = spawn_blocking(move || {
            let _permit = permit;
            work()
        });
        done.await.map_err(|_| {
            panic_guard::note("work on another thread");
            GatewayError::Panicked
        })
    }
}
