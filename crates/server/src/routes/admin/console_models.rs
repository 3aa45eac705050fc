//! `GET /outcrop/models`: the operator's names with their targets, and the other models that this gateway serves: health,
//! price in use with its origin, life cycle, and calls of the last day.

use std::collections::{BTreeMap, HashMap};

use access::UtcTime;
use access::ledger::{SpendColumn, SpendQuery, SpendSums};
use access::spend::Amount;
use routing::{Gauges, HealthState};
use serde::Serialize;

use super::answer::AdminAnswer;
use super::error::AdminRefusal;
use super::named_targets::{self, NamedTarget, TokenPrices};
use super::report_scope::{AskedParties, selected};
use super::report_sums::counted;
use super::request::AdminRequest;

/// Most models of an answer.
const MOST: usize = 200;
/// The time whose calls are counted, in milliseconds.
const DAY: i64 = 86_400_000;

#[derive(Debug, Serialize)]
struct ConsoleModels<'m> {
    names: Vec<ModelName<'m>>,
    /// Names that were left out.
    more: usize,
    as_of: UtcTime,
}

#[derive(Debug, Serialize)]
struct ModelName<'m> {
    name: &'m str,
    /// Whether the operator configured it.
    configured: bool,
    mode: Option<&'static str>,
    targets: Vec<ModelTarget<'m>>,
}

#[derive(Debug, Serialize)]
struct ModelTarget<'m> {
    label: String,
    model: &'m str,
    base: Option<&'m str>,
    region: &'m str,
    /// `unused`, `healthy`, `probing`, `throttled` or `open`.
    state: &'static str,
    in_flight: u32,
    /// Smoothed milliseconds to the first byte.
    latency_ms: Option<u64>,
    rpm: Option<u64>,
    tpm: Option<u64>,
    context: Option<u64>,
    longest_output: Option<u64>,
    price: Option<Price<'m>>,
    lifecycle: Lifecycle<'m>,
    calls: i64,
    failed: i64,
    spend_nano: String,
}

/// US dollars for a million tokens, as decimals.
#[derive(Debug, Serialize)]
struct Price<'m> {
    input: Option<String>,
    output: Option<String>,
    cache_read: Option<String>,
    cache_write: Option<String>,
    row: &'m str,
    source: &'static str,
    dated: Option<&'m str>,
}

#[derive(Debug, Serialize)]
struct Lifecycle<'m> {
    #[serde(flatten)]
    stage: &'m schema::openai::models::Lifecycle,
    shutdown: Option<&'m str>,
}

/// Calls of the last day by model and region.
type Calls = BTreeMap<(String, String), SpendSums>;

/// `GET /outcrop/models`.
pub(super) async fn models(request: AdminRequest) -> Result<AdminAnswer, AdminRefusal> {
    let search = request.query.text("search").map(str::to_lowercase);
    let mut all = named_targets::all(&request).await;
    all.retain(|one| {
        search.as_ref().is_none_or(|part| {
            one.name.to_lowercase().contains(part)
                || one.resolved.model_id.to_lowercase().contains(part)
        })
    });
    let now = request.worker().now();
    let own: Vec<_> = now.names.listed().iter().map(|one| one.name.to_owned()).collect();
    let gauges: HashMap<String, Gauges> = now.names.gauges().into_iter().collect();
    let calls = calls(&request).await?;
    let is_admin = request.caller.is_admin();
    let mut names: Vec<ModelName<'_>> = Vec::new();
    for one in &all {
        let target = ModelTarget::of(one, (&gauges, &calls), is_admin);
        match names.iter_mut().find(|name| name.name == one.name) {
            Some(name) => name.targets.push(target),
            None => names.push(ModelName {
                name: &one.name,
                configured: own.contains(&one.name),
                mode: one.mode(),
                targets: vec![target],
            }),
        }
    }
    // Configured ones keep their order; of the others those that were called come first.
    let rank = |name: &ModelName<'_>| match name.configured {
        true => (false, 0),
        false => (true, -name.targets.iter().map(|target| target.calls).sum::<i64>()),
    };
    names.sort_by_key(rank);
    let more = names.len().saturating_sub(MOST);
    names.truncate(MOST);
    AdminAnswer::of(&ConsoleModels { names, more, as_of: request.accounts.now() })
        .map(|answer| answer.header("cache-control", "no-store"))
}

async fn calls(request: &AdminRequest) -> Result<Calls, AdminRefusal> {
    let now = request.accounts.now();
    let who = selected(request, AskedParties::default()).await?;
    let query = SpendQuery {
        from: UtcTime::from_millis(now.millis() - DAY).hour(),
        until: now,
        by: vec![SpendColumn::Model, SpendColumn::Region],
        who,
        ..SpendQuery::default()
    };
    let mut calls = Calls::new();
    for row in counted(request, query).await? {
        calls.entry((row.at(0).to_owned(), row.at(1).to_owned())).or_default().add(row.sums());
    }
    Ok(calls)
}

impl<'m> ModelTarget<'m> {
    fn of(
        one: &'m NamedTarget,
        (gauges, calls): (&HashMap<String, Gauges>, &Calls),
        is_admin: bool,
    ) -> Self {
        let gauges = gauges.get(&one.label);
        let place = (one.resolved.model_id.clone(), one.region.clone());
        let sums = calls.get(&place).copied().unwrap_or_default();
        let price = one.model.prices.as_ref().map(|prices| {
            let TokenPrices { input, output, cache_read, cache_write, .. } = one.prices;
            Price {
                input: input.and_then(of_million),
                output: output.and_then(of_million),
                cache_read: cache_read.and_then(of_million),
                cache_write: cache_write.and_then(of_million),
                row: &prices.row,
                source: prices.source,
                dated: prices.dated.as_deref(),
            }
        });
        let latency = gauges.map(|gauges| gauges.latency.as_millis()).filter(|ms| *ms > 0);
        Self {
            label: one.shown_label(is_admin),
            model: one.shown_id(is_admin),
            base: one.resolved.base_model(),
            region: &one.region,
            state: match gauges.map(|gauges| gauges.standing) {
                None => "unused",
                Some(HealthState::Healthy) => "healthy",
                Some(HealthState::Probing) => "probing",
                Some(HealthState::Throttled) => "throttled",
                Some(HealthState::Open) => "open",
            },
            in_flight: gauges.map_or(0, |gauges| gauges.in_flight),
            latency_ms: latency.map(|ms| u64::try_from(ms).unwrap_or(u64::MAX)),
            rpm: one.quota.rpm.map(|rpm| u64::from(rpm.get())),
            tpm: one.quota.tpm.map(std::num::NonZero::get),
            context: one.model.context_length,
            longest_output: one.model.max_output_tokens,
            price,
            lifecycle: Lifecycle {
                stage: &one.model.lifecycle,
                shutdown: one.model.shutdown_date.as_deref(),
            },
            calls: sums.requests(),
            failed: sums.failed,
            spend_nano: sums.cost.to_string(),
        }
    }
}

/// The price of a million tokens.
fn of_million(one: Amount) -> Option<String> {
    Some(one.times(1_000_000)?.to_string())
}
