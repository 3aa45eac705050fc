//! The request log: what callers asked and what they were answered, with the facts of the access line, for evaluations
//! and audits. Off unless the operator names a destination. Workers hand over bodies that they have anyway; a task of
//! its own makes lines of them, removes what must not be kept, and writes them.

use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpMessage as _;
use actix_web::HttpRequest;
use bytes::Bytes;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

mod destination;
mod record;
mod redact;

pub(crate) use destination::{Destination, S3Place};
pub(crate) use redact::{RedactedPattern, Redaction};

use super::metrics::Counter;
use crate::panic_guard;
use crate::request_id::RequestId;

/// Most records that wait.
const QUEUE: usize = 256;
/// Most records that are written at a time.
const BATCH: usize = 64;
/// The time in which records gather.
const GATHER: Duration = Duration::from_millis(50);
/// Longest wait for the records of a process that ends.
const LAST: Duration = Duration::from_secs(5);

/// Settings of the request log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RequestLogSettings {
    /// The file that lines are appended to. Without it and `s3` no content is kept.
    pub(crate) file: Option<PathBuf>,
    /// The place of objects of lines.
    pub(crate) s3: Option<S3Place>,
    /// Part of the requests that are kept.
    pub(crate) sample: routing::Thousandths,
    /// Most bytes of a body that are kept, in KiB. A longer body is left out, with its size.
    pub(crate) max_kib: usize,
    /// Texts that are replaced.
    pub(crate) redact: Redaction,
}

impl Default for RequestLogSettings {
    fn default() -> Self {
        Self {
            file: None,
            s3: None,
            sample: routing::Thousandths(1000),
            max_kib: 1024,
            redact: Redaction::default(),
        }
    }
}

impl RequestLogSettings {
    /// The place of the lines, if there is one.
    pub(crate) fn destination(&self) -> Option<Destination> {
        let s3 = self.s3.clone().map(|place| Destination::S3(Box::new(place)));
        s3.or_else(|| self.file.clone().map(Destination::File))
    }
}

/// One request and its answer.
#[derive(Debug)]
struct Exchange {
    /// The members of the access line, as JSON.
    facts: String,
    request: Content,
    response: Content,
}

/// A body as far as it is kept.
#[derive(Debug, Default)]
struct Content {
    /// Empty for a body that is too large.
    pieces: Vec<Bytes>,
    /// All bytes of the body.
    size: usize,
    /// Its media type.
    kind: String,
}

enum Entry {
    Exchange(Box<Exchange>),
    /// Answers when all records before it are written.
    Flush(tokio::sync::oneshot::Sender<()>),
}

/// The queue and its task.
#[derive(Debug)]
pub(crate) struct RequestLog {
    queue: Sender<Entry>,
    sample: u32,
    most: usize,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    written: Counter,
    lost: Counter,
}

impl RequestLog {
    /// Starts the task that writes to `destination`.
    pub(crate) fn start(settings: &RequestLogSettings, destination: Destination) -> Self {
        let (queue, entries) = mpsc::channel(QUEUE);
        let counts = Arc::<Counts>::default();
        let writer =
            Writer { destination, redact: settings.redact.clone(), counts: Arc::clone(&counts) };
        tokio::spawn(panic_guard::noted("writing the request log", writer.run(entries)));
        let (sample, most) = (settings.sample.0, settings.max_kib * 1024);
        Self { queue, sample, most, counts }
    }

    /// Records that were written, and those that were lost.
    pub(crate) fn counts(&self) -> [u64; 2] {
        [self.counts.written.get(), self.counts.lost.get()]
    }

    /// Waits until the records so far are written, for a while.
    pub(crate) async fn end(&self) {
        let (told, done) = tokio::sync::oneshot::channel();
        if self.queue.send(Entry::Flush(told)).await.is_ok() {
            // Records that take longer are lost with the process.
            let _ = timeout(LAST, done).await;
        }
    }

    /// A recording for a request, if it is sampled. The middleware of a request puts it into the request's extensions.
    pub(crate) fn begin(self: &Arc<Self>, id: &RequestId) -> Option<Recording> {
        // The end of an id is random.
        let text = id.as_str();
        let end = text.get(text.len().saturating_sub(6)..).unwrap_or_default();
        let drawn = u32::from_str_radix(end, 16).unwrap_or_default() % 1000;
        if drawn >= self.sample {
            return None;
        }
        let inner = Inner { log: Arc::clone(self), parts: RefCell::default() };
        Some(Recording(Rc::new(inner)))
    }
}

/// What is recorded of one request. It is handed over when the last party to the request has dropped it.
#[derive(Debug, Clone)]
pub(crate) struct Recording(Rc<Inner>);

#[derive(Debug)]
struct Inner {
    log: Arc<RequestLog>,
    parts: RefCell<Parts>,
}

#[derive(Debug, Default)]
struct Parts {
    facts: Option<String>,
    request: Content,
    response: Content,
}

impl Recording {
    /// The recording of a request, if it has one.
    pub(crate) fn of(http: &HttpRequest) -> Option<Self> {
        http.extensions().get::<Self>().cloned()
    }

    /// Records the request's body.
    pub(crate) fn asked(&self, body: &Bytes, kind: &str) {
        let content = &mut self.0.parts.borrow_mut().request;
        kind.clone_into(&mut content.kind);
        content.push(body, self.0.log.most);
    }

    /// Records the media type of the answer.
    pub(crate) fn answers_with(&self, kind: &str) {
        kind.clone_into(&mut self.0.parts.borrow_mut().response.kind);
    }

    /// Records a piece of the answer.
    pub(crate) fn answered(&self, piece: &Bytes) {
        self.0.parts.borrow_mut().response.push(piece, self.0.log.most);
    }

    /// Records the facts of the request, as members of a JSON object.
    pub(crate) fn ended(&self, facts: String) {
        self.0.parts.borrow_mut().facts = Some(facts);
    }
}

impl Content {
    fn push(&mut self, piece: &Bytes, most: usize) {
        self.size += piece.len();
        if self.size > most {
            self.pieces = Vec::new();
        } else {
            self.pieces.push(piece.clone());
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let Parts { facts, request, response } = self.parts.take();
        // Requests that no model was asked by have no facts.
        let Some(facts) = facts else { return };
        let exchange = Box::new(Exchange { facts, request, response });
        if self.log.queue.try_send(Entry::Exchange(exchange)).is_err() {
            self.log.counts.lost.add(1);
        }
    }
}

struct Writer {
    destination: Destination,
    redact: Redaction,
    counts: Arc<Counts>,
}

impl Writer {
    async fn run(mut self, mut entries: Receiver<Entry>) {
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            let waits = self.destination.next_write();
            let received = match waits {
                None => Some(entries.recv_many(&mut batch, BATCH).await),
                Some(left) => timeout(left, entries.recv_many(&mut batch, BATCH)).await.ok(),
            };
            let (mut exchanges, mut awaiting) = (Vec::new(), Vec::new());
            for entry in batch.drain(..) {
                match entry {
                    Entry::Exchange(exchange) => exchanges.push(*exchange),
                    Entry::Flush(told) => awaiting.push(told),
                }
            }
            self.write(exchanges).await;
            let is_last = received == Some(0);
            if is_last || received.is_none() || !awaiting.is_empty() {
                self.put().await;
            }
            for told in awaiting {
                // The other side may have stopped waiting.
                let _ = told.send(());
            }
            if is_last {
                return;
            }
            tokio::time::sleep(GATHER).await;
        }
    }

    /// Makes lines of records, off the workers' threads: redaction takes time in proportion to the bodies.
    async fn write(&mut self, exchanges: Vec<Exchange>) {
        if exchanges.is_empty() {
            return;
        }
        let count = u64::try_from(exchanges.len()).unwrap_or_default();
        let redact = self.redact.clone();
        let rendered = spawn_blocking(move || {
            let mut lines = String::new();
            for exchange in &exchanges {
                record::render(exchange, &redact, &mut lines);
            }
            lines
        });
        let written = match rendered.await {
            Ok(lines) => self.destination.write(lines, count).await,
            Err(_) => Err("a record could not be rendered".to_owned()),
        };
        self.told(written, count);
    }

    /// Puts what has gathered where the destination keeps it.
    async fn put(&mut self) {
        let waiting = self.destination.waiting();
        let put = self.destination.put().await;
        self.told(put, waiting);
    }

    fn told(&self, written: Result<u64, String>, count: u64) {
        match written {
            Ok(written) => self.counts.written.add(written),
            Err(error) => {
                self.counts.lost.add(count);
                log::error!("{count} records of the request log are lost: {error}");
            }
        }
    }
}

#[cfg(test)]
mod tests;
