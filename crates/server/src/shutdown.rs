//! Shutdown. SIGTERM (or Ctrl-C) turns readiness off, waits until load balancers have noticed, closes
//! the port and lets open requests finish. After a second signal, or when their time is over, requests
//! that are still open end with an error in the format of their API, and the process ends in any case.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use access::Accounts;
use actix_web::dev::ServerHandle;
use tokio::signal::unix::{Signal, SignalKind, signal as listen};
use tokio::time::{Instant, interval_at, sleep, timeout, timeout_at};

use crate::config::Drain;
use crate::overload::Overload;
use crate::state::Shared;

/// Between two lines of progress.
const PROGRESS: Duration = Duration::from_secs(5);
/// For connections that were accepted as the port was closed to be counted, and for calls to be dropped.
const SETTLE: Duration = Duration::from_millis(100);
/// Between two looks at the connections that are left; actix takes one a second.
const LOOK: Duration = Duration::from_millis(20);

/// Waits for SIGTERM or SIGINT.
#[cfg(feature = "demo")]
pub(crate) async fn signal() {
    match Signals::listen() {
        Ok(mut signals) => signals.next().await,
        // Without handlers the signals end the process themselves.
        Err(error) => {
            log::error!("cannot listen for signals: {error}");
            std::future::pending::<()>().await;
        }
    }
}

/// The end of open requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ShutdownEnd {
    /// They finished, or their time was over.
    Drained,
    /// A second signal ended them.
    AtOnce,
}

impl ShutdownEnd {
    /// The longest wait for the store to take the last settlements.
    const fn patience(self) -> Duration {
        match self {
            Self::Drained => Duration::from_secs(10),
            Self::AtOnce => Duration::from_millis(500),
        }
    }
}

/// Drains and stops the server on a signal. Returns when the process must end, whether or not the server has
/// stopped.
pub(crate) async fn on_signal(
    shared: Arc<Shared>,
    handle: ServerHandle,
    drain: Drain,
) -> ShutdownEnd {
    let mut signals = match Signals::listen() {
        Ok(signals) => signals,
        Err(error) => {
            log::error!("cannot listen for signals: {error}");
            return std::future::pending().await;
        }
    };
    signals.next().await;
    shared.draining.begin();
    let calls = shared.overload.in_flight();
    log::info!("stopping: open requests may finish, {calls} calls are in flight");
    let drained = async {
        sleep(drain.delay).await;
        let end = Instant::now() + drain.timeout;
        // Responses in the background live on the server's own threads, and end with them.
        let _ = timeout_at(end, shared.memory.jobs_ended()).await;
        if timeout_at(end, stopped(&shared, &handle)).await.is_err() {
            log::warn!("stopping: the time for open requests is over");
        }
    };
    let ending = tokio::select! {
        () = drained => ShutdownEnd::Drained,
        () = progress(&shared) => ShutdownEnd::Drained,
        () = signals.next() => {
            log::warn!("stopping at once");
            ShutdownEnd::AtOnce
        }
    };
    shared.cutoff.cut().await;
    ending
}

/// Waits until the calls of a server that has ended are settled, and the store has taken what they cost.
pub(crate) async fn settle(overload: &Overload, accounts: Option<&Accounts>, ending: ShutdownEnd) {
    // Workers drop their calls as their threads end.
    let dropped = async {
        while overload.in_flight() > 0 {
            sleep(LOOK).await;
        }
    };
    let _ = timeout(SETTLE, dropped).await;
    let Some(accounts) = accounts else { return };
    if timeout(ending.patience(), accounts.close()).await.is_err() {
        let calls = accounts.calls_under_way();
        log::error!("the store did not take the settlements of {calls} calls in time");
    }
}

/// Closes the port, and waits until the last connection has closed.
async fn stopped(shared: &Shared, handle: &ServerHandle) {
    let closed = async {
        sleep(SETTLE).await;
        while shared.connections.load(Ordering::Relaxed) > 0 {
            sleep(LOOK).await;
        }
    };
    tokio::select! {
        () = handle.stop(true) => {}
        () = closed => {}
    }
}

/// Logs what is still open, for as long as there is.
async fn progress(shared: &Shared) {
    let mut ticks = interval_at(Instant::now() + PROGRESS, PROGRESS);
    loop {
        ticks.tick().await;
        let calls = shared.overload.in_flight();
        let connections = shared.connections.load(Ordering::Relaxed);
        log::info!("stopping: {calls} calls in flight, {connections} connections open");
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
