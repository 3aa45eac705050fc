//! Sends traces to a collector by OTLP over HTTP, as JSON: the one message that is needed takes two hundred lines, and
//! OpenTelemetry's crates would bring a gRPC stack's types and a second HTTP client.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::sync::mpsc::{self, Receiver};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, timeout, timeout_at};

pub(crate) use super::otlp_json::Resource;
use super::otlp_json::body;
use super::{EndedTrace, ToExport, Traces};
use crate::panic_guard::noted;
use crate::telemetry::metrics::Counter;

/// Most traces that wait.
const QUEUE: usize = 1_024;
/// Most traces of a message.
const BATCH: usize = 256;
/// Longest answer of a collector, in bytes, after which its connection is used again.
const ANSWER: usize = 64 * 1024;
/// For one message.
const PATIENCE: Duration = Duration::from_secs(10);
/// Before the second and the third attempt of a message.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(4)];

/// The collector of traces.
#[derive(Debug, Clone)]
pub(crate) struct ExportSettings {
    /// The address of the collector's traces.
    pub(crate) url: Uri,
    /// Headers of every message, such as a key.
    pub(crate) headers: HeaderMap,
    /// Sampled requests of 1000.
    pub(crate) sample: u32,
    /// The time in which traces gather, unless there are enough for a message.
    pub(crate) delay: Duration,
    pub(crate) resource: Resource,
}

/// Results of messages, by traces.
#[derive(Debug, Default)]
pub(crate) struct Exported {
    pub(crate) sent: Counter,
    pub(crate) failed: Counter,
}

/// The task; dropping this ends it.
#[derive(Debug)]
pub(crate) struct Exporter {
    pub(crate) exported: Arc<Exported>,
    task: AbortHandle,
}

impl Drop for Exporter {
    fn drop(&mut self) {
        self.task.abort();
    }
}

type HttpClient = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// Starts the task.
///
/// # Errors
/// The system's trust roots cannot be read.
pub(crate) fn start(settings: ExportSettings) -> std::io::Result<(Traces, Exporter)> {
    let connector = HttpsConnectorBuilder::new().with_native_roots()?.https_or_http();
    let client = Client::builder(TokioExecutor::new()).build(connector.enable_http1().build());
    let (queue, entries) = mpsc::channel(QUEUE);
    let traces = Traces::new(settings.sample, queue);
    let exported = Arc::<Exported>::default();
    let collector = Collector { client, settings, exported: Arc::clone(&exported) };
    let task = tokio::spawn(noted("exporting traces", collector.run(entries)));
    Ok((traces, Exporter { exported, task: task.abort_handle() }))
}

struct Collector {
    client: HttpClient,
    settings: ExportSettings,
    exported: Arc<Exported>,
}

/// The result of one attempt.
enum Sent {
    Taken,
    /// The collector may take it later.
    Later(String),
    Refused(StatusCode),
}

impl Collector {
    async fn run(self, mut entries: Receiver<ToExport>) {
        let mut is_away = false;
        while let Some(first) = entries.recv().await {
            let (mut traces, mut awaited) = (Vec::new(), None);
            let until = Instant::now() + self.settings.delay;
            let mut next = Some(first);
            while let Some(entry) = next.take() {
                match entry {
                    ToExport::Trace(trace) => traces.push(*trace),
                    ToExport::Flush(told) => awaited = Some(told),
                }
                if awaited.is_none() && traces.len() < BATCH {
                    next = timeout_at(until, entries.recv()).await.ok().flatten();
                }
            }
            if !traces.is_empty() {
                is_away = self.export(traces, is_away).await;
            }
            if let Some(told) = awaited {
                // The other side may have stopped waiting.
                let _ = told.send(());
            }
        }
    }

    /// Sends traces; whether the collector is away. One that is has one attempt for each message.
    async fn export(&self, traces: Vec<EndedTrace>, was_away: bool) -> bool {
        let count = u64::try_from(traces.len()).unwrap_or_default();
        let message = Bytes::from(body(&self.settings.resource, &traces));
        let pauses = if was_away { &[][..] } else { &PAUSES };
        let mut pauses = pauses.iter();
        loop {
            let failure = match self.send(message.clone()).await {
                Sent::Taken => {
                    if was_away {
                        log::info!("traces are exported again");
                    }
                    self.exported.sent.add(count);
                    return false;
                }
                Sent::Later(failure) => match pauses.next() {
                    Some(pause) => {
                        sleep(*pause).await;
                        continue;
                    }
                    None => failure,
                },
                Sent::Refused(status) => format!("the collector answers {status}"),
            };
            self.exported.failed.add(count);
            if !was_away {
                log::warn!("traces are lost: {failure}");
            }
            return true;
        }
    }

    async fn send(&self, message: Bytes) -> Sent {
        let ExportSettings { url, headers, .. } = &self.settings;
        let mut request = Request::new(Full::new(message));
        (*request.method_mut(), *request.uri_mut()) = (Method::POST, url.clone());
        request.headers_mut().extend(headers.clone());
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        match timeout(PATIENCE, self.client.request(request)).await {
            Err(_) => Sent::Later("the collector does not answer".to_owned()),
            Ok(Err(error)) => Sent::Later(error.to_string()),
            Ok(Ok(answer)) => {
                let status = answer.status();
                // A connection whose answer is not read to its end is closed.
                let _ = timeout(PATIENCE, Limited::new(answer.into_body(), ANSWER).collect()).await;
                match status {
                    status if status.is_success() => Sent::Taken,
                    StatusCode::TOO_MANY_REQUESTS
                    | StatusCode::BAD_GATEWAY
                    | StatusCode::SERVICE_UNAVAILABLE
                    | StatusCode::GATEWAY_TIMEOUT => {
                        Sent::Later(format!("the collector answers {status}"))
                    }
                    status => Sent::Refused(status),
                }
            }
        }
    }
}

/// Headers by their names; none if one is no header.
pub(crate) fn headers(pairs: Vec<(String, String)>) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        let mut value = HeaderValue::from_str(&value).ok()?;
        value.set_sensitive(true);
        headers.append(name, value);
    }
    Some(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_that_is_no_header_spoils_all() {
        let of = |name: &str, value: &str| headers(vec![(name.to_owned(), value.to_owned())]);
        assert_eq!(of("api-key", "k ey").unwrap()["api-key"], "k ey");
        assert!(of("a b", "c").is_none() && of("a", "\n").is_none());
    }
}
