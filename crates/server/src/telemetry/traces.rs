//! Traces: the steps and attempts of sampled requests as spans. A request that is not sampled costs one comparison; the
//! spans of one that is are made of its recorded times after it has ended, by a task that exports them.

#[cfg(feature = "otlp")]
pub(crate) mod export;
#[cfg(feature = "otlp")]
mod otlp_json;

use std::cell::RefCell;
use std::time::{Duration, Instant, SystemTime};

use actix_web::http::header::{HeaderMap, HeaderValue};
use routing::AttemptLog;
use schema::converse::response::TokenUsage;
use schema::openai::usage::CostUsd;
use tokio::sync::mpsc::{Sender, error::TrySendError};
use uuid::Uuid;

use crate::telemetry::metrics::{Counter, Outcome};

/// Carries the ids of a trace, as W3C's recommendation has it.
pub(crate) const TRACEPARENT: &str = "traceparent";

/// The steps of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RequestStep {
    Identify,
    Read,
    Admit,
    Media,
    Translate,
    Dispatch,
    Respond,
    Settle,
}

impl RequestStep {
    #[cfg(feature = "otlp")]
    fn name(self) -> &'static str {
        match self {
            Self::Identify => "identify",
            Self::Read => "read",
            Self::Admit => "admit",
            Self::Media => "media",
            Self::Translate => "translate",
            Self::Dispatch => "dispatch",
            Self::Respond => "respond",
            Self::Settle => "settle",
        }
    }
}

/// Chooses requests, and takes their traces to the task that exports them.
#[derive(Debug)]
pub(crate) struct Traces {
    /// Of 1000 requests without a trace of their caller's.
    sample: u32,
    queue: Sender<ToExport>,
    lost: Counter,
}

/// A message to the exporting task.
#[derive(Debug)]
pub(crate) enum ToExport {
    Trace(Box<EndedTrace>),
    /// Answers when all traces before it are exported.
    Flush(tokio::sync::oneshot::Sender<()>),
}

/// A sampled request.
#[derive(Debug)]
pub(crate) struct Trace {
    pub(crate) id: u128,
    /// The caller's span.
    pub(crate) parent: Option<u64>,
    /// The id of the request's span; those of the spans in it follow.
    pub(crate) span: u64,
    pub(crate) began: Instant,
    pub(crate) clock: SystemTime,
    /// The beginning of each step.
    steps: RefCell<Vec<(RequestStep, Instant)>>,
}

/// A sampled request that has ended.
#[derive(Debug)]
pub(crate) struct EndedTrace {
    pub(crate) trace: Trace,
    pub(crate) ended: Instant,
    pub(crate) request_id: String,
    pub(crate) route: &'static str,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) model: String,
    pub(crate) status: u16,
    pub(crate) outcome: Outcome,
    pub(crate) error_code: Option<&'static str>,
    pub(crate) attempt_log: Option<AttemptLog>,
    pub(crate) usage: Option<TokenUsage>,
    pub(crate) cost: Option<CostUsd>,
    pub(crate) first_event: Option<Duration>,
    pub(crate) overhead: Duration,
}

impl Traces {
    /// Takes this many of 1000 requests.
    #[cfg(feature = "otlp")]
    pub(crate) fn new(sample: u32, queue: Sender<ToExport>) -> Self {
        Self { sample, queue, lost: Counter::default() }
    }

    /// The trace of a request, if it is sampled: by the decision of its caller, else by chance.
    pub(crate) fn begin(&self, headers: &HeaderMap) -> Option<Box<Trace>> {
        let caller = headers.get(TRACEPARENT).and_then(|value| Caller::of(value.as_bytes()));
        let (id, parent) = match caller {
            Some(Caller { is_sampled: false, .. }) => return None,
            Some(Caller { id, span, is_sampled: true }) => (id, Some(span)),
            None if chance() >= u64::from(self.sample) => return None,
            None => (Uuid::now_v7().as_u128(), None),
        };
        let (_, span) = Uuid::now_v7().as_u64_pair();
        let began = Instant::now();
        let steps = RefCell::new(vec![(RequestStep::Identify, began)]);
        let clock = SystemTime::now();
        Some(Box::new(Trace { id, parent, span: span | 1 << 32, began, clock, steps }))
    }

    /// Takes the trace of a request that has ended; lost if the exporting task does not keep up.
    pub(crate) fn end(&self, ended: EndedTrace) {
        if self.queue.try_send(ToExport::Trace(Box::new(ended))).is_err() {
            self.lost.add(1);
        }
    }

    /// Traces that were lost.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.get()
    }

    /// Waits until the traces so far are exported, for a while.
    pub(crate) async fn flush(&self, patience: Duration) {
        let (told, done) = tokio::sync::oneshot::channel();
        match self.queue.try_send(ToExport::Flush(told)) {
            Ok(()) => {
                // Those that take longer are lost with the process.
                let _ = tokio::time::timeout(patience, done).await;
            }
            Err(TrySendError::Full(_) | TrySendError::Closed(_)) => {}
        }
    }
}

/// One of 1000 numbers.
fn chance() -> u64 {
    // The lower part of an id of version 7 is random.
    let (_, random) = Uuid::now_v7().as_u64_pair();
    random % 1_000
}

impl Trace {
    /// Begins a step, and ends the one before. A step that comes again goes on.
    pub(crate) fn step(&self, step: RequestStep) {
        let mut steps = self.steps.borrow_mut();
        if steps.last().is_none_or(|(last, _)| *last != step) {
            steps.push((step, Instant::now()));
        }
    }

    /// The steps with their beginnings.
    #[cfg(feature = "otlp")]
    fn steps(&self) -> Vec<(RequestStep, Instant)> {
        self.steps.borrow().clone()
    }

    /// The id of the n-th span in it.
    pub(crate) fn inner(&self, number: u32) -> u64 {
        self.span.wrapping_add(u64::from(number)).max(1)
    }

    /// The header for calls that belong to it.
    pub(crate) fn header(&self) -> Option<HeaderValue> {
        HeaderValue::try_from(format!("00-{:032x}-{:016x}-01", self.id, self.span)).ok()
    }
}

/// The caller's trace.
#[derive(Debug, PartialEq, Eq)]
struct Caller {
    id: u128,
    span: u64,
    is_sampled: bool,
}

impl Caller {
    /// The trace that a header names; none if it is malformed.
    fn of(header: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(header).ok()?.trim();
        let mut parts = text.split('-');
        let (version, id) = (parts.next()?, parts.next()?);
        let (span, flags) = (parts.next()?, parts.next()?);
        let is_hex = |text: &str, length| {
            let digits = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
            text.len() == length && text.bytes().all(digits)
        };
        // Later versions may have more parts; version ff is none.
        let is_known = version != "ff" && (version != "00" || parts.next().is_none());
        let is_formed =
            is_hex(version, 2) && is_hex(id, 32) && is_hex(span, 16) && is_hex(flags, 2);
        if !is_known || !is_formed {
            return None;
        }
        let id = u128::from_str_radix(id, 16).ok().filter(|id| *id != 0)?;
        let span = u64::from_str_radix(span, 16).ok().filter(|span| *span != 0)?;
        let flags = u8::from_str_radix(flags, 16).ok()?;
        Some(Self { id, span, is_sampled: flags & 1 == 1 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    #[test]
    fn the_callers_header_is_read_as_w3c_has_it() {
        let of = |text: String| Caller::of(text.as_bytes());
        let known = of(format!("00-{ID}-00f067aa0ba902b7-01")).unwrap();
        assert_eq!((known.span, known.is_sampled), (0x00f0_67aa_0ba9_02b7, true));
        assert!(!of(format!("00-{ID}-00f067aa0ba902b7-00")).unwrap().is_sampled);
        assert!(of(format!("cc-{ID}-00f067aa0ba902b7-01-what")).is_some());
        for bad in [
            String::new(),
            format!("00-{ID}-00f067aa0ba902b7"),
            format!("00-{ID}-00f067aa0ba902b7-01-more"),
            format!("ff-{ID}-00f067aa0ba902b7-01"),
            format!("00-{}-00f067aa0ba902b7-01", ID.to_uppercase()),
            format!("00-{ID}-0000000000000000-01"),
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01".to_owned(),
        ] {
            assert_eq!(of(bad.clone()), None, "{bad}");
        }
    }
}
