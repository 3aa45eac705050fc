//! Fields of teams and of memberships in requests.

use access::{LimitInput, MemberInput, Set, TeamInput, TeamMember, TeamRole, WrittenSpan};
use serde::de::DeserializeOwned;
use serde_json::{Number, Value};

use super::body::AdminBody;
use super::error::{AdminRefusal, FieldFault};
use super::metadata;
use super::record_defaults;
use super::unenforced;
use crate::config::RecordDefaults;

/// Routes for keys that a team may open to its members.
pub(super) const PERMISSIONS: &[&str] = &[
    "/key/generate",
    "/key/service-account/generate",
    "/key/update",
    "/key/delete",
    "/key/regenerate",
    "/key/block",
    "/key/unblock",
    "/key/info",
    "/key/list",
    "/key/health",
];

/// The fields of a team in a request.
#[derive(Debug, Default)]
pub(super) struct TeamFields {
    /// The fields of its record, without members.
    pub(super) input: TeamInput,
    /// Its members, of a new team.
    pub(super) members: Vec<TeamMember>,
    /// Names of fields that have no effect.
    pub(super) ignored: Vec<String>,
}

impl TeamFields {
    /// Reads the fields of a new team. Those that are left out are the configured ones.
    ///
    /// # Errors
    /// As for [`TeamFields::read`].
    pub(super) fn of_new(
        mut body: AdminBody,
        defaults: &RecordDefaults,
    ) -> Result<Self, AdminRefusal> {
        metadata::move_out(&mut body, metadata::OF_TEAMS);
        record_defaults::fill(&mut body, defaults, |_| false);
        Self::read(body)
    }

    /// Reads the members of a body that were not read yet.
    ///
    /// # Errors
    /// A member has the wrong type, or limits something without effect.
    pub(super) fn read(mut body: AdminBody) -> Result<Self, AdminRefusal> {
        metadata::move_out(&mut body, metadata::OF_TEAMS);
        let members = members(&mut body)?;
        let member_limits = LimitInput {
            max_budget: body.take("team_member_budget")?,
            budget_duration: body.take("team_member_budget_duration")?,
            rpm_limit: body.take("team_member_rpm_limit")?,
            tpm_limit: body.take("team_member_tpm_limit")?,
            ..LimitInput::default()
        };
        let mut ignored: Vec<_> =
            unenforced::stored(body.members())?.into_iter().map(str::to_owned).collect();
        let (mut input, other) = body.fields::<TeamInput>()?;
        ignored.extend(unenforced::unknown(&other)?);
        input.member_limits = member_limits;
        if let Some(duration) = input.team_member_key_duration.value().filter(|d| !d.is_empty()) {
            WrittenSpan::of_budget(duration, "team_member_key_duration")?;
        }
        if let Some(list) = input.team_member_permissions.value() {
            check_permissions(list)?;
        }
        Ok(Self { input, members, ignored })
    }
}

/// Checks that a team may open routes to its members.
///
/// # Errors
/// One of them is none for keys.
pub(super) fn check_permissions(routes: &[String]) -> Result<(), AdminRefusal> {
    match routes.iter().find(|route| !PERMISSIONS.contains(&route.as_str())) {
        Some(route) => Err(AdminRefusal::bad(format!(
            "'{route}' is no permission of team members. Use some of: {}.",
            PERMISSIONS.join(", ")
        ))
        .param("team_member_permissions")),
        None => Ok(()),
    }
}

/// The members in a request: with their roles, or as the older lists of ids.
fn members(body: &mut AdminBody) -> Result<Vec<TeamMember>, AdminRefusal> {
    let mut members: Vec<TeamMember> = body.option("members_with_roles")?.unwrap_or_default();
    for (name, role) in [("admins", TeamRole::Admin), ("members", TeamRole::User)] {
        let ids: Vec<String> = body.option(name)?.unwrap_or_default();
        let member = |id| TeamMember { role, user_id: Some(id), user_email: None };
        members.extend(ids.into_iter().map(member));
    }
    Ok(members)
}

/// The members of `/team/member_add`: one, or a list.
///
/// # Errors
/// There is none, or it has the wrong type.
pub(super) fn added(body: &mut AdminBody) -> Result<Vec<TeamMember>, AdminRefusal> {
    let value: Value = body.require("member")?;
    let wrong = |_| {
        let msg = "Input should be a member: {\"role\", \"user_id\" or \"user_email\"}";
        AdminRefusal::unprocessable(&[FieldFault::wrong("body", "member", "dict_type", msg)])
    };
    fn read<T: DeserializeOwned>(value: Value) -> serde_json::Result<T> {
        serde_json::from_value(value)
    }
    let members: Vec<TeamMember> = match value {
        Value::Array(_) => read(value).map_err(wrong)?,
        one => vec![read(one).map_err(wrong)?],
    };
    if members.is_empty() {
        return Err(AdminRefusal::unprocessable(&[FieldFault::missing("body", "member")]));
    }
    Ok(members)
}

/// The limits of a membership.
///
/// # Errors
/// A member of the body has the wrong type.
pub(super) fn membership(body: &mut AdminBody) -> Result<MemberInput, AdminRefusal> {
    let max_budget: Set<Number> = body.take("max_budget_in_team")?;
    Ok(MemberInput {
        allowed_models: body.take("allowed_models")?,
        limits: LimitInput {
            max_budget,
            budget_duration: body.take("budget_duration")?,
            tpm_limit: body.take("tpm_limit")?,
            rpm_limit: body.take("rpm_limit")?,
            ..LimitInput::default()
        },
    })
}
