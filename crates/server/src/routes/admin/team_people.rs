//! The people of teams: users found by id or address, and made where they do not exist; memberships; and the lists
//! that teams and users keep of each other.

use access::accounts::AdminError;
use access::store::RecordQuery;
use access::{
    DEFAULT_USER, InvalidField, MemberInput, MemberRecord, RecordKind, Set, TeamMember, TeamRecord,
    UserInput, UserRecord,
};
use serde::Serialize;

use super::error::AdminRefusal;
use super::key_access;
use super::key_row::found;
use super::request::AdminRequest;

/// A user in the answers of team routes.
#[derive(Debug, Serialize)]
pub(super) struct PersonColumns<'u> {
    user_id: &'u str,
    user_email: Option<&'u str>,
    user_alias: Option<&'u str>,
    user_role: Option<access::UserRole>,
    teams: Vec<&'u str>,
    models: &'u [String],
}

impl<'u> PersonColumns<'u> {
    /// The columns of a user.
    pub(super) fn of(user: &'u UserRecord) -> Self {
        Self {
            user_id: &user.user_id,
            user_email: user.user_email.as_deref(),
            user_alias: user.user_alias.as_deref(),
            user_role: user.user_role,
            teams: user.teams.iter().map(String::as_str).collect(),
            models: &user.models,
        }
    }

    /// The columns of a user for those who lead one of its teams: without what it is elsewhere.
    pub(super) fn within(user: &'u UserRecord, team_id: &'u str) -> Self {
        Self::in_teams(user, vec![team_id])
    }

    /// The same for those who lead some of its teams.
    pub(super) fn in_teams(user: &'u UserRecord, teams: Vec<&'u str>) -> Self {
        Self { user_role: None, user_alias: None, models: &[], teams, ..Self::of(user) }
    }
}

/// The user of an id or an address.
///
/// # Errors
/// The store fails.
pub(super) async fn person(
    request: &AdminRequest,
    (id, email): (Option<&str>, Option<&str>),
) -> Result<Option<UserRecord>, AdminRefusal> {
    if let Some(id) = id {
        return found(request.accounts.record(id).await);
    }
    let Some(email) = email else { return Ok(None) };
    let all = RecordQuery::all(RecordKind::User, request.accounts.now());
    let query = RecordQuery { alias: Some(email.to_owned()), limit: 1, ..all };
    Ok(request.accounts.list(query).await?.rows.pop())
}

/// Members by their ids, with users made for those that are new.
///
/// # Errors
/// A member has neither id nor address, or an id that ids may not have.
pub(super) async fn resolved(
    request: &AdminRequest,
    members: Vec<TeamMember>,
) -> Result<Vec<TeamMember>, AdminRefusal> {
    let mut resolved: Vec<TeamMember> = Vec::with_capacity(members.len());
    for TeamMember { role, user_id, user_email } in members {
        let id = user_id.filter(|id| !id.is_empty());
        let email = user_email.filter(|email| !email.is_empty());
        if id.is_none() && email.is_none() {
            let message = "A member must have a user_id or a user_email.";
            return Err(AdminRefusal::bad(message).param("member"));
        }
        let user = match person(request, (id.as_deref(), email.as_deref())).await? {
            Some(user) => user,
            None => made(request, (id, email.clone())).await?,
        };
        let is_same = |known: &TeamMember| known.user_id.as_ref() == Some(&user.user_id);
        if !resolved.iter().any(is_same) {
            let user_email = user.user_email.or(email);
            resolved.push(TeamMember { role, user_id: Some(user.user_id), user_email });
        }
    }
    Ok(resolved)
}

/// Makes a user.
async fn made(
    request: &AdminRequest,
    (id, email): (Option<String>, Option<String>),
) -> Result<UserRecord, AdminRefusal> {
    let id = id.unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
    let mut user = UserRecord::new(&id)?;
    let user_email = email.map_or(Set::Keep, Set::To);
    let input = UserInput { user_email, ..UserInput::default() };
    user.apply(input, request.accounts.now())?;
    match request.accounts.create(user, request.caller.actor()).await {
        Ok(user) => Ok(user),
        // Another request was faster.
        Err(AdminError::Taken { .. }) => Ok(request.accounts.record(&id).await?),
        Err(error) => Err(error.into()),
    }
}

/// Makes memberships with these limits, and notes the team in the users.
///
/// # Errors
/// A limit cannot be stored, or the store fails.
pub(super) async fn join(
    request: &AdminRequest,
    (team_id, members): (&str, &[TeamMember]),
    input: &MemberInput,
) -> Result<(Vec<UserRecord>, Vec<MemberRecord>), AdminRefusal> {
    let (accounts, actor) = (&request.accounts, request.caller.actor());
    let (mut users, mut memberships) = (Vec::new(), Vec::new());
    for user_id in members.iter().filter_map(|member| member.user_id.as_deref()) {
        if user_id == DEFAULT_USER {
            continue;
        }
        let (team_id, user_id) = (team_id.to_owned(), user_id.to_owned());
        let mut member = MemberRecord { team_id, user_id, ..MemberRecord::default() };
        member.apply(input.clone(), accounts.now())?;
        let id = MemberRecord::id_of(&member.team_id, &member.user_id);
        let team_id = member.team_id.clone();
        let user_id = member.user_id.clone();
        memberships.push(match accounts.create(member, actor).await {
            Ok(member) => member,
            // One that an earlier attempt left behind.
            Err(AdminError::Taken { .. }) => {
                let merge = |member: &mut MemberRecord, now| member.apply(input.clone(), now);
                accounts.update(&id, actor, merge).await?
            }
            Err(error) => return Err(error.into()),
        });
        let note = |user: &mut UserRecord, _| {
            if !user.teams.contains(&team_id) {
                user.teams.push(team_id.clone());
            }
            Ok::<_, InvalidField>(())
        };
        users.push(accounts.update(&user_id, actor, note).await?);
    }
    Ok((users, memberships))
}

/// Ends a membership: its limits, the keys of the team that the user has, and the entry in the user.
///
/// # Errors
/// The store fails.
pub(super) async fn leave(
    request: &AdminRequest,
    team_id: &str,
    user_id: &str,
) -> Result<(), AdminRefusal> {
    let (accounts, actor) = (&request.accounts, request.caller.actor());
    if user_id == DEFAULT_USER {
        return Ok(());
    }
    let all = RecordQuery::all(RecordKind::Key, accounts.now());
    let (team, user) = (Some(team_id.to_owned()), Some(user_id.to_owned()));
    let keys = key_access::every(request, RecordQuery { team, user, ..all }).await?;
    let keys: Vec<_> =
        keys.into_iter().map(|(key, _)| access::accounts::KeyRef::Id(key.id)).collect();
    accounts.delete_keys(&keys, actor).await?;
    let id = MemberRecord::id_of(team_id, user_id);
    found(accounts.delete::<MemberRecord>(&id, actor).await)?;
    forget(request, team_id, user_id).await
}

/// Takes a team out of a user's list.
///
/// # Errors
/// The store fails.
pub(super) async fn forget(
    request: &AdminRequest,
    team_id: &str,
    user_id: &str,
) -> Result<(), AdminRefusal> {
    let user = found(request.accounts.record::<UserRecord>(user_id).await)?;
    if user.is_some_and(|user| user.teams.iter().any(|team| team == team_id)) {
        let note = |user: &mut UserRecord, _| {
            user.teams.retain(|team| team != team_id);
            Ok::<_, InvalidField>(())
        };
        found(request.accounts.update(user_id, request.caller.actor(), note).await)?;
    }
    Ok(())
}

/// Changes the list of a team's members.
///
/// # Errors
/// The store fails.
pub(super) async fn set_members(
    request: &AdminRequest,
    team_id: &str,
    change: impl Fn(&mut Vec<TeamMember>) + Send + Sync,
) -> Result<TeamRecord, AdminRefusal> {
    let merge = |team: &mut TeamRecord, _| {
        change(&mut team.members_with_roles);
        Ok::<_, InvalidField>(())
    };
    Ok(request.accounts.update(team_id, request.caller.actor(), merge).await?)
}
