//! Puts the gateway together: account, workers, listener; then serves until told to stop.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::{Server, ServerHandle};
use actix_web::middleware::from_fn;
use actix_web::{App, HttpServer, web};

use crate::app::{self, Shared, Snapshot, Worker};
use crate::bedrock::{Account, Service, Setup};
use crate::config::{Config, Sources};
use crate::readiness;
use crate::reload::Reloader;
use crate::routing::OpenError;
use crate::shutdown::{self, Drain};
use crate::supervise;
use crate::tls::{Certificate, TlsError};

/// Beyond the time for open requests, so that they are told that it is over before actix ends them.
const MARGIN: Duration = Duration::from_secs(2);
/// For a client's part of a TLS handshake.
const TLS_HANDSHAKE: Duration = Duration::from_secs(2);
/// Handshakes at a time, of each worker: those of clients that say nothing must not hold up others.
const TLS_HANDSHAKES: usize = 4096;
/// Longer than the idle time of the usual load balancers, so that they close first.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// Why the gateway cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The AWS side cannot be set up.
    #[error(transparent)]
    Account(#[from] OpenError),
    /// The port cannot be bound.
    #[error("cannot listen on {0}: {1}; choose another address with --listen")]
    Bind(SocketAddr, io::Error),
    /// The endpoint is the gateway itself: every call would come back for ever.
    #[error(
        "the Bedrock endpoint {0} is this gateway's own address; unset AWS_ENDPOINT_URL and AWS_ENDPOINT_URL_BEDROCK_RUNTIME for the gateway"
    )]
    Loop(String),
    /// Certificate or key cannot be used.
    #[error("tls: {0}")]
    Tls(#[from] TlsError),
    /// The server failed.
    #[error("the server failed: {0}")]
    Server(#[from] io::Error),
}

impl ServeError {
    /// True where the operator must change something before it can work.
    pub fn is_configuration(&self) -> bool {
        match self {
            Self::Account(_) | Self::Loop(_) | Self::Tls(_) => true,
            Self::Bind(..) | Self::Server(_) => false,
        }
    }
}

/// A gateway that has been bound; `server` must be polled for it to serve.
pub struct Serving {
    /// The address bound, with its real port.
    pub address: SocketAddr,
    /// Runs until stopped.
    pub server: Server,
    /// Stops it.
    pub handle: ServerHandle,
    shared: Arc<Shared>,
    certificate: Option<Arc<Certificate>>,
    setup: Setup,
}

impl Serving {
    /// Reads this gateway's configuration again when asked to.
    pub fn reloader(&self, sources: Sources) -> Reloader {
        Reloader::new(sources, self.setup.clone(), self.address, Arc::clone(&self.shared))
    }
}

/// An upstream other than AWS, and what to say once the gateway listens.
pub(crate) struct Demo {
    pub(crate) setup: Setup,
    pub(crate) greet: Box<dyn FnOnce(SocketAddr)>,
}

/// Binds a gateway for `config`, calling Bedrock as `setup` says.
///
/// # Errors
/// [`ServeError`]; nothing is left bound.
pub async fn serve(config: Config, setup: Setup) -> Result<Serving, ServeError> {
    let certificate = config.tls.clone().map(Certificate::load).transpose()?;
    let (workers, drain_timeout) = (config.workers, config.drain_timeout);
    let listen = config.listen;
    let snapshot = Snapshot::open(config, &setup, None).await?;
    let listener = TcpListener::bind(listen).map_err(|error| ServeError::Bind(listen, error))?;
    let address = listener.local_addr()?;
    for account in snapshot.names.accounts() {
        refuse_loop(&account, address)?;
    }
    let shared = Arc::new(Shared::new(snapshot));
    readiness::watch(&shared);
    let for_workers = Arc::clone(&shared);
    let mut server = HttpServer::new(move || {
        let shared = Arc::clone(&for_workers);
        App::new()
            .app_data(web::Data::new(Worker::new(shared)))
            .wrap(from_fn(shutdown::answer_before_the_end))
            .wrap(from_fn(app::identify))
            .configure(app::routes)
    })
    .keep_alive(KEEP_ALIVE)
    // With actix's default a client that hangs up while Bedrock thinks is not noticed.
    .h1_allow_half_closed(false)
    .shutdown_timeout(drain_timeout.saturating_add(MARGIN).as_secs())
    .tls_handshake_timeout(TLS_HANDSHAKE)
    .max_connection_rate(TLS_HANDSHAKES)
    // A token must not wait for the acknowledgement of the one before.
    .tcp_nodelay(true)
    .disable_signals();
    if let Some(workers) = workers {
        server = server.workers(workers);
    }
    let server = match &certificate {
        Some(certificate) => server.listen_rustls_0_23(listener, certificate.server()?)?,
        None => server.listen(listener)?,
    };
    let server = server.run();
    let handle = server.handle();
    Ok(Serving { address, server, handle, shared, certificate, setup })
}

/// Serves until a signal stops it.
pub(crate) async fn until_stopped(
    config: Config,
    sources: Sources,
    demo: Option<Demo>,
) -> Result<(), ServeError> {
    let (setup, greet) = match demo {
        Some(demo) => (demo.setup, Some(demo.greet)),
        None => (Setup::default(), None),
    };
    let drain = Drain { delay: config.drain_delay, timeout: config.drain_timeout };
    let serving = serve(config, setup).await?;
    let reloader = Rc::new(serving.reloader(sources));
    let Serving { address, server, handle, shared, certificate, setup: _ } = serving;
    announce(&shared, address);
    if let Some(greet) = greet {
        greet(address);
    }
    let mut tasks =
        vec![supervise::keep("the task that reads the configuration again", move || {
            let reloader = Rc::clone(&reloader);
            async move { reloader.keep_current().await }
        })];
    tasks.extend(certificate.map(|certificate| {
        supervise::keep("the task that reads the certificate again", move || {
            Arc::clone(&certificate).keep_current()
        })
    }));
    tokio::select! {
        result = server => Ok(result?),
        // Dropping the server breaks off what is left.
        () = shutdown::on_signal(shared, handle, drain) => Ok(()),
    }
}

fn announce(shared: &Shared, address: SocketAddr) {
    let now = shared.now();
    let account = now.names.home();
    let scheme = if now.config.tls.is_some() { "https" } else { "http" };
    log::info!("outcrop {}", env!("CARGO_PKG_VERSION"));
    log::info!(
        "Bedrock in {} at {}, credentials: {}",
        account.region(),
        account.endpoint(Service::Runtime),
        account.credential_source()
    );
    now.warn();
    log::info!("listening on {scheme}://{address}");
}

/// An endpoint that is the gateway itself would call it for ever.
pub(crate) fn refuse_loop(account: &Account, address: SocketAddr) -> Result<(), ServeError> {
    let endpoint = account.endpoint(Service::Runtime).to_string();
    let authority = endpoint.split_once("://").map_or(endpoint.as_str(), |(_, rest)| rest);
    let authority = authority.split('/').next().unwrap_or_default();
    if is_own(authority, address) { Err(ServeError::Loop(endpoint)) } else { Ok(()) }
}

/// Whether an authority names the address listened on, by this or another name of this machine.
fn is_own(authority: &str, address: SocketAddr) -> bool {
    let Some((host, port)) = authority.rsplit_once(':') else { return false };
    if port.parse() != Ok(address.port()) {
        return false;
    }
    let host = host.trim_start_matches('[').trim_end_matches(']');
    match host.parse::<IpAddr>() {
        Ok(ip) => {
            ip == address.ip()
                || (ip.is_loopback() || ip.is_unspecified())
                    && (address.ip().is_loopback() || address.ip().is_unspecified())
        }
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gateway_knows_its_own_address() {
        for (authority, address, own) in [
            ("127.0.0.1:4000", "127.0.0.1:4000", true),
            ("127.0.0.1:4000", "0.0.0.0:4000", true),
            ("localhost:4000", "[::1]:4000", true),
            ("[::1]:4000", "127.0.0.1:4000", true),
            ("127.0.0.1:4001", "127.0.0.1:4000", false),
            ("10.0.0.1:4000", "127.0.0.1:4000", false),
            ("bedrock-runtime.us-east-1.amazonaws.com", "0.0.0.0:443", false),
        ] {
            assert_eq!(is_own(authority, address.parse().unwrap()), own, "{authority} {address}");
        }
    }
}
