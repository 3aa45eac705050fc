//! Puts the gateway together: account, workers, listener; then serves until told to stop.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::dev::{Server, ServerHandle};

use crate::announce;
use crate::app::{self, Shared, Snapshot};
use crate::config::{Config, Sources};
use crate::listen::{self, ConnectionTerms};
use crate::own_address;
use crate::readiness;
use crate::reload::Reloader;
use crate::shutdown::{self, Drain};
use crate::supervise;
use crate::tls::{Certificate, TlsError};
use bedrock::Settings;
use routing::OpenError;

/// Beyond the time for open requests, so that they are told that it is over before actix ends them.
const MARGIN: Duration = Duration::from_secs(2);
/// Handshakes at a time, of each worker: those of clients that say nothing must not hold up others.
const TLS_HANDSHAKES: usize = 4096;

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
        "the Bedrock endpoint {0} is this gateway's own address, and every call would come back; unset AWS_ENDPOINT_URL and AWS_ENDPOINT_URL_BEDROCK_RUNTIME for the gateway: they are for its clients"
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
    setup: Settings,
}

impl Serving {
    /// Reads this gateway's configuration again when asked to.
    pub fn reloader(&self, sources: Sources) -> Reloader {
        Reloader::new(sources, self.setup.clone(), self.address, Arc::clone(&self.shared))
    }
}

/// An upstream other than AWS, and what to say once the gateway listens.
pub(crate) struct Demo {
    pub(crate) setup: Settings,
    pub(crate) greet: Box<dyn FnOnce(SocketAddr)>,
}

/// Binds a gateway for `config`, calling Bedrock as `setup` says.
///
/// # Errors
/// [`ServeError`]; nothing is left bound.
pub async fn serve(config: Config, setup: Settings) -> Result<Serving, ServeError> {
    let certificate = config.tls.clone().map(Certificate::load).transpose()?;
    let (workers, drain_timeout) = (config.workers, config.drain_timeout);
    let listen = config.listen;
    let snapshot = Snapshot::open(config, &setup, None).await?;
    let listener = TcpListener::bind(listen).map_err(|error| ServeError::Bind(listen, error))?;
    let address = listener.local_addr()?;
    refuse_loops(&snapshot, address).await?;
    let shared = Arc::new(Shared::new(snapshot, address));
    readiness::watch(&shared);
    actix_tls::accept::max_concurrent_tls_connect(TLS_HANDSHAKES);
    let mut server = Server::build()
        .shutdown_timeout(drain_timeout.saturating_add(MARGIN).as_secs())
        .disable_signals();
    if let Some(workers) = workers {
        server = server.workers(workers);
    }
    let terms =
        ConnectionTerms { shared: Arc::clone(&shared), drain: server.graceful_shutdown_signal() };
    let app = app::application;
    let server = match &certificate {
        Some(certificate) => {
            let tls = certificate.server()?;
            server.listen("https", listener, move || {
                listen::encrypted(app(Arc::clone(&terms.shared)), terms.clone(), tls.clone())
            })?
        }
        None => server.listen("http", listener, move || {
            listen::cleartext(app(Arc::clone(&terms.shared)), terms.clone())
        })?,
    };
    let server = server.run();
    let handle = server.handle();
    Ok(Serving { address, server, handle, shared, certificate, setup })
}

/// Serves until a signal stops it.
pub(crate) async fn until_stopped(
    config: Config,
    sources: Sources,
    started: Instant,
    demo: Option<Demo>,
) -> Result<(), ServeError> {
    let is_demo = demo.is_some();
    let (setup, greet) = match demo {
        Some(demo) => (demo.setup, Some(demo.greet)),
        None => (Settings::default(), None),
    };
    let drain = Drain { delay: config.drain_delay, timeout: config.drain_timeout };
    let serving = serve(config, setup).await?;
    announce::configuration(&sources, &serving.shared.now().config, serving.address);
    let reloader = Rc::new(serving.reloader(sources));
    let Serving { address, server, handle, shared, certificate, setup: _ } = serving;
    announce::bedrock(&shared.now(), is_demo).await;
    announce::ready(&shared.now().config, address, started);
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
        result = server => result?,
        // Dropping the server breaks off what is left.
        () = shutdown::on_signal(shared, handle, drain) => {}
    }
    log::info!("stopped");
    Ok(())
}

/// Does what a start does before it binds a port. Returns also what only calls would fail for.
///
/// # Errors
/// The error that the start would end with.
pub(crate) async fn rehearse(
    config: Config,
    setup: &Settings,
) -> Result<(Snapshot, Vec<String>), ServeError> {
    if let Some(files) = config.tls.clone() {
        Certificate::load(files)?.server()?;
    }
    let listen = config.listen;
    let snapshot = Snapshot::open(config, setup, None).await?;
    refuse_loops(&snapshot, listen).await?;
    let flaws = snapshot.flaws().await;
    Ok((snapshot, flaws))
}

/// Refuses a configuration by which the gateway would call itself.
pub(crate) async fn refuse_loops(
    snapshot: &Snapshot,
    address: SocketAddr,
) -> Result<(), ServeError> {
    let found = own_address::find(&snapshot.names.accounts(), address).await;
    found.map_or(Ok(()), |endpoint| Err(ServeError::Loop(endpoint)))
}
