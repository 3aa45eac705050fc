//! Fields of teams and of memberships in requests.

use access::{LimitInput, MemberInput, Set, TeamInput, TeamMember, TeamRole, WrittenSpan};
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
    "/key/bulk_update",
    "/key/delete",
    "/key/regenerate",
    "/key/{key_id}/regenerate",
    "/key/block",
    "/key/unblock",
    "/key/info",
    "/key/list",
    "/key/aliases",
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
        let SentMembers { members, ignored: of_members } = SentMembers::of_team(&mut body)?;
        let member_limits = LimitInput {
            max_budget: body.take("team_member_budget")?,
            budget_duration: body.take("team_member_budget_duration")?,
            rpm_limit: body.take("team_member_rpm_limit")?,
            tpm_limit: body.take("team_member_tpm_limit")?,
            ..LimitInput::default()
        };
        let mut ignored = unenforced::stored(body.members());
        let (mut input, other) = body.fields::<TeamInput>()?;
        ignored.extend(unenforced::unknown(&other)?);
        ignored.extend(of_members);
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

/// Members in a request, with the names of fields of theirs that have no effect.
#[derive(Debug, Default)]
pub(super) struct SentMembers {
    /// The members.
    pub(super) members: Vec<TeamMember>,
    /// Names of fields that have no effect.
    pub(super) ignored: Vec<String>,
}

impl SentMembers {
    /// Reads `members_with_roles`, and the older lists of ids.
    fn of_team(body: &mut AdminBody) -> Result<Self, AdminRefusal> {
        let mut sent = Self::default();
        for value in body.option::<Vec<Value>>("members_with_roles")?.unwrap_or_default() {
            sent.add("members_with_roles", value)?;
        }
        for (name, role) in [("admins", TeamRole::Admin), ("members", TeamRole::User)] {
            let ids: Vec<String> = body.option(name)?.unwrap_or_default();
            let member = |id| TeamMember { role, user_id: Some(id), user_email: None };
            sent.members.extend(ids.into_iter().map(member));
        }
        Ok(sent)
    }

    /// Reads the members of `/team/member_add`: one, or a list.
    ///
    /// # Errors
    /// There is none, or it has the wrong type.
    pub(super) fn added(body: &mut AdminBody) -> Result<Self, AdminRefusal> {
        let values = match body.require("member")? {
            Value::Array(list) => list,
            one => vec![one],
        };
        let mut sent = Self::default();
        for value in values {
            sent.add("member", value)?;
        }
        if sent.members.is_empty() {
            return Err(AdminRefusal::unprocessable(&[FieldFault::missing("body", "member")]));
        }
        Ok(sent)
    }

    fn add(&mut self, field: &str, mut value: Value) -> Result<(), AdminRefusal> {
        if let Some(members) = value.as_object_mut() {
            let mut other = std::mem::take(members);
            members.extend(
                ["role", "user_id", "user_email"]
                    .into_iter()
                    .filter_map(|name| Some((name.to_owned(), other.shift_remove(name)?))),
            );
            self.ignored.extend(unenforced::unknown(&other)?);
        }
        let wrong = |_| {
            let msg = "Input should be a member: {\"role\", \"user_id\" or \"user_email\"}";
            AdminRefusal::unprocessable(&[FieldFault::wrong("body", field, "dict_type", msg)])
        };
        self.members.push(serde_json::from_value(value).map_err(wrong)?);
        Ok(())
    }
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
