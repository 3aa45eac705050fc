//! The terms on which connections of clients are served, whatever their protocol.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use actix_server::GracefulShutdownSignal;
use actix_web::dev::AppConfig;

use crate::state::Shared;

/// Longer than the idle time of the usual load balancers, so that they close first.
pub(crate) const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// The state that the connections of a gateway share.
#[derive(Debug, Clone)]
pub(crate) struct ConnectionTerms {
    pub(crate) shared: Arc<Shared>,
    pub(crate) drain: GracefulShutdownSignal,
    /// The address of the listener.
    pub(crate) address: SocketAddr,
}

/// A connection that counts as open.
#[derive(Debug)]
pub(crate) struct OpenConnection(Arc<Shared>);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

impl ConnectionTerms {
    /// Counts a connection as open.
    pub(crate) fn opened(&self) -> OpenConnection {
        self.shared.connections.fetch_add(1, Ordering::Relaxed);
        OpenConnection(Arc::clone(&self.shared))
    }

    /// The listener, as the application sees it. `HttpServer`, which would tell it, takes connections of
    /// HTTP/1.1 alone; there is no other public way.
    pub(crate) fn app_config(&self, is_secure: bool) -> AppConfig {
        let address = self.address;
        AppConfig::__priv_test_new(is_secure, address.to_string(), address)
    }
}
