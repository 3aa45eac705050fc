//! Routes that read teams.

use std::cmp::Ordering;

use access::store::RecordQuery;
use access::{KeyRecord, MemberRecord, RecordKind, TeamRecord};
use serde::Serialize;

use super::answer::AdminAnswer;
use super::caller::AdminCaller;
use super::error::AdminRefusal;
use super::key_access::{self, KeyUse};
use super::key_row::{KeyRow, KeyView};
use super::query::AdminQuery;
use super::request::AdminRequest;
use super::team_access::{self, TeamUse};
use super::team_row::{MembershipRow, TeamRow, TeamView};

const INFO: &str = "/key/info";
/// Rows read at once where all are needed.
const PAGE: u64 = 500;

/// The answer of `/team/info`.
#[derive(Debug, Serialize)]
struct TeamInfo<'t> {
    team_id: &'t str,
    team_info: TeamRow<'t>,
    keys: Vec<KeyRow<'t>>,
    team_memberships: Vec<MembershipRow<'t>>,
}

/// An element of `/team/list`.
#[derive(Debug, Serialize)]
struct ListedTeam<'t> {
    #[serde(flatten)]
    row: TeamRow<'t>,
    keys: Vec<KeyRow<'t>>,
}

/// The answer of `/v2/team/list`.
#[derive(Debug, Serialize)]
struct TeamPage<'t> {
    teams: Vec<TeamRow<'t>>,
    total: u64,
    page: u64,
    page_size: u64,
    total_pages: u64,
}

/// `GET /team/info`: a team with its keys and memberships.
pub(super) async fn info(request: AdminRequest) -> Result<AdminAnswer, AdminRefusal> {
    let id = request.query.require("team_id")?;
    let most = request.query.number("key_limit", (0, PAGE))?.unwrap_or(PAGE);
    let team = team_access::find(&request, id, TeamUse::Read).await?;
    let mut keys = keys_of(&request, &team).await?;
    keys.truncate(usize::try_from(most).unwrap_or(usize::MAX));
    let keys = KeyView::of_all(&request.accounts, keys).await?;
    let mut members = memberships(&request, id).await?;
    if !request.caller.reads_all() && !request.caller.leads(&team) {
        members.retain(|member| Some(member.user_id.as_str()) == request.caller.user());
    }
    let team_memberships = MembershipRow::of_all(&request.accounts, &team, &members).await?;
    let view = TeamView::of(&request.accounts, team).await?;
    AdminAnswer::of(&TeamInfo {
        team_id: &view.record.team_id,
        team_info: view.row(&request.accounts),
        keys: keys.iter().map(|key| key.row(&request.accounts)).collect(),
        team_memberships,
    })
}

/// `GET /team/list`: teams with their keys.
pub(super) async fn list(request: AdminRequest) -> Result<AdminAnswer, AdminRefusal> {
    let teams = readable(&request).await?;
    let (mut counts, mut keys) = (Vec::with_capacity(teams.len()), Vec::new());
    for team in &teams {
        let of_team = keys_of(&request, team).await?;
        counts.push(of_team.len());
        keys.extend(of_team);
    }
    let keys = KeyView::of_all(&request.accounts, keys).await?;
    let views = TeamView::of_all(&request.accounts, teams).await?;
    let mut rest = keys.as_slice();
    let listed = views.iter().zip(counts).map(|(view, count)| {
        let (own, others) = rest.split_at(count.min(rest.len()));
        rest = others;
        let keys = own.iter().map(|key| key.row(&request.accounts)).collect();
        ListedTeam { row: view.row(&request.accounts), keys }
    });
    AdminAnswer::of(&listed.collect::<Vec<_>>())
}

/// `GET /v2/team/list`: a page of teams.
pub(super) async fn page(request: AdminRequest) -> Result<AdminAnswer, AdminRefusal> {
    let page = request.query.page("page_size", (10, 100))?;
    let compare = order(&request.query)?;
    let mut views = TeamView::of_all(&request.accounts, readable(&request).await?).await?;
    views.sort_by(compare);
    let total = views.len() as u64;
    let views = page.cut(views);
    AdminAnswer::of(&TeamPage {
        teams: views.iter().map(|view| view.row(&request.accounts)).collect(),
        total,
        page: page.page,
        page_size: page.size,
        total_pages: page.pages(total),
    })
}

/// `GET /team/available`: teams that a user may join by itself. There are none: members are added.
pub(super) async fn available(_request: AdminRequest) -> Result<AdminAnswer, AdminRefusal> {
    AdminAnswer::of(&Vec::<TeamRow<'_>>::new())
}

type TeamOrder = Box<dyn Fn(&TeamView, &TeamView) -> Ordering>;

fn order(query: &AdminQuery) -> Result<TeamOrder, AdminRefusal> {
    let up: fn(&TeamView, &TeamView) -> Ordering = match query.text("sort_by") {
        None | Some("created_at") => {
            |a, b| a.record.stamp.created_at.cmp(&b.record.stamp.created_at)
        }
        Some("updated_at") => |a, b| a.record.stamp.updated_at.cmp(&b.record.stamp.updated_at),
        Some("team_alias") => |a, b| a.record.team_alias.cmp(&b.record.team_alias),
        Some("team_id") => |a, b| a.record.team_id.cmp(&b.record.team_id),
        Some("max_budget") => |a, b| a.record.limits.max_budget.cmp(&b.record.limits.max_budget),
        Some("spend") => |a, b| a.spend().cmp(&b.spend()),
        Some(other) => {
            return Err(AdminRefusal::bad(format!(
                "Invalid sort column '{other}'. Use one of: created_at, updated_at, team_alias, team_id, max_budget, spend."
            ))
            .param("sort_by"));
        }
    };
    let ascending = query.is_ascending()?;
    Ok(Box::new(move |a, b| {
        let order = up(a, b).then_with(|| a.record.team_id.cmp(&b.record.team_id));
        if ascending { order } else { order.reverse() }
    }))
}

/// The teams that the query selects and the caller may read, newest first.
async fn readable(request: &AdminRequest) -> Result<Vec<TeamRecord>, AdminRefusal> {
    let (caller, query) = (&request.caller, &request.query);
    let (user, id) = (query.text("user_id"), query.text("team_id"));
    let alias = query.text("team_alias").map(str::to_lowercase);
    let mut asked = RecordQuery::all(RecordKind::Team, request.accounts.now());
    asked.organization = query.text("organization_id").map(str::to_owned);
    let mut teams = every(request, asked).await?;
    teams.retain(|team: &TeamRecord| {
        let name = team.team_alias.as_deref().unwrap_or_default().to_lowercase();
        may_read(caller, team)
            && user.is_none_or(|user| team.role_of(user).is_some())
            && id.is_none_or(|id| team.team_id == id)
            && alias.as_ref().is_none_or(|part| name.contains(part))
    });
    Ok(teams)
}

fn may_read(caller: &AdminCaller, team: &TeamRecord) -> bool {
    caller.reads_all() || caller.belongs_to(team) || caller.leads(team)
}

/// The keys of a team that the caller may read.
async fn keys_of(
    request: &AdminRequest,
    team: &TeamRecord,
) -> Result<Vec<KeyRecord>, AdminRefusal> {
    let mut query = RecordQuery::all(RecordKind::Key, request.accounts.now());
    query.team = Some(team.team_id.clone());
    let mut readable = Vec::new();
    for (key, _) in key_access::every(request, query).await? {
        if key_access::may(request, &key, (KeyUse::Read, INFO)).await? {
            readable.push(key);
        }
    }
    Ok(readable)
}

async fn memberships(
    request: &AdminRequest,
    team_id: &str,
) -> Result<Vec<MemberRecord>, AdminRefusal> {
    let mut query = RecordQuery::all(RecordKind::Member, request.accounts.now());
    query.team = Some(team_id.to_owned());
    every(request, query).await
}

/// All records of a selection.
async fn every<R: access::Record>(
    request: &AdminRequest,
    query: RecordQuery,
) -> Result<Vec<R>, AdminRefusal> {
    let mut query = RecordQuery { offset: 0, limit: PAGE, ..query };
    let mut records = Vec::new();
    loop {
        let page = request.accounts.list::<R>(query.clone()).await?;
        query.offset += page.rows.len() as u64;
        let is_last = page.rows.is_empty() || query.offset >= page.total;
        records.extend(page.rows);
        if is_last {
            return Ok(records);
        }
    }
}
