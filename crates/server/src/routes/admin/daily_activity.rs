//! Activity by day of users, teams, tags and end users: sums of hours, cut at the reader's midnights.

use std::collections::BTreeMap;

use access::CalendarDay;
use access::ledger::{PartyFilter, SpendColumn, SpendQuery, SpendSums};
use serde::Serialize;

use super::answer::{AdminAnswer, Dollars};
use super::error::AdminRefusal;
use super::query::PageAsk;
use super::report_names::{KeyNames, ModelNames, TeamNames, shown};
use super::report_range::{DayRange, within};
use super::report_scope::{AskedParties, listed, selected};
use super::report_sums::{self, SpendMetrics, SumRow, cost, counted, prompt_tokens, total_tokens};
use super::request::AdminRequest;
use super::spend_row::PROVIDER;

/// Days of a page, where the request says no number, and at most.
const SIZES: (u64, u64) = (50, 1000);

/// The parties whose activity is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ActivityOf {
    Users,
    Teams,
    Tags,
    Customers,
}

/// The answer: days with calls, the latest first, and the totals of the whole range.
#[derive(Debug, Serialize)]
struct DailyActivity<'a> {
    results: Vec<ActivityDay<'a>>,
    metadata: ActivityTotals,
}

#[derive(Debug, Serialize)]
struct ActivityDay<'a> {
    date: CalendarDay,
    metrics: SpendMetrics,
    breakdown: Breakdown<'a>,
}

#[derive(Debug, Default, Serialize)]
struct Breakdown<'a> {
    models: BTreeMap<String, Part<'a>>,
    model_groups: BTreeMap<String, Part<'a>>,
    providers: BTreeMap<String, Part<'a>>,
    endpoints: BTreeMap<String, Part<'a>>,
    api_keys: BTreeMap<&'a str, OfKey<'a>>,
    entities: BTreeMap<String, Part<'a>>,
    mcp_servers: BTreeMap<String, Part<'a>>,
}

/// A model, provider or entity, with the keys that called.
#[derive(Debug, Serialize)]
struct Part<'a> {
    metrics: SpendMetrics,
    metadata: PartMetadata<'a>,
    api_key_breakdown: BTreeMap<&'a str, OfKey<'a>>,
}

#[derive(Debug, Clone, Copy, Default, Serialize)]
struct PartMetadata<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    team_alias: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct OfKey<'a> {
    metrics: SpendMetrics,
    metadata: KeyMetadata<'a>,
}

#[derive(Debug, Clone, Copy, Serialize)]
struct KeyMetadata<'a> {
    key_alias: Option<&'a str>,
    team_id: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct ActivityTotals {
    total_spend: Dollars,
    total_prompt_tokens: i64,
    total_completion_tokens: i64,
    total_tokens: i64,
    total_api_requests: i64,
    total_successful_requests: i64,
    total_failed_requests: i64,
    total_cache_read_input_tokens: i64,
    total_cache_creation_input_tokens: i64,
    page: u64,
    total_pages: u64,
    has_more: bool,
    /// Whether an hour across midnight was counted to one day.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    approximate: bool,
    /// Whether calls count for each of their tags.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    overlapping: bool,
}

/// Sums of a day's calls by key.
type ByKey<'r> = BTreeMap<&'r str, SpendSums>;

/// The names that a breakdown needs.
struct Names {
    keys: KeyNames,
    teams: TeamNames,
}

/// `GET /user/daily/activity`.
pub(super) async fn of_users(request: AdminRequest) -> Result<AdminAnswer, AdminRefusal> {
    let page = request.query.page("page_size", SIZES)?;
    users(&request, page).await
}

/// `GET /user/daily/activity/aggregated`: the same on one page.
pub(super) async fn of_users_at_once(request: AdminRequest) -> Result<AdminAnswer, AdminRefusal> {
    users(&request, PageAsk { page: 1, size: u64::MAX }).await
}

/// `GET /team/daily/activity`.
pub(super) async fn of_teams(request: AdminRequest) -> Result<AdminAnswer, AdminRefusal> {
    let (page, key) = (request.query.page("page_size", SIZES)?, request.query.text("api_key"));
    let teams = request.query.text("team_ids");
    let who = selected(&request, AskedParties { key, teams, ..AskedParties::default() }).await?;
    activity(&request, (ActivityOf::Teams, who), page).await
}

/// `GET /tag/daily/activity`.
pub(super) async fn of_tags(request: AdminRequest) -> Result<AdminAnswer, AdminRefusal> {
    request.caller.require_reader("/tag/daily/activity")?;
    let (page, key) = (request.query.page("page_size", SIZES)?, request.query.text("api_key"));
    let who = selected(&request, AskedParties { key, ..AskedParties::default() }).await?;
    activity(&request, (ActivityOf::Tags, who), page).await
}

/// `GET /customer/daily/activity`.
pub(super) async fn of_customers(request: AdminRequest) -> Result<AdminAnswer, AdminRefusal> {
    request.caller.require_reader("/customer/daily/activity")?;
    let (page, key) = (request.query.page("page_size", SIZES)?, request.query.text("api_key"));
    let customers = request.query.text("end_user_ids");
    let asked = AskedParties { key, customers, ..AskedParties::default() };
    let who = selected(&request, asked).await?;
    activity(&request, (ActivityOf::Customers, who), page).await
}

async fn users(request: &AdminRequest, page: PageAsk) -> Result<AdminAnswer, AdminRefusal> {
    let (key, users) = (request.query.text("api_key"), request.query.text("user_id"));
    let who = selected(request, AskedParties { key, users, ..AskedParties::default() }).await?;
    activity(request, (ActivityOf::Users, who), page).await
}

async fn activity(
    request: &AdminRequest,
    (of, who): (ActivityOf, PartyFilter),
    page: PageAsk,
) -> Result<AdminAnswer, AdminRefusal> {
    let range = DayRange::zoned(&request.query)?;
    let rows = read(request, &range, (of, who)).await?;
    let accounts = &request.accounts;
    let names = Names {
        keys: KeyNames::read(accounts, rows.iter().map(|row| row.at(2))).await?,
        teams: TeamNames::read(accounts, rows.iter().map(|row| row.at(3))).await?,
    };
    let now = request.worker().now();
    let mut models = ModelNames::of(now.names.catalogue());
    let mut total = SpendSums::default();
    rows.iter().for_each(|row| total.add(row.sums()));
    let days: Vec<_> = report_sums::by_day(rows).into_iter().rev().collect();
    let (count, shown) = (days.len() as u64, page.cut(days));
    let results = shown
        .iter()
        .map(|(date, rows)| ActivityDay::of(*date, rows, (of, &names, &mut models)))
        .collect();
    let total_pages = page.pages(count).max(1);
    let metadata = ActivityTotals {
        page: page.page,
        total_pages,
        has_more: page.page < total_pages,
        approximate: range.is_approximate(),
        overlapping: of == ActivityOf::Tags,
        ..ActivityTotals::of(&total)
    };
    AdminAnswer::of(&DailyActivity { results, metadata })
}

/// Sums by day, model, key and entity.
async fn read(
    request: &AdminRequest,
    range: &DayRange,
    (of, who): (ActivityOf, PartyFilter),
) -> Result<Vec<SumRow>, AdminRefusal> {
    let mut by = vec![SpendColumn::Day, SpendColumn::Model, SpendColumn::Key];
    by.extend(of.entity());
    let tags = (of == ActivityOf::Tags).then(|| request.query.text("tags").map(listed)).flatten();
    let mut rows = Vec::new();
    for hours in range.hours() {
        let (by, who, tags) = (by.clone(), who.clone(), tags.clone());
        let query = SpendQuery { by, who, tags, ..SpendQuery::default() };
        rows.extend(counted(request, within(hours, query)).await?);
    }
    if of == ActivityOf::Customers {
        rows.retain(|row| !row.at(3).is_empty());
    }
    if let Some(model) = request.query.text("model") {
        let now = request.worker().now();
        let mut models = ModelNames::of(now.names.catalogue());
        rows.retain(|row| models.is_named(row.at(1), model));
    }
    Ok(rows)
}

impl ActivityOf {
    /// The column of the entities that are told apart.
    const fn entity(self) -> Option<SpendColumn> {
        match self {
            Self::Users => None,
            Self::Teams => Some(SpendColumn::Team),
            Self::Tags => Some(SpendColumn::Tag),
            Self::Customers => Some(SpendColumn::Customer),
        }
    }
}

impl<'a> ActivityDay<'a> {
    fn of(
        date: CalendarDay,
        rows: &'a [SumRow],
        (of, names, models): (ActivityOf, &'a Names, &mut ModelNames),
    ) -> Self {
        let (mut total, mut keys) = (SpendSums::default(), ByKey::new());
        let mut of_models: BTreeMap<String, ByKey<'a>> = BTreeMap::new();
        let mut entities: BTreeMap<&str, ByKey<'a>> = BTreeMap::new();
        for row in rows {
            let (key, sums) = (row.at(2), row.sums());
            total.add(sums);
            keys.entry(key).or_default().add(sums);
            let of_model = of_models.entry(models.base(row.at(1))).or_default();
            of_model.entry(key).or_default().add(sums);
            if of.entity().is_some() {
                entities.entry(row.at(3)).or_default().entry(key).or_default().add(sums);
            }
        }
        let no_metadata = PartMetadata::default();
        let of_models = of_models.into_iter();
        let entities = entities.into_iter().map(|(id, keys)| {
            let is_team = of == ActivityOf::Teams;
            let metadata =
                PartMetadata { team_alias: is_team.then(|| names.teams.alias(id)).flatten() };
            (shown(id).to_owned(), Part::of(&keys, metadata, names))
        });
        let breakdown = Breakdown {
            models: of_models
                .map(|(model, keys)| (model, Part::of(&keys, no_metadata, names)))
                .collect(),
            providers: [(PROVIDER.to_owned(), Part::of(&keys, no_metadata, names))].into(),
            api_keys: of_keys(&keys, names),
            entities: entities.collect(),
            ..Breakdown::default()
        };
        Self { date, metrics: SpendMetrics::of(&total), breakdown }
    }
}

impl<'a> Part<'a> {
    fn of(keys: &ByKey<'a>, metadata: PartMetadata<'a>, names: &'a Names) -> Self {
        let mut total = SpendSums::default();
        keys.values().for_each(|sums| total.add(sums));
        Self {
            metrics: SpendMetrics::of(&total),
            metadata,
            api_key_breakdown: of_keys(keys, names),
        }
    }
}

fn of_keys<'a>(keys: &ByKey<'a>, names: &'a Names) -> BTreeMap<&'a str, OfKey<'a>> {
    let one = |(id, sums): (&&'a str, &SpendSums)| {
        let metadata = KeyMetadata {
            key_alias: names.keys.alias(id),
            team_id: names.keys.record(id).and_then(|key| key.team_id.as_deref()),
        };
        (names.keys.token(id), OfKey { metrics: SpendMetrics::of(sums), metadata })
    };
    keys.iter().map(one).collect()
}

impl ActivityTotals {
    fn of(sums: &SpendSums) -> Self {
        Self {
            total_spend: Dollars(cost(sums)),
            total_prompt_tokens: prompt_tokens(sums),
            total_completion_tokens: sums.output,
            total_tokens: total_tokens(sums),
            total_api_requests: sums.requests(),
            total_successful_requests: sums.succeeded,
            total_failed_requests: sums.failed,
            total_cache_read_input_tokens: sums.cache_read,
            total_cache_creation_input_tokens: sums.cache_write,
            page: 1,
            total_pages: 1,
            has_more: false,
            approximate: false,
            overlapping: false,
        }
    }
}
