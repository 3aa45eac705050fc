//! The end. SIGTERM (or Ctrl-C) turns readiness off, waits until load balancers have seen it, closes
//! the port and lets open requests finish; a second signal ends everything at once.

use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use tokio::signal::unix::{Signal, SignalKind, signal as listen};
use tokio::time::sleep;

use crate::app::Shared;

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

/// Drains and stops the server when a signal comes.
pub(crate) async fn on_signal(shared: Arc<Shared>, handle: ServerHandle, delay: Duration) {
    let mut signals = match Signals::listen() {
        Ok(signals) => signals,
        Err(error) => {
            log::error!("cannot listen for signals: {error}");
            return;
        }
    };
    signals.next().await;
    log::info!("stopping: open requests may finish");
    shared.drain();
    let drained = async {
        sleep(delay).await;
        handle.stop(true).await;
    };
    tokio::select! {
        () = drained => {}
        () = signals.next() => {
            log::warn!("stopping at once");
            handle.stop(false).await;
        }
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
