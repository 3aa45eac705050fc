//! Assembles the gateway from account, workers and listener, and serves until it is stopped.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use access::Accounts;
use actix_server::ServerBuilder;
use actix_web::dev::{Server, ServerHandle};

use crate::accounts;
use crate::announce;
use crate::batches::BatchEngine;
use crate::config::{Config, Sources, ValueOrigin};
use crate::connection::ConnectionTerms;
use crate::credential_search;
use crate::listen;
use crate::listener::Listener;
use crate::overload::ShedReason;
use crate::reload::Reloader;
use crate::routes;
use crate::shutdown::{self, ShutdownEnd};
use crate::socket::{Bound, Socket};
use crate::startup::{ServeError, refuse_loops};
use crate::state::{AdminPlace, DemoKeys, Shared, Snapshot};
use crate::supervise;
use crate::telemetry::Telemetry;
use crate::telemetry::request_log::RequestLog;
use crate::tls::Certificate;
use bedrock::{Settings, Transport};

/// Time after the limit for open requests in which they are told that the process ends, before actix
/// closes them.
const MARGIN: Duration = Duration::from_secs(2);
/// Handshakes at a time, of each worker: those of clients that say nothing must not hold up others.
const TLS_HANDSHAKES: usize = 4096;

/// A gateway that has been bound; `server` must be polled for it to serve.
pub struct Serving {
    /// The address bound, with its real port.
    pub address: SocketAddr,
    /// The address of the admin API, where it has one of its own.
    pub admin: Option<SocketAddr>,
    /// The address of metrics and probes, where they have one of their own.
    pub telemetry: Option<SocketAddr>,
    /// Runs until stopped.
    pub server: Server,
    /// Stops it.
    pub handle: ServerHandle,
    shared: Arc<Shared>,
    certificate: Option<Arc<Certificate>>,
    setup: Settings,
    /// Works on batches until it is dropped.
    pub batches: BatchEngine,
    /// The Unix socket, if there is one; dropping it removes the file.
    pub socket: Option<Socket>,
}

impl Serving {
    /// Keys, limits and the ledger, if there are any.
    pub fn accounts(&self) -> Option<Arc<Accounts>> {
        self.shared.accounts.clone()
    }

    /// A reloader for this gateway's configuration.
    pub fn reloader(&self, sources: Sources) -> Reloader {
        Reloader::new(sources, self.setup.clone(), self.address, Arc::clone(&self.shared))
    }
}

/// An upstream other than AWS, accounts where the operator has none, and a message for when the gateway listens.
pub(crate) struct Demo {
    pub(crate) setup: Settings,
    pub(crate) keys: Option<DemoKeys>,
    /// Takes the addresses of the models and of the admin API.
    pub(crate) greet: Box<dyn FnOnce(SocketAddr, Option<SocketAddr>)>,
}

/// Binds a gateway for `config` that calls Bedrock according to `setup`.
///
/// # Errors
/// [`ServeError`]; no port stays bound.
pub async fn serve(config: Config, setup: Settings) -> Result<Serving, ServeError> {
    serve_with(config, setup, None).await
}

async fn serve_with(
    config: Config,
    setup: Settings,
    demo: Option<DemoKeys>,
) -> Result<Serving, ServeError> {
    let certificate = config.tls.clone().map(Certificate::load).transpose()?;
    let (workers, drain_timeout) = (config.workers, config.shutdown.timeout);
    let (listen, admin) = (config.listen, config.admin.listen);
    let told = config.provenance.origin("admin.listen");
    let is_admin_told = told.is_some_and(|origin| *origin != ValueOrigin::Default);
    let telemetry = Arc::new(telemetry(&config)?);
    let accounts = accounts::open(&config).await?;
    let snapshot = Snapshot::open(config, &setup, None).await?;
    open_request_log(&telemetry, &snapshot);
    let (socket, metrics) = (bind_socket(&snapshot.config)?, bind_metrics(&snapshot.config)?);
    let listener = match snapshot.config.socket.instead_of_port() {
        Some(_) => None,
        None => Some(TcpListener::bind(listen).map_err(|error| ServeError::Bind(listen, error))?),
    };
    let address = listener.as_ref().map_or(Ok(listen), TcpListener::local_addr)?;
    refuse_loops(&snapshot, address).await?;
    let mut server = Server::build()
        .shutdown_timeout(drain_timeout.saturating_add(MARGIN).as_secs())
        .disable_signals();
    let closing = server.graceful_shutdown_signal();
    let shared = Shared::new(snapshot, accounts, closing.clone(), telemetry);
    let is_demo = demo.is_some();
    let shared = Arc::new(match demo {
        Some(demo) => shared.with_demo(demo),
        None => shared,
    });
    credential_search::watch(&shared);
    actix_tls::accept::max_concurrent_tls_connect(TLS_HANDSHAKES);
    if let Some(workers) = workers {
        server = server.workers(workers);
    }
    let terms = ConnectionTerms { shared: Arc::clone(&shared), drain: closing, address };
    let app = routes::application;
    let admin_listener = match shared.admin {
        AdminPlace::Nowhere | AdminPlace::BesideModels => None,
        AdminPlace::Alone => bind_admin(admin, AdminAddress { is_told: is_admin_told, is_demo })?,
    };
    let (mut server, admin) = with_admin(server, admin_listener, &terms)?;
    let metrics = match metrics {
        None => None,
        Some(listener) => {
            let (address, terms) = (listener.local_addr()?, terms.clone());
            server = server.listen("telemetry", listener, move || {
                let shared = Arc::clone(&terms.shared);
                listen::cleartext(app(shared, Listener::Telemetry), terms.clone())
            })?;
            Some(address)
        }
    };
    let socket = match socket {
        None => None,
        Some(Bound { socket, listener }) => {
            let terms = terms.clone();
            server = server.listen_uds("socket", listener, move || {
                let shared = Arc::clone(&terms.shared);
                listen::local(app(shared, Listener::Models), terms.clone())
            })?;
            Some(socket)
        }
    };
    let server = match (listener, &certificate) {
        (None, _) => server,
        (Some(listener), Some(certificate)) => {
            let tls = certificate.server()?;
            server.listen("https", listener, move || {
                let shared = Arc::clone(&terms.shared);
                listen::encrypted(app(shared, Listener::Models), terms.clone(), tls.clone())
            })?
        }
        (Some(listener), None) => server.listen("http", listener, move || {
            let shared = Arc::clone(&terms.shared);
            listen::cleartext(app(shared, Listener::Models), terms.clone())
        })?,
    };
    let server = server.run();
    let handle = server.handle();
    Ok(Serving {
        address,
        admin,
        telemetry: metrics,
        server,
        handle,
        batches: BatchEngine::start(&shared),
        shared,
        certificate,
        setup,
        socket,
    })
}

/// Telemetry of the process, with traces where they are configured.
fn telemetry(config: &Config) -> Result<Telemetry, ServeError> {
    #[cfg(feature = "otlp")]
    let telemetry = Telemetry::start(config.telemetry.traces.export())?;
    #[cfg(not(feature = "otlp"))]
    let telemetry = {
        let _ = config;
        Telemetry::default()
    };
    Ok(telemetry)
}

/// Adds the listener of the admin API, if it has one.
fn with_admin(
    server: ServerBuilder,
    listener: Option<TcpListener>,
    terms: &ConnectionTerms,
) -> io::Result<(ServerBuilder, Option<SocketAddr>)> {
    let Some(listener) = listener else { return Ok((server, None)) };
    let address = listener.local_addr()?;
    let terms = ConnectionTerms { address, ..terms.clone() };
    terms.shared.serves_admin_at(address);
    let server = server.listen("admin", listener, move || {
        let shared = Arc::clone(&terms.shared);
        listen::cleartext(routes::application(shared, Listener::Admin), terms.clone())
    })?;
    Ok((server, Some(address)))
}

/// The origin of the admin API's address.
#[derive(Debug, Clone, Copy)]
struct AdminAddress {
    /// Whether the operator chose it.
    is_told: bool,
    is_demo: bool,
}

/// Binds the listener of the admin API. Several gateways of one machine cannot all have the default address: demos take a
/// free port then, others do without.
fn bind_admin(address: SocketAddr, from: AdminAddress) -> Result<Option<TcpListener>, ServeError> {
    match TcpListener::bind(address) {
        Ok(listener) => Ok(Some(listener)),
        Err(_) if from.is_demo => {
            let bound = TcpListener::bind((address.ip(), 0));
            bound.map(Some).map_err(|error| ServeError::Bind(address, error))
        }
        Err(error) if from.is_told => Err(ServeError::Bind(address, error)),
        Err(error) => {
            log::warn!(
                "the admin API is not served, because {address} cannot be listened on: {error}; name another address in admin.listen (OUTCROP_ADMIN_LISTEN)"
            );
            Ok(None)
        }
    }
}

/// Opens the request log, if the operator keeps one.
fn open_request_log(telemetry: &Telemetry, snapshot: &Snapshot) {
    let settings = &snapshot.config.telemetry.requests;
    let Some(destination) = settings.destination() else { return };
    let destination = destination.opened(|| Transport::new(snapshot.names.home()));
    let log = RequestLog::start(settings, destination);
    // It is set once in the life of a process.
    let _ = telemetry.request_log.set(Arc::new(log));
}

/// Binds the listener of metrics, if they have one of their own.
fn bind_metrics(config: &Config) -> Result<Option<TcpListener>, ServeError> {
    let bind = |listen| TcpListener::bind(listen).map_err(|error| ServeError::Bind(listen, error));
    config.telemetry.listen.map(bind).transpose()
}

/// Binds the Unix socket, if one is configured.
fn bind_socket(config: &Config) -> Result<Option<Bound>, ServeError> {
    let path = config.socket.path.as_deref();
    Ok(path.map(|path| Socket::bind(path, &config.socket)).transpose()?)
}

/// Serves until a signal stops it.
pub(crate) async fn until_stopped(
    config: Config,
    sources: Sources,
    started: Instant,
    demo: Option<Demo>,
) -> Result<(), ServeError> {
    let is_demo = demo.is_some();
    let (setup, keys, greet) = match demo {
        Some(Demo { setup, keys, greet }) => (setup, keys, Some(greet)),
        None => (Settings::default(), None, None),
    };
    let drain = config.shutdown;
    let serving = serve_with(config, setup, keys).await?;
    announce::configuration(&sources, &serving.shared.now().config, serving.address);
    let reloader = Rc::new(serving.reloader(sources));
    let Serving {
        address,
        admin,
        telemetry,
        server,
        handle,
        shared,
        certificate,
        setup: _,
        batches,
        socket,
    } = serving;
    announce::bedrock(&shared.now(), is_demo).await;
    // Before the gateway calls itself ready: changes from then on are noticed.
    let seen = reloader.stamps().await;
    announce::ready(&shared.now().config, address, started);
    if let Some(admin) = admin {
        log::info!("the admin API listens on http://{admin}");
    }
    if let Some(telemetry) = telemetry {
        log::info!("metrics and probes are at http://{telemetry}");
    }
    let (accounts, written) = (shared.accounts.clone(), Arc::clone(&shared.telemetry));
    let overload = Arc::clone(&shared.overload);
    if let Some(greet) = greet {
        greet(address, admin);
    }
    let mut tasks =
        vec![supervise::keep("the task that reads the configuration again", move || {
            let (reloader, seen) = (Rc::clone(&reloader), seen.clone());
            async move { reloader.keep_current(seen).await }
        })];
    tasks.extend(certificate.map(|certificate| {
        supervise::keep("the task that reads the certificate again", move || {
            Arc::clone(&certificate).keep_current()
        })
    }));
    let ending = tokio::select! {
        result = server => {
            result?;
            ShutdownEnd::Drained
        }
        // Dropping the server ends the remaining connections.
        ending = shutdown::on_signal(shared, handle, drain) => ending,
    };
    shutdown::settle(&overload, accounts.as_deref(), ending).await;
    for reason in ShedReason::ALL {
        match (overload.shed(reason), reason.as_str()) {
            (0, _) => {}
            (count, why) => log::info!("{count} calls were refused because {why}"),
        }
    }
    drop((batches, socket));
    written.end().await;
    log::info!("stopped");
    Ok(())
}
