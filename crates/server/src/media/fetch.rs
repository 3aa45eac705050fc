//! One GET of a caller's URL. The name is looked up once, all its addresses must be allowed, and the
//! connection goes to a checked address: without a second lookup, DNS rebinding is impossible. Follows no
//! redirects, uses no proxy and no cookies, and reads no more bytes than are left.

use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, HOST, USER_AGENT};
use http::{Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, MaybeHttpsStream};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio::time::timeout;
use tower_service::Service;

use super::MediaSettings;
use super::link::{Link, LinkPlace};

const LOOKUP: Duration = Duration::from_secs(2);
const CONNECT: Duration = Duration::from_secs(3);
/// Bytes reserved for the announced length before any of it has arrived.
const FIRST_ROOM: usize = 64 * 1024;
/// Read-ahead buffer, in bytes.
const READ_AHEAD: usize = 64 * 1024;
/// Addresses tried per name.
const ADDRESSES: usize = 2;

/// Reasons for missing content; for the log.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("{0}")]
    Link(&'static str),
    #[error("the name cannot be looked up: {0}")]
    Lookup(String),
    #[error("the address is not public")]
    Address,
    #[error("no connection: {0}")]
    Connect(String),
    #[error("no answer: {0}")]
    Answer(String),
    #[error("the answer has status {0}")]
    Status(StatusCode),
    #[error("the answer is compressed")]
    Encoded,
    #[error("the answer is larger than what is left of the limit")]
    TooLarge,
    #[error("the answer is empty")]
    Empty,
    #[error("the answer is markup, not media")]
    Markup,
    #[error("the answer is not of the kind that the part is for")]
    Kind,
    #[error("not in time")]
    TooSlow,
}

/// Name lookup.
#[derive(Debug, Default)]
pub(super) enum Lookup {
    #[default]
    System,
    /// Returns scripted results in order, for any name.
    #[cfg(test)]
    Scripted(std::sync::Mutex<std::collections::VecDeque<Vec<SocketAddr>>>),
}

impl Lookup {
    async fn addresses(&self, name: &str, port: u16) -> Result<Vec<SocketAddr>, FetchError> {
        match self {
            Self::System => {
                let found = timeout(LOOKUP, tokio::net::lookup_host((name, port))).await;
                let found = found.map_err(|_| FetchError::TooSlow)?;
                Ok(found.map_err(|error| FetchError::Lookup(error.to_string()))?.collect())
            }
            #[cfg(test)]
            Self::Scripted(answers) => {
                Ok(answers.lock().unwrap().pop_front().expect("a second lookup"))
            }
        }
    }
}

/// Fetches the content of a URL; `left` holds the bytes that may still be read, and is reduced.
pub(super) async fn get(
    url: &str,
    settings: &MediaSettings,
    lookup: &Lookup,
    trust: &OnceCell<Arc<ClientConfig>>,
    left: &AtomicUsize,
) -> Result<Vec<u8>, FetchError> {
    let link = Link::parse(url, settings).map_err(FetchError::Link)?;
    let addresses = match &link.host {
        LinkPlace::Address(address) => vec![SocketAddr::new(*address, link.port)],
        LinkPlace::Name(name) => lookup.addresses(name, link.port).await?,
    };
    // A single forbidden address among allowed ones indicates an attack.
    if addresses.is_empty() || !addresses.iter().all(|one| settings.admits(one.ip())) {
        return Err(FetchError::Address);
    }
    let config = match link.uri.scheme_str() {
        Some("https") => Some(trust.get_or_try_init(roots).await?),
        _ => None,
    };
    let stream = connect(&link, &addresses, config, settings.own_port).await?;
    let bytes = context(stream, &link, left).await?;
    match bytes.iter().find(|byte| !is_before_text(**byte)) {
        None => Err(FetchError::Empty),
        // Internal services and login pages answer with HTML, and SVG files may contain scripts.
        Some(b'<') => Err(FetchError::Markup),
        Some(_) => Ok(bytes),
    }
}

/// Bytes that browsers skip: white space, byte order marks, and the zero halves of UTF-16 letters.
fn is_before_text(byte: u8) -> bool {
    byte.is_ascii_whitespace() || matches!(byte, 0 | 0xef | 0xbb | 0xbf | 0xfe | 0xff)
}

async fn roots() -> Result<Arc<ClientConfig>, FetchError> {
    let load = || {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| FetchError::Connect(error.to_string()))?
            .with_native_roots()
            .map_err(|error| FetchError::Connect(format!("no trust roots: {error}")))?;
        let mut config = builder.with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    };
    let loaded = tokio::task::spawn_blocking(load).await;
    loaded.map_err(|error| FetchError::Connect(error.to_string()))?
}

type Stream = MaybeHttpsStream<TokioIo<TcpStream>>;

async fn connect(
    link: &Link,
    addresses: &[SocketAddr],
    config: Option<&Arc<ClientConfig>>,
    own_port: Option<u16>,
) -> Result<Stream, FetchError> {
    let mut failed = FetchError::Address;
    for address in addresses.iter().take(ADDRESSES) {
        let attempt = async {
            let mut pinned = Pinned { address: *address, own_port };
            match config {
                None => Ok(MaybeHttpsStream::Http(pinned.call(link.uri.clone()).await?)),
                // The certificate must match the URL's name.
                Some(config) => {
                    HttpsConnector::from((pinned, Arc::clone(config))).call(link.uri.clone()).await
                }
            }
        };
        match timeout(CONNECT, attempt).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => failed = FetchError::Connect(error.to_string()),
            Err(_) => failed = FetchError::Connect("not in time".to_owned()),
        }
    }
    Err(failed)
}

/// Connects to one address, regardless of the name.
#[derive(Debug, Clone, Copy)]
struct Pinned {
    address: SocketAddr,
    own_port: Option<u16>,
}

impl Service<Uri> for Pinned {
    type Response = TokioIo<TcpStream>;
    type Error = std::io::Error;
    type Future = Pin<Box<dyn Future<Output = std::io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let Self { address, own_port } = *self;
        Box::pin(async move {
            let tcp = TcpStream::connect(address).await?;
            // Both ends are on one host: the gateway itself, by whichever of its addresses.
            if own_port == Some(address.port()) && tcp.local_addr()?.ip() == address.ip() {
                return Err(std::io::Error::other("the gateway does not fetch from itself"));
            }
            tcp.set_nodelay(true)?;
            Ok(TokioIo::new(tcp))
        })
    }
}

async fn context(stream: Stream, link: &Link, left: &AtomicUsize) -> Result<Vec<u8>, FetchError> {
    let failed = |error: hyper::Error| FetchError::Answer(error.to_string());
    let mut http = http1::Builder::new();
    http.max_buf_size(READ_AHEAD);
    let (mut sender, connection) = http.handshake(stream).await.map_err(failed)?;
    let path = link.uri.path_and_query().map_or("/", |path| path.as_str());
    let request = Request::get(path)
        .header(HOST, &link.authority)
        .header(USER_AGENT, concat!("outcrop/", env!("CARGO_PKG_VERSION")))
        .header(ACCEPT, "*/*")
        .header(ACCEPT_ENCODING, "identity")
        .body(Empty::<Bytes>::new())
        .map_err(|error| FetchError::Answer(error.to_string()))?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(failed)?;
        read(response, left).await
    };
    beside(connection, answer).await
}

/// Drives a connection only for as long as the work on it lasts.
async fn beside<T>(connection: impl Future, work: impl Future<Output = T>) -> T {
    let (mut connection, mut work) = (pin!(connection), pin!(work));
    let mut open = true;
    poll_fn(|context| {
        if open && connection.as_mut().poll(context).is_ready() {
            open = false;
        }
        match work.as_mut().poll(context) {
            Poll::Ready(done) => Poll::Ready(done),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

async fn read(response: Response<Incoming>, left: &AtomicUsize) -> Result<Vec<u8>, FetchError> {
    let (head, mut body) = response.into_parts();
    if head.status != StatusCode::OK {
        return Err(FetchError::Status(head.status));
    }
    if head.headers.get(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
        return Err(FetchError::Encoded);
    }
    let promised = head.headers.get(CONTENT_LENGTH);
    let promised = promised.and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if promised.is_some_and(|length| length > left.load(Ordering::Relaxed)) {
        return Err(FetchError::TooLarge);
    }
    let mut bytes = Vec::with_capacity(promised.unwrap_or_default().min(FIRST_ROOM));
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| FetchError::Answer(error.to_string()))?;
        let Ok(data) = frame.into_data() else { continue };
        left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
            left.checked_sub(data.len())
        })
        .map_err(|_| FetchError::TooLarge)?;
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}
