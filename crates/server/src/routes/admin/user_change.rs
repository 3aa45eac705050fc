//! Routes that make, change and delete users.

use access::accounts::NewKey;
use access::ledger::ScopeKind;
use access::{
    DEFAULT_USER, KeyInput, KeyRecord, MemberInput, Nanodollars, Set, TeamMember, TeamRecord,
    TeamRole, UserInput, UserRecord, UtcTime,
};
use serde::Serialize;
use serde_json::{Map, Number, Value};

use super::answer::AdminAnswer;
use super::body::AdminBody;
use super::error::{AdminRefusal, FieldFault};
use super::key_access::KeyGrant;
use super::key_bounds;
use super::key_fields::money;
use super::key_row::found;
use super::metadata;
use super::record_defaults;
use super::record_spend;
use super::request::AdminRequest;
use super::team_people;
use super::unenforced;
use super::user_row::{UserRow, UserView, budgeted};
use crate::config::RecordDefaults;

const NEW: &str = "/user/new";
/// The role of users that have no configured fields: administrators.
const ADMIN: &str = "proxy_admin";

/// Fields of `/user/new` that belong to the key which is made with the user.
const OF_THE_KEY: &[&str] = &[
    "key_alias",
    "duration",
    "aliases",
    "config",
    "permissions",
    "allowed_cache_controls",
    "tags",
    "guardrails",
    "prompts",
    "team_id",
    "key_type",
    "allowed_routes",
];

/// The fields of a user in a request.
struct UserFields {
    input: UserInput,
    /// Spend of the present window, for imports.
    spend: Option<Nanodollars>,
    /// Names of fields that have no effect.
    ignored: Vec<String>,
}

/// A new user, with the key that was made for it.
#[derive(Debug, Serialize)]
struct NewUser<'u> {
    key: Option<&'u str>,
    token: Option<&'u str>,
    key_name: Option<&'u str>,
    key_alias: Option<&'u str>,
    expires: Option<UtcTime>,
    #[serde(flatten)]
    row: UserRow<'u>,
}

/// The answer of `/user/update`.
#[derive(Debug, Serialize)]
struct ChangedUser<'u> {
    user_id: &'u str,
    data: UserRow<'u>,
}

/// `POST /user/new`: makes a user, and a key of it unless that is not wanted.
pub(super) async fn new(mut request: AdminRequest) -> Result<AdminAnswer, AdminRefusal> {
    request.caller.require_admin()?;
    let id = request.body.text("user_id")?;
    let id = id.unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
    let makes_key = request.body.option("auto_create_key")?.unwrap_or(true);
    let mut body = std::mem::take(&mut request.body);
    metadata::move_out(&mut body, metadata::OF_USERS);
    if body.members().get("user_role").and_then(Value::as_str) != Some(ADMIN) {
        record_defaults::fill(&mut body, &request.settings().user_defaults, |_| false);
    }
    let (mut key, mut stored) = key_fields(&mut body, &request.settings().key_defaults)?;
    if makes_key {
        let mut preview = KeyRecord::default();
        preview.apply(key.clone(), request.accounts.now())?;
        let grant = KeyGrant { after: &preview, before: None, route: NEW };
        key_bounds::hold(&request, grant, &mut key).await?;
    }
    let mut fields = UserFields::read(body)?;
    let teams = match std::mem::take(&mut fields.input.teams) {
        Set::To(teams) => teams,
        Set::Keep | Set::Clear => Vec::new(),
    };
    for team in &teams {
        request.accounts.record::<TeamRecord>(team).await?;
    }
    let mut user = UserRecord::new(&id)?;
    user.apply(fields.input, request.accounts.now())?;
    check_address(&request, user.user_email.as_deref(), &id).await?;
    let user = request.accounts.create(user, request.caller.actor()).await?;
    if let Some(spend) = fields.spend {
        set_spend(&request, &user, spend).await?;
    }
    for team in &teams {
        add_to(&request, team, &user).await?;
    }
    let key = if makes_key { Some(made(&request, &id, key).await?) } else { None };
    let user = request.accounts.record::<UserRecord>(&id).await?;
    let view = UserView::of(&request.accounts, user).await?;
    let record = key.as_ref().map(|key| &key.record);
    let answer = AdminAnswer::of(&NewUser {
        key: key.as_ref().map(|key| key.secret.reveal()),
        token: record.map(|key| key.token.as_str()),
        key_name: record.map(|key| key.key_name.as_str()),
        key_alias: record.and_then(|key| key.key_alias.as_deref()),
        expires: record.and_then(|key| key.expires),
        row: view.row(&request.accounts),
    })?;
    stored.extend(fields.ignored);
    let answer = answer.ignoring(stored.iter().map(String::as_str));
    Ok(if makes_key { answer.with_key() } else { answer })
}

/// `POST /user/update`: merges fields into a user, found by its id or address. Teams have routes of their own.
pub(super) async fn update(mut request: AdminRequest) -> Result<AdminAnswer, AdminRefusal> {
    request.caller.require_admin()?;
    let (id, email) = (request.body.text("user_id")?, request.body.text("user_email")?);
    if id.is_none() && email.is_none() {
        return Err(AdminRefusal::unprocessable(&[FieldFault::missing("body", "user_id")]));
    }
    let mut fields = UserFields::read(std::mem::take(&mut request.body))?;
    if fields.input.teams.is_sent() {
        fields.input.teams = Set::Keep;
        fields.ignored.push("teams".to_owned());
    }
    let before = team_people::person(&request, (id.as_deref(), email.as_deref())).await?;
    let shown = id.as_deref().or(email.as_deref()).unwrap_or_default();
    let before = before.ok_or_else(|| not_found(shown))?;
    if id.is_some()
        && let Some(email) = email
    {
        check_address(&request, Some(&email), &before.user_id).await?;
        fields.input.user_email = Set::To(email);
    }
    let UserFields { input, spend, ignored } = fields;
    let merge = |user: &mut UserRecord, now| user.apply(input.clone(), now);
    let user = request.accounts.update(&before.user_id, request.caller.actor(), merge).await?;
    if let Some(spend) = spend {
        set_spend(&request, &user, spend).await?;
    }
    let view = UserView::of(&request.accounts, user).await?;
    let data = view.row(&request.accounts);
    let answer = AdminAnswer::of(&ChangedUser { user_id: &view.record.user_id, data })?;
    Ok(answer.ignoring(ignored.iter().map(String::as_str)))
}

/// `POST /user/delete`: ends users with their keys and memberships, and answers their number.
pub(super) async fn delete(mut request: AdminRequest) -> Result<AdminAnswer, AdminRefusal> {
    request.caller.require_admin()?;
    let ids: Vec<String> = request.body.require("user_ids")?;
    for id in &ids {
        request.accounts.record::<UserRecord>(id).await?;
    }
    let mut count = 0_u64;
    for id in &ids {
        let gone = request.accounts.delete::<UserRecord>(id, request.caller.actor());
        // Named twice, or deleted by another request.
        let Some(user) = found(gone.await)? else { continue };
        for team in &user.teams {
            let change = |members: &mut Vec<TeamMember>| {
                members.retain(|member| member.user_id.as_ref() != Some(id));
            };
            match team_people::set_members(&request, team, change).await {
                Ok(_) => {}
                Err(refusal) if refusal.is_missing() => {}
                Err(refusal) => return Err(refusal),
            }
        }
        count += 1;
    }
    AdminAnswer::of(&count)
}

/// The refusal of a user that does not exist.
pub(super) fn not_found(id: &str) -> AdminRefusal {
    access::accounts::AdminError::NotFound { kind: access::RecordKind::User, id: id.to_owned() }
        .into()
}

impl UserFields {
    /// Reads the members of a body that were not read yet.
    fn read(mut body: AdminBody) -> Result<Self, AdminRefusal> {
        metadata::move_out(&mut body, metadata::OF_USERS);
        let spend = body.option::<Number>("spend")?;
        let spend = spend.map(|spend| money(&spend, "spend")).transpose()?;
        let mut ignored = unenforced::stored(body.members());
        let (input, other) = body.fields::<UserInput>()?;
        ignored.extend(unenforced::unknown(&other)?);
        Ok(Self { input, spend, ignored })
    }
}

/// Takes the fields of the key out of a body, and names those that have no effect. Those that are left out are the
/// configured ones.
fn key_fields(
    body: &mut AdminBody,
    defaults: &RecordDefaults,
) -> Result<(KeyInput, Vec<String>), AdminRefusal> {
    let mut members = Map::new();
    for name in OF_THE_KEY {
        if let Some(value) = body.remove(name) {
            members.insert((*name).to_owned(), value);
        }
    }
    let ignored = unenforced::stored(&members);
    let mut key = AdminBody::of(Value::Object(members)).unwrap_or_default();
    record_defaults::fill(&mut key, defaults, |name| name == "user_id");
    let (input, _) = key.fields::<KeyInput>()?;
    Ok((input, ignored))
}

async fn made(
    request: &AdminRequest,
    user_id: &str,
    mut input: KeyInput,
) -> Result<NewKey, AdminRefusal> {
    input.user_id = Set::To(user_id.to_owned());
    Ok(request.accounts.create_key(input, None, request.caller.actor()).await?)
}

/// Adds a user to a team as one of its members.
async fn add_to(
    request: &AdminRequest,
    team_id: &str,
    user: &UserRecord,
) -> Result<(), AdminRefusal> {
    let (user_id, user_email) = (Some(user.user_id.clone()), user.user_email.clone());
    let member = TeamMember { role: TeamRole::User, user_id, user_email };
    let added = member.clone();
    team_people::set_members(request, team_id, move |members| {
        if !members.iter().any(|known| known.user_id == added.user_id) {
            members.push(added.clone());
        }
    })
    .await?;
    let joined = (team_id, std::slice::from_ref(&member));
    team_people::join(request, joined, &MemberInput::default()).await?;
    Ok(())
}

/// Checks that no other user has an address.
async fn check_address(
    request: &AdminRequest,
    email: Option<&str>,
    user_id: &str,
) -> Result<(), AdminRefusal> {
    let Some(email) = email else { return Ok(()) };
    match team_people::person(request, (None, Some(email))).await? {
        Some(other) if other.user_id != user_id => {
            let message = format!("User with email {email} already exists.");
            Err(AdminRefusal::bad(message).param("user_email"))
        }
        Some(_) | None => Ok(()),
    }
}

async fn set_spend(
    request: &AdminRequest,
    user: &UserRecord,
    spend: Nanodollars,
) -> Result<(), AdminRefusal> {
    if user.user_id == DEFAULT_USER {
        let message = "All keys of the master key share this user: its spend is not set.";
        return Err(AdminRefusal::bad(message).param("spend"));
    }
    record_spend::set(&request.accounts, ScopeKind::User, budgeted(user), spend).await
}
