//! A gateway in front of an emulator, both in this process, and a client that sees every byte and its time
//! of arrival.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use access::Accounts;
use bedrock::{AccountKeys, AccountSecret, Settings};
use bytes::Bytes;
use emulator::{Call, Running, Step, frames};
use http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use outcrop::{BatchEngine, Config, ReloadError, Reloader, Socket, Sources, serve};
use serde_json::{Value, json};

/// Longer than any step of a working gateway here, on a machine a hundred times as slow, and shorter than the
/// limit of `tests/nextest.toml`.
pub(crate) const PATIENCE: Duration = Duration::from_secs(600);

pub(crate) struct Rig {
    pub(crate) address: SocketAddr,
    /// The listener of metrics, if it has one of its own.
    pub(crate) telemetry: Option<SocketAddr>,
    pub(crate) emulator: Running,
    /// Keys, limits and the ledger, with a master key.
    pub(crate) accounts: Option<Arc<Accounts>>,
    handle: actix_web::dev::ServerHandle,
    reloader: Reloader,
    directory: PathBuf,
    workers: usize,
    client: Client<HttpConnector, Full<Bytes>>,
    /// Works on batches as long as the gateway lives.
    _batches: BatchEngine,
    /// The file of the Unix socket goes with it.
    pub(crate) socket: Option<Socket>,
}

/// A complete response.
pub(crate) struct Received {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Received {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error} in {:?}", String::from_utf8_lossy(&self.body)))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The JSON of each event, and whether `[DONE]` came last.
    pub(crate) fn events(&self) -> (Vec<Value>, bool) {
        events(std::str::from_utf8(&self.body).unwrap())
    }
}

/// An answer of far more bytes than the buffers of two pairs of sockets hold. One frame is repeated, so that
/// writing the answer costs little.
pub(crate) fn flood() -> Step {
    let text = "granite ".repeat(4 * 1024);
    let delta = json!({ "contentBlockIndex": 0, "delta": { "text": text } }).to_string();
    let start = frames::event("messageStart", br#"{"role":"assistant"}"#);
    let delta = frames::event("contentBlockDelta", delta.as_bytes());
    Step::Bytes([start.to_vec(), delta.repeat(2000)].concat())
}

/// Splits a stream into its events; comments are skipped.
pub(crate) fn events(text: &str) -> (Vec<Value>, bool) {
    let mut done = false;
    let events = text.split_terminator("\n\n").filter_map(|event| {
        assert!(!done, "something came after [DONE]: {event}");
        if event.starts_with(':') {
            return None;
        }
        let data =
            event.strip_prefix("data: ").unwrap_or_else(|| panic!("not an event: {event:?}"));
        done = data == "[DONE]";
        (!done).then(|| serde_json::from_str(data).unwrap())
    });
    let events: Vec<Value> = events.collect();
    (events, done)
}

impl Rig {
    /// A gateway with this YAML (without `listen`).
    pub(crate) async fn start(yaml: &str) -> Self {
        let emulator = emulator::start(emulator::Options {
            pace: Duration::from_millis(1),
            ..emulator::Options::default()
        })
        .await
        .unwrap();
        Self::before(emulator, yaml).await
    }

    /// The same, listening on every address of this machine.
    pub(crate) async fn anywhere(yaml: &str) -> Self {
        Self::start(&format!("listen: 0.0.0.0:0\nallow_anonymous: true\n{yaml}")).await
    }

    /// The same, with this many workers.
    pub(crate) async fn start_with(workers: usize, yaml: &str) -> Self {
        let emulator = emulator::start(emulator::Options::default()).await.unwrap();
        let url = emulator.url();
        Self::assemble(emulator, url, "us-east-1", workers, yaml).await
    }

    /// The same, calling Bedrock in this region.
    pub(crate) async fn start_in(region: &str, yaml: &str) -> Self {
        let emulator = emulator::start(emulator::Options::default()).await.unwrap();
        Self::before_in(emulator, region, yaml).await
    }

    pub(crate) async fn before(emulator: Running, yaml: &str) -> Self {
        Self::before_in(emulator, "us-east-1", yaml).await
    }

    /// A gateway that calls another server than the emulator.
    pub(crate) async fn before_url(url: &str, yaml: &str) -> Self {
        let emulator = emulator::start(emulator::Options::default()).await.unwrap();
        Self::between(emulator, url, yaml).await
    }

    /// A gateway that calls a server between it and this emulator.
    pub(crate) async fn between(emulator: Running, url: &str, yaml: &str) -> Self {
        Self::assemble(emulator, url.to_owned(), "us-east-1", 1, yaml).await
    }

    async fn before_in(emulator: Running, region: &str, yaml: &str) -> Self {
        let url = emulator.url();
        Self::assemble(emulator, url, region, 1, yaml).await
    }

    async fn assemble(
        emulator: Running,
        url: String,
        region: &str,
        workers: usize,
        yaml: &str,
    ) -> Self {
        let directory = std::env::temp_dir().join(format!("outcrop-rig-{}", uuid::Uuid::now_v7()));
        std::fs::create_dir_all(&directory).unwrap();
        let file = directory.join("outcrop.yaml");
        std::fs::write(&file, written(workers, yaml)).unwrap();
        let sources =
            Sources { file: Some(file), directory: directory.clone(), ..Sources::default() };
        let config = Config::load(&sources).unwrap();
        let setup = Settings {
            region: Some(region.to_owned()),
            endpoint: Some(url),
            keys: Some(AccountKeys::Static {
                access_key_id: "AKIDTEST".to_owned(),
                secret_access_key: AccountSecret::new("test"),
                session_token: None,
            }),
            ..Settings::default()
        };
        let serving = serve(config, setup).await.unwrap();
        let reloader = serving.reloader(sources);
        let accounts = serving.accounts();
        let socket = serving.socket;
        actix_rt::spawn(serving.server);
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self {
            address: serving.address,
            socket,
            telemetry: serving.telemetry,
            emulator,
            accounts,
            handle: serving.handle,
            reloader,
            directory,
            workers,
            client,
            _batches: serving.batches,
        }
    }

    /// Replaces the configuration file and reloads it.
    pub(crate) async fn reload(&self, yaml: &str) -> Result<Vec<String>, ReloadError> {
        self.write(&written(self.workers, yaml));
        self.read_again().await
    }

    /// Writes a whole file in place of the first.
    pub(crate) fn write(&self, text: &str) {
        std::fs::write(self.directory.join("outcrop.yaml"), text).unwrap();
    }

    pub(crate) async fn read_again(&self) -> Result<Vec<String>, ReloadError> {
        self.reloader.reload().await
    }

    /// Lets open requests finish, and takes no more.
    pub(crate) async fn drain(&self) {
        self.handle.stop(true).await;
    }

    pub(crate) async fn stop(self) {
        self.handle.stop(false).await;
        self.emulator.stop().await;
        std::fs::remove_dir_all(&self.directory).unwrap();
    }

    pub(crate) async fn send(&self, method: Method, path: &str, body: Bytes) -> Received {
        let (status, headers, body) = self.open(method, path, body).await;
        let body =
            tokio::time::timeout(PATIENCE, body.collect()).await.unwrap().unwrap().to_bytes();
        Received { status, headers, body }
    }

    /// A chat request with its complete response.
    pub(crate) async fn chat(&self, request: &Value) -> Received {
        self.send(Method::POST, "/v1/chat/completions", request.to_string().into()).await
    }

    /// A chat request with the caller's headers and its complete response.
    pub(crate) async fn chat_with(&self, headers: &[(&str, &str)], request: &Value) -> Received {
        let path = "/v1/chat/completions";
        self.send_with(headers, Method::POST, path, request.to_string().into()).await
    }

    /// A request with the caller's headers and its complete response.
    pub(crate) async fn send_with(
        &self,
        headers: &[(&str, &str)],
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Received {
        let (status, headers, body) = self.open_with(headers, method, path, body).await;
        let body =
            tokio::time::timeout(PATIENCE, body.collect()).await.unwrap().unwrap().to_bytes();
        Received { status, headers, body }
    }

    /// A chat request whose response the caller reads.
    pub(crate) async fn chat_open(&self, request: &Value) -> (u16, HeaderMap, Incoming) {
        self.open(Method::POST, "/v1/chat/completions", request.to_string().into()).await
    }

    pub(crate) async fn open(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> (u16, HeaderMap, Incoming) {
        self.open_with(&[], method, path, body).await
    }

    /// A request with the caller's headers whose response the caller reads.
    pub(crate) async fn open_with(
        &self,
        headers: &[(&str, &str)],
        method: Method,
        path: &str,
        body: Bytes,
    ) -> (u16, HeaderMap, Incoming) {
        let mut request = Request::builder().method(method).uri(match path.starts_with("http:") {
            true => path.to_owned(),
            false => format!("http://{}{path}", self.address),
        });
        if !headers.iter().any(|(name, _)| *name == "content-type") {
            request = request.header("content-type", "application/json");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = self.client.request(request.body(Full::new(body)).unwrap());
        let response = tokio::time::timeout(PATIENCE, request).await;
        let (head, body) = response.unwrap().unwrap().into_parts();
        (head.status.as_u16(), head.headers, body)
    }

    /// The newest call to the emulator.
    pub(crate) fn last_call(&self) -> Call {
        self.emulator.journal().calls().pop().unwrap()
    }

    /// Waits until the emulator's journal fulfils `wanted`.
    pub(crate) async fn until(&self, wanted: impl Fn(&[Call]) -> bool) -> Vec<Call> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let calls = self.emulator.journal().calls();
            if wanted(&calls) {
                return calls;
            }
            assert!(Instant::now() < deadline, "not in time: {calls:#?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// A request with more members, which replace those of the same name.
pub(crate) fn with(mut request: Value, more: &Value) -> Value {
    request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    request
}

fn written(workers: usize, yaml: &str) -> String {
    let listen = if yaml.starts_with("listen: ") { "" } else { "listen: 127.0.0.1:0\n" };
    format!("workers: {workers}\n{listen}{yaml}")
}
