//! `GET /outcrop/overview`: all that the first screen of an operator's page shows, in one answer: activity, the largest
//! keys, models and end users, durations, budgets that are nearly spent, refusals, and the state of the gateway.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use access::UtcTime;
use access::ledger::{
    CallFilter, FailMode, RefusalCount, RefusalFilter, SpendColumn, SpendQuery, SpendSums,
};
use serde::Serialize;

use super::answer::AdminAnswer;
use super::console_activity::{ConsoleActivity, ReadActivity, read as activity};
use super::console_budgets::{NearBudget, near};
use super::error::AdminRefusal;
use super::report_names::{KeyNames, ModelNames, shown};
use super::report_sums::counted;
use super::request::AdminRequest;

/// Rows of a list.
const TOP: usize = 10;
/// Most calls that durations are of: the newest ones.
const SAMPLE: u64 = 10_000;

#[derive(Debug, Serialize)]
struct Overview {
    activity: ConsoleActivity,
    top: TopLists,
    durations: Durations,
    previous_durations: Durations,
    budgets: Vec<NearBudget>,
    /// Whether there are more records than were looked at for budgets.
    budgets_cut: bool,
    refusals: Vec<Refused>,
    gateway: Gateway,
}

#[derive(Debug, Serialize)]
struct TopLists {
    keys: Vec<TopRow>,
    models: Vec<TopRow>,
    end_users: Vec<TopRow>,
}

#[derive(Debug, Serialize)]
struct TopRow {
    id: String,
    label: String,
    spend_nano: String,
    requests: i64,
    failed: i64,
    floor: bool,
}

/// Durations of the newest successful calls in milliseconds; null without any.
#[derive(Debug, Default, Serialize)]
struct Durations {
    /// The number of calls.
    calls: u64,
    /// Whether there may be more of them.
    sampled: bool,
    total_p50: Option<u64>,
    total_p95: Option<u64>,
    ttft_p50: Option<u64>,
    ttft_p95: Option<u64>,
}

#[derive(Debug, Serialize)]
struct Refused {
    scope: String,
    code: String,
    count: u64,
}

/// The state of this process.
#[derive(Debug, Serialize)]
struct Gateway {
    version: &'static str,
    store: &'static str,
    store_away: bool,
    fail_mode: &'static str,
    /// Whether replicas share rate limits; null where nothing is set up for it.
    shares_rates: Option<bool>,
    calls_under_way: usize,
    catalogue_date: Option<String>,
    can_change: bool,
    master_calls: bool,
}

/// `GET /outcrop/overview`.
pub(super) async fn overview(request: AdminRequest) -> Result<AdminAnswer, AdminRefusal> {
    let ReadActivity { activity, question, ask, groups } = activity(&request).await?;
    let window = (ask.from, ask.to);
    let length = ask.to.millis() - ask.from.millis();
    let earlier = (UtcTime::from_millis(ask.from.millis() - length), ask.from);
    let (budgets, budgets_cut) = near(&request).await?;
    AdminAnswer::of(&Overview {
        top: TopLists::read(
            &request,
            SpendQuery { from: ask.from, until: ask.to, ..question.clone() },
            groups,
        )
        .await?,
        durations: durations(&request, &question, window).await?,
        previous_durations: durations(&request, &question, earlier).await?,
        budgets,
        budgets_cut,
        refusals: refusals(&request, &question, window).await?,
        gateway: gateway(&request),
        activity,
    })
    .map(|answer| answer.header("cache-control", "no-store"))
}

impl TopLists {
    /// Reads the lists, but for that of a dimension whose sums were read already.
    async fn read(
        request: &AdminRequest,
        question: SpendQuery,
        known: (SpendColumn, Vec<(String, SpendSums)>),
    ) -> Result<Self, AdminRefusal> {
        let largest = async |column| {
            if column == known.0 {
                return Ok(most(known.1.clone()));
            }
            largest(request, SpendQuery { by: vec![column], ..question.clone() }).await
        };
        let keys = largest(SpendColumn::Key).await?;
        let names =
            KeyNames::read(&request.accounts, keys.iter().map(|(id, _)| id.as_str())).await?;
        let keys = keys
            .iter()
            .map(|(id, sums)| TopRow::of((names.token(id).to_owned(), names.shown(id)), sums));
        let models = largest(SpendColumn::Model).await?;
        let end_users = largest(SpendColumn::Customer).await?;
        let plain = |(id, sums): &(String, SpendSums)| {
            TopRow::of((shown(id).to_owned(), shown(id).to_owned()), sums)
        };
        Ok(Self {
            keys: keys.collect(),
            models: models.iter().map(plain).collect(),
            end_users: end_users.iter().map(plain).collect(),
        })
    }
}

impl TopRow {
    fn of((id, label): (String, String), sums: &SpendSums) -> Self {
        Self {
            id,
            label,
            spend_nano: sums.cost.to_string(),
            requests: sums.requests(),
            failed: sums.failed,
            floor: sums.unpriced > 0,
        }
    }
}

/// The largest groups of a question's column: by cost, then by calls.
async fn largest(
    request: &AdminRequest,
    query: SpendQuery,
) -> Result<Vec<(String, SpendSums)>, AdminRefusal> {
    let is_by_model = query.by == [SpendColumn::Model];
    let now = request.worker().now();
    let mut models = ModelNames::of(now.names.catalogue());
    let mut groups: BTreeMap<String, SpendSums> = BTreeMap::new();
    for row in counted(request, query).await? {
        let id = if is_by_model { models.base(row.at(0)) } else { row.at(0).to_owned() };
        groups.entry(id).or_default().add(row.sums());
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by_key(|(_, sums)| Reverse((sums.cost, sums.requests())));
    Ok(most(groups))
}

/// The first ones of a list. Calls without a value are in no list.
fn most(mut groups: Vec<(String, SpendSums)>) -> Vec<(String, SpendSums)> {
    groups.retain(|(id, _)| !id.is_empty());
    groups.truncate(TOP);
    groups
}

async fn durations(
    request: &AdminRequest,
    question: &SpendQuery,
    (from, to): (UtcTime, UtcTime),
) -> Result<Durations, AdminRefusal> {
    let filter = CallFilter {
        from: Some(from),
        until: Some(UtcTime::from_millis(to.millis() - 1)),
        who: question.who.clone(),
        models: question.models.clone(),
        tag: question.tags.as_ref().and_then(|tags| tags.first().cloned()),
        limit: SAMPLE,
        ..CallFilter::default()
    };
    Ok(request.accounts.store().durations(filter).await?.into())
}

impl From<access::ledger::Durations> for Durations {
    fn from(read: access::ledger::Durations) -> Self {
        let access::ledger::Durations { calls, sampled, total, first } = read;
        Self {
            calls,
            sampled,
            total_p50: total.p50,
            total_p95: total.p95,
            ttft_p50: first.p50,
            ttft_p95: first.p95,
        }
    }
}

async fn refusals(
    request: &AdminRequest,
    question: &SpendQuery,
    (from, to): (UtcTime, UtcTime),
) -> Result<Vec<Refused>, AdminRefusal> {
    // Refused calls have no end user and no tag.
    if question.who.customers.is_some() || question.tags.is_some() {
        return Ok(Vec::new());
    }
    let filter = RefusalFilter {
        from: Some(from),
        until: Some(UtcTime::from_millis(to.millis() - 1)),
        who: question.who.clone(),
        models: question.models.clone(),
        ..RefusalFilter::default()
    };
    let counts = request.accounts.store().refusal_counts(filter).await?;
    let of = |one: RefusalCount| Refused { scope: one.scope, code: one.code, count: one.count };
    Ok(counts.into_iter().map(of).collect())
}

fn gateway(request: &AdminRequest) -> Gateway {
    let now = request.worker().now();
    let accounts = &request.accounts;
    Gateway {
        version: env!("CARGO_PKG_VERSION"),
        store: match accounts.store().database() {
            Some(database) => database.engine_name(),
            None => "memory",
        },
        store_away: accounts.is_store_away(),
        fail_mode: match now.config.access.fail_mode {
            FailMode::Open => "open",
            FailMode::Closed => "closed",
        },
        shares_rates: accounts.shares_rates(),
        calls_under_way: accounts.calls_under_way(),
        catalogue_date: now.names.catalogue().dated(),
        can_change: request.caller.is_admin(),
        master_calls: now.config.admin.master_calls,
    }
}
