//! The end. SIGTERM (or Ctrl-C) turns readiness off, waits until load balancers have seen it, closes
//! the port and lets open requests finish. After a second signal, or when their time is over, requests that
//! are still open are told so in their own dialect, and the process ends whatever they do.

use std::sync::Arc;
use std::time::Duration;

use actix_web::body::MessageBody;
use actix_web::dev::{ServerHandle, ServiceRequest, ServiceResponse};
use actix_web::error::InternalError;
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{HttpMessage as _, HttpResponse};
use tokio::signal::unix::{Signal, SignalKind, signal as listen};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::app::{self, Shared, Worker};
use crate::error::{ErrorDialect, GatewayError};
use crate::request::context::RequestId;
use crate::routes::native;

/// How long requests that are cut off have to say so.
const LAST_WORDS: Duration = Duration::from_millis(300);
/// How long sockets have to take them.
const FLUSH: Duration = Duration::from_millis(50);

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

/// How long the end may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Drain {
    /// Until the port is closed.
    pub(crate) delay: Duration,
    /// From then on, for open requests.
    pub(crate) timeout: Duration,
}

/// Drains and stops the server when a signal comes. Returns when the process has to end although the server
/// has not stopped.
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
        match timeout(drain.timeout, handle.stop(true)).await {
            // The server ends by itself.
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

/// Cuts off what is under way when the process must end.
#[derive(Debug, Clone)]
pub(crate) struct Cutoff(watch::Sender<bool>);

impl Default for Cutoff {
    fn default() -> Self {
        Self(watch::Sender::new(false))
    }
}

impl Cutoff {
    /// For one request.
    pub(crate) fn watch(&self) -> Cut {
        Cut(Some(self.0.subscribe()))
    }

    /// Cuts off all requests, and waits a moment until they have ended.
    async fn cut(&self) {
        self.0.send_replace(true);
        let open = self.0.receiver_count();
        if open > 0 {
            let _ = timeout(LAST_WORDS, self.0.closed()).await;
            sleep(FLUSH).await;
        }
    }
}

/// Tells one request that it is cut off. A request is under way for as long as it has one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cut(Option<watch::Receiver<bool>>);

impl Cut {
    /// Of a request to a worker; without one (tests) it never comes.
    pub(crate) fn of(worker: Option<&Data<Worker>>) -> Self {
        worker.map(|worker| worker.shared.cutoff.watch()).unwrap_or_default()
    }

    /// Whether it has come.
    pub(crate) fn has_come(&self) -> bool {
        self.0.as_ref().is_some_and(|cut| *cut.borrow())
    }

    /// What the work brings, unless the cut comes first.
    pub(crate) async fn or<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        let Some(cut) = &mut self.0 else { return Some(work.await) };
        if *cut.borrow() {
            return None;
        }
        tokio::select! {
            biased;
            done = work => Some(done),
            // An error means that the server is gone already.
            _ = cut.wait_for(|come| *come) => None,
        }
    }
}

/// Answers requests that the end of the process cuts off before they have an answer.
pub(crate) async fn answer_before_the_end(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let mut cut = Cut::of(request.app_data::<Data<Worker>>());
    let id = request.extensions().get::<RequestId>().cloned().unwrap_or_else(RequestId::new);
    let is_native = native::is_below(request.path());
    match cut.or(next.call(request)).await {
        Some(answered) => answered,
        None => {
            let mut response = stopping(&id, is_native);
            // An error passes by what tells it to others.
            response.headers_mut().insert(app::REQUEST_ID, id.0);
            Err(InternalError::from_response("the process ends", response).into())
        }
    }
}

fn stopping(id: &RequestId, is_native: bool) -> HttpResponse {
    if is_native {
        native::stopping(id)
    } else {
        GatewayError::Stopping.respond(ErrorDialect::OpenAi, id.as_str())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[actix_rt::test]
    async fn work_is_cut_off_once_and_for_all() {
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
