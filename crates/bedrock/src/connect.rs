//! Connections to AWS: TCP, a proxy if one is configured, and TLS within one time limit; trust roots read
//! once, when the first TLS connection needs them; and a count of responses per connection, which
//! distinguishes a stale pooled connection from an endpoint that closes connections.

use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use aws_config::profile;
use aws_types::os_shim_internal::{Env, Fs};
use http::header::PROXY_AUTHORIZATION;
use http::uri::Scheme;
use http::{Extensions, Request, Uri};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tower_service::Service;

use super::proxy::{Proxies, Proxy, ResolvedBy};

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Connecting<S> = Pin<Box<dyn Future<Output = Result<S, ConnectError>> + Send>>;
type Tcp = TokioIo<TcpStream>;
type Hop = MaybeHttpsStream<Tcp>;

/// Reasons for a failed connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    #[error("{0}")]
    Tcp(String),
    #[error("{0}")]
    Tls(String),
    #[error("{0}")]
    Proxy(String),
    #[error("no connection within {0:?}")]
    TimedOut(Duration),
}

/// Trust roots and proxies of connections.
#[derive(Debug)]
pub(super) struct NetworkSettings {
    trust: Trust,
    proxies: Proxies,
}

impl NetworkSettings {
    pub(super) fn new(trust: Trust, proxies: Proxies) -> Self {
        Self { trust, proxies }
    }

    /// Reads the configured bundle of trust roots now rather than with the first connection.
    ///
    /// # Errors
    /// It cannot be used; none is not an error.
    pub(super) async fn judge_trust(&self) -> Result<(), String> {
        let Trust { bundle, profile, config: _ } = &self.trust;
        if bundle.is_none() && bundle_of_profile(profile.as_deref()).await.is_none() {
            return Ok(());
        }
        self.trust.config().await.map(|_| ()).map_err(|error| error.to_string())
    }

    /// Adds the proxy's credentials to a request that a proxy forwards, which is one in plain text. Other
    /// connections send them when the tunnel is opened.
    pub(super) fn authorise_forward<B>(&self, request: &mut Request<B>) {
        if request.uri().scheme() != Some(&Scheme::HTTP) {
            return;
        }
        let proxy = self.proxies.find(request.uri()).filter(|proxy| proxy.socks().is_none());
        if let Some(value) = proxy.as_ref().and_then(Proxy::authorization) {
            request.headers_mut().insert(PROXY_AUTHORIZATION, value.clone());
        }
    }
}

/// The process's trust roots, read on first use: the bundle of the settings, that of `AWS_CA_BUNDLE`, that
/// of the profile, or else the system's.
#[derive(Debug)]
pub(super) struct Trust {
    bundle: Option<PathBuf>,
    /// The profile whose `ca_bundle` applies; `None` for the one named by `AWS_PROFILE`.
    profile: Option<String>,
    config: OnceCell<Arc<ClientConfig>>,
}

impl Trust {
    pub(super) fn new(bundle: Option<PathBuf>, profile: Option<String>) -> Self {
        Self { bundle, profile, config: OnceCell::new() }
    }

    async fn config(&self) -> Result<Arc<ClientConfig>, ConnectError> {
        let config = self.config.get_or_try_init(|| async {
            let bundle = match &self.bundle {
                Some(bundle) => Some(bundle.clone()),
                None => bundle_of_profile(self.profile.as_deref()).await,
            };
            let loaded = tokio::task::spawn_blocking(move || load(bundle.as_deref())).await;
            loaded.map_err(|error| ConnectError::Tls(error.to_string()))?.map(Arc::new)
        });
        config.await.cloned()
    }
}

/// `ca_bundle` of a profile, which the AWS CLI and boto3 read but AWS's SDK for Rust does not.
async fn bundle_of_profile(name: Option<&str>) -> Option<PathBuf> {
    let name = name.map(|name| name.to_owned().into());
    // Unreadable files are reported by the credentials search.
    let profiles =
        profile::load(&Fs::real(), &Env::real(), &Default::default(), name).await.ok()?;
    let bundle = profiles.get("ca_bundle").filter(|path| !path.trim().is_empty())?;
    Some(PathBuf::from(bundle))
}

fn load(bundle: Option<&Path>) -> Result<ClientConfig, ConnectError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| ConnectError::Tls(error.to_string()))?;
    let builder = match bundle {
        None => builder
            .with_native_roots()
            .map_err(|error| ConnectError::Tls(format!("no trust roots: {error}")))?,
        Some(path) => builder.with_root_certificates(read_bundle(path)?),
    };
    let mut config = builder.with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn read_bundle(path: &Path) -> Result<rustls::RootCertStore, ConnectError> {
    let failed = |why: String| ConnectError::Tls(format!("CA bundle {}: {why}", path.display()));
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|e| failed(e.to_string()))? {
        let certificate = certificate.map_err(|e| failed(e.to_string()))?;
        roots.add(certificate).map_err(|e| failed(e.to_string()))?;
    }
    if roots.is_empty() {
        return Err(failed("it holds no certificate".to_owned()));
    }
    Ok(roots)
}

/// Number of responses on a connection. An extension of every response, and of every error.
#[derive(Debug, Clone, Default)]
pub(super) struct Served(Arc<AtomicU32>);

impl Served {
    /// Counts a response on its connection.
    pub(super) fn count(extensions: &Extensions) {
        if let Some(Self(answers)) = extensions.get::<Self>() {
            answers.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whether a connection had responded before.
    pub(super) fn before(connected: &Connected) -> bool {
        let mut extensions = Extensions::new();
        connected.get_extras(&mut extensions);
        extensions.get::<Self>().is_some_and(|Self(answers)| answers.load(Ordering::Relaxed) > 0)
    }
}

/// Connects for one worker's pool.
#[derive(Debug, Clone)]
pub(super) struct Connector {
    tcp: TcpConnector,
    way: Arc<NetworkSettings>,
    limit: Duration,
}

impl Connector {
    pub(super) fn new(way: Arc<NetworkSettings>, limit: Duration, keepalive: Duration) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(keepalive));
        tcp.set_connect_timeout(Some(limit));
        Self { tcp: TcpConnector(tcp), way, limit }
    }
}

impl Service<Uri> for Connector {
    type Response = CountedStream;
    type Error = ConnectError;
    type Future = Connecting<CountedStream>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        self.tcp.poll_ready(cx)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let (tcp, way, limit) = (self.tcp.clone(), Arc::clone(&self.way), self.limit);
        Box::pin(async move {
            let is_tls = uri.scheme() == Some(&Scheme::HTTPS);
            let proxy = way.proxies.find(&uri);
            let is_proxy_tls = proxy.as_ref().is_some_and(Proxy::is_tls);
            // Reading the trust roots happens once and is no part of connecting, so the limit excludes it.
            let trust = if is_tls || is_proxy_tls { Some(way.trust.config().await?) } else { None };
            let mut hop = HopConnector { tcp, proxy, trust: trust.clone() };
            let is_forwarded = !is_tls && hop.proxy.as_ref().is_some_and(|p| p.socks().is_none());
            let connect = async {
                Ok(match trust.filter(|_| is_tls) {
                    Some(config) => {
                        HttpsConnector::from((hop, config)).call(uri).await.map_err(tls_error)?
                    }
                    None => MaybeHttpsStream::Http(hop.call(uri).await?),
                })
            };
            let inner = tokio::time::timeout(limit, connect)
                .await
                .unwrap_or(Err(ConnectError::TimedOut(limit)))?;
            let inner = Box::new(inner);
            Ok(CountedStream { inner, served: Served::default(), is_forwarded })
        })
    }
}

/// The connection to a destination below its own TLS: TCP, or a proxy's tunnel.
#[derive(Debug, Clone)]
struct HopConnector {
    tcp: TcpConnector,
    proxy: Option<Proxy>,
    /// For a proxy that is itself reached over TLS.
    trust: Option<Arc<ClientConfig>>,
}

impl Service<Uri> for HopConnector {
    type Response = Hop;
    type Error = ConnectError;
    type Future = Connecting<Hop>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        self.tcp.poll_ready(cx)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let Self { mut tcp, proxy, trust } = self.clone();
        Box::pin(async move {
            let Some(proxy) = proxy else { return Ok(Hop::Http(tcp.call(uri).await?)) };
            let at = proxy.uri().clone();
            let failed = |error: &(dyn std::error::Error + 'static)| proxy_error(&at, error);
            if let Some(resolved_by) = proxy.socks() {
                let mut socks =
                    SocksV5::new(at.clone(), tcp).local_dns(resolved_by == ResolvedBy::Client);
                if let Some((user, password)) = proxy.login() {
                    socks = socks.with_auth(user, password);
                }
                return socks.call(uri).await.map(Hop::Http).map_err(|error| failed(&error));
            }
            let mut to_proxy = ProxyConnector { tcp, trust: trust.filter(|_| proxy.is_tls()) };
            if uri.scheme() != Some(&Scheme::HTTPS) {
                return to_proxy.call(at.clone()).await.map_err(|error| failed(&error));
            }
            let mut tunnel = Tunnel::new(at.clone(), to_proxy);
            if let Some(authorization) = proxy.authorization() {
                tunnel = tunnel.with_auth(authorization.clone());
            }
            tunnel.call(uri).await.map_err(|error| failed(&error))
        })
    }
}

/// Names the failed proxy, and the remedy if it asks for credentials.
fn proxy_error(proxy: &Uri, error: &(dyn std::error::Error + 'static)) -> ConnectError {
    let why = chain(error);
    // The library's error has no kind that could be matched.
    let why = if why.contains("proxy authorization required") {
        "it asks for credentials (407): put user and password into the proxy's URL".to_owned()
    } else {
        why
    };
    let authority = proxy.authority().map_or("", http::uri::Authority::as_str);
    ConnectError::Proxy(format!("proxy {authority}: {why}"))
}

/// Connects to an HTTP proxy, with or without TLS.
#[derive(Debug, Clone)]
struct ProxyConnector {
    tcp: TcpConnector,
    trust: Option<Arc<ClientConfig>>,
}

impl Service<Uri> for ProxyConnector {
    type Response = Hop;
    type Error = ConnectError;
    type Future = Connecting<Hop>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        self.tcp.poll_ready(cx)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let Self { mut tcp, trust } = self.clone();
        Box::pin(async move {
            match trust {
                Some(config) => {
                    HttpsConnector::from((tcp, config)).call(uri).await.map_err(tls_error)
                }
                None => Ok(Hop::Http(tcp.call(uri).await?)),
            }
        })
    }
}

/// The TLS connector passes this module's TCP errors through; all others are from the handshake.
fn tls_error(error: BoxError) -> ConnectError {
    match error.downcast::<ConnectError>() {
        Ok(ours) => *ours,
        Err(error) => ConnectError::Tls(chain(&*error)),
    }
}

/// An error and its causes in one line.
pub(super) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

/// TCP alone, with an error type that callers can distinguish from a TLS failure.
#[derive(Debug, Clone)]
struct TcpConnector(HttpConnector);

impl Service<Uri> for TcpConnector {
    type Response = Tcp;
    type Error = ConnectError;
    type Future = Connecting<Tcp>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        self.0.poll_ready(cx).map_err(|error| ConnectError::Tcp(chain(&error)))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = self.0.call(uri);
        Box::pin(async move { connecting.await.map_err(|error| ConnectError::Tcp(chain(&error))) })
    }
}

/// A connection that carries its [`Served`] count.
pub(super) struct CountedStream {
    /// Boxed, because the states of two TLS sessions, one of them a proxy's, take 2 KB, and hyper holds four copies of this
    /// type in the task of a connection.
    inner: Box<MaybeHttpsStream<Hop>>,
    served: Served,
    /// Whether requests go to a forwarding proxy: their target is then the whole URL.
    is_forwarded: bool,
}

impl Connection for CountedStream {
    fn connected(&self) -> Connected {
        self.inner.connected().proxy(self.is_forwarded).extra(self.served.clone())
    }
}

impl Read for CountedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl Write for CountedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }
}
