//! Routes that change the members of teams.

use access::{DEFAULT_USER, MemberInput, MemberRecord, TeamMember, TeamRecord, TeamRole};
use serde::Serialize;

use super::answer::{AdminAnswer, Dollars};
use super::error::{AdminRefusal, FieldFault};
use super::request::AdminRequest;
use super::team_access::{self, TeamUse};
use super::team_fields::{SentMembers, membership};
use super::team_people::{self, PersonColumns};
use super::team_row::{MembershipRow, TeamRow, TeamView};
use super::unenforced;

/// The answer of `/team/member_add`.
#[derive(Debug, Serialize)]
struct JoinedTeam<'t> {
    #[serde(flatten)]
    team: TeamRow<'t>,
    updated_users: Vec<PersonColumns<'t>>,
    updated_team_memberships: Vec<MembershipRow<'t>>,
}

/// The answer of `/team/member_update`.
#[derive(Debug, Serialize)]
struct ChangedMember<'t> {
    team_id: &'t str,
    user_id: &'t str,
    user_email: Option<&'t str>,
    role: TeamRole,
    max_budget_in_team: Option<Dollars>,
    budget_duration: Option<&'t access::WrittenSpan>,
    tpm_limit: Option<u64>,
    rpm_limit: Option<u64>,
    allowed_models: Option<&'t [String]>,
}

/// `POST /team/member_add`: adds users to a team; those that do not exist are made.
pub(super) async fn add(mut request: AdminRequest) -> Result<AdminAnswer, AdminRefusal> {
    let id: String = request.body.require("team_id")?;
    let team = team_access::find(&request, &id, TeamUse::Lead).await?;
    let SentMembers { members, ignored: mut of_members } = SentMembers::added(&mut request.body)?;
    let input = membership(&mut request.body)?;
    of_members.extend(unenforced::unknown(request.body.members())?);
    // Limits that cannot be stored are refused before a user is made.
    MemberRecord::default().apply(input.clone(), request.accounts.now())?;
    for member in &members {
        let named = (member.user_id.as_deref(), member.user_email.as_deref());
        if let Some(user) = team_people::person(&request, named).await?
            && team.role_of(&user.user_id).is_some()
        {
            return Err(already_in(&user.user_id, &id));
        }
    }
    let members = team_people::resolved(&request, members).await?;
    let (users, memberships) = team_people::join(&request, (&id, &members), &input).await?;
    let team = team_people::set_members(&request, &id, |listed| {
        let is_new =
            |member: &&TeamMember| listed.iter().all(|known| known.user_id != member.user_id);
        let new: Vec<_> = members.iter().filter(is_new).cloned().collect();
        listed.extend(new);
    });
    let view = TeamView::of(&request.accounts, team.await?).await?;
    let rows = MembershipRow::of_all(&request.accounts, &view.record, &memberships).await?;
    let columns = |user| match request.caller.is_admin() {
        true => PersonColumns::of(user),
        false => PersonColumns::within(user, &id),
    };
    let answer = AdminAnswer::of(&JoinedTeam {
        team: view.row(&request.accounts),
        updated_users: users.iter().map(columns).collect(),
        updated_team_memberships: rows,
    })?;
    Ok(answer.ignoring(of_members.iter().map(String::as_str)))
}

/// `POST /team/member_update`: changes the role and the limits of a member.
pub(super) async fn update(mut request: AdminRequest) -> Result<AdminAnswer, AdminRefusal> {
    let (team, member) = named(&mut request).await?;
    let role: Option<TeamRole> = request.body.option("role")?;
    let input = membership(&mut request.body)?;
    let ignored = unenforced::unknown(request.body.members())?;
    let user_id = member.user_id.clone().unwrap_or_default();
    let membership = limited(&request, (&team, &user_id), &input).await?;
    if let Some(role) = role {
        team_people::set_members(&request, &team.team_id, |listed| {
            for member in listed.iter_mut().filter(|m| m.user_id.as_ref() == Some(&user_id)) {
                member.role = role;
            }
        })
        .await?;
    }
    let limits = &membership.limits;
    let answer = AdminAnswer::of(&ChangedMember {
        team_id: &team.team_id,
        user_id: &user_id,
        user_email: member.user_email.as_deref(),
        role: role.unwrap_or(member.role),
        max_budget_in_team: limits.max_budget.map(Dollars),
        budget_duration: limits.budget_duration.as_ref(),
        tpm_limit: limits.tpm_limit,
        rpm_limit: limits.rpm_limit,
        allowed_models: membership.allowed_models.as_deref(),
    })?;
    Ok(answer.ignoring(ignored.iter().map(String::as_str)))
}

/// `POST /team/member_delete`: takes a user out of a team, with the keys of the team that it has.
pub(super) async fn delete(mut request: AdminRequest) -> Result<AdminAnswer, AdminRefusal> {
    let (team, member) = named(&mut request).await?;
    let user_id = member.user_id.unwrap_or_default();
    team_people::leave(&request, &team.team_id, &user_id).await?;
    let team = team_people::set_members(&request, &team.team_id, |listed| {
        listed.retain(|member| member.user_id.as_ref() != Some(&user_id));
    });
    let view = TeamView::of(&request.accounts, team.await?).await?;
    AdminAnswer::of(&view.row(&request.accounts))
}

/// The team of a request, and the member that it names by id or address.
async fn named(request: &mut AdminRequest) -> Result<(TeamRecord, TeamMember), AdminRefusal> {
    let id: String = request.body.require("team_id")?;
    let team = team_access::find(request, &id, TeamUse::Lead).await?;
    let (user_id, email) = (request.body.text("user_id")?, request.body.text("user_email")?);
    if user_id.is_none() && email.is_none() {
        return Err(AdminRefusal::unprocessable(&[FieldFault::missing("body", "user_id")]));
    }
    let user_id = match user_id {
        Some(id) => Some(id),
        None => team_people::person(request, (None, email.as_deref())).await?.map(|u| u.user_id),
    };
    let is_named = |member: &&TeamMember| {
        member.user_id.is_some() && member.user_id == user_id
            || user_id.is_none() && member.user_email == email
    };
    let member = team.members_with_roles.iter().find(is_named).cloned();
    let missing = || AdminRefusal::not_found("Team member not found").param("user_id");
    Ok((team, member.ok_or_else(missing)?))
}

/// Merges limits into a membership, which is made where an import left it out.
async fn limited(
    request: &AdminRequest,
    (team, user_id): (&TeamRecord, &str),
    input: &MemberInput,
) -> Result<MemberRecord, AdminRefusal> {
    if user_id == DEFAULT_USER {
        let message = "The user of the master key has no limits in a team.";
        return Err(AdminRefusal::bad(message).param("user_id"));
    }
    let id = MemberRecord::id_of(&team.team_id, user_id);
    let merge = |member: &mut MemberRecord, now| member.apply(input.clone(), now);
    let merged = request.accounts.update(&id, request.caller.actor(), merge).await;
    if let Some(member) = super::key_row::found(merged)? {
        return Ok(member);
    }
    let mut member = MemberRecord {
        team_id: team.team_id.clone(),
        user_id: user_id.to_owned(),
        ..MemberRecord::default()
    };
    member.apply(input.clone(), request.accounts.now())?;
    Ok(request.accounts.create(member, request.caller.actor()).await?)
}

fn already_in(user_id: &str, team_id: &str) -> AdminRefusal {
    AdminRefusal::bad(format!("User {user_id} is already in team {team_id}"))
        .kind("team_member_already_in_team")
        .param("user_id")
}
