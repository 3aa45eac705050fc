//! The caller of an admin route, and the rights that its key, user and teams give it. A key of a team acts within that
//! team, whatever its user may do elsewhere: those who lead the team can make such keys for its members.

use std::sync::Arc;

use access::policy::RouteGroup;
use access::{
    Admission, DEFAULT_USER, Holder, KeyRecord, KeyType, Principal, TeamRecord, TeamRole, UserRole,
    admit,
};
use actix_web::http::header::{HeaderMap, HeaderName};

use super::error::AdminRefusal;
use super::request::AdminRoute;

/// Names the person behind an automation; stored with the acting key's id.
const CHANGED_BY: HeaderName = HeaderName::from_static("litellm-changed-by");
/// Longest name stored, in characters.
const NAME: usize = 256;
/// Routes that members may use for keys of their team, where the team lists none.
const MEMBER_ROUTES: &[&str] = &["/key/info", "/key/health"];

/// The caller of an admin route.
#[derive(Debug)]
pub(in crate::routes) struct AdminCaller {
    admission: Admission,
    rights: Rights,
    actor: String,
}

/// The records that a caller may read and change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rights {
    /// All: the master key, and keys of users with the role `proxy_admin`.
    All,
    /// Reads all: the read-only key, and keys of users with the role `proxy_admin_viewer`.
    ReadsAll,
    /// Those of its own, and of the teams it leads.
    Own,
}

impl AdminCaller {
    /// The rights of a principal.
    ///
    /// # Errors
    /// It is blocked, or sent no key.
    pub(super) fn new(principal: Principal, headers: &HeaderMap) -> Result<Self, AdminRefusal> {
        let (rights, id) = match &principal {
            Principal::Anonymous => return Err(AdminRefusal::no_key()),
            Principal::Master => (Rights::All, DEFAULT_USER.to_owned()),
            Principal::Viewer => (Rights::ReadsAll, DEFAULT_USER.to_owned()),
            Principal::Key(holder) => (rights(holder), identity(holder).to_owned()),
        };
        let actor = match named(headers) {
            Some(name) => format!("{name} ({id})"),
            None => id,
        };
        Ok(Self { admission: admit(principal)?, rights, actor })
    }

    /// Checks that the key's type and list of routes grant a route.
    ///
    /// # Errors
    /// They do not, or the caller only reads and the route changes records.
    pub(super) fn check_route(&self, route: AdminRoute) -> Result<(), AdminRefusal> {
        self.admission.check_route(route)?;
        if self.rights == Rights::ReadsAll && route.group == RouteGroup::Management {
            return Err(AdminRefusal::only_admins());
        }
        Ok(())
    }

    /// The permission of the caller, for reading what it may call.
    pub(super) fn admission(&self) -> &Admission {
        &self.admission
    }

    /// The text that records keep of who changed them.
    pub(super) fn actor(&self) -> &str {
        &self.actor
    }

    /// Whether the caller may do anything.
    pub(super) fn is_admin(&self) -> bool {
        self.rights == Rights::All
    }

    /// Whether the caller may read anything.
    pub(super) fn reads_all(&self) -> bool {
        matches!(self.rights, Rights::All | Rights::ReadsAll)
    }

    /// Refuses all but administrators.
    ///
    /// # Errors
    /// The caller is none.
    pub(super) fn require_admin(&self) -> Result<(), AdminRefusal> {
        if self.is_admin() { Ok(()) } else { Err(AdminRefusal::only_admins()) }
    }

    /// Refuses all but those who may read anything.
    ///
    /// # Errors
    /// The caller may not.
    pub(super) fn require_reader(&self, route: &str) -> Result<(), AdminRefusal> {
        if self.reads_all() { Ok(()) } else { Err(AdminRefusal::only_master(route)) }
    }

    /// The calling key with the records above it; absent for the master key.
    pub(super) fn holder(&self) -> Option<&Arc<Holder>> {
        self.admission.holder()
    }

    /// The user that keys made by this caller belong to, unless the request names one.
    pub(super) fn user_id(&self) -> Option<&str> {
        match self.holder() {
            Some(holder) => holder.key.user_id.as_deref(),
            None => Some(DEFAULT_USER),
        }
    }

    /// The user of the calling key, unless it is the one that all keys of the master key share.
    pub(super) fn user(&self) -> Option<&str> {
        self.holder().and_then(|holder| user_of(holder))
    }

    /// The user as whom the calling key acts everywhere; a key of a team does not.
    pub(super) fn person(&self) -> Option<&str> {
        self.user().filter(|_| self.team_id().is_none())
    }

    /// Whether a key is the caller's own: itself, of the same user, or made by it.
    pub(super) fn owns(&self, key: &KeyRecord) -> bool {
        let Some(holder) = self.holder() else { return false };
        let same_user = self.user().is_some() && key.user_id.as_deref() == self.user();
        let in_reach = holder.key.team_id.is_none() || key.team_id == holder.key.team_id;
        key.id == holder.key.id || in_reach && (same_user || self.made(key))
    }

    /// Whether the caller made a key.
    pub(super) fn made(&self, key: &KeyRecord) -> bool {
        let Some(holder) = self.holder() else { return false };
        let (by, id) = (key.stamp.created_by.as_str(), identity(holder));
        by == id || by.ends_with(&format!(" ({id})"))
    }

    /// Whether the caller may change keys of its own: a key of the type `management`, or one of a user whose role
    /// allows it.
    pub(super) fn manages_own(&self) -> bool {
        let Some(holder) = self.holder() else { return true };
        let role = holder.user.as_ref().and_then(|user| user.user_role);
        match (role, holder.key.key_type) {
            (Some(UserRole::InternalUserViewer | UserRole::ProxyAdminViewer), _) => false,
            (_, Some(KeyType::Management)) => true,
            (Some(UserRole::InternalUser), _) => self.user().is_some(),
            (Some(UserRole::ProxyAdmin), _) => self.is_admin(),
            (None, _) => false,
        }
    }

    /// Whether the caller leads a team: its user is an admin of it, or its key manages it.
    pub(super) fn leads(&self, team: &TeamRecord) -> bool {
        let Some(holder) = self.holder() else { return false };
        let manages = holder.key.key_type == Some(KeyType::Management)
            && holder.key.team_id.as_deref() == Some(&team.team_id);
        manages || self.role_in(team) == Some(TeamRole::Admin)
    }

    /// Whether the caller belongs to a team: by its user, or by its key.
    pub(super) fn belongs_to(&self, team: &TeamRecord) -> bool {
        self.team_id() == Some(&team.team_id) || self.role_in(team).is_some()
    }

    /// Whether a team lets its members use a route for its keys, and the caller's user is one.
    pub(super) fn is_granted(&self, team: &TeamRecord, route: &str) -> bool {
        // LiteLLM has two names for some routes.
        let other = match route {
            "/key/regenerate" => "/key/{key_id}/regenerate",
            "/key/update" => "/key/bulk_update",
            "/key/list" => "/key/aliases",
            other => other,
        };
        let granted = permissions(team);
        let listed = granted.contains(&route) || granted.contains(&other);
        listed && self.role_in(team).is_some()
    }

    fn role_in(&self, team: &TeamRecord) -> Option<TeamRole> {
        let in_reach = self.team_id().is_none_or(|id| id == team.team_id);
        self.user().filter(|_| in_reach).and_then(|user| team.role_of(user))
    }

    /// The team of the calling key.
    fn team_id(&self) -> Option<&str> {
        self.holder().and_then(|holder| holder.key.team_id.as_deref())
    }
}

/// Routes that members of a team may use for its keys.
pub(super) fn permissions(team: &TeamRecord) -> Vec<&str> {
    match &team.team_member_permissions {
        Some(list) => list.iter().map(String::as_str).collect(),
        None => MEMBER_ROUTES.to_vec(),
    }
}

fn rights(holder: &Holder) -> Rights {
    let is_personal = user_of(holder).is_some() && holder.key.team_id.is_none();
    match holder.user.as_ref().and_then(|user| user.user_role) {
        Some(UserRole::ProxyAdmin) if is_personal => Rights::All,
        Some(UserRole::ProxyAdminViewer) if is_personal => Rights::ReadsAll,
        Some(_) | None => Rights::Own,
    }
}

/// The user of a key. The one that all keys of the master key share is no person: a key of it has no right to the
/// others.
fn user_of(holder: &Holder) -> Option<&str> {
    holder.key.user_id.as_deref().filter(|user| *user != DEFAULT_USER)
}

/// The id that records keep of a key that changed them.
fn identity(holder: &Holder) -> &str {
    user_of(holder).unwrap_or(&holder.key.id)
}

/// The name in the header, bounded and in visible characters.
fn named(headers: &HeaderMap) -> Option<String> {
    let text = std::str::from_utf8(headers.get(CHANGED_BY)?.as_bytes()).ok()?.trim();
    let name: String = text.chars().filter(|c| !c.is_control()).take(NAME).collect();
    (!name.is_empty()).then_some(name)
}
