//! Shutdown. SIGTERM (or Ctrl-C) turns readiness off, waits until load balancers have noticed, closes
//! the port and lets open requests finish. After a second signal, or when their time is over, requests
//! that are still open end with an error in the format of their API, and the process ends in any case.

use std::sync::Arc;

use actix_web::dev::ServerHandle;
use tokio::signal::unix::{Signal, SignalKind, signal as listen};
use tokio::time::{Instant, sleep, timeout_at};

use crate::config::Drain;
use crate::state::Shared;

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

/// Drains and stops the server on a signal. Returns when the process must end although the server has
/// not stopped.
pub(crate) async fn on_signal(shared: Arc<Shared>, handle: ServerHandle, drain: Drain) {
    let mut signals = match Signals::listen() {
        Ok(signals) => signals,
        Err(error) => {
            log::error!("cannot listen for signals: {error}");
            return std::future::pending().await;
        }
    };
    signals.next().await;
    log::info!("stopping: open requests may finish");
    shared.drain();
    let drained = async {
        sleep(drain.delay).await;
        let end = Instant::now() + drain.timeout;
        // Responses in the background live on the server's own threads, and end with them.
        let _ = timeout_at(end, shared.memory.jobs_ended()).await;
        match timeout_at(end, handle.stop(true)).await {
            // The server stops by itself.
            Ok(()) => std::future::pending().await,
            Err(_) => log::warn!("stopping: the time for open requests is over"),
        }
    };
    tokio::select! {
        () = drained => {}
        () = signals.next() => log::warn!("stopping at once"),
    }
    shared.cutoff.cut().await;
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
