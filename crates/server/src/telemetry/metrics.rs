//! Counted values of requests, by labels from closed sets: routes and outcomes of the code, names of models that the
//! operator or the catalogue knows, and codes of errors. What callers write never becomes a label.

mod batches;
pub(crate) mod exposition;
mod ignored;
mod process;
pub(crate) mod scrape;
mod values;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use routing::{
    AttemptCode, AttemptLog, Continuation, FallbackReason, HedgeResult, OTHER, RetryReason,
    TargetSeries,
};
use schema::converse::response::TokenUsage;
use schema::openai::usage::CostUsd;

pub(crate) use values::Counter;
use values::{Buckets, Gauge, Histogram, SeriesTable};

/// Units of durations in a second.
const MICROS: f64 = 1_000_000.0;
/// From 10 ms to 164 s by powers of two, as the GenAI conventions have them, and 328 and 655 s.
static DURATIONS: Buckets = Buckets {
    bounds: &[
        10_000,
        20_000,
        40_000,
        80_000,
        160_000,
        320_000,
        640_000,
        1_280_000,
        2_560_000,
        5_120_000,
        10_240_000,
        20_480_000,
        40_960_000,
        81_920_000,
        163_840_000,
        327_680_000,
        655_360_000,
    ],
    scale: MICROS,
};
/// From 100 µs to 1 s.
static OVERHEADS: Buckets = Buckets {
    bounds: &[
        100, 200, 300, 500, 750, 1_000, 1_500, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000,
        250_000, 1_000_000,
    ],
    scale: MICROS,
};
/// Powers of four, as the GenAI conventions have them.
static TOKENS: Buckets = Buckets {
    bounds: &[
        1, 4, 16, 64, 256, 1_024, 4_096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304, 16_777_216,
        67_108_864,
    ],
    scale: 1.0,
};
/// The time of one token of output, from 1 ms to 4 s.
static TOKEN_TIMES: Buckets = Buckets {
    bounds: &[
        1_000, 2_500, 5_000, 10_000, 15_000, 20_000, 30_000, 40_000, 50_000, 75_000, 100_000,
        250_000, 500_000, 1_000_000, 4_000_000,
    ],
    scale: MICROS,
};

/// Names of classes of status.
pub(super) const STATUS_CLASSES: [&str; 4] = ["2xx", "3xx", "4xx", "5xx"];

/// The model of requests that name none.
const NONE: &str = "none";

/// The end of a request, in metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The client disconnected; applies unless another outcome is set.
    ClientClosed,
    /// Answered in full.
    Complete,
    /// Answered with an error status.
    Refused,
    /// A stream that ended in an error.
    Broken,
    /// Cut off by the end of the process.
    Shutdown,
    /// A panic ended it.
    Panicked,
}

impl Outcome {
    /// All of them, in the order of their positions.
    pub(crate) const ALL: [Self; 6] = [
        Self::ClientClosed,
        Self::Complete,
        Self::Refused,
        Self::Broken,
        Self::Shutdown,
        Self::Panicked,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::ClientClosed => "client_closed",
            Self::Complete => "complete",
            Self::Refused => "refused",
            Self::Broken => "broken",
            Self::Shutdown => "shutdown",
            Self::Panicked => "panicked",
        }
    }
}

/// The end of a reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SettlementKind {
    /// By the usage that the model told.
    Settled,
    /// By an estimate, because the answer was cut off.
    Estimated,
    /// It cost nothing.
    Void,
    /// The whole reservation is taken for spent.
    Assumed,
}

impl SettlementKind {
    pub(super) const ALL: [Self; 4] = [Self::Settled, Self::Estimated, Self::Void, Self::Assumed];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Settled => "settled",
            Self::Estimated => "estimated",
            Self::Void => "void",
            Self::Assumed => "assumed",
        }
    }
}

/// Results of reading the configuration again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReloadResult {
    /// It is in force.
    Applied,
    /// The one before stays in force.
    Refused,
}

/// A request that has ended.
#[derive(Debug)]
pub(crate) struct EndedRequest<'r> {
    pub(crate) route: &'static str,
    /// The name of its model in metrics, once resolved.
    pub(crate) series: Option<&'r Arc<str>>,
    pub(crate) names_model: ModelNamed,
    pub(crate) status: u16,
    pub(crate) outcome: Outcome,
    pub(crate) error_code: Option<&'static str>,
    pub(crate) total: Duration,
    pub(crate) overhead: Duration,
    /// The time to the first event of a stream.
    pub(crate) first_token: Option<Duration>,
    pub(crate) usage: Option<TokenUsage>,
    pub(crate) cost: Option<CostUsd>,
    pub(crate) attempt_log: Option<&'r AttemptLog>,
    pub(crate) guardrails: (u64, u64),
    pub(crate) cache: Option<CacheResult>,
}

/// The end of an attempt to continue a stream that broke off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ContinuationResult {
    /// Another call goes on with it.
    Continued,
    /// No other target answered.
    Failed,
    /// A limit of the caller has no room for another call.
    Refused,
    /// The name has no other target.
    NoTarget,
}

impl ContinuationResult {
    pub(super) const ALL: [Self; 4] =
        [Self::Continued, Self::Failed, Self::Refused, Self::NoTarget];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Continued => "continued",
            Self::Failed => "failed",
            Self::Refused => "refused",
            Self::NoTarget => "no_target",
        }
    }
}

/// The part that kept answers have in a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CacheResult {
    /// Its answer was kept.
    Hit,
    /// None was kept.
    Miss,
}

impl CacheResult {
    pub(super) const ALL: [Self; 2] = [Self::Hit, Self::Miss];

    /// Its name in metrics, headers and logs.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
        }
    }
}

/// Whether a request names a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ModelNamed {
    Yes,
    No,
}

/// All counted values.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    requests: SeriesTable<(&'static str, Arc<str>), RequestSeries>,
    overheads: SeriesTable<&'static str, OverheadSeries>,
    models: SeriesTable<Arc<str>, ModelSeries>,
    targets: SeriesTable<Arc<TargetSeries>, TargetMetrics>,
    upstream: SeriesTable<(Arc<TargetSeries>, AttemptCode), Counter>,
    retries: [Counter; RetryReason::ALL.len()],
    fallbacks: [Counter; FallbackReason::ALL.len()],
    hedges: [Counter; HedgeResult::ALL.len()],
    cache: [Counter; CacheResult::ALL.len()],
    continuations: [Counter; ContinuationResult::ALL.len()],
    errors: SeriesTable<&'static str, Counter>,
    ignored: SeriesTable<&'static str, Counter>,
    /// Batches that have ended.
    pub(crate) batches: batches::BatchCounts,
    ending: SeriesTable<Arc<str>, Counter>,
    guardrail_calls: Counter,
    guardrail_units: Counter,
    settlements: [Counter; SettlementKind::ALL.len()],
    pub(crate) in_flight: Gauge,
    pub(crate) streams: Gauge,
    reloads: [Counter; 2],
    /// Seconds since 1970.
    reloaded: AtomicU64,
}

#[derive(Debug)]
struct RequestSeries {
    counts: [[Counter; Outcome::ALL.len()]; STATUS_CLASSES.len()],
    duration: Histogram,
    first_token: Histogram,
    token_time: Histogram,
    input: Histogram,
    output: Histogram,
}

impl Default for RequestSeries {
    fn default() -> Self {
        Self {
            counts: Default::default(),
            duration: Histogram::of(&DURATIONS),
            first_token: Histogram::of(&DURATIONS),
            token_time: Histogram::of(&TOKEN_TIMES),
            input: Histogram::of(&TOKENS),
            output: Histogram::of(&TOKENS),
        }
    }
}

#[derive(Debug)]
struct OverheadSeries(Histogram);

impl Default for OverheadSeries {
    fn default() -> Self {
        Self(Histogram::of(&OVERHEADS))
    }
}

/// Tokens and money of a model.
#[derive(Debug, Default)]
struct ModelSeries {
    input: Counter,
    output: Counter,
    cache_read: Counter,
    cache_write: Counter,
    /// In picodollars.
    spend: Counter,
    unpriced: Counter,
}

#[derive(Debug)]
struct TargetMetrics(Histogram);

impl Default for TargetMetrics {
    fn default() -> Self {
        Self(Histogram::of(&DURATIONS))
    }
}

impl Metrics {
    /// Counts a request at its end.
    pub(crate) fn ended(&self, ended: &EndedRequest<'_>) {
        let of_none = || Arc::from(if ended.names_model == ModelNamed::Yes { OTHER } else { NONE });
        let model = ended.series.map_or_else(of_none, Arc::clone);
        let (outcome, class) = (ended.outcome as usize, usize::from(ended.status / 100));
        let class = class.clamp(2, STATUS_CLASSES.len() + 1) - 2;
        let key = (ended.route, Arc::clone(&model));
        let rest = || (ended.route, Arc::from(OTHER));
        self.requests.with(&key, rest, |series| {
            if let Some(count) = series.counts.get(class).and_then(|counts| counts.get(outcome)) {
                count.add(1);
            }
            series.duration.observe(micros(ended.total));
            if let Some(first) = ended.first_token {
                series.first_token.observe(micros(first));
            }
            let Some(usage) = ended.usage else { return };
            series.input.observe(all_input(usage));
            series.output.observe(usage.output_tokens);
            // The first token is no time between two.
            if let Some(first) = ended.first_token
                && usage.output_tokens > 1
            {
                let rest = micros(ended.total.saturating_sub(first));
                series.token_time.observe(rest / (usage.output_tokens - 1));
            }
        });
        self.overheads.with(
            &ended.route,
            || ended.route,
            |series| {
                series.0.observe(micros(ended.overhead));
            },
        );
        if let Some(usage) = ended.usage {
            self.models.with(
                &model,
                || Arc::from(OTHER),
                |series| {
                    series.count(usage, ended.cost);
                },
            );
        }
        if let Some(code) = ended.error_code {
            self.errors.with(&code, || OTHER, |count| count.add(1));
        }
        if ended.attempt_log.is_some_and(|log| log.end.is_some()) {
            self.ending.with(&model, || Arc::from(OTHER), |count| count.add(1));
        }
        if let Some(count) = ended.cache.and_then(|result| self.cache.get(result as usize)) {
            count.add(1);
        }
        let (calls, units) = ended.guardrails;
        self.guardrail_calls.add(calls);
        self.guardrail_units.add(units);
        if let Some(log) = ended.attempt_log {
            self.attempts(log);
        }
    }

    fn attempts(&self, log: &AttemptLog) {
        if let Some(count) = log.hedge.and_then(|end| self.hedges.get(end as usize)) {
            count.add(1);
        }
        for attempt in &log.made {
            if let Some(series) = &attempt.series {
                let other = || Arc::new(TargetSeries { model: OTHER.into(), region: OTHER.into() });
                let rest = || (other(), attempt.code);
                let key = (Arc::clone(series), attempt.code);
                self.upstream.with(&key, rest, |count| count.add(1));
                if attempt.code == AttemptCode::ANSWERED {
                    self.targets.with(series, other, |target| {
                        target.0.observe(micros(attempt.took));
                    });
                }
            }
            let count = match attempt.then {
                None => None,
                Some(Continuation::Retry(reason)) => self.retries.get(reason as usize),
                Some(Continuation::Fallback(reason)) => {
                    let at = FallbackReason::ALL.iter().position(|known| *known == reason);
                    at.and_then(|at| self.fallbacks.get(at))
                }
            };
            if let Some(count) = count {
                count.add(1);
            }
        }
    }

    /// Counts the estimated usage of a call that was given up for another's answer.
    pub(crate) fn given_up(
        &self,
        model: Option<&Arc<str>>,
        usage: TokenUsage,
        cost: Option<CostUsd>,
    ) {
        let model = model.map_or_else(|| Arc::from(OTHER), Arc::clone);
        self.models.with(&model, || Arc::from(OTHER), |series| series.count(usage, cost));
    }

    /// Counts an attempt to continue a stream.
    pub(crate) fn continued(&self, result: ContinuationResult) {
        if let Some(count) = self.continuations.get(result as usize) {
            count.add(1);
        }
    }

    /// Counts the end of a reservation.
    pub(crate) fn settled(&self, kind: SettlementKind) {
        if let Some(count) = self.settlements.get(kind as usize) {
            count.add(1);
        }
    }

    /// Counts parameters that had no effect.
    pub(crate) fn ignored(&self, names: &[String]) {
        for name in names {
            self.ignored.with(&ignored::label(name), || OTHER, |count| count.add(1));
        }
    }

    /// Counts an attempt to read the configuration again.
    pub(crate) fn reloaded(&self, result: ReloadResult) {
        if let Some(count) = self.reloads.get(result as usize) {
            count.add(1);
        }
        if result == ReloadResult::Applied {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
            self.reloaded.store(now.unwrap_or_default().as_secs(), Ordering::Relaxed);
        }
    }
}

impl ModelSeries {
    fn count(&self, usage: TokenUsage, cost: Option<CostUsd>) {
        self.input.add(usage.input_tokens);
        self.output.add(usage.output_tokens);
        self.cache_read.add(usage.cache_read_input_tokens);
        self.cache_write.add(usage.cache_write_input_tokens);
        match cost {
            Some(cost) => self.spend.add(cost.0),
            None => self.unpriced.add(1),
        }
    }
}

fn all_input(usage: TokenUsage) -> u64 {
    let cached = usage.cache_read_input_tokens.saturating_add(usage.cache_write_input_tokens);
    usage.input_tokens.saturating_add(cached)
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}
