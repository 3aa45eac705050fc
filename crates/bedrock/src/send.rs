//! Sends one call: authorised, within the time limits, on the pool of one worker.
//!
//! Three kinds of calls are resent here, each once, and no others: a call whose pooled connection turned
//! out to be closed, a call refused for the clock, a call refused for expired credentials. None of them was
//! processed. Every other retry is the router's to decide.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, EXPECT, HOST, PROXY_AUTHORIZATION,
    TE, TRAILER, TRANSFER_ENCODING, UPGRADE, USER_AGENT,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::client::legacy::{Client, Error as ClientError};
use hyper_util::rt::TokioTimer;
use tokio::time::{Instant, timeout_at};

use super::account::Account;
use super::connect::{ConnectError, Connector, Served, chain};
use super::credentials::Grant;
use super::endpoint::Service;
use super::error::{Exception, Failure, Phase, ProtocolError, ServiceError};
use super::response::UpstreamResponse;
use super::sign::{BodyHash, SigningScope, authorise};
use super::spawner::Spawner;

/// Marks calls to endpoints outside AWS. An incoming call with the mark is from a gateway: if it were
/// served, it could circulate for ever, through this gateway or another.
pub const HOP: HeaderName = HeaderName::from_static("x-outcrop-hop");
const AMZ_USER_AGENT: HeaderName = HeaderName::from_static("x-amz-user-agent");
/// Bytes read of an error's body.
const ERROR_BODY: usize = 64 * 1024;
/// Time limit for an error's body: the status has arrived and decides what happens next. Three attempts
/// must fit into the patience of a client whose answer could be immediate.
const ERROR_BODY_WITHIN: Duration = Duration::from_secs(1);
/// Bytes read ahead of the consumer, and the longest response headers. A stalled reader holds twice as
/// many: those waiting for translation, and those received after them.
const READ_AHEAD: usize = 16 * 1024;
/// A pooled connection the other side has already closed fails within a round trip. Later than this the
/// call may well have been read, and the router decides whether to send it again.
const STALE_WITHIN: Duration = Duration::from_secs(1);
/// Headers that this module sets itself, or that belong to one connection only.
const OURS: [HeaderName; 13] = [
    ACCEPT_ENCODING,
    AUTHORIZATION,
    CONNECTION,
    CONTENT_LENGTH,
    EXPECT,
    HOST,
    PROXY_AUTHORIZATION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    USER_AGENT,
    AMZ_USER_AGENT,
];
/// The same, for names without a constant in the `http` crate.
const OURS_BY_NAME: [&str; 5] = [
    "keep-alive",
    "proxy-connection",
    "x-amz-date",
    "x-amz-security-token",
    "x-amz-content-sha256",
];

/// One call to a Bedrock service.
#[derive(Debug, Clone)]
pub struct Call {
    /// The service.
    pub service: Service,
    /// HTTP method.
    pub method: Method,
    /// Path below the endpoint, percent-encoded; see [`model_path`](super::model_path).
    pub path: String,
    /// Query without `?`, percent-encoded.
    pub query: Option<String>,
    /// `content-type`, `accept`, `x-amzn-*`. Host, length, authorization and connection headers are
    /// replaced or dropped.
    pub headers: HeaderMap,
    /// The whole body: it is hashed into the signature.
    pub body: Bytes,
    /// Form of the response, unary or stream; sets the first-byte limit.
    pub kind: Kind,
}

/// Form of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Sent when it is complete.
    Unary,
    /// Sent while it is generated.
    Stream,
}

/// A worker's transport to Bedrock: the account and a pool of connections. Workers do not share pools, so
/// that a connection's task runs on the thread that uses it.
#[derive(Debug, Clone)]
pub struct Transport {
    account: Account,
    client: Client<Connector, Full<Bytes>>,
    /// Opens a connection for each call. If one pooled connection was closed, the others may be too, and a
    /// request sent over one after the other until one answers may be processed more than once.
    fresh: Client<Connector, Full<Bytes>>,
    /// Common deadline of its calls; `None` if each call has its own.
    deadline: Option<Instant>,
}

impl Transport {
    /// A transport with an empty pool, whose connections are tasks of the runtime. Makes no connection yet.
    pub fn new(account: &Account) -> Self {
        Self::with(account, Spawner::Runtime)
    }

    /// The same, for calls that are made by tasks of this thread's `LocalSet`: its connections become such
    /// tasks too.
    pub(super) fn in_local_set(account: &Account) -> Self {
        Self::with(account, Spawner::of_local_set())
    }

    fn with(account: &Account, spawner: Spawner) -> Self {
        let timeouts = account.timeouts();
        let connector =
            Connector::new(Arc::clone(account.way()), timeouts.connect, timeouts.tcp_keepalive);
        let client = Client::builder(spawner)
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(timeouts.pool_idle)
            .http1_max_buf_size(READ_AHEAD)
            .build(connector.clone());
        let fresh = Client::builder(spawner)
            .pool_max_idle_per_host(0)
            .http1_max_buf_size(READ_AHEAD)
            .build(connector);
        Self { account: account.clone(), client, fresh, deadline: None }
    }

    /// The same transport with a common deadline for its calls.
    #[must_use]
    pub fn by(mut self, deadline: Option<Instant>) -> Self {
        self.deadline = deadline;
        self
    }

    /// The account that makes the calls.
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// Sends a call and waits for the response headers. Dropping the future or the response closes the
    /// connection, which cancels the call.
    ///
    /// # Errors
    /// [`Failure`]; a status other than 2xx is one.
    pub async fn send(&self, call: Call) -> Result<UpstreamResponse, Failure> {
        let timeouts = self.account.timeouts();
        let deadline = self.deadline.unwrap_or_else(|| Instant::now() + timeouts.total);
        let mut grant = self.account.grant(call.service).await?;
        let mut hash = BodyHash::of(&call.body, &grant.proof).await?;
        let (mut clock_set, mut keys_renewed) = (false, false);
        loop {
            let signed_at = self.account.clock().now()?;
            let request = self.request(&call, &hash, &grant, signed_at)?;
            let response = self.attempt(request, call.kind, deadline).await?;
            let mut answer = UpstreamResponse::new(response, timeouts.idle, deadline);
            if answer.status.is_success() {
                return Ok(answer);
            }
            let error = match refusal(&mut answer).await {
                Failure::Service(error) => error,
                other => return Err(other),
            };
            if !clock_set && self.account.clock().learn(&error, signed_at) {
                let offset = self.account.clock_offset_seconds();
                log::warn!("the clock is off; requests are now signed {offset} s from system time");
                clock_set = true;
            } else if !keys_renewed && blames_the_keys(&error.exception) {
                let Some(newer) = self.account.replace_grant(call.service, &grant).await? else {
                    return Err(Failure::Service(error));
                };
                grant = newer;
                hash = BodyHash::of(&call.body, &grant.proof).await?;
                keys_renewed = true;
            } else {
                return Err(Failure::Service(error));
            }
        }
    }

    /// Sends one authorised request, a second time only if its pooled connection was dead.
    async fn attempt(
        &self,
        request: Request<Full<Bytes>>,
        kind: Kind,
        deadline: Instant,
    ) -> Result<Response<Incoming>, Failure> {
        let timeouts = self.account.timeouts();
        let first_byte = match kind {
            Kind::Unary => timeouts.first_byte_unary,
            Kind::Stream => timeouts.first_byte_stream,
        };
        let started = Instant::now();
        let limit = (started + first_byte).min(deadline);
        let waiting = async {
            match self.client.request(request.clone()).await {
                Err(error) if is_stale(&error, started.elapsed()) => {
                    log::debug!("a pooled connection was closed; sending again over a new one");
                    self.fresh.request(request).await
                }
                result => result,
            }
        };
        match timeout_at(limit, waiting).await {
            Err(_) if limit == deadline => Err(Failure::Timeout(Phase::Total)),
            Err(_) => Err(Failure::Timeout(Phase::FirstByte)),
            Ok(Err(error)) => Err(failure(&error)),
            Ok(Ok(response)) => {
                Served::count(response.extensions());
                Ok(response)
            }
        }
    }

    fn request(
        &self,
        call: &Call,
        hash: &BodyHash,
        grant: &Grant,
        signed_at: SystemTime,
    ) -> Result<Request<Full<Bytes>>, Failure> {
        let mut request = unsigned(&self.account, call)?.map(Full::new);
        let scope =
            SigningScope { service: call.service, region: self.account.region(), now: signed_at };
        authorise(&mut request, hash, &grant.proof, scope)?;
        // Not signed: the proxy removes it.
        self.account.way().authorise_forward(&mut request);
        Ok(request)
    }
}

/// The request of a call, without its authorisation.
///
/// # Errors
/// The call cannot be expressed as a request.
pub fn unsigned(account: &Account, call: &Call) -> Result<Request<Bytes>, Failure> {
    let endpoint = account.endpoint(call.service);
    if !call.path.starts_with('/') {
        return Err(Failure::Request(format!("the path {:?} is not absolute", call.path)));
    }
    let uri = endpoint
        .uri(&call.path, call.query.as_deref())
        .map_err(|error| Failure::Request(error.to_string()))?;
    let host = HeaderValue::from_str(endpoint.host())
        .map_err(|error| Failure::Request(error.to_string()))?;
    let mut request = Request::new(call.body.clone());
    *request.method_mut() = call.method.clone();
    *request.uri_mut() = uri;
    *request.headers_mut() = outgoing_headers(call, host, account.agent());
    if !endpoint.is_aws() {
        request.headers_mut().insert(HOP, HeaderValue::from_static("1"));
    }
    Ok(request)
}

fn outgoing_headers(call: &Call, host: HeaderValue, agent: &HeaderValue) -> HeaderMap {
    let mut headers = call.headers.clone();
    for name in &OURS {
        headers.remove(name);
    }
    for name in OURS_BY_NAME {
        headers.remove(name);
    }
    headers.insert(HOST, host);
    headers.insert(USER_AGENT, agent.clone());
    headers.insert(AMZ_USER_AGENT, agent.clone());
    // A GET without a body declares no length; all others do, and sign it.
    if !(call.body.is_empty() && matches!(call.method, Method::GET | Method::HEAD)) {
        headers.insert(CONTENT_LENGTH, call.body.len().into());
    }
    headers
}

/// Reads the body of an unsuccessful response. If it cannot be read, the response is still an error of the
/// service: its status and headers decide what happens next.
async fn refusal(answer: &mut UpstreamResponse) -> Failure {
    let status = answer.status.as_u16();
    if status < 400 {
        return ProtocolError::Status(status).into();
    }
    answer.hurry(ERROR_BODY_WITHIN);
    let body = answer.collect(ERROR_BODY).await.unwrap_or_default();
    ServiceError::read(status, std::mem::take(&mut answer.headers), body)
}

/// Refusals that newer credentials may resolve.
fn blames_the_keys(exception: &Exception) -> bool {
    matches!(exception, Exception::ExpiredToken | Exception::UnrecognizedClient)
}

/// Whether a connection taken from the pool was already closed by the other side: it had responded before,
/// and closed without a byte of response to this call.
fn is_stale(error: &ClientError, after: Duration) -> bool {
    let reused = error.connect_info().is_some_and(Served::before);
    reused && after < STALE_WITHIN && closed_before_answer(error)
}

fn closed_before_answer(error: &ClientError) -> bool {
    let Some(cause) = hyper_error(error) else { return false };
    if cause.is_incomplete_message() || cause.is_canceled() || cause.is_closed() {
        return true;
    }
    let io = std::error::Error::source(cause).and_then(|e| e.downcast_ref::<std::io::Error>());
    io.is_some_and(|io| {
        use std::io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
        matches!(io.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
    })
}

fn hyper_error(error: &ClientError) -> Option<&hyper::Error> {
    std::error::Error::source(error)?.downcast_ref()
}

fn failure(error: &ClientError) -> Failure {
    if let Some(connect) = std::error::Error::source(error).and_then(|e| e.downcast_ref()) {
        return match connect {
            ConnectError::Tcp(reason) => Failure::Connect(reason.clone()),
            ConnectError::Tls(reason) => Failure::Tls(reason.clone()),
            ConnectError::Proxy(reason) => Failure::Connect(reason.clone()),
            ConnectError::TimedOut(_) => Failure::Timeout(Phase::Connect),
        };
    }
    match hyper_error(error) {
        Some(cause) if cause.is_parse() => ProtocolError::Malformed(chain(cause)).into(),
        _ if error.is_connect() => Failure::Connect(chain(error)),
        _ => Failure::Closed(chain(error)),
    }
}
