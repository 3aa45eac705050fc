//! Telemetry: counted values for `/metrics`, the access log, and traces. All of it is written once, when a request ends.

pub(crate) mod access_log;
pub(crate) mod metrics;
mod model_ends;
pub(crate) mod request_log;
#[cfg_attr(not(feature = "otlp"), allow(dead_code, reason = "only an exporter reads them"))]
pub(crate) mod traces;

use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use access_log::AccessLog;
use metrics::Metrics;
use model_ends::ModelEnds;
use request_log::RequestLog;
use traces::Traces;
#[cfg(feature = "otlp")]
use traces::export::{self, ExportSettings, Exporter};

/// Longest wait for the traces of a process that ends.
const LAST: Duration = Duration::from_secs(2);

/// Telemetry of the process; it survives reloads.
#[derive(Debug)]
pub(crate) struct Telemetry {
    pub(crate) metrics: Metrics,
    pub(crate) access_log: AccessLog,
    pub(crate) model_ends: ModelEnds,
    /// Empty unless the operator keeps one. It is opened after the accounts of AWS, which it may write to.
    pub(crate) request_log: OnceLock<Arc<RequestLog>>,
    /// Absent where none are exported.
    pub(crate) traces: Option<Traces>,
    #[cfg(feature = "otlp")]
    exporter: Option<Exporter>,
    /// The start of the process.
    pub(crate) started: SystemTime,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self {
            metrics: Metrics::default(),
            access_log: AccessLog::default(),
            model_ends: ModelEnds::default(),
            request_log: OnceLock::new(),
            traces: None,
            #[cfg(feature = "otlp")]
            exporter: None,
            started: SystemTime::now(),
        }
    }
}

impl Telemetry {
    /// Telemetry with traces, if there is a collector for them.
    ///
    /// # Errors
    /// The system's trust roots cannot be read.
    #[cfg(feature = "otlp")]
    pub(crate) fn start(settings: Option<ExportSettings>) -> std::io::Result<Self> {
        let (traces, exporter) = settings.map(export::start).transpose()?.unzip();
        Ok(Self { traces, exporter, ..Self::default() })
    }

    /// Traces that were exported, those that no collector took, and those that found the queue full.
    pub(crate) fn exported(&self) -> [u64; 3] {
        let lost = self.traces.as_ref().map(Traces::lost).unwrap_or_default();
        #[cfg(feature = "otlp")]
        if let Some(exporter) = &self.exporter {
            return [exporter.exported.sent.get(), exporter.exported.failed.get(), lost];
        }
        [0, 0, lost]
    }

    /// Writes what waits, before the process ends.
    pub(crate) async fn end(&self) {
        if let Some(traces) = &self.traces {
            traces.flush(LAST).await;
        }
        if let Some(log) = self.request_log.get() {
            log.end().await;
        }
        self.access_log.end();
    }
}
