//! Traces as OTLP's JSON. A request is a server's span; in it are its steps, and in the dispatch its attempts, which are
//! a client's spans with the attributes of the GenAI conventions. No span holds what a caller or a model wrote.

use std::time::{Duration, Instant, SystemTime};

use routing::{Attempt, AttemptCode};
use serde_json::{Map, Value, json};

use super::{EndedTrace, RequestStep};
use crate::telemetry::metrics::Outcome;
use crate::telemetry::metrics::exposition::{PROVIDER, operation};

/// Attributes of the process.
#[derive(Debug, Clone, Default)]
pub(crate) struct Resource {
    pub(crate) service: String,
    /// Further attributes, by name.
    pub(crate) attributes: Vec<(String, String)>,
}

/// Kinds of spans.
const INTERNAL: u8 = 1;
const SERVER: u8 = 2;
const CLIENT: u8 = 3;
/// The status of a span that failed.
const FAILED: u8 = 2;

/// The message with these traces.
pub(super) fn body(resource: &Resource, traces: &[EndedTrace]) -> String {
    let mut about = Attributes::default();
    about.text("service.name", &resource.service);
    about.text("service.version", env!("CARGO_PKG_VERSION"));
    for (name, value) in &resource.attributes {
        about.text(name, value);
    }
    let spans: Vec<Value> = traces.iter().flat_map(spans).collect();
    let scope = json!({ "name": "outcrop", "version": env!("CARGO_PKG_VERSION") });
    json!({
        "resourceSpans": [{
            "resource": { "attributes": about.0 },
            "scopeSpans": [{ "scope": scope, "spans": spans }],
        }],
    })
    .to_string()
}

#[derive(Default)]
struct Attributes(Vec<Value>);

impl Attributes {
    fn add(&mut self, name: &str, value: Value) {
        let pair = [("key".to_owned(), name.into()), ("value".to_owned(), value)];
        self.0.push(Value::Object(Map::from_iter(pair)));
    }

    fn text(&mut self, name: &str, value: &str) {
        if !value.is_empty() {
            self.add(name, json!({ "stringValue": value }));
        }
    }

    fn count(&mut self, name: &str, value: u64) {
        self.add(name, json!({ "intValue": value.to_string() }));
    }

    fn float(&mut self, name: &str, value: f64) {
        self.add(name, json!({ "doubleValue": value }));
    }
}

/// One span.
struct Span<'s> {
    id: u64,
    parent: Option<u64>,
    name: &'s str,
    kind: u8,
    /// Beginning and end.
    time: (Instant, Instant),
    attributes: Attributes,
    is_failed: bool,
}

fn spans(ended: &EndedTrace) -> Vec<Value> {
    let trace = &ended.trace;
    let written = |span: Span<'_>| written(ended, span);
    let mut spans = vec![written(root(ended))];
    let steps = trace.steps();
    let mut number = 0;
    for (at, (step, began)) in steps.iter().enumerate() {
        number += 1;
        let end = steps.get(at + 1).map_or(ended.ended, |(_, next)| *next);
        let id = trace.inner(number);
        spans.push(written(Span {
            id,
            parent: Some(trace.span),
            name: step.name(),
            kind: INTERNAL,
            time: (*began, end),
            attributes: Attributes::default(),
            is_failed: false,
        }));
        if *step != RequestStep::Dispatch {
            continue;
        }
        for attempt in ended.attempt_log.iter().flat_map(|log| &log.made) {
            number += 1;
            let name = attempt_name(ended, attempt);
            spans.push(written(Span {
                name: &name,
                ..of_attempt(ended, attempt, (trace.inner(number), id))
            }));
        }
    }
    spans
}

/// The span of the request.
fn root(ended: &EndedTrace) -> Span<'_> {
    let EndedTrace { trace, route, method, path, status, outcome, .. } = ended;
    let mut attributes = Attributes::default();
    attributes.text("http.request.method", method);
    attributes.text("url.path", path);
    attributes.count("http.response.status_code", (*status).into());
    attributes.text("outcrop.route", route);
    attributes.text("outcrop.request_id", &ended.request_id);
    attributes.text("outcrop.outcome", outcome.name());
    attributes.float("outcrop.overhead", ended.overhead.as_secs_f64());
    if let Some(cost) = ended.cost.and_then(|cost| cost.to_string().parse().ok()) {
        attributes.float("outcrop.cost_usd", cost);
    }
    if let Some(code) = ended.error_code {
        attributes.text("error.type", code);
    }
    Span {
        id: trace.span,
        parent: trace.parent,
        name: route,
        kind: SERVER,
        time: (trace.began, ended.ended),
        attributes,
        is_failed: *status >= 500 || matches!(outcome, Outcome::Broken | Outcome::Panicked),
    }
}

fn attempt_name(ended: &EndedTrace, attempt: &Attempt) -> String {
    format!("{} {}", operation(ended.route).unwrap_or("call"), model(&attempt.target))
}

/// The model of a target's name.
fn model(target: &str) -> &str {
    target.rsplit_once('@').map_or(target, |(model, _)| model)
}

/// The span of an attempt. That of the attempt which answered lasts until its answer has ended.
fn of_attempt<'e>(ended: &'e EndedTrace, attempt: &Attempt, (id, parent): (u64, u64)) -> Span<'e> {
    let mut attributes = Attributes::default();
    attributes.text("gen_ai.provider.name", PROVIDER);
    attributes.text("gen_ai.operation.name", operation(ended.route).unwrap_or_default());
    attributes.text("gen_ai.request.model", &ended.model);
    attributes.text("gen_ai.response.model", model(&attempt.target));
    if let Some(series) = &attempt.series {
        attributes.text("cloud.region", &series.region);
    }
    if let AttemptCode::Status(status) = attempt.code {
        attributes.count("http.response.status_code", status.into());
    }
    let is_answered = attempt.code == AttemptCode::ANSWERED;
    if !is_answered {
        attributes.text("error.type", &attempt.code.to_string());
    }
    let is_only = ended
        .attempt_log
        .iter()
        .flat_map(|log| &log.made)
        .filter(|other| other.code == AttemptCode::ANSWERED)
        .count()
        == 1;
    if let Some(usage) = ended.usage.filter(|_| is_answered && is_only) {
        let cached = usage.cache_read_input_tokens + usage.cache_write_input_tokens;
        attributes.count("gen_ai.usage.input_tokens", usage.input_tokens + cached);
        attributes.count("gen_ai.usage.output_tokens", usage.output_tokens);
        let read = usage.cache_read_input_tokens;
        attributes.count("gen_ai.usage.cache_read.input_tokens", read);
        let written = usage.cache_write_input_tokens;
        attributes.count("gen_ai.usage.cache_creation.input_tokens", written);
    }
    if let Some(first) = ended.first_event.filter(|_| is_answered) {
        let first = (ended.trace.began + first).saturating_duration_since(attempt.began);
        attributes.float("gen_ai.response.time_to_first_chunk", first.as_secs_f64());
    }
    let begun = attempt.began + attempt.took;
    let end = if is_answered { ended.ended.max(begun) } else { begun };
    let (kind, time) = (CLIENT, (attempt.began, end));
    Span { id, parent: Some(parent), name: "", kind, time, attributes, is_failed: !is_answered }
}

fn written(ended: &EndedTrace, span: Span<'_>) -> Value {
    let Span { id, parent, name, kind, time: (began, end), attributes, is_failed } = span;
    let nanos = |at: Instant| {
        let since = ended.trace.clock + at.saturating_duration_since(ended.trace.began);
        let since: Duration = since.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        since.as_nanos().to_string()
    };
    let mut fields = Map::new();
    let mut add = |name: &str, value: Value| fields.insert(name.to_owned(), value);
    add("traceId", format!("{:032x}", ended.trace.id).into());
    add("spanId", format!("{id:016x}").into());
    if let Some(parent) = parent {
        add("parentSpanId", format!("{parent:016x}").into());
    }
    add("name", name.into());
    add("kind", kind.into());
    add("startTimeUnixNano", nanos(began).into());
    add("endTimeUnixNano", nanos(end).into());
    add("attributes", attributes.0.into());
    if is_failed {
        add("status", json!({ "code": FAILED }));
    }
    Value::Object(fields)
}
