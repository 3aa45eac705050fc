//! Time of a request: the beginning of its answer, and the part of it that the gateway took itself.

use std::time::Duration;

use actix_web::http::header::{HeaderName, HeaderValue};

use super::RequestContext;

const OVERHEAD: HeaderName = HeaderName::from_static("x-outcrop-overhead-ms");
const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

impl RequestContext {
    /// The time until now, with the gateway's own part, as headers. The first use decides the part that is counted: what
    /// follows depends on how fast the client reads.
    pub(crate) fn timing(&self) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        let (total, overhead) = (self.started.elapsed(), self.overhead());
        let upstream = self.settlement.waited();
        let millis = |span: Duration| span.as_secs_f64() * 1_000.0;
        let timing = format!(
            "total;dur={:.3}, wait;dur={:.3}, overhead;dur={:.3}",
            millis(total),
            millis(upstream),
            millis(overhead)
        );
        let overhead = format!("{:.3}", millis(overhead));
        let headers = [(OVERHEAD, overhead), (SERVER_TIMING, timing)];
        headers
            .into_iter()
            .filter_map(|(name, value)| Some((name, HeaderValue::try_from(value).ok()?)))
    }

    /// The gateway's own part of the time until the answer began: all of it without the waits for the client's body, for
    /// linked media and for Bedrock, and without the pauses between attempts.
    pub(super) fn overhead(&self) -> Duration {
        if let Some(overhead) = self.overhead.get() {
            return overhead;
        }
        let paused = self.attempt_log.as_ref().map(|log| log.paused).unwrap_or_default();
        let waited = self.settlement.waited().saturating_add(paused);
        let overhead = self.started.elapsed().saturating_sub(waited);
        self.overhead.set(Some(overhead));
        overhead
    }

    /// Records that the head of a stream is about to be sent.
    pub(crate) fn streams(&mut self) {
        if let (false, Some(telemetry)) = (self.is_streaming, &self.telemetry) {
            telemetry.metrics.streams.up();
            self.is_streaming = true;
        }
    }

    /// Records the first event of a stream.
    pub(crate) fn first_event(&mut self) {
        if self.ttft.is_none() {
            self.ttft = Some(self.started.elapsed());
        }
    }
}
