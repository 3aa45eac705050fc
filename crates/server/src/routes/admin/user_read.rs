//! Routes that read users.

use std::cmp::Reverse;

use access::store::RecordQuery;
use access::{KeyRecord, RecordKind, TeamRecord, UserRecord, UserRole};
use serde::Serialize;

use super::answer::AdminAnswer;
use super::error::AdminRefusal;
use super::key_access::{self, KeyUse};
use super::key_row::{KeyRow, KeyView, found};
use super::query::AdminQuery;
use super::report_scope::{led_teams, listed};
use super::request::AdminRequest;
use super::team_people::PersonColumns;
use super::team_row::{TeamRow, TeamView};
use super::user_change::not_found;
use super::user_row::{UserRow, UserView, order};

const INFO: &str = "/key/info";
/// Users of a page, where the request says no number, and at most.
const SIZES: (u64, u64) = (25, 100);
/// Most rows of a list without pages.
const MOST: u64 = 10_000;
/// Rows read at once where all are needed.
const PAGE: u64 = 500;

/// The answer of `/user/info`.
#[derive(Debug, Serialize)]
struct UserInfo<'u> {
    user_id: Option<&'u str>,
    user_info: Option<ShownUser<'u>>,
    keys: Vec<KeyRow<'u>>,
    teams: Vec<TeamRow<'u>>,
}

/// A user as its reader may see it.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum ShownUser<'u> {
    Row(Box<UserRow<'u>>),
    Person(PersonColumns<'u>),
}

/// The answer of `/user/list`.
#[derive(Debug, Serialize)]
struct UserPage<'u> {
    users: Vec<ListedUser<'u>>,
    total: u64,
    page: u64,
    page_size: u64,
    total_pages: u64,
}

#[derive(Debug, Serialize)]
struct ListedUser<'u> {
    #[serde(flatten)]
    row: UserRow<'u>,
    key_count: u64,
}

/// The part of a user that a caller may see.
enum Sight {
    /// All of it.
    Whole,
    /// Its part in teams that the caller leads.
    InTeams(Vec<TeamRecord>),
}

/// `GET /user/info`: a user with its keys and teams; without `user_id` the caller's own, or all for administrators.
pub(super) async fn info(request: AdminRequest) -> Result<AdminAnswer, AdminRefusal> {
    let own = request.caller.person().map(str::to_owned);
    let Some(id) = request.query.text("user_id").map(str::to_owned).or(own) else {
        return without_user(&request).await;
    };
    let (user, sight) = find(&request, &id).await?;
    let mut keys = keys(&request, Some(&id)).await?;
    let mut teams = Vec::new();
    for team in &user.teams {
        teams.extend(found(request.accounts.record::<TeamRecord>(team).await)?);
    }
    if let Sight::InTeams(led) = &sight {
        let is_led = |id: Option<&str>| led.iter().any(|team| Some(team.team_id.as_str()) == id);
        keys.retain(|key| is_led(key.team_id.as_deref()));
        teams.retain(|team| is_led(Some(&team.team_id)));
    }
    let view = UserView::of(&request.accounts, user).await?;
    let shown = shown(&request, &view, &sight);
    answer(&request, (Some(&id), Some(shown)), keys, teams).await
}

/// `GET /v2/user/info`: a user alone.
pub(super) async fn alone(request: AdminRequest) -> Result<AdminAnswer, AdminRefusal> {
    let own = request.caller.person().map(str::to_owned);
    let id = match request.query.text("user_id").map(str::to_owned).or(own) {
        Some(id) => id,
        None => request.query.require("user_id")?.to_owned(),
    };
    let (user, sight) = find(&request, &id).await?;
    let view = UserView::of(&request.accounts, user).await?;
    AdminAnswer::of(&shown(&request, &view, &sight))
}

/// `GET /user/list`: a page of users.
pub(super) async fn list(request: AdminRequest) -> Result<AdminAnswer, AdminRefusal> {
    request.caller.require_reader("/user/list")?;
    let query = &request.query;
    let page = query.page("page_size", SIZES)?;
    let (order, role) = (order(query)?, role(query)?);
    let ids = query.text("user_ids").map(listed);
    let email = query.text("user_email").map(str::to_lowercase);
    let team = query.text("team");
    let mut users = every(&request).await?;
    users.retain(|user| {
        let address = user.user_email.as_deref().unwrap_or_default().to_lowercase();
        role.is_none_or(|role| user.user_role == Some(role))
            && ids.as_ref().is_none_or(|ids| ids.contains(&user.user_id))
            && email.as_ref().is_none_or(|part| address.contains(part))
            && team.is_none_or(|team| user.teams.iter().any(|of_user| of_user == team))
    });
    let mut views = UserView::of_all(&request.accounts, users).await?;
    views.sort_by(order);
    let total = views.len() as u64;
    let views = page.cut(views);
    let mut users = Vec::with_capacity(views.len());
    for view in &views {
        let key_count = key_count(&request, &view.record.user_id).await?;
        users.push(ListedUser { row: view.row(&request.accounts), key_count });
    }
    let (page, page_size, total_pages) = (page.page, page.size, page.pages(total));
    AdminAnswer::of(&UserPage { users, total, page, page_size, total_pages })
}

/// `GET /spend/users`: rows of users, the dearest first; of the caller's own where it may read no others.
pub(super) async fn by_spend(request: AdminRequest) -> Result<AdminAnswer, AdminRefusal> {
    let limit = request.query.number("limit", (1, MOST))?.unwrap_or(MOST);
    let users = match request.query.text("user_id") {
        Some(id) => {
            check_own(&request, id)?;
            found(request.accounts.record::<UserRecord>(id).await)?.into_iter().collect()
        }
        None if request.caller.reads_all() => every(&request).await?,
        None => match request.caller.person() {
            Some(id) => {
                found(request.accounts.record::<UserRecord>(id).await)?.into_iter().collect()
            }
            None => Vec::new(),
        },
    };
    let mut views = UserView::of_all(&request.accounts, users).await?;
    views.sort_by_key(|view| Reverse(view.spend()));
    views.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    let rows = views.iter().map(|view| view.row(&request.accounts));
    AdminAnswer::of(&rows.collect::<Vec<_>>())
}

fn check_own(request: &AdminRequest, user_id: &str) -> Result<(), AdminRefusal> {
    if request.caller.reads_all() || request.caller.person() == Some(user_id) {
        return Ok(());
    }
    Err(foreign())
}

fn foreign() -> AdminRefusal {
    AdminRefusal::forbidden("You are not allowed to access this user's info.").param("user_id")
}

/// A user that the caller may see. Of others it does not learn whether they exist.
async fn find(request: &AdminRequest, id: &str) -> Result<(UserRecord, Sight), AdminRefusal> {
    let user = found(request.accounts.record::<UserRecord>(id).await)?;
    if check_own(request, id).is_ok() {
        return user.map(|user| (user, Sight::Whole)).ok_or_else(|| not_found(id));
    }
    let mut led = led_teams(request).await?;
    led.retain(|team| team.role_of(id).is_some());
    match user {
        Some(user) if !led.is_empty() => Ok((user, Sight::InTeams(led))),
        Some(_) | None => Err(foreign()),
    }
}

fn shown<'u>(request: &AdminRequest, view: &'u UserView, sight: &'u Sight) -> ShownUser<'u> {
    match sight {
        Sight::Whole => ShownUser::Row(Box::new(view.row(&request.accounts))),
        Sight::InTeams(led) => {
            let teams = led.iter().map(|team| team.team_id.as_str()).collect();
            ShownUser::Person(PersonColumns::in_teams(&view.record, teams))
        }
    }
}

/// The answer to a caller without a user: all keys and teams for one who may read them, its own key otherwise.
async fn without_user(request: &AdminRequest) -> Result<AdminAnswer, AdminRefusal> {
    if request.caller.reads_all() {
        let all = RecordQuery::all(RecordKind::Team, request.accounts.now());
        let query = RecordQuery { limit: u64::from(u32::MAX), ..all };
        let teams = request.accounts.list::<TeamRecord>(query).await?.rows;
        return answer(request, (None, None), keys(request, None).await?, teams).await;
    }
    let own = request.caller.holder().map(|holder| holder.key.clone());
    answer(request, (None, None), own.into_iter().collect(), Vec::new()).await
}

async fn answer(
    request: &AdminRequest,
    (user_id, user_info): (Option<&str>, Option<ShownUser<'_>>),
    keys: Vec<KeyRecord>,
    teams: Vec<TeamRecord>,
) -> Result<AdminAnswer, AdminRefusal> {
    let accounts = &request.accounts;
    let keys = KeyView::of_all(accounts, keys).await?;
    let teams = TeamView::of_all(accounts, teams).await?;
    AdminAnswer::of(&UserInfo {
        user_id,
        user_info,
        keys: keys.iter().map(|key| key.row_with_token(accounts)).collect(),
        teams: teams.iter().map(|team| team.row(accounts)).collect(),
    })
}

/// The keys of a user, or all, that the caller may read.
async fn keys(request: &AdminRequest, user: Option<&str>) -> Result<Vec<KeyRecord>, AdminRefusal> {
    let all = RecordQuery::all(RecordKind::Key, request.accounts.now());
    let query = RecordQuery { user: user.map(str::to_owned), ..all };
    let mut keys = Vec::new();
    for (key, _) in key_access::every(request, query).await? {
        if key_access::may(request, &key, (KeyUse::Read, INFO)).await? {
            keys.push(key);
        }
    }
    Ok(keys)
}

async fn key_count(request: &AdminRequest, user_id: &str) -> Result<u64, AdminRefusal> {
    let all = RecordQuery::all(RecordKind::Key, request.accounts.now());
    let query = RecordQuery { user: Some(user_id.to_owned()), limit: 1, ..all };
    Ok(request.accounts.store().documents(query).await?.total)
}

async fn every(request: &AdminRequest) -> Result<Vec<UserRecord>, AdminRefusal> {
    let all = RecordQuery::all(RecordKind::User, request.accounts.now());
    let mut query = RecordQuery { limit: PAGE, ..all };
    let mut users = Vec::new();
    loop {
        let page = request.accounts.list::<UserRecord>(query.clone()).await?;
        query.offset += page.rows.len() as u64;
        let is_last = page.rows.is_empty() || query.offset >= page.total;
        users.extend(page.rows);
        if is_last {
            return Ok(users);
        }
    }
}

fn role(query: &AdminQuery) -> Result<Option<UserRole>, AdminRefusal> {
    Ok(match query.text("role") {
        None => None,
        Some("proxy_admin") => Some(UserRole::ProxyAdmin),
        Some("proxy_admin_viewer") => Some(UserRole::ProxyAdminViewer),
        Some("internal_user") => Some(UserRole::InternalUser),
        Some("internal_user_viewer") => Some(UserRole::InternalUserViewer),
        Some(other) => {
            let message = format!(
                "Invalid role '{other}'. Use proxy_admin, proxy_admin_viewer, internal_user or internal_user_viewer."
            );
            return Err(AdminRefusal::bad(message).param("role"));
        }
    })
}
