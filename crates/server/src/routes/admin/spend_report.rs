//! Reports of spend over days: by team, end user, user, tag or model of each day, by day, and by key of all days.

use std::collections::BTreeMap;

use access::ledger::{PartyFilter, SpendColumn, SpendQuery, SpendSums};
use actix_web::http::header::ACCEPT;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::answer::{AdminAnswer, Dollars};
use super::error::AdminRefusal;
use super::query::AdminQuery;
use super::report_csv::CsvTable;
use super::report_names::{KeyNames, ModelNames, TeamNames, shown};
use super::report_range::{DayRange, within};
use super::report_scope::{AskedParties, selected};
use super::report_sums::{self, SumRow, Sums, cost, counted, prompt_tokens, total_tokens};
use super::request::AdminRequest;

const CSV_COLUMNS: [&str; 14] = [
    "day",
    "key_alias",
    "token",
    "team",
    "user",
    "end_user",
    "tag",
    "model",
    "requests",
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "spend_usd",
];

/// The groups of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ReportBy {
    Team,
    Customer,
    User,
    Tag,
    Model,
    Day,
    Key,
}

/// A day of a report, with its groups in a member of their name.
#[derive(Debug)]
struct ReportDay {
    day: String,
    by: ReportBy,
    groups: Vec<ReportGroup>,
}

/// A group of a day: a team, an end user, and so on.
#[derive(Debug)]
struct ReportGroup {
    by: ReportBy,
    /// The name; absent for calls without one.
    name: Option<String>,
    /// The id of a team.
    team_id: Option<String>,
    total: SpendSums,
    parts: Vec<ReportPart>,
}

/// The calls of a group with one model and key.
#[derive(Debug, Serialize)]
struct ReportPart {
    model: String,
    api_key: String,
    spend: Dollars,
    total_tokens: i64,
}

/// A key of a report.
#[derive(Debug, Serialize)]
struct ReportKey {
    api_key: String,
    key_alias: Option<String>,
    #[serde(flatten)]
    totals: Totals,
    model_details: Vec<ReportModel>,
}

#[derive(Debug, Serialize)]
struct ReportModel {
    model: String,
    #[serde(flatten)]
    totals: Totals,
}

#[derive(Debug, Serialize)]
struct Totals {
    total_cost: Dollars,
    total_input_tokens: i64,
    total_output_tokens: i64,
}

/// `GET /global/spend/report`.
pub(super) async fn report(request: AdminRequest) -> Result<AdminAnswer, AdminRefusal> {
    request.caller.require_reader("/global/spend/report")?;
    let query = &request.query;
    let by = ReportBy::asked(query)?;
    let range = DayRange::required(query)?;
    let asked = AskedParties {
        key: query.text("api_key"),
        teams: query.text("team_id"),
        users: query.text("internal_user_id"),
        customers: query.text("customer_id"),
    };
    let who = selected(&request, asked).await?;
    if wants_csv(&request)? {
        return csv(&request, &range, (by, who)).await;
    }
    match by {
        ReportBy::Key => by_key(&request, &range, who).await,
        ReportBy::Team
        | ReportBy::Customer
        | ReportBy::User
        | ReportBy::Tag
        | ReportBy::Model
        | ReportBy::Day => by_day(&request, &range, (by, who)).await,
    }
}

/// `GET /key/spend/report`: that of the calling key, or of one that it may read.
pub(super) async fn of_key(request: AdminRequest) -> Result<AdminAnswer, AdminRefusal> {
    let own = request.caller.holder().map(|holder| holder.key.token.clone());
    let key = request.query.text("api_key").map(str::to_owned).or(own);
    let asked = AskedParties { key: key.as_deref(), ..AskedParties::default() };
    own_report(&request, asked).await
}

/// `GET /team/spend/report`: that of teams that the caller leads.
pub(super) async fn of_team(request: AdminRequest) -> Result<AdminAnswer, AdminRefusal> {
    let asked = AskedParties { teams: request.query.text("team_id"), ..AskedParties::default() };
    own_report(&request, asked).await
}

/// `GET /user/spend/report`: that of the caller's user.
pub(super) async fn of_user(request: AdminRequest) -> Result<AdminAnswer, AdminRefusal> {
    let own = request.caller.person().map(str::to_owned);
    let user = request.query.text("user_id").map(str::to_owned).or(own);
    let asked = AskedParties { users: user.as_deref(), ..AskedParties::default() };
    own_report(&request, asked).await
}

async fn own_report(
    request: &AdminRequest,
    asked: AskedParties<'_>,
) -> Result<AdminAnswer, AdminRefusal> {
    let range = DayRange::required(&request.query)?;
    let who = selected(request, asked).await?;
    if wants_csv(request)? {
        return csv(request, &range, (ReportBy::Key, who)).await;
    }
    by_key(request, &range, who).await
}

/// The report of each day that has calls.
async fn by_day(
    request: &AdminRequest,
    range: &DayRange,
    (by, who): (ReportBy, PartyFilter),
) -> Result<AdminAnswer, AdminRefusal> {
    let columns = [SpendColumn::Day, by.column(), SpendColumn::Model, SpendColumn::Key];
    let rows = read(request, range, (&columns, who)).await?;
    let keys = KeyNames::read(&request.accounts, rows.iter().map(|row| row.at(3))).await?;
    let ids = rows.iter().filter(|_| by == ReportBy::Team).map(|row| row.at(1));
    let teams = TeamNames::read(&request.accounts, ids).await?;
    let now = request.worker().now();
    let mut models = ModelNames::of(now.names.catalogue());
    let mut days = Vec::new();
    for (day, rows) in report_sums::by_day(rows) {
        let mut groups: BTreeMap<String, Vec<SumRow>> = BTreeMap::new();
        for row in rows {
            let name = match by {
                ReportBy::Model => models.base(row.at(1)),
                ReportBy::Day => String::new(),
                ReportBy::Team
                | ReportBy::Customer
                | ReportBy::User
                | ReportBy::Tag
                | ReportBy::Key => row.at(1).to_owned(),
            };
            groups.entry(name).or_default().push(row);
        }
        if by == ReportBy::Customer {
            groups.remove("");
        }
        let made = groups
            .into_iter()
            .map(|(name, rows)| ReportGroup::of(by, &name, &rows, (&keys, &teams, &mut models)));
        let mut groups: Vec<_> = made.collect();
        groups.sort_by_key(|group| std::cmp::Reverse(group.total.cost));
        days.push(ReportDay { day: format!("{day}T00:00:00Z"), by, groups });
    }
    AdminAnswer::of(&days)
}

/// The report of each key, over all days.
async fn by_key(
    request: &AdminRequest,
    range: &DayRange,
    who: PartyFilter,
) -> Result<AdminAnswer, AdminRefusal> {
    let rows = read(request, range, (&[SpendColumn::Key, SpendColumn::Model], who)).await?;
    let keys = KeyNames::read(&request.accounts, rows.iter().map(|row| row.at(0))).await?;
    let now = request.worker().now();
    let mut models = ModelNames::of(now.names.catalogue());
    let (mut totals, mut of_models) = (Sums::default(), BTreeMap::<String, Sums>::new());
    for row in &rows {
        totals.add(row.at(0), row);
        of_models.entry(row.at(0).to_owned()).or_default().add(&models.base(row.at(1)), row);
    }
    let report = totals.by_cost().into_iter().map(|(id, sums)| {
        let details = of_models.remove(&id).unwrap_or_default().by_cost().into_iter();
        ReportKey {
            api_key: keys.token(&id).to_owned(),
            key_alias: keys.alias(&id).map(str::to_owned),
            totals: Totals::of(&sums),
            model_details: details
                .map(|(model, sums)| ReportModel { model, totals: Totals::of(&sums) })
                .collect(),
        }
    });
    AdminAnswer::of(&report.collect::<Vec<_>>())
}

/// All dimensions as a table. Tags are told apart only in the report by tags, because a call may have several.
async fn csv(
    request: &AdminRequest,
    range: &DayRange,
    (by, who): (ReportBy, PartyFilter),
) -> Result<AdminAnswer, AdminRefusal> {
    use SpendColumn::{Customer, Day, Key, Model, Tag, Team, User};
    let mut columns = vec![Day, Key, Team, User, Customer, Model];
    if by == ReportBy::Tag {
        columns.push(Tag);
    }
    let rows = read(request, range, (&columns, who)).await?;
    let accounts = &request.accounts;
    let keys = KeyNames::read(accounts, rows.iter().map(|row| row.at(1))).await?;
    let teams = TeamNames::read(accounts, rows.iter().map(|row| row.at(2))).await?;
    let mut table = CsvTable::new(&CSV_COLUMNS);
    for row in &rows {
        let (sums, day) = (row.sums(), row.day().map_or_else(String::new, |day| day.to_string()));
        let (key, team) = (row.at(1), row.at(2));
        let texts = [
            day.as_str(),
            keys.alias(key).unwrap_or_default(),
            keys.token(key),
            teams.shown(team),
            row.at(3),
            shown(row.at(4)),
            shown(row.at(6)),
            row.at(5),
        ];
        let counts = [sums.requests(), sums.input, sums.output, sums.cache_read, sums.cache_write];
        let numbers = counts.iter().map(i64::to_string).chain([cost(sums).to_string()]);
        table.row(&texts, &numbers.collect::<Vec<_>>());
    }
    Ok(AdminAnswer::csv(table.text()))
}

async fn read(
    request: &AdminRequest,
    range: &DayRange,
    (columns, who): (&[SpendColumn], PartyFilter),
) -> Result<Vec<SumRow>, AdminRefusal> {
    let mut rows = Vec::new();
    for hours in range.hours() {
        let query = SpendQuery { by: columns.to_vec(), who: who.clone(), ..SpendQuery::default() };
        rows.extend(counted(request, within(hours, query)).await?);
    }
    Ok(rows)
}

fn wants_csv(request: &AdminRequest) -> Result<bool, AdminRefusal> {
    match request.query.text("format") {
        Some("csv") => Ok(true),
        Some("json") => Ok(false),
        Some(other) => {
            let message = format!("Invalid format '{other}'. Use json or csv.");
            Err(AdminRefusal::bad(message).param("format"))
        }
        None => {
            let accepted = request.headers().get_all(ACCEPT);
            let mut texts = accepted.filter_map(|value| value.to_str().ok());
            Ok(texts.any(|text| text.split([',', ';']).any(|kind| kind.trim() == "text/csv")))
        }
    }
}

impl ReportBy {
    fn asked(query: &AdminQuery) -> Result<Self, AdminRefusal> {
        Ok(match query.text("group_by") {
            None | Some("team") => Self::Team,
            Some("customer") => Self::Customer,
            Some("api_key") => Self::Key,
            Some("user") => Self::User,
            Some("tag") => Self::Tag,
            Some("model") => Self::Model,
            Some("day") => Self::Day,
            Some(other) => {
                let message = format!(
                    "Invalid group_by '{other}'. Use team, customer, api_key, user, tag, model or day."
                );
                return Err(AdminRefusal::bad(message).param("group_by"));
            }
        })
    }

    const fn column(self) -> SpendColumn {
        match self {
            Self::Team => SpendColumn::Team,
            Self::Customer => SpendColumn::Customer,
            Self::User => SpendColumn::User,
            Self::Tag => SpendColumn::Tag,
            // The second column is that of the parts, too.
            Self::Model | Self::Day => SpendColumn::Model,
            Self::Key => SpendColumn::Key,
        }
    }

    /// The member of a day that holds its groups, and the member of a group that holds its name.
    const fn members(self) -> (&'static str, &'static str) {
        match self {
            Self::Team => ("teams", "team_name"),
            Self::Customer => ("customers", "customer"),
            Self::User => ("users", "user"),
            Self::Tag => ("tags", "tag"),
            Self::Model => ("models", "model"),
            Self::Day => ("days", "day"),
            Self::Key => ("api_keys", "api_key"),
        }
    }
}

impl ReportGroup {
    fn of(
        by: ReportBy,
        name: &str,
        rows: &[SumRow],
        (keys, teams, models): (&KeyNames, &TeamNames, &mut ModelNames),
    ) -> Self {
        let mut total = SpendSums::default();
        let mut parts: BTreeMap<(String, &str), SpendSums> = BTreeMap::new();
        for row in rows {
            total.add(row.sums());
            parts.entry((models.base(row.at(2)), row.at(3))).or_default().add(row.sums());
        }
        let mut parts: Vec<_> = parts.into_iter().collect();
        parts.sort_by_key(|(_, sums)| std::cmp::Reverse(sums.cost));
        let named = (!name.is_empty()).then_some(name);
        let is_team = by == ReportBy::Team;
        Self {
            by,
            name: named
                .map(|name| if is_team { teams.shown(name) } else { shown(name) }.to_owned()),
            team_id: named.filter(|_| is_team).map(str::to_owned),
            total,
            parts: parts
                .into_iter()
                .map(|((model, key), sums)| ReportPart {
                    model,
                    api_key: keys.token(key).to_owned(),
                    spend: Dollars(cost(&sums)),
                    total_tokens: total_tokens(&sums),
                })
                .collect(),
        }
    }
}

impl Totals {
    fn of(sums: &SpendSums) -> Self {
        Self {
            total_cost: Dollars(cost(sums)),
            total_input_tokens: prompt_tokens(sums),
            total_output_tokens: sums.output,
        }
    }
}

impl Serialize for ReportDay {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { day, by, groups } = self;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("group_by_day", day)?;
        match (by, groups.as_slice()) {
            (ReportBy::Day, [group]) => {
                map.serialize_entry("total_spend", &Dollars(cost(&group.total)))?;
                map.serialize_entry("metadata", &group.parts)?;
            }
            _ => map.serialize_entry(by.members().0, groups)?,
        }
        if *by == ReportBy::Tag {
            // A call counts once for each of its tags.
            map.serialize_entry("metadata", &serde_json::json!({ "overlapping": true }))?;
        }
        map.end()
    }
}

impl Serialize for ReportGroup {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { by, name, team_id, total, parts } = self;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry(by.members().1, name)?;
        if *by == ReportBy::Team {
            map.serialize_entry("team_id", team_id)?;
        }
        map.serialize_entry("total_spend", &Dollars(cost(total)))?;
        map.serialize_entry("metadata", parts)?;
        map.end()
    }
}
