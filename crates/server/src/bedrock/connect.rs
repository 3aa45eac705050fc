//! Connections to Bedrock: TCP and TLS within one time limit, trust roots read once and only when
//! the first TLS connection needs them, and a count of answers per connection, which tells a stale
//! pooled connection from an endpoint that hangs up.

use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Extensions, Uri};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tower_service::Service;

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Connecting<S> = Pin<Box<dyn Future<Output = Result<S, ConnectError>> + Send>>;
type Tcp = TokioIo<TcpStream>;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    #[error("{0}")]
    Tcp(String),
    #[error("{0}")]
    Tls(String),
    #[error("no connection within {0:?}")]
    TimedOut(Duration),
}

/// The process's trust roots, read on first use: the bundle `AWS_CA_BUNDLE` names, else the system's.
#[derive(Debug)]
pub(super) struct Trust {
    bundle: Option<PathBuf>,
    config: OnceCell<Arc<ClientConfig>>,
}

impl Trust {
    pub(super) fn new(bundle: Option<PathBuf>) -> Self {
        Self { bundle, config: OnceCell::new() }
    }

    async fn config(&self) -> Result<Arc<ClientConfig>, ConnectError> {
        let config = self.config.get_or_try_init(|| async {
            let bundle = self.bundle.clone();
            let loaded = tokio::task::spawn_blocking(move || load(bundle.as_deref())).await;
            loaded.map_err(|error| ConnectError::Tls(error.to_string()))?.map(Arc::new)
        });
        config.await.cloned()
    }
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

/// How many answers a connection has given. An extension of every response, and of every error.
#[derive(Debug, Clone, Default)]
pub(super) struct Served(Arc<AtomicU32>);

impl Served {
    /// Counts an answer on the connection the response came over.
    pub(super) fn count(extensions: &Extensions) {
        if let Some(Self(answers)) = extensions.get::<Self>() {
            answers.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whether a connection had answered before.
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
    trust: Arc<Trust>,
    limit: Duration,
}

impl Connector {
    pub(super) fn new(trust: Arc<Trust>, limit: Duration, keepalive: Duration) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(keepalive));
        tcp.set_connect_timeout(Some(limit));
        Self { tcp: TcpConnector(tcp), trust, limit }
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
        let (mut tcp, trust, limit) = (self.tcp.clone(), Arc::clone(&self.trust), self.limit);
        Box::pin(async move {
            let https = uri.scheme() == Some(&http::uri::Scheme::HTTPS);
            // Reading the trust roots is no part of connecting, and happens once: not under the limit.
            let config = if https { Some(trust.config().await?) } else { None };
            let connect = async {
                Ok(match config {
                    Some(config) => {
                        HttpsConnector::from((tcp, config)).call(uri).await.map_err(tls_error)?
                    }
                    None => MaybeHttpsStream::Http(tcp.call(uri).await?),
                })
            };
            let inner = tokio::time::timeout(limit, connect)
                .await
                .unwrap_or(Err(ConnectError::TimedOut(limit)))?;
            Ok(CountedStream { inner, served: Served::default() })
        })
    }
}

/// The TLS connector passes our own TCP errors through; everything else is from the handshake.
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

/// TCP alone, with an error type that can be told from a TLS failure further up.
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
    inner: MaybeHttpsStream<Tcp>,
    served: Served,
}

impl Connection for CountedStream {
    fn connected(&self) -> Connected {
        self.inner.connected().extra(self.served.clone())
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
