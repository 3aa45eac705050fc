//! Rows of the ledger as LiteLLM shows its own: one for each call, whatever became of it.

use std::time::Duration;

use access::ledger::{CallOutcome, CallRow, CallState, Closing, Opening};
use access::spend::{Part, Usage};
use access::{CalendarDay, Nanodollars, UtcTime};
use routing::catalogue::{Catalogue, Day, ModelOverrides, Tier};
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::answer::Dollars;
use super::report_names::{KeyNames, TeamNames};
use crate::request::settlement::KEPT;

/// The provider of every call.
pub(super) const PROVIDER: &str = "bedrock";

/// Names that rows are shown with, and prices for the parts of their costs.
#[derive(Debug)]
pub(super) struct RowContext<'c> {
    /// Names of keys.
    pub(super) keys: &'c KeyNames,
    /// Names of teams.
    pub(super) teams: &'c TeamNames,
    /// Prices.
    pub(super) catalogue: &'c Catalogue,
}

/// A row of `/spend/logs`.
#[derive(Debug, Serialize)]
pub(super) struct SpendLogRow<'r> {
    request_id: &'r str,
    call_type: &'r str,
    api_key: &'r str,
    spend: Option<Dollars>,
    total_tokens: u64,
    prompt_tokens: u64,
    completion_tokens: u64,
    #[serde(rename = "startTime")]
    start_time: UtcTime,
    #[serde(rename = "endTime")]
    end_time: UtcTime,
    #[serde(rename = "completionStartTime")]
    completion_start_time: Option<UtcTime>,
    request_duration_ms: u64,
    model: &'r str,
    model_id: &'r str,
    model_group: &'r str,
    custom_llm_provider: &'static str,
    api_base: Option<()>,
    user: Option<&'r str>,
    metadata: SpendMetadata<'r>,
    cache_hit: &'static str,
    cache_key: Option<()>,
    request_tags: &'r [String],
    team_id: Option<&'r str>,
    organization_id: Option<&'r str>,
    end_user: Option<&'r str>,
    requester_ip_address: Option<&'r str>,
    messages: Map<String, Value>,
    response: Map<String, Value>,
    session_id: Option<&'r str>,
    status: &'static str,
}

#[derive(Debug, Serialize)]
struct SpendMetadata<'r> {
    user_api_key: &'r str,
    user_api_key_alias: Option<&'r str>,
    user_api_key_team_id: Option<&'r str>,
    user_api_key_team_alias: Option<&'r str>,
    user_api_key_user_id: Option<&'r str>,
    spend_logs_metadata: Option<&'r RawValue>,
    usage_object: UsageObject,
    cost_breakdown: Option<CostBreakdown>,
    error_information: Option<ErrorInformation<'r>>,
    outcrop: OwnColumns<'r>,
}

/// Tokens of a call. Those of the prompt include those read from and written to the cache.
#[derive(Debug, Serialize)]
struct UsageObject {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
    cache_read_input_tokens: u64,
    cache_creation_input_tokens: u64,
    cache_creation: CacheCreation,
}

#[derive(Debug, Serialize)]
struct CacheCreation {
    ephemeral_5m_input_tokens: u64,
    ephemeral_1h_input_tokens: u64,
}

/// The parts of a cost. They are left out where they do not make up the cost that was charged.
#[derive(Debug, Serialize)]
struct CostBreakdown {
    #[serde(flatten)]
    parts: Option<CostParts>,
    total_cost: Dollars,
}

#[derive(Debug, Serialize)]
pub(super) struct CostParts {
    input_cost: Dollars,
    output_cost: Dollars,
    cache_read_cost: Dollars,
    cache_creation_cost: Dollars,
}

#[derive(Debug, Serialize)]
struct ErrorInformation<'r> {
    error_code: &'r str,
    status: u16,
}

/// Columns that LiteLLM does not have.
#[derive(Debug, Serialize)]
struct OwnColumns<'r> {
    region: Option<&'r str>,
    profile: Option<&'r str>,
    reach: Option<&'r str>,
    service_tier: Option<&'r str>,
    price_row: Option<&'r str>,
    price_date: Option<&'r str>,
    price_source: Option<&'r str>,
    estimated: bool,
    reserved: Dollars,
    attempts: u32,
    units: Option<&'r RawValue>,
}

impl<'r> SpendLogRow<'r> {
    /// The row of a call that has ended.
    pub(super) fn of(row: &'r CallRow, context: &RowContext<'r>) -> Self {
        let Closing { call, at, state: _, outcome } = &row.closing;
        let Opening { who, .. } = &**call;
        let usage = UsageObject::of(outcome);
        let first_byte = outcome.ttft_ms.map(|ms| call.at.plus(Duration::from_millis(ms)));
        Self {
            request_id: &call.id,
            call_type: &call.call_type,
            api_key: &who.token,
            spend: row.closing.cost().map(Dollars),
            total_tokens: usage.total_tokens,
            prompt_tokens: usage.prompt_tokens,
            completion_tokens: usage.completion_tokens,
            start_time: call.at,
            end_time: *at,
            completion_start_time: first_byte,
            request_duration_ms: outcome.total_ms,
            model: &outcome.model,
            model_id: &outcome.model,
            model_group: outcome.model_group.as_deref().unwrap_or(&call.model_asked),
            custom_llm_provider: PROVIDER,
            api_base: None,
            user: who.user.as_deref(),
            metadata: SpendMetadata::of(&row.closing, usage, context),
            cache_hit: if outcome.price_source.as_deref() == Some(KEPT) { "True" } else { "False" },
            cache_key: None,
            request_tags: &who.tags,
            team_id: who.team.as_deref(),
            organization_id: who.organization.as_deref(),
            end_user: who.customer.as_deref(),
            requester_ip_address: call.ip.as_deref(),
            messages: Map::new(),
            response: Map::new(),
            session_id: call.session_id.as_deref(),
            status: if row.closing.succeeded() { "success" } else { "failure" },
        }
    }
}

impl<'r> SpendMetadata<'r> {
    fn of(closing: &'r Closing, usage: UsageObject, context: &RowContext<'r>) -> Self {
        let Closing { call, state, outcome, .. } = closing;
        let Opening { who, .. } = &**call;
        let team = who.team.as_deref();
        let error = outcome.error_code.as_deref();
        let price = outcome.price_id.as_deref();
        Self {
            user_api_key: &who.token,
            user_api_key_alias: context.keys.alias(&who.key_id),
            user_api_key_team_id: team,
            user_api_key_team_alias: team.and_then(|team| context.teams.alias(team)),
            user_api_key_user_id: who.user.as_deref(),
            spend_logs_metadata: raw(call.meta.as_deref()),
            usage_object: usage,
            cost_breakdown: closing.cost().map(|total| CostBreakdown {
                parts: CostParts::of(closing, total, context.catalogue),
                total_cost: Dollars(total),
            }),
            error_information: error
                .map(|error_code| ErrorInformation { error_code, status: outcome.status }),
            outcrop: OwnColumns {
                region: outcome.region.as_deref(),
                profile: is_profile(outcome).then_some(&outcome.model),
                reach: outcome.reach.as_deref(),
                service_tier: outcome.tier.as_deref(),
                price_row: price,
                price_date: price.and_then(|row| Some(row.rsplit_once('@')?.1)),
                price_source: outcome.price_source.as_deref(),
                estimated: *state == CallState::Estimated,
                reserved: Dollars(call.reserved()),
                attempts: outcome.attempts,
                units: raw(outcome.units.as_deref()),
            },
        }
    }
}

impl UsageObject {
    fn of(outcome: &CallOutcome) -> Self {
        let written = outcome.cache_write_5m.saturating_add(outcome.cache_write_1h);
        let cached = outcome.cache_read.saturating_add(written);
        let prompt_tokens = outcome.input.saturating_add(cached);
        Self {
            prompt_tokens,
            completion_tokens: outcome.output,
            total_tokens: prompt_tokens.saturating_add(outcome.output),
            cache_read_input_tokens: outcome.cache_read,
            cache_creation_input_tokens: written,
            cache_creation: CacheCreation {
                ephemeral_5m_input_tokens: outcome.cache_write_5m,
                ephemeral_1h_input_tokens: outcome.cache_write_1h,
            },
        }
    }
}

impl CostParts {
    /// The parts of a cost by the prices of its day; absent where other prices were charged.
    pub(super) fn of(closing: &Closing, total: Nanodollars, catalogue: &Catalogue) -> Option<Self> {
        let CallOutcome { model, tier, price_id, .. } = &closing.outcome;
        let tier = Tier::named(tier.as_deref()?)?;
        let day = Day::parse(&CalendarDay::of(closing.call.at).to_string())?;
        let usage = Usage {
            input: closing.outcome.input,
            output: closing.outcome.output,
            cache_read: closing.outcome.cache_read,
            cache_write: closing.outcome.cache_write_5m,
            cache_write_1h: closing.outcome.cache_write_1h,
            ..Usage::default()
        };
        let priced = catalogue.resolve(model, &ModelOverrides::default()).priced();
        let charged = priced.quote(tier, day).ok()?.cost(&usage).ok()?;
        let is_same = charged.cost.total.nanodollars() == Some(total.nano())
            && price_id.as_deref() == Some(&charged.row);
        if !is_same {
            return None;
        }
        let of = |parts: &[Part]| {
            let chosen = charged.cost.parts.iter().filter(|charge| parts.contains(&charge.part));
            let amounts = chosen.filter_map(|charge| charge.amount.nanodollars());
            Dollars(Nanodollars::new(amounts.sum()))
        };
        Some(Self {
            input_cost: of(&[Part::Input]),
            output_cost: of(&[Part::Output]),
            cache_read_cost: of(&[Part::CacheRead]),
            cache_creation_cost: of(&[Part::CacheWrite, Part::CacheWrite1h]),
        })
    }
}

impl CostParts {
    /// The parts by name, in nanodollars.
    pub(super) fn named(&self) -> [(&'static str, i64); 4] {
        let Self { input_cost, output_cost, cache_read_cost, cache_creation_cost } = self;
        [
            ("input", input_cost.0.nano()),
            ("output", output_cost.0.nano()),
            ("cache_read", cache_read_cost.0.nano()),
            ("cache_write", cache_creation_cost.0.nano()),
        ]
    }
}

/// Whether the model was called through a profile.
fn is_profile(outcome: &CallOutcome) -> bool {
    outcome.reach.as_deref().is_some_and(|reach| reach != "in-region" && reach != "unknown")
}

/// A text of JSON as it is kept.
pub(super) fn raw(json: Option<&str>) -> Option<&RawValue> {
    serde_json::from_str(json?).ok()
}
