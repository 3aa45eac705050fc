//! Readiness as far as credentials decide it: a gateway that has never found any cannot answer a call. Once an
//! account has some it is ready for good, because a later failure of their source is an outage, and must not
//! unplug every replica at once.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio::task::AbortHandle;

/// Whether credentials were found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Credentials {
    /// The first search is under way.
    Sought,
    /// No source has any so far.
    Missing,
    Found,
}

/// The state of the search, and its task.
#[derive(Debug, Default)]
pub(crate) struct Readiness {
    credentials: AtomicU8,
    task: Mutex<Option<AbortHandle>>,
}

impl Drop for Readiness {
    fn drop(&mut self) {
        let task = self.task.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(task) = task.take() {
            task.abort();
        }
    }
}

impl Readiness {
    /// Keeps the task that searches; it ends with this.
    pub(crate) fn keep(&self, task: AbortHandle) {
        *self.task.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
    }

    pub(crate) fn credentials(&self) -> Credentials {
        match self.credentials.load(Ordering::Relaxed) {
            0 => Credentials::Sought,
            1 => Credentials::Missing,
            _ => Credentials::Found,
        }
    }

    pub(crate) fn set(&self, credentials: Credentials) {
        self.credentials.store(credentials as u8, Ordering::Relaxed);
    }
}
