//! The calls that a caller may see in reports, and those that its request selects among them.

use access::accounts::{AdminError, KeyRef, PastRecord};
use access::ledger::{PartyFilter, VisibleCalls};
use access::store::RecordQuery;
use access::{KeyRecord, RecordKind, TeamRecord};

use super::error::AdminRefusal;
use super::key_access::{self, KeyUse};
use super::request::AdminRequest;

/// The key's id and token in rows of the master key.
pub(super) const MASTER: &str = "master";
/// The route by which teams let their members read keys.
const INFO: &str = "/key/info";
/// More teams than any gateway has: all of them.
const ALL_TEAMS: u64 = 1 << 31;

/// Parties that a request selects by its parameters. Absent parameters select all.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct AskedParties<'q> {
    /// A raw key or a token.
    pub(super) key: Option<&'q str>,
    /// Teams.
    pub(super) teams: Option<&'q str>,
    /// Users.
    pub(super) users: Option<&'q str>,
    /// End users.
    pub(super) customers: Option<&'q str>,
}

/// The calls that a request selects, of those that its caller may see: all for an administrator; those of the key,
/// its user and the teams it leads for others.
///
/// # Errors
/// The request names a key, team or user that is not the caller's.
pub(super) async fn selected(
    request: &AdminRequest,
    asked: AskedParties<'_>,
) -> Result<PartyFilter, AdminRefusal> {
    let visible = visible(request).await?;
    let teams = asked.teams.map(listed);
    let users = asked.users.map(listed);
    if let Some(visible) = &visible {
        check(teams.as_ref(), &visible.teams, "team_id")?;
        let leads = teams.is_some();
        // Users of a team's calls are any.
        if !leads {
            check(users.as_ref(), &visible.users, "user_id")?;
        }
    }
    let keys = match asked.key {
        Some(text) => Some(key_rows(request, text).await?),
        None => None,
    };
    Ok(PartyFilter { keys, teams, users, customers: asked.customers.map(listed), visible })
}

/// The names of a list with commas.
pub(super) fn listed(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// The teams that the caller leads.
///
/// # Errors
/// The store fails.
pub(super) async fn led_teams(request: &AdminRequest) -> Result<Vec<TeamRecord>, AdminRefusal> {
    let all = RecordQuery::all(RecordKind::Team, request.accounts.now());
    let query = RecordQuery { limit: ALL_TEAMS, ..all };
    let mut teams = request.accounts.list::<TeamRecord>(query).await?.rows;
    teams.retain(|team| request.caller.leads(team));
    Ok(teams)
}

/// The calls that the caller may see; absent for all.
async fn visible(request: &AdminRequest) -> Result<Option<VisibleCalls>, AdminRefusal> {
    if request.caller.reads_all() {
        return Ok(None);
    }
    let teams = led_teams(request).await?.into_iter().map(|team| team.team_id).collect();
    Ok(Some(VisibleCalls {
        keys: request.caller.holder().map(|holder| holder.key.id.clone()).into_iter().collect(),
        teams,
        users: request.caller.person().map(str::to_owned).into_iter().collect(),
    }))
}

fn check(
    asked: Option<&Vec<String>>,
    granted: &[String],
    param: &'static str,
) -> Result<(), AdminRefusal> {
    if asked.into_iter().flatten().all(|id| granted.contains(id)) {
        return Ok(());
    }
    let message = format!("You are not allowed to see the spend of this {param}.");
    Err(AdminRefusal::forbidden(message).param(param))
}

/// The row of a key that the caller may read, by a present or earlier name of it. Names of no key select no calls.
async fn key_rows(request: &AdminRequest, text: &str) -> Result<Vec<String>, AdminRefusal> {
    if text == MASTER {
        return Ok(vec![MASTER.to_owned()]);
    }
    let Some(key) = KeyRef::parse(text) else { return Ok(Vec::new()) };
    match request.accounts.past_key(&key).await {
        Ok(PastRecord { record, .. }) => {
            may_read(request, &record).await?;
            Ok(vec![record.id])
        }
        Err(AdminError::NotFound { .. }) => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

async fn may_read(request: &AdminRequest, key: &KeyRecord) -> Result<(), AdminRefusal> {
    if key_access::may(request, key, (KeyUse::Read, INFO)).await? {
        return Ok(());
    }
    let message = "You are not allowed to see the spend of this key.";
    Err(AdminRefusal::forbidden(message).param("api_key"))
}
