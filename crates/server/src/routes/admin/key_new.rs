//! Routes that make keys and replace their secrets. Their answers are the only ones that show a key.

use access::accounts::{KeyRef, NewKey};
use access::{KeyRecord, Set, WrittenSpan};

use super::answer::AdminAnswer;
use super::error::{AdminRefusal, FieldFault};
use super::key_access::{self, KeyGrant, KeyUse};
use super::key_bounds;
use super::key_fields::{KeyFields, carry_over, chosen, named};
use super::key_row::KeyView;
use super::request::AdminRequest;

const GENERATE: &str = "/key/generate";
const SERVICE_ACCOUNT: &str = "/key/service-account/generate";
const REGENERATE: &str = "/key/regenerate";

/// `POST /key/generate`: makes a key.
pub(super) async fn generate(mut request: AdminRequest) -> Result<AdminAnswer, AdminRefusal> {
    let secret = chosen(&mut request.body, "key")?;
    let body = std::mem::take(&mut request.body);
    let defaults = &request.settings().key_defaults;
    let mut fields = KeyFields::of_new(body, (&request.caller, defaults))?;
    let unset = |sent: &Set<String>| sent.value().is_none_or(String::is_empty);
    if unset(&fields.input.user_id) {
        fields.input.user_id =
            request.caller.user_id().map_or(Set::Keep, |user| Set::To(user.to_owned()));
    }
    // A key of a team makes keys of that team.
    let own_team = request.caller.holder().and_then(|holder| holder.key.team_id.clone());
    if let (true, Some(team)) = (unset(&fields.input.team_id), own_team) {
        fields.input.team_id = Set::To(team);
    }
    create(&request, (fields, secret), GENERATE).await
}

/// `POST /key/service-account/generate`: makes a key of a team that belongs to no user.
pub(super) async fn service_account(
    mut request: AdminRequest,
) -> Result<AdminAnswer, AdminRefusal> {
    let secret = chosen(&mut request.body, "key")?;
    let body = std::mem::take(&mut request.body);
    let defaults = &request.settings().key_defaults;
    let mut fields = KeyFields::of_new(body, (&request.caller, defaults))?;
    if fields.input.team_id.value().is_none_or(String::is_empty) {
        let message = "team_id is required for service account keys. Please specify `team_id`.";
        return Err(AdminRefusal::bad(message).param("team_id"));
    }
    fields.mark_service_account();
    create(&request, (fields, secret), SERVICE_ACCOUNT).await
}

/// `POST /key/regenerate`: replaces the secret of the key in the body, or of the calling key.
pub(super) async fn regenerate(mut request: AdminRequest) -> Result<AdminAnswer, AdminRefusal> {
    let key = match request.body.text("key")? {
        Some(text) => named(&text)?,
        None => own(&request)?,
    };
    replace(request, key).await
}

/// `POST /key/{key}/regenerate`: the same for the key in the path.
pub(super) async fn regenerate_in_path(
    mut request: AdminRequest,
) -> Result<AdminAnswer, AdminRefusal> {
    let key = named(request.in_path("key"))?;
    // The path names the key.
    request.body.text("key")?;
    replace(request, key).await
}

/// The calling key.
fn own(request: &AdminRequest) -> Result<KeyRef, AdminRefusal> {
    let holder = request.caller.holder();
    let missing = || AdminRefusal::unprocessable(&[FieldFault::missing("body", "key")]);
    holder.map(|holder| KeyRef::Id(holder.key.id.clone())).ok_or_else(missing)
}

async fn create(
    request: &AdminRequest,
    (mut fields, secret): (KeyFields, Option<access::SecretKey>),
    route: &'static str,
) -> Result<AdminAnswer, AdminRefusal> {
    refuse_temporary(&fields)?;
    let team = fields.input.team_id.value().cloned().filter(|team| !team.is_empty());
    if let Some(team) = key_access::team_of(request, team.as_deref()).await?
        && !matches!(&fields.input.duration, Set::To(duration) if !duration.is_empty())
        && let Some(duration) = team.team_member_key_duration
    {
        fields.input.duration = Set::To(duration);
    }
    let mut preview = KeyRecord::default();
    preview.apply(fields.input.clone(), request.accounts.now())?;
    let grant = KeyGrant { after: &preview, before: None, route };
    key_access::check(request, grant).await?;
    key_bounds::hold(request, grant, &mut fields.input).await?;
    let actor = request.caller.actor();
    let made = request.accounts.create_key(fields.input, secret, actor).await?;
    if let Some(spend) = fields.spend {
        carry_over(&request.accounts, &made.record, spend).await?;
    }
    shown_once(request, made, &fields.ignored).await
}

async fn replace(mut request: AdminRequest, key: KeyRef) -> Result<AdminAnswer, AdminRefusal> {
    let before = match &request.caller.holder() {
        // A key may always replace itself: it is the one that may have leaked.
        Some(holder) if is_own(&key, holder, &request).await? => holder.key.clone(),
        Some(_) | None => key_access::find(&request, &key, (KeyUse::Change, REGENERATE)).await?,
    };
    let secret = chosen(&mut request.body, "new_key")?;
    let grace = request.body.text("grace_period")?;
    let grace = grace.map(|text| WrittenSpan::of_key(&text, "grace_period")).transpose()?;
    let body = std::mem::take(&mut request.body);
    let mut fields = KeyFields::read(body, &request.caller)?;
    fields.keep_service_account(&before)?;
    let mut after = before.clone();
    after.apply(fields.input.clone(), request.accounts.now())?;
    if after != before {
        may_change(&request, &before).await?;
        let grant = KeyGrant { after: &after, before: Some(&before), route: REGENERATE };
        key_access::check(&request, grant).await?;
        key_bounds::hold(&request, grant, &mut fields.input).await?;
    }
    let (accounts, actor) = (&request.accounts, request.caller.actor());
    let row = KeyRef::Id(before.id);
    let made = accounts.regenerate_key(&row, (fields.input, secret), grace.as_ref(), actor).await?;
    shown_once(&request, made, &fields.ignored).await
}

async fn is_own(
    key: &KeyRef,
    holder: &access::Holder,
    request: &AdminRequest,
) -> Result<bool, AdminRefusal> {
    Ok(match request.accounts.key(key).await {
        Ok(record) => record.id == holder.key.id,
        Err(error) => return Err(error.into()),
    })
}

async fn may_change(request: &AdminRequest, key: &KeyRecord) -> Result<(), AdminRefusal> {
    if key_access::may(request, key, (KeyUse::Change, REGENERATE)).await? {
        return Ok(());
    }
    Err(AdminRefusal::only_admins())
}

/// A temporary increase belongs to a key with a history.
fn refuse_temporary(fields: &KeyFields) -> Result<(), AdminRefusal> {
    let sent = fields.input.temp_budget_increase.value().is_some()
        || fields.input.temp_budget_expiry.value().is_some();
    if sent {
        let message = "temp_budget_increase and temp_budget_expiry are set by /key/update";
        return Err(AdminRefusal::bad(message).param("temp_budget_increase"));
    }
    Ok(())
}

async fn shown_once(
    request: &AdminRequest,
    made: NewKey,
    ignored: &[String],
) -> Result<AdminAnswer, AdminRefusal> {
    let NewKey { secret, aws, record } = made;
    let view = KeyView::of(&request.accounts, record).await?;
    let answer = AdminAnswer::of(&view.new_row(&secret, &aws, &request.accounts))?;
    Ok(answer.ignoring(ignored.iter().map(String::as_str)).with_key())
}
