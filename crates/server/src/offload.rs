//! Runs long work on other threads than the workers', which have other requests to serve. Only a few
//! pieces run at a time, so that the workers keep their processors and memory is bounded.

use std::sync::Arc;
use std::thread::available_parallelism;

use futures_util::FutureExt as _;
use futures_util::future::Either;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use crate::panic_guard::{self, Panicked};

/// Larger input, in bytes, is processed on another thread. Parsing and translating this much takes a
/// few milliseconds, and a change of threads some hundredths of one.
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
    /// An offload with permits of its own, for work that also waits for an upstream and must not block
    /// other work.
    pub(crate) fn with_permits(permits: usize) -> Self {
        Self { permits: Arc::new(Semaphore::new(permits)) }
    }

    /// Runs `work`, which takes time in proportion to `bytes`: here if these are few, otherwise on
    /// another thread. The calling worker drives the work's own awaits.
    ///
    /// # Errors
    /// As [`Self::away`].
    pub(crate) fn run<T: Send + 'static>(
        &self,
        bytes: usize,
        work: impl Future<Output = T> + Send + 'static,
    ) -> impl Future<Output = Result<T, Panicked>> {
        if bytes <= LARGE {
            return Either::Left(work.map(Ok));
        }
        let offload = self.clone();
        // Boxed, so that small work, which is most, has a future of its own size.
        Either::Right(Box::pin(async move {
            let worker = Handle::current();
            offload.away(move || worker.block_on(work)).await
        }))
    }

    /// Runs `work` on another thread. It goes on there even if its request is dropped meanwhile, and keeps its
    /// permit until it ends.
    ///
    /// # Errors
    /// It panicked.
    pub(crate) async fn away<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Panicked> {
        // The semaphore is never closed.
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        let done = spawn_blocking(move || {
            let _permit = permit;
            work()
        });
        done.await.map_err(|_| panic_guard::note("work on another thread"))
    }
}
