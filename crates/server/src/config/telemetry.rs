//! The section on telemetry: the address of metrics, and the collector of traces. OpenTelemetry's variables set the
//! latter too.

use std::net::SocketAddr;
use std::time::Duration;

use routing::Thousandths;

use super::provenance::{Show, ValueOrigin};
use super::reader::ConfigReader;
use super::section::Section;
use super::{Config, Problem, Sources, parsers};
use crate::telemetry::request_log::{RedactedPattern, Redaction, RequestLogSettings};
#[cfg(feature = "otlp")]
use crate::telemetry::traces::export::{self, ExportSettings, Resource};
use bedrock::AccountSecret;

/// The variable that sets the address.
const LISTEN: &str = "OUTCROP_TELEMETRY_LISTEN";
/// Path of traces below a collector's address.
#[cfg(feature = "otlp")]
const PATH: &str = "/v1/traces";
const HEADERS: &str = "OTEL_EXPORTER_OTLP_HEADERS";

/// Settings of telemetry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TelemetrySettings {
    /// The address of metrics and probes, where they have one of their own.
    pub(crate) listen: Option<SocketAddr>,
    pub(crate) traces: TraceSettings,
    /// Content of requests and answers, kept for evaluations and audits.
    pub(crate) requests: RequestLogSettings,
}

/// Settings of traces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TraceSettings {
    /// Address of the collector; absent exports none.
    pub(crate) endpoint: Option<String>,
    /// Part of the requests that is sampled, where the caller does not decide.
    pub(crate) sample: Thousandths,
    /// The time in which traces gather before they are exported.
    pub(crate) delay: Duration,
    /// Headers of exported messages, as `name=value,name=value`.
    pub(crate) headers: Option<AccountSecret>,
    pub(crate) service_name: String,
    /// Further attributes of the process, as `name=value,name=value`.
    pub(crate) resource_attributes: Option<String>,
}

impl Default for TraceSettings {
    fn default() -> Self {
        Self {
            endpoint: None,
            sample: Thousandths(10),
            delay: Duration::from_secs(5),
            headers: None,
            service_name: "outcrop".to_owned(),
            resource_attributes: None,
        }
    }
}

#[cfg(feature = "otlp")]
impl TraceSettings {
    /// The settings of the exporting task; none without a collector.
    pub(crate) fn export(&self) -> Option<ExportSettings> {
        let endpoint = self.endpoint.as_deref()?.trim_end_matches('/');
        let url = match endpoint.ends_with(PATH) {
            true => endpoint.to_owned(),
            false => format!("{endpoint}{PATH}"),
        };
        // All were read with the configuration.
        let headers = self.headers.as_ref().and_then(|text| pairs(text.reveal()));
        let attributes = self.resource_attributes.as_deref().and_then(pairs);
        Some(ExportSettings {
            url: url.parse().ok()?,
            headers: export::headers(headers.unwrap_or_default())?,
            sample: self.sample.0,
            delay: self.delay,
            resource: Resource {
                service: self.service_name.clone(),
                attributes: attributes.unwrap_or_default(),
            },
        })
    }
}

/// Reads every key of the section.
pub(super) fn read(root: &mut Section<'_>, telemetry: &mut TelemetrySettings) {
    root.section("telemetry", |section| {
        section.set("listen", &mut telemetry.listen, |value| parsers::address(value).map(Some));
        read_requests(section, &mut telemetry.requests);
        let traces = &mut telemetry.traces;
        section.section("traces", |section| {
            let line = section.line("endpoint").unwrap_or(1);
            section
                .set("endpoint", &mut traces.endpoint, |value| parsers::endpoint(value).map(Some));
            if traces.endpoint.is_some() && !cfg!(feature = "otlp") {
                let message = "telemetry.traces: this build exports no traces".to_owned();
                section.reading.complain(line, message, "build with the feature otlp");
            }
            section.set("sample", &mut traces.sample, parsers::part);
            section.set("delay", &mut traces.delay, parsers::span);
            let line = section.line("headers").unwrap_or(1);
            traces.headers = section.secret("headers", "headers_file");
            if !traces.headers.as_ref().is_none_or(are_headers) {
                let message = "telemetry.traces.headers holds no headers".to_owned();
                section.reading.complain(line, message, "write name=value,name=value");
            }
            section.set("service_name", &mut traces.service_name, parsers::text);
            section.set("resource_attributes", &mut traces.resource_attributes, |value| {
                parsers::text(value).map(Some)
            });
        });
    });
}

fn read_requests(section: &mut Section<'_>, requests: &mut RequestLogSettings) {
    section.section("requests", |section| {
        let line = section.line("s3").unwrap_or(1);
        section.set("file", &mut requests.file, |value| parsers::path(value).map(Some));
        section.set("s3", &mut requests.s3, |value| parsers::s3_place(value).map(Some));
        if requests.file.is_some() && requests.s3.is_some() {
            let message = "telemetry.requests names a file and S3".to_owned();
            section.reading.complain(line, message, "leave one of them out");
        }
        section.set("sample", &mut requests.sample, parsers::part);
        section.set("max_kib", &mut requests.max_kib, parsers::count);
        let line = section.line("redact").unwrap_or(1);
        let patterns = section.optional("redact", parsers::names).unwrap_or_default();
        let mut parsed = Vec::with_capacity(patterns.len());
        for written in patterns {
            match RedactedPattern::parse(&written) {
                Ok(pattern) => parsed.push(pattern),
                Err(error) => section.reading.complain(
                    line,
                    format!("telemetry.requests.redact: {written:?} cannot be used: {error}"),
                    "name email, phone, card, ip, aws_key or api_key, or write a regular expression",
                ),
            }
        }
        requests.redact = Redaction(parsed.into());
    });
}

/// Applies the environment.
pub(super) fn apply(config: &mut Config, sources: &Sources, reading: &mut ConfigReader) {
    if let Some((name, value)) = sources.first_set(&[LISTEN]) {
        match value.trim().parse::<SocketAddr>() {
            Ok(listen) => {
                let origin = ValueOrigin::Environment(name.to_owned());
                reading.provenance.tell("telemetry.listen", listen.show(), origin);
                config.telemetry.listen = Some(listen);
            }
            Err(_) => reading.problems.add(Problem::general(
                format!("{name} is not an address"),
                "write an address and a port, such as 0.0.0.0:9091",
            )),
        }
    }
    apply_otel(&mut config.telemetry.traces, sources, reading);
}

/// Applies OpenTelemetry's variables. Those of a whole pod may be for its other programs, so what cannot be used is
/// noted.
fn apply_otel(traces: &mut TraceSettings, sources: &Sources, reading: &mut ConfigReader) {
    let of_traces = sources.first_set(&["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"]);
    let of_all = sources.first_set(&["OTEL_EXPORTER_OTLP_ENDPOINT"]);
    if let Some((name, value)) = of_traces.or(of_all) {
        let url = value.trim().trim_end_matches('/');
        if !cfg!(feature = "otlp") || !parsers::is_endpoint(url) {
            reading.notes.push(format!("{name}: no traces are exported: it is no http(s) address, or this build has no traces"));
        } else {
            let origin = ValueOrigin::Environment(name.to_owned());
            reading.provenance.tell("telemetry.traces.endpoint", url.to_owned().show(), origin);
            traces.endpoint = Some(url.to_owned());
        }
    }
    if let Some((headers, name)) = reading.secret_variable(HEADERS) {
        if are_headers(&headers) {
            let origin = ValueOrigin::Environment(name);
            reading.provenance.tell("telemetry.traces.headers", headers.show(), origin);
            traces.headers = Some(headers);
        } else {
            reading.notes.push(format!("{name} holds no headers and is not used"));
        }
    }
    for (name, key, place) in [
        ("OTEL_SERVICE_NAME", "service_name", &mut traces.service_name),
        (
            "OTEL_RESOURCE_ATTRIBUTES",
            "resource_attributes",
            traces.resource_attributes.get_or_insert_default(),
        ),
    ] {
        if let Some((name, value)) = sources.first_set(&[name]) {
            value.trim().clone_into(place);
            let origin = ValueOrigin::Environment(name.to_owned());
            reading.provenance.tell(&format!("telemetry.traces.{key}"), place.show(), origin);
        }
    }
    traces.resource_attributes = traces.resource_attributes.take().filter(|text| !text.is_empty());
    if let Some((name, value)) = sources.first_set(&["OTEL_BSP_SCHEDULE_DELAY"]) {
        match value.trim().parse::<u64>() {
            Ok(millis) if (1..=86_400_000).contains(&millis) => {
                let delay = Duration::from_millis(millis);
                let origin = ValueOrigin::Environment(name.to_owned());
                reading.provenance.tell("telemetry.traces.delay", delay.show(), origin);
                traces.delay = delay;
            }
            Ok(_) | Err(_) => {
                reading.notes.push(format!("{name} is no number of milliseconds and is not used"));
            }
        }
    }
    if let Some((name, value)) = sources.first_set(&["OTEL_TRACES_SAMPLER_ARG"]) {
        match value.trim().parse::<f64>() {
            Ok(part) if (0.0..=1.0).contains(&part) => {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "0 to 1000"
                )]
                let sample = Thousandths((part * 1_000.0).round() as u32);
                let origin = ValueOrigin::Environment(name.to_owned());
                reading.provenance.tell("telemetry.traces.sample", sample.show(), origin);
                traces.sample = sample;
            }
            Ok(_) | Err(_) => reading.notes.push(format!("{name} is no part of 1 and is not used")),
        }
    }
}

#[cfg(feature = "otlp")]
fn are_headers(text: &AccountSecret) -> bool {
    pairs(text.reveal()).and_then(export::headers).is_some()
}

#[cfg(not(feature = "otlp"))]
fn are_headers(text: &AccountSecret) -> bool {
    pairs(text.reveal()).is_some()
}

/// The pairs of `name=value,name=value`, with percent encoding in values.
fn pairs(text: &str) -> Option<Vec<(String, String)>> {
    let pairs = text.split(',').map(str::trim).filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=')?;
            let value = percent_encoding::percent_decode_str(value.trim()).decode_utf8().ok()?;
            Some((name.trim().to_owned(), value.into_owned()))
        })
        .collect()
}
