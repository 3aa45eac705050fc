//! The teams that a caller may read and change.

use access::TeamRecord;

use super::error::AdminRefusal;
use super::key_row::found;
use super::request::AdminRequest;

/// A use of a team's record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TeamUse {
    /// Its row is read: by its members.
    Read,
    /// Its members are changed: by those who lead it.
    Lead,
    /// Its limits are changed: by administrators.
    Change,
}

/// Finds a team that the caller may use. Another one is refused like one that does not exist: ids can be guessed.
///
/// # Errors
/// There is none, or the caller may not.
pub(super) async fn find(
    request: &AdminRequest,
    team_id: &str,
    usage: TeamUse,
) -> Result<TeamRecord, AdminRefusal> {
    let caller = &request.caller;
    if caller.is_admin() || usage == TeamUse::Read && caller.reads_all() {
        return Ok(request.accounts.record(team_id).await?);
    }
    if usage == TeamUse::Change || caller.reads_all() {
        return Err(AdminRefusal::only_admins());
    }
    let team = found(request.accounts.record::<TeamRecord>(team_id).await)?;
    let may = |team: &TeamRecord| match usage {
        TeamUse::Read => caller.belongs_to(team) || caller.leads(team),
        TeamUse::Lead | TeamUse::Change => caller.leads(team),
    };
    team.filter(may).ok_or_else(|| {
        AdminRefusal::forbidden("You are not allowed to access this team's info or to change it.")
            .param("team_id")
    })
}
