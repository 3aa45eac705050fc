//! `/spend/logs` and `/spend/logs/v2`: the ledger's rows, and their sums by day.

use std::collections::BTreeMap;

use access::ledger::{CallFilter, CallRow, CallSort, PartyFilter, SpendColumn, SpendQuery};
use access::store::{Page, RecordQuery, RecordState};
use access::{CalendarDay, Nanodollars, RecordKind};
use serde::Serialize;

use super::answer::{AdminAnswer, Dollars};
use super::error::AdminRefusal;
use super::query::AdminQuery;
use super::report_names::{KeyNames, ModelNames, TeamNames};
use super::report_range::{DayRange, TimeRange, within};
use super::report_scope::{AskedParties, listed, selected};
use super::report_sums::{self, Sums, counted};
use super::request::AdminRequest;
use super::spend_row::{RowContext, SpendLogRow};

/// Most rows of a list without pages.
const MOST_ROWS: u64 = 10_000;
/// Says that a list without pages is cut.
const TRUNCATED: &str = "x-litellm-spend-logs-truncated";
/// Rows of a page, where the request says no number, and at most.
const SIZES: (u64, u64) = (50, 1000);
/// Most keys of one alias that rows are looked up for.
const MOST_KEYS: u64 = 1000;

/// The answer of `/spend/logs/v2`.
#[derive(Debug, Serialize)]
struct LogPage<'r> {
    data: Vec<SpendLogRow<'r>>,
    total: u64,
    page: u64,
    page_size: u64,
    total_pages: u64,
}

/// The sums of a day; those of tokens stand beside the others.
#[derive(Debug, Serialize)]
struct DaySums {
    #[serde(rename = "startTime")]
    start_time: CalendarDay,
    spend: Dollars,
    users: BTreeMap<String, Dollars>,
    models: BTreeMap<String, Dollars>,
    #[serde(flatten)]
    tokens: BTreeMap<String, Dollars>,
}

/// `GET /spend/logs`: sums by day, or rows where these are asked for.
pub(super) async fn logs(request: AdminRequest) -> Result<AdminAnswer, AdminRefusal> {
    let query = &request.query;
    let asked = AskedParties {
        key: query.text("api_key"),
        users: query.text("user_id"),
        ..AskedParties::default()
    };
    let who = selected(&request, asked).await?;
    let id = query.text("request_id").map(str::to_owned);
    let wants_rows = query.text("summarize").is_some() && !query.flag("summarize")?;
    let range = DayRange::optional(query)?;
    match range {
        Some(range) if !wants_rows && id.is_none() => by_day(&request, &range, who).await,
        Some(_) | None => {
            let mut filter = CallFilter { id, who, ended: true, ..CallFilter::default() };
            if let Some(TimeRange { from, until }) = TimeRange::optional(query)? {
                (filter.from, filter.until) = (Some(from), Some(until));
            }
            filter.limit = MOST_ROWS;
            let page = request.accounts.store().calls(filter).await?;
            let answer = shown(&request, &page.rows, |data| AdminAnswer::of(&data)).await?;
            let is_cut = page.total > MOST_ROWS;
            Ok(if is_cut { answer.header(TRUNCATED, "true") } else { answer })
        }
    }
}

/// `GET /spend/logs/v2`: a page of rows, filtered and sorted.
pub(super) async fn page(request: AdminRequest) -> Result<AdminAnswer, AdminRefusal> {
    let query = &request.query;
    let TimeRange { from, until } = TimeRange::required(query)?;
    let asked = query.page("page_size", SIZES)?;
    let parties = AskedParties {
        key: query.text("api_key"),
        teams: query.text("team_id"),
        users: query.text("user_id"),
        customers: query.text("end_user"),
    };
    let mut who = selected(&request, parties).await?;
    if let Some(alias) = query.text("key_alias") {
        only_named(&request, &mut who, alias).await?;
    }
    let owned = |name: &str| query.text(name).map(str::to_owned);
    let filter = CallFilter {
        from: Some(from),
        until: Some(until),
        id: owned("request_id"),
        who,
        ended: true,
        session_id: owned("session_id"),
        model: owned("model").or_else(|| owned("model_id")),
        model_group: owned("model_group"),
        error_code: owned("error_code"),
        succeeded: status(query)?,
        min_cost: amount(query, "min_spend")?,
        max_cost: amount(query, "max_spend")?,
        sort: sort(query)?,
        ascending: query.is_ascending()?,
        offset: asked.offset(),
        limit: asked.size,
        ..CallFilter::default()
    };
    let Page { rows, total } = request.accounts.store().calls(filter).await?;
    let (page, page_size, total_pages) = (asked.page, asked.size, asked.pages(total));
    shown(&request, &rows, |data| {
        AdminAnswer::of(&LogPage { data, total, page, page_size, total_pages })
    })
    .await
}

/// Rows with their names.
async fn shown(
    request: &AdminRequest,
    rows: &[CallRow],
    answer: impl FnOnce(Vec<SpendLogRow<'_>>) -> Result<AdminAnswer, AdminRefusal>,
) -> Result<AdminAnswer, AdminRefusal> {
    let parties = || rows.iter().map(|row| &row.closing.call.who);
    let accounts = &request.accounts;
    let keys = KeyNames::read(accounts, parties().map(|who| who.key_id.as_str())).await?;
    let ids = parties().filter_map(|who| who.team.as_deref());
    let teams = TeamNames::read(accounts, ids).await?;
    let now = request.worker().now();
    let context = RowContext { keys: &keys, teams: &teams, catalogue: now.names.catalogue() };
    answer(rows.iter().map(|row| SpendLogRow::of(row, &context)).collect())
}

/// One object a day, days without calls too: the sum, and those of users, models and tokens.
async fn by_day(
    request: &AdminRequest,
    range: &DayRange,
    who: PartyFilter,
) -> Result<AdminAnswer, AdminRefusal> {
    let by = [SpendColumn::Day, SpendColumn::User, SpendColumn::Model, SpendColumn::Key];
    let mut rows = Vec::new();
    for hours in range.hours() {
        let query = SpendQuery { by: by.to_vec(), who: who.clone(), ..SpendQuery::default() };
        rows.extend(counted(request, within(hours, query)).await?);
    }
    let keys = KeyNames::read(&request.accounts, rows.iter().map(|row| row.at(3))).await?;
    let now = request.worker().now();
    let mut models = ModelNames::of(now.names.catalogue());
    let (mut days, by_day) = (Vec::new(), report_sums::by_day(rows));
    for day in range.days() {
        let (mut spend, mut of_users, mut of_models, mut of_keys) =
            (Nanodollars::ZERO, Sums::default(), Sums::default(), Sums::default());
        for row in by_day.get(&day).into_iter().flatten() {
            spend = spend.plus(row.cost());
            of_users.add(row.at(1), row);
            of_models.add(&models.base(row.at(2)), row);
            of_keys.add(keys.token(row.at(3)), row);
        }
        days.push(DaySums {
            start_time: day,
            spend: Dollars(spend),
            users: of_users.costs(),
            models: of_models.costs(),
            tokens: of_keys.costs(),
        });
    }
    AdminAnswer::of(&days)
}

/// Narrows a selection to the keys of an alias.
async fn only_named(
    request: &AdminRequest,
    who: &mut PartyFilter,
    alias: &str,
) -> Result<(), AdminRefusal> {
    let mut named = Vec::new();
    for alias in listed(alias) {
        let all = RecordQuery::all(RecordKind::Key, request.accounts.now());
        for state in [None, Some(RecordState::Deleted)] {
            let alias = Some(alias.clone());
            let query = RecordQuery { alias, state, limit: MOST_KEYS, ..all.clone() };
            let page = request.accounts.store().documents(query).await?;
            named.extend(page.rows.into_iter().map(|key| key.id));
        }
    }
    match &mut who.keys {
        Some(keys) => keys.retain(|key| named.contains(key)),
        None => who.keys = Some(named),
    }
    Ok(())
}

fn status(query: &AdminQuery) -> Result<Option<bool>, AdminRefusal> {
    match query.text("status_filter") {
        None => Ok(None),
        Some("success") => Ok(Some(true)),
        Some("failure") => Ok(Some(false)),
        Some(other) => {
            let message = format!("Invalid status_filter '{other}'. Use success or failure.");
            Err(AdminRefusal::bad(message).param("status_filter"))
        }
    }
}

fn amount(query: &AdminQuery, name: &'static str) -> Result<Option<i64>, AdminRefusal> {
    let Some(text) = query.text(name) else { return Ok(None) };
    let parsed = Nanodollars::parse(text).map(|amount| Some(amount.nano()));
    parsed.ok_or_else(|| AdminRefusal::bad(format!("Invalid {name} '{text}'.")).param(name))
}

fn sort(query: &AdminQuery) -> Result<CallSort, AdminRefusal> {
    Ok(match query.text("sort_by") {
        None | Some("startTime") => CallSort::Start,
        Some("endTime") => CallSort::End,
        Some("spend") => CallSort::Spend,
        Some("total_tokens") => CallSort::Tokens,
        Some("request_duration_ms") => CallSort::Duration,
        Some("ttft_ms") => CallSort::FirstByte,
        Some("model") => CallSort::Model,
        Some(other) => {
            let message = format!(
                "Invalid sort_by '{other}'. Use spend, total_tokens, startTime, endTime, request_duration_ms, model or ttft_ms."
            );
            return Err(AdminRefusal::bad(message).param("sort_by"));
        }
    })
}
