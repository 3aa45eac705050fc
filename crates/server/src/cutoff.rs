//! The cut-off: when the process must end although requests are open, it tells each of them to end with
//! an error in the format of its API.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{sleep, timeout};

/// Time for requests that are cut off to write their error.
const LAST_WORDS: Duration = Duration::from_millis(300);
/// Time for sockets to send it.
const FLUSH: Duration = Duration::from_millis(50);

/// Cuts off open requests when the process must end.
#[derive(Debug, Clone)]
pub(crate) struct Cutoff(watch::Sender<bool>);

impl Default for Cutoff {
    fn default() -> Self {
        Self(watch::Sender::new(false))
    }
}

impl Cutoff {
    /// The cut-off of one request.
    pub(crate) fn watch(&self) -> Cut {
        Cut { process: Some(self.0.subscribe()), client: None }
    }

    /// Cuts off all requests, and waits briefly until they have ended.
    pub(crate) async fn cut(&self) {
        self.0.send_replace(true);
        let open = self.0.receiver_count();
        if open > 0 {
            let _ = timeout(LAST_WORDS, self.0.closed()).await;
            sleep(FLUSH).await;
        }
    }
}

/// The cut-off of one request. The request counts as open while this exists.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cut {
    process: Option<watch::Receiver<bool>>,
    /// The client's own, where the request goes on without it.
    client: Option<watch::Receiver<bool>>,
}

/// The causes of a cut-off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The process must end.
    Process,
    /// The client cancelled the response.
    Client,
}

impl Cut {
    /// The same, which a client may trigger as well.
    pub(crate) fn or_when(self, client: watch::Receiver<bool>) -> Self {
        Self { client: Some(client), ..self }
    }

    /// Whether the process must end.
    pub(crate) fn has_come(&self) -> bool {
        is_set(self.process.as_ref())
    }

    /// The cause of a cut-off that has come.
    pub(crate) fn cause(&self) -> Stop {
        if self.has_come() || !is_set(self.client.as_ref()) { Stop::Process } else { Stop::Client }
    }

    /// The result of `work`, unless the cut-off comes first.
    pub(crate) async fn or<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        if self.has_come() || is_set(self.client.as_ref()) {
            return None;
        }
        tokio::select! {
            biased;
            done = work => Some(done),
            () = set(self.process.as_mut()) => None,
            () = set(self.client.as_mut()) => None,
        }
    }
}

fn is_set(signal: Option<&watch::Receiver<bool>>) -> bool {
    signal.is_some_and(|signal| *signal.borrow())
}

/// Waits for a signal; for ever where there is none.
async fn set(signal: Option<&mut watch::Receiver<bool>>) {
    match signal {
        // An error means that the sender is already gone.
        Some(signal) => drop(signal.wait_for(|set| *set).await),
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[actix_rt::test]
    async fn a_cut_off_stays_in_force() {
        let cutoff = Cutoff::default();
        let (mut early, mut late) = (cutoff.watch(), cutoff.watch());
        assert_eq!(early.or(async { 1 }).await, Some(1));
        assert_eq!(Cut::default().or(async { 2 }).await, Some(2));
        let ends = async {
            assert_eq!(early.or(std::future::pending::<()>()).await, None);
            assert_eq!(late.or(async { 3 }).await, None, "also what would be ready");
            assert!(early.has_come());
            drop((early, late));
        };
        let ((), ()) = tokio::join!(ends, cutoff.cut());
        assert_eq!(cutoff.watch().or(async { 4 }).await, None);
    }
}
