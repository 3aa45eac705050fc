//! Every metric by its name. Names, labels and meanings stand in `docs/telemetry.md`, and a test compares them.

use std::fmt::{Error, Result};
use std::sync::Arc;
use std::time::SystemTime;

use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, EncodeLabelSet, NoLabelSet,
};
use prometheus_client::metrics::MetricType;
use routing::{FallbackReason, HealthState, HedgeResult, RetryReason};

use super::process::ProcessUse;
use super::scrape::Scrape;
use super::values::Histogram;
use super::{
    CacheResult, ContinuationResult, Metrics, Outcome, RequestSeries, STATUS_CLASSES,
    SettlementKind, batches,
};
use crate::panic_guard;

type Label<'l> = (&'static str, &'l str);

/// Writes metrics, each with all its series.
struct Writer<'e>(DescriptorEncoder<'e>);

impl Writer<'_> {
    fn counters<L: EncodeLabelSet, V: EncodeCounterValue>(
        &mut self,
        (name, help): (&str, &str),
        series: impl IntoIterator<Item = (L, V)>,
    ) -> Result {
        let mut encoder = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, value) in series {
            encoder.encode_family(&labels)?.encode_counter(&value, None::<&Unmarked>)?;
        }
        Ok(())
    }

    fn counter(&mut self, about: (&str, &str), value: u64) -> Result {
        let (name, help) = about;
        let mut encoder = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        encoder.encode_counter(&value, None::<&Unmarked>)
    }

    fn gauges<L: EncodeLabelSet, V: EncodeGaugeValue>(
        &mut self,
        (name, help): (&str, &str),
        series: impl IntoIterator<Item = (L, V)>,
    ) -> Result {
        let mut encoder = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (labels, value) in series {
            encoder.encode_family(&labels)?.encode_gauge(&value)?;
        }
        Ok(())
    }

    /// A gauge without labels; without a value it has a description only.
    fn gauge<V: EncodeGaugeValue>(&mut self, about: (&str, &str), value: Option<V>) -> Result {
        let (name, help) = about;
        let mut encoder = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        value.map_or(Ok(()), |value| encoder.encode_gauge(&value))
    }

    fn histograms<'h, L: EncodeLabelSet>(
        &mut self,
        (name, help): (&str, &str),
        series: impl IntoIterator<Item = (L, &'h Histogram)>,
    ) -> Result {
        let mut encoder = self.0.encode_descriptor(name, help, None, MetricType::Histogram)?;
        for (labels, histogram) in series {
            let (sum, count, buckets) = histogram.snapshot();
            let mut one = encoder.encode_family(&labels)?;
            one.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)?;
        }
        Ok(())
    }
}

/// The type of an exemplar; there are none.
type Unmarked = prometheus_client::metrics::exemplar::Exemplar<NoLabelSet, f64>;

/// Writes every metric.
pub(super) fn write(scrape: &Scrape, encoder: DescriptorEncoder<'_>) -> Result {
    let mut out = Writer(encoder);
    let metrics = &scrape.telemetry.metrics;
    requests(metrics, &mut out)?;
    usage(metrics, &mut out)?;
    upstream(metrics, scrape, &mut out)?;
    gateway(metrics, scrape, &mut out)?;
    stores(metrics, scrape, &mut out)?;
    process(scrape, &mut out)
}

fn requests(metrics: &Metrics, out: &mut Writer<'_>) -> Result {
    let all = metrics.requests.entries();
    let counts = all.iter().flat_map(|((route, model), series)| {
        let classes = STATUS_CLASSES.into_iter().zip(&series.counts);
        classes.flat_map(move |(class, counts)| {
            let ends = Outcome::ALL.into_iter().zip(counts);
            ends.filter(|(_, count)| count.get() > 0).map(move |(outcome, count)| {
                let model: Label<'_> = ("model", model);
                let status = ("status_class", class);
                ([("route", *route), model, status, ("outcome", outcome.name())], count.get())
            })
        })
    });
    out.counters(("outcrop_requests", "Requests that have ended"), counts)?;
    let of = |pick: fn(&RequestSeries) -> &Histogram| {
        all.iter().map(move |((route, model), series)| {
            ([("route", *route), ("model", &**model)], pick(series))
        })
    };
    let about = ("outcrop_request_duration_seconds", "Time from a request's head to its end");
    out.histograms(about, of(|series| &series.duration))?;
    let about = ("outcrop_time_to_first_token_seconds", "Time to the first event of a stream");
    out.histograms(about, of(|series| &series.first_token))?;
    let overheads = metrics.overheads.entries();
    let overheads = overheads.iter().map(|(route, series)| ([("route", *route)], &series.0));
    let about = (
        "outcrop_overhead_seconds",
        "Time until the answer begins, without the waits for the client's body, linked media and Bedrock",
    );
    out.histograms(about, overheads)?;
    let errors = metrics.errors.entries();
    let errors = errors.iter().map(|(code, count)| ([("code", *code)], count.get()));
    out.counters(("outcrop_errors", "Requests that ended with an error, by its code"), errors)?;
    let ignored = metrics.ignored.entries();
    let ignored = ignored.iter().map(|(name, count)| ([("parameter", *name)], count.get()));
    let about = ("outcrop_ignored_parameters", "Parameters of requests that had no effect");
    out.counters(about, ignored)?;
    gen_ai(&all, out)
}

type RequestEntry = ((&'static str, Arc<str>), Arc<RequestSeries>);

/// The same by OpenTelemetry's names.
fn gen_ai(all: &[RequestEntry], out: &mut Writer<'_>) -> Result {
    let models: Vec<_> = all
        .iter()
        .filter_map(|((route, model), series)| {
            let operation = ("gen_ai_operation_name", operation(route)?);
            let provider = ("gen_ai_provider_name", PROVIDER);
            Some(([operation, provider, ("gen_ai_request_model", &**model)], series))
        })
        .collect();
    let of = |pick: fn(&RequestSeries) -> &Histogram| {
        models.iter().map(move |(labels, series)| (*labels, pick(series)))
    };
    // Several routes have one operation.
    let routes: Vec<_> = all.iter().filter(|((route, _), _)| operation(route).is_some()).collect();
    let named = |pick: fn(&RequestSeries) -> &Histogram| {
        of(pick).zip(&routes).map(|((labels, histogram), ((route, _), _))| {
            ((labels, [("route", *route)]), histogram)
        })
    };
    let about = ("gen_ai_server_request_duration", "Duration of requests for models, in seconds");
    out.histograms(about, named(|series| &series.duration))?;
    let about = ("gen_ai_server_time_to_first_token", "Time to the first event, in seconds");
    out.histograms(about, named(|series| &series.first_token))?;
    let about = (
        "gen_ai_server_time_per_output_token",
        "Time of each token after the first event of a stream, in seconds",
    );
    out.histograms(about, named(|series| &series.token_time))?;
    let tokens =
        named(|series| &series.input)
            .map(|(labels, histogram)| ((labels, [("gen_ai_token_type", "input")]), histogram))
            .chain(named(|series| &series.output).map(|(labels, histogram)| {
                ((labels, [("gen_ai_token_type", "output")]), histogram)
            }));
    out.histograms(("gen_ai_client_token_usage", "Tokens of a request"), tokens)
}

/// The provider by OpenTelemetry's name.
pub(crate) const PROVIDER: &str = "aws.bedrock";

/// The operation of a route by OpenTelemetry's name, if it is one.
pub(crate) fn operation(route: &str) -> Option<&'static str> {
    match route {
        "chat" | "messages" | "responses" => Some("chat"),
        "completions" => Some("text_completion"),
        "embeddings" => Some("embeddings"),
        _ => None,
    }
}

#[expect(clippy::cast_precision_loss, reason = "the exposition has floats only")]
fn usage(metrics: &Metrics, out: &mut Writer<'_>) -> Result {
    let models = metrics.models.entries();
    let tokens = models.iter().flat_map(|(model, series)| {
        let kinds = [
            ("input", &series.input),
            ("output", &series.output),
            ("cache_read", &series.cache_read),
            ("cache_write", &series.cache_write),
        ];
        kinds.map(|(kind, count)| ([("model", &**model), ("type", kind)], count.get()))
    });
    out.counters(("outcrop_tokens", "Tokens; those of caches are not among the input"), tokens)?;
    let spend = models
        .iter()
        .map(|(model, series)| ([("model", &**model)], series.spend.get() as f64 / 1e12));
    out.counters(("outcrop_spend_usd", "Cost of calls of models in US dollars"), spend)?;
    let unpriced =
        models.iter().map(|(model, series)| ([("model", &**model)], series.unpriced.get()));
    let about = ("outcrop_unpriced_requests", "Requests whose cost is not known");
    out.counters(about, unpriced)?;
    let ending = metrics.ending.entries();
    let ending = ending.iter().map(|(model, count)| ([("model", &**model)], count.get()));
    let about =
        ("outcrop_ending_model_requests", "Requests to models near or past the end of their lives");
    out.counters(about, ending)?;
    let about = ("outcrop_guardrail_calls", "Calls of guardrails besides those of models");
    out.counter(about, metrics.guardrail_calls.get())?;
    let about = ("outcrop_guardrail_units", "Text units that those calls used");
    out.counter(about, metrics.guardrail_units.get())
}

fn upstream(metrics: &Metrics, scrape: &Scrape, out: &mut Writer<'_>) -> Result {
    let calls = metrics.upstream.entries();
    let codes: Vec<String> = calls.iter().map(|((_, code), _)| code.to_string()).collect();
    let calls = calls.iter().zip(&codes).map(|(((target, _), count), code)| {
        let model: Label<'_> = ("model", &target.model);
        ([model, ("region", &target.region), ("code", code)], count.get())
    });
    let about = ("outcrop_upstream_requests", "Attempts at targets, by their result");
    out.counters(about, calls)?;
    let targets = metrics.targets.entries();
    let waits = targets.iter().map(|(target, metrics)| {
        let model: Label<'_> = ("model", &target.model);
        ([model, ("region", &target.region)], &metrics.0)
    });
    let about = ("outcrop_upstream_duration_seconds", "Time until a target's answer begins");
    out.histograms(about, waits)?;
    let retries = RetryReason::ALL.iter().zip(&metrics.retries);
    let retries = retries.map(|(reason, count)| ([("reason", reason.name())], count.get()));
    out.counters(("outcrop_retries", "Further attempts at targets of the same name"), retries)?;
    let fallbacks = FallbackReason::ALL.iter().zip(&metrics.fallbacks);
    let fallbacks = fallbacks.map(|(reason, count)| ([("reason", reason.name())], count.get()));
    out.counters(("outcrop_fallbacks", "Further attempts at fallbacks"), fallbacks)?;
    let hedges = HedgeResult::ALL.iter().zip(&metrics.hedges);
    let hedges = hedges.map(|(end, count)| ([("result", end.name())], count.get()));
    let continuations = ContinuationResult::ALL.iter().zip(&metrics.continuations);
    let continuations = continuations.map(|(end, count)| ([("result", end.name())], count.get()));
    let about = ("outcrop_continuations", "Streams that broke off and could be continued");
    out.counters(about, continuations)?;
    out.counters(("outcrop_hedges", "Second calls beside late ones"), hedges)?;
    let labelled = || {
        scrape.targets.iter().map(|(target, state)| {
            let model: Label<'_> = ("model", &target.model);
            ([model, ("region", &target.region)], state)
        })
    };
    let states = labelled().map(|(labels, (standing, _))| (labels, level(*standing)));
    let about = (
        "outcrop_breaker_state",
        "State of a target: 0 healthy, 1 to be probed, 2 throttled, 3 open",
    );
    out.gauges(about, states)?;
    let calls = labelled().map(|(labels, (_, calls))| (labels, *calls));
    out.gauges(("outcrop_target_in_flight", "Calls of a target in flight"), calls)?;
    let ends = scrape.credentials.iter();
    let ends = ends.map(|(region, left)| ([("region", region.as_str())], *left));
    let about = ("outcrop_credentials_expiry_seconds", "Time until the AWS credentials expire");
    out.gauges(about, ends)
}

fn level(standing: HealthState) -> u32 {
    match standing {
        HealthState::Healthy => 0,
        HealthState::Probing => 1,
        HealthState::Throttled => 2,
        HealthState::Open => 3,
    }
}

fn gateway(metrics: &Metrics, scrape: &Scrape, out: &mut Writer<'_>) -> Result {
    let about = ("outcrop_in_flight", "Requests that have begun and not ended");
    out.gauge(about, Some(metrics.in_flight.get()))?;
    let about = ("outcrop_streams_active", "Streams whose head was sent and that have not ended");
    out.gauge(about, Some(metrics.streams.get()))?;
    let shed = scrape.shed.map(|(reason, count)| ([("reason", reason)], count));
    let ended = batches::ENDS.into_iter().zip(&metrics.batches.ended);
    let ended = ended.map(|(status, count)| ([("status", status)], count.get()));
    out.counters(("outcrop_batches", "Batches that have ended, by status"), ended)?;
    let lines = batches::LINES.into_iter().zip(&metrics.batches.lines);
    let lines = lines.map(|(end, count)| ([("end", end)], count.get()));
    out.counters(("outcrop_batch_lines", "Lines of batches that have ended"), lines)?;
    out.counters(("outcrop_shed", "Calls that were refused because of overload"), shed)?;
    out.gauge(
        ("outcrop_ready", "Whether the gateway wants traffic"),
        Some(u32::from(scrape.is_ready)),
    )?;
    out.counter(("outcrop_panics", "Panics that were caught"), panic_guard::count())?;
    let reloads = ["applied", "refused"].into_iter().zip(&metrics.reloads);
    let reloads = reloads.map(|(result, count)| ([("result", result)], count.get()));
    out.counters(
        ("outcrop_config_reloads", "Readings of the configuration after the start"),
        reloads,
    )?;
    let reloaded = metrics.reloaded.load(std::sync::atomic::Ordering::Relaxed);
    let about = (
        "outcrop_config_last_reload_timestamp_seconds",
        "Time at which a configuration was put in force after the start",
    );
    out.gauge(about, (reloaded > 0).then_some(reloaded))?;
    let mut build = out.0.encode_descriptor(
        "outcrop_build",
        "The version of the gateway",
        None,
        MetricType::Info,
    )?;
    build.encode_info(&[("version", env!("CARGO_PKG_VERSION"))])
}

fn stores(metrics: &Metrics, scrape: &Scrape, out: &mut Writer<'_>) -> Result {
    let accounts = scrape.accounts;
    let state = accounts.map(|accounts| u32::from(!accounts.is_store_away));
    out.gauge(("outcrop_store_up", "Whether the store of accounts could be written last"), state)?;
    let calls = accounts.map(|accounts| accounts.calls);
    let about = ("outcrop_ledger_calls_open", "Calls between reservation and written settlement");
    out.gauge(about, calls)?;
    let shared = accounts.and_then(|accounts| accounts.shares_rates).map(u32::from);
    let about = ("outcrop_redis_up", "Whether the Redis of shared rate limits can be reached");
    out.gauge(about, shared)?;
    let settled = SettlementKind::ALL.iter().zip(&metrics.settlements);
    let settled = settled.map(|(kind, count)| ([("outcome", kind.name())], count.get()));
    out.counters(("outcrop_settlements", "Reservations of calls that have ended"), settled)?;
    let sizes = scrape.memory;
    let entries = sizes.iter().map(|(part, (entries, _))| ([("part", *part)], *entries));
    let about = ("outcrop_reasoning_store_entries", "Entries of the local reasoning store");
    out.gauges(about, counted(entries)?)?;
    let bytes = sizes.iter().map(|(part, (_, bytes))| ([("part", *part)], *bytes));
    let about = ("outcrop_reasoning_store_bytes", "Bytes of the local reasoning store");
    out.gauges(about, counted(bytes)?)?;
    let lookups = ["found", "missing"].into_iter().zip(scrape.lookups);
    let lookups = lookups.map(|(result, count)| ([("result", result)], count));
    let about = (
        "outcrop_reasoning_store_lookups",
        "Tool calls whose reasoning was looked for in the local store",
    );
    out.counters(about, lookups)?;
    let results = CacheResult::ALL.into_iter().zip(&metrics.cache);
    let results = results.map(|(result, count)| ([("result", result.name())], count.get()));
    out.counters(("outcrop_response_cache", "Requests that looked for a kept answer"), results)?;
    let (entries, bytes) = scrape.answers;
    let size = |size| u64::try_from(size).map_err(|_| Error).map(Some);
    let about = ("outcrop_response_cache_entries", "Answers that are kept in memory");
    out.gauge(about, size(entries)?)?;
    let about = ("outcrop_response_cache_bytes", "Bytes of answers that are kept in memory");
    out.gauge(about, size(bytes)?)
}

/// Sizes as gauges.
fn counted<L>(
    sizes: impl Iterator<Item = (L, usize)>,
) -> std::result::Result<Vec<(L, u64)>, Error> {
    sizes.map(|(labels, size)| Ok((labels, u64::try_from(size).map_err(|_| Error)?))).collect()
}

fn process(scrape: &Scrape, out: &mut Writer<'_>) -> Result {
    let used = ProcessUse::now();
    let about = ("process_cpu_seconds", "User and system time");
    let cpu = used.cpu_seconds;
    let mut encoder = out.0.encode_descriptor(about.0, about.1, None, MetricType::Counter)?;
    if let Some(cpu) = cpu {
        encoder.encode_counter(&cpu, None::<&Unmarked>)?;
    }
    out.gauge(("process_resident_memory_bytes", "Resident memory"), used.resident_bytes)?;
    out.gauge(("process_open_fds", "Open files and sockets"), used.open_files)?;
    let lost = scrape.telemetry.access_log.lost();
    let about = ("outcrop_access_log_lost", "Lines of the access log that could not be written");
    out.counter(about, lost)?;
    let written = scrape.telemetry.request_log.get().map(|log| log.counts()).unwrap_or_default();
    let written = ["written", "lost"].into_iter().zip(written);
    let written = written.map(|(result, count)| ([("result", result)], count));
    out.counters(
        ("outcrop_request_log", "Records of the request log, by what became of them"),
        written,
    )?;
    let traces = ["exported", "failed", "dropped"].into_iter().zip(scrape.telemetry.exported());
    let traces = traces.map(|(result, count)| ([("result", result)], count));
    out.counters(("outcrop_traces", "Traces, by what became of them"), traces)?;
    out.gauge(("process_threads", "Threads"), used.threads)?;
    let started = scrape.telemetry.started.duration_since(SystemTime::UNIX_EPOCH);
    let started = started.ok().map(|since| since.as_secs_f64());
    out.gauge(("process_start_time_seconds", "Start, in seconds since 1970"), started)
}
