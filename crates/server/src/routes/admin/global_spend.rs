//! Spend and activity of the whole gateway.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use access::ledger::{SpendColumn, SpendQuery, SpendSums};
use access::{CalendarDay, ZoneHours};
use serde::Serialize;

use super::answer::{AdminAnswer, Dollars};
use super::error::AdminRefusal;
use super::query::AdminQuery;
use super::report_names::{KeyNames, ModelNames, TeamNames, shown};
use super::report_range::{DayRange, within};
use super::report_scope::listed;
use super::report_sums::{self, SumRow, Sums, cost, counted, total_tokens};
use super::request::AdminRequest;
use super::spend_lists::all_time;
use super::spend_row::PROVIDER;

/// Days of reports that name none.
const USUAL_DAYS: u64 = 30;
/// Most rows of a list.
const MOST: u64 = 10_000;

/// The answer of `/global/spend`.
#[derive(Debug, Serialize)]
struct GlobalSpend {
    spend: Dollars,
    max_budget: Option<Dollars>,
}

#[derive(Debug, Serialize)]
struct KeySpend {
    api_key: String,
    key_alias: Option<String>,
    key_name: Option<String>,
    total_spend: Dollars,
}

#[derive(Debug, Serialize)]
struct ModelSpend {
    model: String,
    total_spend: Dollars,
}

/// The answer of `/global/spend/teams`.
#[derive(Debug, Serialize)]
struct TeamsSpend {
    daily_spend: Vec<TeamDay>,
    teams: Vec<String>,
    total_spend_per_team: Vec<TeamSpend>,
}

/// The spend of teams on a day, in members of their names.
#[derive(Debug, Serialize)]
struct TeamDay {
    date: CalendarDay,
    #[serde(flatten)]
    spend: BTreeMap<String, Dollars>,
}

#[derive(Debug, Serialize)]
struct TeamSpend {
    team_id: String,
    total_spend: Dollars,
}

#[derive(Debug, Serialize)]
struct TagsSpend {
    spend_per_tag: Vec<TagSpend>,
}

#[derive(Debug, Serialize)]
struct TagSpend {
    name: String,
    spend: Dollars,
    log_count: i64,
}

#[derive(Debug, Serialize)]
struct ProviderSpend {
    provider: &'static str,
    spend: Dollars,
}

#[derive(Debug, Serialize)]
struct DaySpend {
    date: CalendarDay,
    spend: Dollars,
}

/// The answer of `/global/activity`; `model` is that of an element of `/global/activity/model`.
#[derive(Debug, Serialize)]
struct Activity {
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    daily_data: Vec<ActivityDay>,
    sum_api_requests: i64,
    sum_total_tokens: i64,
}

#[derive(Debug, Serialize)]
struct ActivityDay {
    date: String,
    api_requests: i64,
    total_tokens: i64,
}

#[derive(Debug, Serialize)]
struct Reset {
    message: &'static str,
    status: &'static str,
}

/// `GET /global/spend`: the spend of all calls, or of the window of the gateway's budget where it has one.
pub(super) async fn spend(request: AdminRequest) -> Result<AdminAnswer, AdminRefusal> {
    request.caller.require_reader("/global/spend")?;
    let budget = request.accounts.gateway_spend().await?;
    let answer = match budget {
        Some((spend, max)) => GlobalSpend { spend: Dollars(spend), max_budget: Some(Dollars(max)) },
        None => {
            let hours = all_time(request.accounts.now());
            let total = total(&read(&request, &hours, &[]).await?);
            GlobalSpend { spend: Dollars(cost(&total)), max_budget: None }
        }
    };
    AdminAnswer::of(&answer)
}

/// `GET /global/spend/keys`.
pub(super) async fn keys(request: AdminRequest) -> Result<AdminAnswer, AdminRefusal> {
    request.caller.require_reader("/global/spend/keys")?;
    let rows = read(&request, &hours(&request)?, &[SpendColumn::Key]).await?;
    let names = KeyNames::read(&request.accounts, rows.iter().map(|row| row.at(0))).await?;
    let spend = limited(&request.query, &rows)?.into_iter().map(|(id, sums)| KeySpend {
        api_key: names.token(&id).to_owned(),
        key_alias: names.alias(&id).map(str::to_owned),
        key_name: names.record(&id).map(|key| key.key_name.clone()),
        total_spend: Dollars(cost(&sums)),
    });
    AdminAnswer::of(&spend.collect::<Vec<_>>())
}

/// `GET /global/spend/models`.
pub(super) async fn models(request: AdminRequest) -> Result<AdminAnswer, AdminRefusal> {
    request.caller.require_reader("/global/spend/models")?;
    let rows = read(&request, &hours(&request)?, &[SpendColumn::Model]).await?;
    let now = request.worker().now();
    let mut names = ModelNames::of(now.names.catalogue());
    let mut sums = Sums::default();
    rows.iter().for_each(|row| sums.add(&names.base(row.at(0)), row));
    let limit = limit(&request.query)?;
    let spend = sums.by_cost().into_iter().take(limit);
    let spend = spend.map(|(model, sums)| ModelSpend { model, total_spend: Dollars(cost(&sums)) });
    AdminAnswer::of(&spend.collect::<Vec<_>>())
}

/// `GET /global/spend/teams`.
pub(super) async fn teams(request: AdminRequest) -> Result<AdminAnswer, AdminRefusal> {
    request.caller.require_reader("/global/spend/teams")?;
    let hours = usual_range(&request)?.hours();
    let mut rows = read(&request, &hours, &[SpendColumn::Day, SpendColumn::Team]).await?;
    rows.retain(|row| !row.at(1).is_empty());
    let names = TeamNames::read(&request.accounts, rows.iter().map(|row| row.at(1))).await?;
    let mut totals = Sums::default();
    rows.iter().for_each(|row| totals.add(names.shown(row.at(1)), row));
    let totals = totals.by_cost();
    let daily_spend = report_sums::by_day(rows).into_iter().map(|(date, rows)| {
        let mut spend = Sums::default();
        rows.iter().for_each(|row| spend.add(names.shown(row.at(1)), row));
        TeamDay { date, spend: spend.costs() }
    });
    let daily_spend = daily_spend.collect();
    let teams = totals.iter().map(|(team, _)| team.clone()).collect();
    let total = totals
        .into_iter()
        .map(|(team_id, sums)| TeamSpend { team_id, total_spend: Dollars(cost(&sums)) });
    AdminAnswer::of(&TeamsSpend { daily_spend, teams, total_spend_per_team: total.collect() })
}

/// `GET /global/spend/tags`.
pub(super) async fn tags(request: AdminRequest) -> Result<AdminAnswer, AdminRefusal> {
    request.caller.require_reader("/global/spend/tags")?;
    let rows = read(&request, &hours(&request)?, &[SpendColumn::Tag]).await?;
    let wanted = request.query.text("tags").map(listed);
    let mut tags = limited(&request.query, &rows)?;
    tags.retain(|(tag, _)| wanted.as_ref().is_none_or(|wanted| wanted.contains(tag)));
    let spend = tags.into_iter().map(|(tag, sums)| TagSpend {
        name: shown(&tag).to_owned(),
        spend: Dollars(cost(&sums)),
        log_count: sums.requests(),
    });
    AdminAnswer::of(&TagsSpend { spend_per_tag: spend.collect() })
}

/// `GET /global/spend/provider`.
pub(super) async fn provider(request: AdminRequest) -> Result<AdminAnswer, AdminRefusal> {
    request.caller.require_reader("/global/spend/provider")?;
    let total = total(&read(&request, &hours(&request)?, &[]).await?);
    AdminAnswer::of(&[ProviderSpend { provider: PROVIDER, spend: Dollars(cost(&total)) }])
}

/// `GET /global/spend/logs`: the spend of each day.
pub(super) async fn logs(request: AdminRequest) -> Result<AdminAnswer, AdminRefusal> {
    request.caller.require_reader("/global/spend/logs")?;
    let hours = usual_range(&request)?.hours();
    let days = report_sums::by_day(read(&request, &hours, &[SpendColumn::Day]).await?);
    let spend =
        days.into_iter().map(|(date, rows)| DaySpend { date, spend: Dollars(cost(&total(&rows))) });
    AdminAnswer::of(&spend.collect::<Vec<_>>())
}

/// `POST /global/spend/reset`: sets the spend of the present windows of all keys and teams to zero. The ledger and the
/// reports stay.
pub(super) async fn reset(mut request: AdminRequest) -> Result<AdminAnswer, AdminRefusal> {
    request.caller.require_admin()?;
    if request.body.option("confirm")? != Some(true) {
        let message =
            "This sets the spend of all keys and teams to 0. Send {\"confirm\": true} to do it.";
        return Err(AdminRefusal::bad(message).param("confirm"));
    }
    request.accounts.reset_spend(request.caller.actor()).await?;
    AdminAnswer::of(&Reset {
        message: "Spend for all API Keys and Teams reset successfully",
        status: "success",
    })
}

/// `GET /global/activity`.
pub(super) async fn activity(request: AdminRequest) -> Result<AdminAnswer, AdminRefusal> {
    request.caller.require_reader("/global/activity")?;
    let hours = DayRange::required(&request.query)?.hours();
    let rows = read(&request, &hours, &[SpendColumn::Day]).await?;
    AdminAnswer::of(&Activity::of(None, rows))
}

/// `GET /global/activity/model`.
pub(super) async fn activity_of_models(request: AdminRequest) -> Result<AdminAnswer, AdminRefusal> {
    request.caller.require_reader("/global/activity/model")?;
    let hours = DayRange::required(&request.query)?.hours();
    let rows = read(&request, &hours, &[SpendColumn::Day, SpendColumn::Model]).await?;
    let now = request.worker().now();
    let mut names = ModelNames::of(now.names.catalogue());
    let mut models = BTreeMap::<String, Vec<SumRow>>::new();
    for row in rows {
        models.entry(names.base(row.at(1))).or_default().push(row);
    }
    let mut all: Vec<_> =
        models.into_iter().map(|(model, rows)| Activity::of(Some(model), rows)).collect();
    all.sort_by_key(|activity| Reverse(activity.sum_api_requests));
    AdminAnswer::of(&all)
}

impl Activity {
    fn of(model: Option<String>, rows: Vec<SumRow>) -> Self {
        let all = total(&rows);
        let days = report_sums::by_day(rows).into_iter().map(|(day, rows)| {
            let sums = total(&rows);
            let (api_requests, total_tokens) = (sums.requests(), total_tokens(&sums));
            ActivityDay { date: day.short(), api_requests, total_tokens }
        });
        Self {
            model,
            daily_data: days.collect(),
            sum_api_requests: all.requests(),
            sum_total_tokens: total_tokens(&all),
        }
    }
}

async fn read(
    request: &AdminRequest,
    hours: &[ZoneHours],
    by: &[SpendColumn],
) -> Result<Vec<SumRow>, AdminRefusal> {
    let mut rows = Vec::new();
    for hours in hours {
        let query = SpendQuery { by: by.to_vec(), ..SpendQuery::default() };
        rows.extend(counted(request, within(*hours, query)).await?);
    }
    Ok(rows)
}

/// The hours of the days that a request names, or all.
fn hours(request: &AdminRequest) -> Result<Vec<ZoneHours>, AdminRefusal> {
    let range = DayRange::optional(&request.query)?;
    Ok(range.map_or_else(|| all_time(request.accounts.now()), |range| range.hours()))
}

/// The days that a request names, or the last ones.
fn usual_range(request: &AdminRequest) -> Result<DayRange, AdminRefusal> {
    let range = DayRange::optional(&request.query)?;
    Ok(range.unwrap_or_else(|| DayRange::latest(request.accounts.now(), USUAL_DAYS)))
}

fn limit(query: &AdminQuery) -> Result<usize, AdminRefusal> {
    let limit = query.number("limit", (1, MOST))?.unwrap_or(MOST);
    Ok(usize::try_from(limit).unwrap_or(usize::MAX))
}

/// The dearest groups by their first column, calls without a value left out.
fn limited(query: &AdminQuery, rows: &[SumRow]) -> Result<Vec<(String, SpendSums)>, AdminRefusal> {
    let mut sums = Sums::default();
    rows.iter().filter(|row| !row.at(0).is_empty()).for_each(|row| sums.add(row.at(0), row));
    let mut all = sums.by_cost();
    all.truncate(limit(query)?);
    Ok(all)
}

fn total(rows: &[SumRow]) -> SpendSums {
    let mut total = SpendSums::default();
    rows.iter().for_each(|row| total.add(row.sums()));
    total
}
