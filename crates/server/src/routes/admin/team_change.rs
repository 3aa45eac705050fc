//! Routes that make, change and delete teams.

use access::{DEFAULT_USER, MemberInput, Set, TeamInput, TeamMember, TeamRecord, TeamRole};
use serde::Serialize;

use super::answer::AdminAnswer;
use super::caller::permissions;
use super::error::AdminRefusal;
use super::key_row::found;
use super::request::AdminRequest;
use super::team_access::{self, TeamUse};
use super::team_fields::{self, PERMISSIONS, TeamFields};
use super::team_people;
use super::team_row::{TeamRow, TeamView};

/// The answer of `/team/update`.
#[derive(Debug, Serialize)]
struct ChangedTeam<'t> {
    team_id: &'t str,
    data: TeamRow<'t>,
}

/// The answer of a deletion.
#[derive(Debug, Serialize)]
struct DeletedTeams {
    deleted_teams: Vec<String>,
}

/// The answer of the routes for permissions.
#[derive(Debug, Serialize)]
struct TeamPermissions<'t> {
    team_id: &'t str,
    team_member_permissions: Vec<&'t str>,
    all_available_permissions: &'static [&'static str],
}

/// `POST /team/new`: makes a team.
pub(super) async fn new(mut request: AdminRequest) -> Result<AdminAnswer, AdminRefusal> {
    request.caller.require_admin()?;
    let id = request.body.text("team_id")?;
    let id = id.unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
    let body = std::mem::take(&mut request.body);
    let fields = TeamFields::of_new(body, &request.settings().team_defaults)?;
    let mut team = TeamRecord::new(&id)?;
    team.apply(fields.input, request.accounts.now())?;
    if found(request.accounts.record::<TeamRecord>(&id).await)?.is_some() {
        let value = id;
        return Err(access::accounts::AdminError::Taken { param: "team_id", value }.into());
    }
    let creator = request.caller.person().unwrap_or(DEFAULT_USER).to_owned();
    let mut members = team_people::resolved(&request, fields.members).await?;
    if !members.iter().any(|member| member.user_id.as_ref() == Some(&creator)) {
        members.push(TeamMember {
            role: TeamRole::Admin,
            user_id: Some(creator),
            user_email: None,
        });
    }
    team.members_with_roles = members;
    let team = request.accounts.create(team, request.caller.actor()).await?;
    let listed = (team.team_id.as_str(), team.members_with_roles.as_slice());
    team_people::join(&request, listed, &MemberInput::default()).await?;
    answer(&request, team, &fields.ignored).await
}

/// `POST /team/update`: merges fields into a team. Its members have routes of their own.
pub(super) async fn update(mut request: AdminRequest) -> Result<AdminAnswer, AdminRefusal> {
    let id: String = request.body.require("team_id")?;
    team_access::find(&request, &id, TeamUse::Change).await?;
    let TeamFields { input, members, mut ignored } =
        TeamFields::read(std::mem::take(&mut request.body))?;
    if !members.is_empty() {
        ignored.push("members_with_roles".to_owned());
    }
    let view = merged(&request, &id, input).await?;
    let data = view.row(&request.accounts);
    let answer = AdminAnswer::of(&ChangedTeam { team_id: &view.record.team_id, data })?;
    Ok(answer.ignoring(ignored.iter().map(String::as_str)))
}

/// `POST /team/delete`: ends teams with their keys and memberships.
pub(super) async fn delete(mut request: AdminRequest) -> Result<AdminAnswer, AdminRefusal> {
    request.caller.require_admin()?;
    let ids: Vec<String> = request.body.require("team_ids")?;
    let mut teams = Vec::new();
    for id in &ids {
        teams.push(request.accounts.record::<TeamRecord>(id).await?);
    }
    let mut deleted_teams = Vec::new();
    for team in teams {
        let gone = request.accounts.delete::<TeamRecord>(&team.team_id, request.caller.actor());
        // Named twice, or deleted by another request.
        if found(gone.await)?.is_none() {
            continue;
        }
        let members = team.members_with_roles.iter();
        for user in members.filter_map(|member| member.user_id.as_deref()) {
            team_people::forget(&request, &team.team_id, user).await?;
        }
        deleted_teams.push(team.team_id);
    }
    AdminAnswer::of(&DeletedTeams { deleted_teams })
}

/// `POST /team/block`: refuses calls of all keys of a team.
pub(super) async fn block(request: AdminRequest) -> Result<AdminAnswer, AdminRefusal> {
    set_blocked(request, true).await
}

/// `POST /team/unblock`: lets them call again.
pub(super) async fn unblock(request: AdminRequest) -> Result<AdminAnswer, AdminRefusal> {
    set_blocked(request, false).await
}

/// `POST /team/model/add`: grants a team more models.
pub(super) async fn add_models(mut request: AdminRequest) -> Result<AdminAnswer, AdminRefusal> {
    let (team, listed) = models(&mut request).await?;
    let mut models = team.models;
    models.extend(listed.into_iter().filter(|model| !team_has(&models, model)).collect::<Vec<_>>());
    set_models(&request, &team.team_id, models).await
}

/// `POST /team/model/delete`: takes models from a team. Without any left it could call all of them, so that the name
/// for none takes their place.
pub(super) async fn delete_models(mut request: AdminRequest) -> Result<AdminAnswer, AdminRefusal> {
    let (team, listed) = models(&mut request).await?;
    let had = !team.models.is_empty();
    let mut models = team.models;
    models.retain(|model| !listed.contains(model));
    if had && models.is_empty() {
        models.push("no-default-models".to_owned());
    }
    set_models(&request, &team.team_id, models).await
}

/// `GET /team/permissions_list`: the routes that members of a team may use for its keys.
pub(super) async fn permissions_list(request: AdminRequest) -> Result<AdminAnswer, AdminRefusal> {
    let id = request.query.require("team_id")?;
    let team = team_access::find(&request, id, TeamUse::Read).await?;
    shown_permissions(&team)
}

/// `POST /team/permissions_update`: replaces them.
pub(super) async fn permissions_update(
    mut request: AdminRequest,
) -> Result<AdminAnswer, AdminRefusal> {
    let id: String = request.body.require("team_id")?;
    team_access::find(&request, &id, TeamUse::Lead).await?;
    let routes: Vec<String> = request.body.require("team_member_permissions")?;
    team_fields::check_permissions(&routes)?;
    let input = TeamInput { team_member_permissions: Set::To(routes), ..TeamInput::default() };
    let view = merged(&request, &id, input).await?;
    shown_permissions(&view.record)
}

fn shown_permissions(team: &TeamRecord) -> Result<AdminAnswer, AdminRefusal> {
    AdminAnswer::of(&TeamPermissions {
        team_id: &team.team_id,
        team_member_permissions: permissions(team),
        all_available_permissions: PERMISSIONS,
    })
}

async fn set_blocked(
    mut request: AdminRequest,
    blocked: bool,
) -> Result<AdminAnswer, AdminRefusal> {
    let id: String = request.body.require("team_id")?;
    team_access::find(&request, &id, TeamUse::Change).await?;
    let input = TeamInput { blocked: Set::To(blocked), ..TeamInput::default() };
    let view = merged(&request, &id, input).await?;
    AdminAnswer::of(&view.row(&request.accounts))
}

/// The team of a request, and the models that it lists.
async fn models(request: &mut AdminRequest) -> Result<(TeamRecord, Vec<String>), AdminRefusal> {
    let id: String = request.body.require("team_id")?;
    let listed: Vec<String> = request.body.require("models")?;
    Ok((team_access::find(request, &id, TeamUse::Change).await?, listed))
}

fn team_has(models: &[String], model: &String) -> bool {
    models.contains(model)
}

async fn set_models(
    request: &AdminRequest,
    team_id: &str,
    models: Vec<String>,
) -> Result<AdminAnswer, AdminRefusal> {
    let input = TeamInput { models: Set::To(models), ..TeamInput::default() };
    let view = merged(request, team_id, input).await?;
    AdminAnswer::of(&view.row(&request.accounts))
}

async fn merged(
    request: &AdminRequest,
    team_id: &str,
    input: TeamInput,
) -> Result<TeamView, AdminRefusal> {
    let merge = |team: &mut TeamRecord, now| team.apply(input.clone(), now);
    let team = request.accounts.update(team_id, request.caller.actor(), merge).await?;
    TeamView::of(&request.accounts, team).await
}

async fn answer(
    request: &AdminRequest,
    team: TeamRecord,
    ignored: &[String],
) -> Result<AdminAnswer, AdminRefusal> {
    let view = TeamView::of(&request.accounts, team).await?;
    let answer = AdminAnswer::of(&view.row(&request.accounts))?;
    Ok(answer.ignoring(ignored.iter().map(String::as_str)))
}
