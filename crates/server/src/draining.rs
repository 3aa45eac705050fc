//! The last phase of the process, from the first signal on: it is not ready any more, and lets its clients go.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::watch;

/// Whether the process is about to end.
#[derive(Debug)]
pub(crate) struct Draining {
    /// Read by every request.
    has_begun: AtomicBool,
    told: watch::Sender<bool>,
}

impl Default for Draining {
    fn default() -> Self {
        Self { has_begun: AtomicBool::new(false), told: watch::Sender::new(false) }
    }
}

impl Draining {
    /// Begins the phase.
    pub(crate) fn begin(&self) {
        self.has_begun.store(true, Ordering::Relaxed);
        self.told.send_replace(true);
    }

    pub(crate) fn has_begun(&self) -> bool {
        self.has_begun.load(Ordering::Relaxed)
    }

    /// Waits for its beginning.
    pub(crate) async fn begins(&self) {
        // The sender lives as long as this.
        let _ = self.told.subscribe().wait_for(|begun| *begun).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[actix_rt::test]
    async fn the_beginning_wakes_those_that_wait_and_stays() {
        let draining = Draining::default();
        assert!(!draining.has_begun());
        let begin = async { draining.begin() };
        let ((), ()) = tokio::join!(draining.begins(), begin);
        assert!(draining.has_begun());
        draining.begins().await;
    }
}
