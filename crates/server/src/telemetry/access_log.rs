//! The access log: one line a request. Workers hand over the facts; a thread of its own makes lines of them and writes
//! them, a few milliseconds' worth at a time, so that a slow reader of the log holds up no request. Lines that find the
//! queue full are lost and counted.

use std::fmt::{self, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use access::Holder;
use actix_web::http::Method;
use log::Level;
use routing::{AttemptLog, HedgeResult};
use schema::openai::usage::CostUsd;
use tokio::sync::mpsc::{self, Receiver, Sender};

use crate::log::{self as format, ACCESS as TARGET, LogFormat, json_text};
use crate::request_id::RequestId;
use crate::telemetry::metrics::{CacheResult, Counter, Outcome};

/// Most lines that wait.
const QUEUE: usize = 8_192;
/// Most lines that are written at a time.
const BATCH: usize = 512;
/// The time in which lines gather.
const GATHER: Duration = Duration::from_millis(5);
/// Longest wait for the lines of a process that ends.
const LAST: Duration = Duration::from_secs(2);
/// Longest method, model and path of a line, in bytes.
const METHOD: usize = 32;
const TEXT: usize = 256;

/// Facts of a request.
#[derive(Debug)]
pub(crate) struct AccessLine {
    pub(crate) id: RequestId,
    pub(crate) route: &'static str,
    pub(crate) method: Method,
    /// Without the query, and without keys.
    pub(crate) path: String,
    pub(crate) model: String,
    pub(crate) status: u16,
    pub(crate) outcome: Outcome,
    pub(crate) error_code: Option<&'static str>,
    /// The holder of the caller's key.
    pub(crate) holder: Option<Arc<Holder>>,
    pub(crate) attempt_log: Option<AttemptLog>,
    pub(crate) input: u64,
    pub(crate) output: u64,
    pub(crate) cost: Option<CostUsd>,
    /// Calls of guardrails, and their units.
    pub(crate) guardrails: (u64, u64),
    /// Whether another call went on with the answer, which had broken off.
    pub(crate) is_continued: bool,
    /// The part that kept answers have in it.
    pub(crate) cache: Option<CacheResult>,
    pub(crate) first_byte: Option<Duration>,
    pub(crate) total: Duration,
    pub(crate) overhead: Duration,
    /// The id of its trace, if it is sampled.
    pub(crate) trace: Option<u128>,
}

enum Entry {
    Line(Box<AccessLine>),
    /// Answers when all lines before it are written.
    Flush(std::sync::mpsc::Sender<()>),
}

/// The queue and its thread, which start with the first line.
#[derive(Debug, Default)]
pub(crate) struct AccessLog {
    queue: OnceLock<Option<Sender<Entry>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// Whether lines are written at once, because the process ends.
    is_ending: AtomicBool,
    lost: Counter,
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Entry(..)")
    }
}

impl AccessLog {
    /// Whether its lines are written at all.
    pub(crate) fn is_on() -> bool {
        log::log_enabled!(target: TARGET, Level::Info)
    }

    /// Hands over a line.
    pub(crate) fn write(&self, line: AccessLine) {
        if self.is_ending.load(Ordering::Acquire) {
            return format::write_access_lines(&rendered(&line));
        }
        match self.queue.get_or_init(|| self.start()) {
            None => format::write_access_lines(&rendered(&line)),
            Some(queue) => {
                if queue.try_send(Entry::Line(Box::new(line))).is_err() {
                    self.lost.add(1);
                }
            }
        }
    }

    /// Lines that were lost.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.get()
    }

    /// Waits until the lines so far are written, for a while; those that follow are written at once.
    pub(crate) fn end(&self) {
        self.is_ending.store(true, Ordering::Release);
        let Some(Some(queue)) = self.queue.get() else { return };
        let (told, done) = std::sync::mpsc::channel();
        if queue.try_send(Entry::Flush(told)).is_ok() {
            // Lines that take longer are lost with the process.
            let _ = done.recv_timeout(LAST);
        }
    }

    fn start(&self) -> Option<Sender<Entry>> {
        let (queue, entries) = mpsc::channel(QUEUE);
        let thread = std::thread::Builder::new().name("access-log".to_owned());
        match thread.spawn(move || drain(entries)) {
            Ok(thread) => {
                *self.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
                Some(queue)
            }
            Err(error) => {
                log::warn!("the access log is written by the workers: {error}");
                None
            }
        }
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        drop(self.queue.take());
        let thread = self.thread.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(thread) = thread.take() {
            // A panic of the thread was logged.
            let _ = thread.join();
        }
    }
}

/// Writes lines until the queue is closed.
fn drain(mut entries: Receiver<Entry>) {
    let mut batch = Vec::with_capacity(BATCH);
    let mut lines = String::new();
    while entries.blocking_recv_many(&mut batch, BATCH) > 0 {
        let mut awaiting = Vec::new();
        for entry in batch.drain(..) {
            match entry {
                Entry::Line(line) => render(&line, &mut lines),
                Entry::Flush(told) => awaiting.push(told),
            }
        }
        format::write_access_lines(&lines);
        lines.clear();
        for told in &awaiting {
            // The other side may have stopped waiting.
            let _ = told.send(());
        }
        if awaiting.is_empty() {
            std::thread::sleep(GATHER);
        }
    }
}

fn rendered(line: &AccessLine) -> String {
    let mut lines = String::new();
    render(line, &mut lines);
    lines
}

/// Appends a line in the form of the log.
fn render(line: &AccessLine, lines: &mut String) {
    match format::format() {
        LogFormat::Text => format::push_access_line(&Text(line), lines),
        LogFormat::Json => format::push_access_line(&Members(line), lines),
    }
}

impl AccessLine {
    /// The line as the members of a JSON object.
    pub(crate) fn members(&self) -> String {
        Members(self).to_string()
    }

    fn attempts(&self) -> u32 {
        self.attempt_log.as_ref().map_or(0, |log| log.attempts)
    }

    /// The end of the second call, if the first was late.
    fn hedge(&self) -> Option<&'static str> {
        self.attempt_log.as_ref()?.hedge.map(HedgeResult::name)
    }

    fn target(&self) -> Option<&str> {
        self.attempt_log.as_ref().map(|log| &*log.target).filter(|target| !target.is_empty())
    }

    fn region(&self) -> Option<&str> {
        self.attempt_log.as_ref().map(|log| &*log.region).filter(|region| !region.is_empty())
    }

    fn key(&self) -> Option<&str> {
        self.holder.as_ref().map(|holder| holder.key.id.as_str())
    }
}

/// The line as text.
struct Text<'l>(&'l AccessLine);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = self.0;
        let (calls, units) = line.guardrails;
        write!(
            f,
            "{} {} method={:?} path={:?} model={:?} status={} outcome={} in={} out={} ms={} attempts={} guardrail_calls={calls} guardrail_units={units} cost_usd=",
            line.id.as_str(),
            line.route,
            bounded(line.method.as_str(), METHOD),
            bounded(&line.path, TEXT),
            bounded(&line.model, TEXT),
            line.status,
            line.outcome.name(),
            line.input,
            line.output,
            line.total.as_millis(),
            line.attempts(),
        )?;
        match line.cost {
            // 0 would be a claim.
            None => f.write_char('-')?,
            Some(cost) => write!(f, "{cost}")?,
        }
        let dash = |value: Option<&str>| value.unwrap_or("-").to_owned();
        write!(f, " overhead_ms={:.3}", millis(line.overhead))?;
        match line.first_byte {
            None => f.write_str(" first_byte_ms=-")?,
            Some(first) => write!(f, " first_byte_ms={}", first.as_millis())?,
        }
        let (key, error) = (dash(line.key()), line.error_code.unwrap_or("-"));
        write!(f, " key={key} target={} error={error}", dash(line.target()))?;
        if let Some(hedge) = line.hedge() {
            write!(f, " hedge={hedge}")?;
        }
        if let Some(cache) = line.cache {
            write!(f, " cache={}", cache.name())?;
        }
        if line.is_continued {
            f.write_str(" continued=true")?;
        }
        line.trace.map_or(Ok(()), |trace| write!(f, " trace={trace:032x}"))
    }
}

/// The line as the members of a JSON object.
struct Members<'l>(&'l AccessLine);

impl fmt::Display for Members<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = self.0;
        let (calls, units) = line.guardrails;
        write!(
            f,
            r#""request_id":"{}","route":"{}","method":{},"path":{},"model":{},"status":{},"outcome":"{}","#,
            line.id.as_str(),
            line.route,
            json_text(bounded(line.method.as_str(), METHOD)),
            json_text(bounded(&line.path, TEXT)),
            json_text(bounded(&line.model, TEXT)),
            line.status,
            line.outcome.name(),
        )?;
        for (name, value) in [
            ("error", line.error_code),
            ("key", line.key()),
            ("target", line.target()),
            ("region", line.region()),
        ] {
            match value {
                None => write!(f, r#""{name}":null,"#)?,
                Some(value) => write!(f, r#""{name}":{},"#, json_text(value))?,
            }
        }
        write!(
            f,
            r#""attempts":{},"input_tokens":{},"output_tokens":{},"guardrail_calls":{calls},"guardrail_units":{units},"cost_usd":"#,
            line.attempts(),
            line.input,
            line.output,
        )?;
        match line.cost {
            None => f.write_str("null")?,
            Some(cost) => write!(f, "{cost}")?,
        }
        match line.first_byte {
            None => f.write_str(r#","first_byte_ms":null"#)?,
            Some(first) => write!(f, r#","first_byte_ms":{:.3}"#, millis(first))?,
        }
        let (total, overhead) = (millis(line.total), millis(line.overhead));
        write!(f, r#","total_ms":{total:.3},"overhead_ms":{overhead:.3}"#)?;
        if let Some(hedge) = line.hedge() {
            write!(f, r#","hedge":"{hedge}""#)?;
        }
        if let Some(cache) = line.cache {
            write!(f, r#","cache":"{}""#, cache.name())?;
        }
        if line.is_continued {
            f.write_str(r#","continued":true"#)?;
        }
        line.trace.map_or(Ok(()), |trace| write!(f, r#","trace_id":"{trace:032x}""#))
    }
}

fn millis(span: Duration) -> f64 {
    span.as_secs_f64() * 1_000.0
}

/// At most the first `bytes` of a text.
fn bounded(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> AccessLine {
        AccessLine {
            id: RequestId::new(),
            route: "chat",
            method: Method::POST,
            path: "/v1/chat\u{2028}\"completions".to_owned(),
            model: "é".repeat(200),
            status: 200,
            outcome: Outcome::Complete,
            error_code: None,
            holder: None,
            attempt_log: Some(AttemptLog {
                target: "a.b@us-east-1".into(),
                region: "us-east-1".to_owned(),
                attempts: 2,
                hedge: Some(HedgeResult::Won),
                ..AttemptLog::default()
            }),
            input: 3,
            output: 4,
            cost: Some(CostUsd(1_500_000)),
            guardrails: (0, 0),
            is_continued: true,
            cache: Some(CacheResult::Miss),
            first_byte: Some(Duration::from_micros(1_500)),
            total: Duration::from_micros(2_500),
            overhead: Duration::from_micros(250),
            trace: Some(7),
        }
    }

    #[test]
    fn members_are_json_whatever_a_caller_writes() {
        let text = format!("{{{}}}", Members(&line()));
        assert!(!text.contains('\u{2028}'), "{text}");
        let read: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(read["path"], "/v1/chat\u{2028}\"completions");
        assert_eq!(read["model"], "é".repeat(128));
        assert_eq!(read["cost_usd"], 0.000_001_5);
        assert_eq!((&read["attempts"], &read["key"]), (&2.into(), &serde_json::Value::Null));
        assert_eq!((&read["hedge"], &read["cache"]), (&"won".into(), &"miss".into()));
        assert_eq!(read["trace_id"], "00000000000000000000000000000007");
        assert_eq!((&read["total_ms"], &read["overhead_ms"]), (&2.5.into(), &0.25.into()));
    }

    #[test]
    fn the_text_has_every_field_once() {
        let text = Text(&line()).to_string();
        for field in [
            "method=\"POST\"",
            "status=200",
            "outcome=complete",
            "in=3 ",
            "out=4 ",
            "ms=2 ",
            "attempts=2",
            "cost_usd=0.0000015",
            "overhead_ms=0.250",
            "first_byte_ms=1",
            "key=- ",
            "target=a.b@us-east-1",
            "error=-",
            "hedge=won",
            "cache=miss",
            "continued=true",
        ] {
            assert_eq!(text.matches(&format!(" {field}")).count(), 1, "{field} in {text}");
        }
    }

    #[test]
    fn the_end_waits_for_lines_and_a_closed_log_loses_none() {
        let access = AccessLog::default();
        for _ in 0..100 {
            access.write(line());
        }
        access.end();
        access.write(line());
        assert_eq!(access.lost(), 0);
    }
}
