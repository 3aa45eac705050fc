//! Tasks that run as long as the process. A task that panics is logged and restarted, because otherwise
//! files would not be reloaded or signals not be handled.

use std::time::Duration;

use actix_rt::task::JoinHandle;
use tokio::time::sleep;

use crate::panic_guard;

/// Delay before a task that has panicked is restarted.
const PAUSE: Duration = Duration::from_secs(1);

/// Starts a task and restarts it whenever it panics; it ends when it returns, or when the handle is
/// dropped.
pub(crate) fn keep<F: Future<Output = ()> + 'static>(
    name: &'static str,
    start: impl Fn() -> F + 'static,
) -> Task {
    Task(actix_rt::spawn(async move {
        while panic_guard::caught(name, start()).await.is_err() {
            sleep(PAUSE).await;
            log::warn!("{name} is restarted");
        }
    }))
}

/// A task; dropping it ends the task.
#[derive(Debug)]
pub(crate) struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use super::*;

    #[actix_rt::test]
    async fn a_task_that_panics_is_restarted_until_it_returns() {
        let starts = Rc::new(Cell::new(0));
        let seen = Rc::clone(&starts);
        let task = keep("a test", move || {
            let starts = Rc::clone(&seen);
            async move {
                starts.set(starts.get() + 1);
                assert!(starts.get() > 2, "on purpose, {}", starts.get());
            }
        });
        while !task.0.is_finished() {
            sleep(Duration::from_millis(100)).await;
        }
        assert_eq!(starts.get(), 3);
    }
}
