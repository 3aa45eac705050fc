//! Routes that change and delete keys.

use access::accounts::KeyRef;
use access::ledger::ScopeKind;
use access::{KeyInput, KeyRecord, Set};
use serde::Serialize;
use serde_json::{Number, Value};

use super::answer::AdminAnswer;
use super::body::AdminBody;
use super::error::{AdminRefusal, FieldFault};
use super::key_access::{self, KeyGrant, KeyUse};
use super::key_bounds;
use super::key_fields::{KeyFields, carry_over, money, named, shown};
use super::key_row::{KeyRow, KeyView};
use super::request::AdminRequest;

const UPDATE: &str = "/key/update";
const DELETE: &str = "/key/delete";
const BLOCK: &str = "/key/block";
const RESET: &str = "/key/reset_spend";
/// Most keys of one bulk request.
const BULK: usize = 500;

/// A changed key.
#[derive(Debug, Serialize)]
struct Changed<'k> {
    key: &'k str,
    #[serde(flatten)]
    row: KeyRow<'k>,
}

/// The answer of a bulk update.
#[derive(Debug, Serialize)]
struct BulkUpdated<'k> {
    total_requested: usize,
    successful_updates: Vec<BulkChange<'k>>,
    failed_updates: Vec<FailedChange>,
}

#[derive(Debug, Serialize)]
struct BulkChange<'k> {
    key: &'k str,
    key_info: KeyRow<'k>,
}

#[derive(Debug, Serialize)]
struct FailedChange {
    key: String,
    key_info: Option<()>,
    failed_reason: String,
}

/// The answer of a deletion.
#[derive(Debug, Serialize)]
struct DeletedKeys {
    deleted_keys: Vec<String>,
}

/// A key that was changed, by the name that answers show.
struct Change {
    key: String,
    view: KeyView,
    ignored: Vec<String>,
}

/// `POST /key/update`: merges fields into a key.
pub(super) async fn update(mut request: AdminRequest) -> Result<AdminAnswer, AdminRefusal> {
    let body = std::mem::take(&mut request.body);
    let Change { key, view, ignored } = change(&request, body).await?;
    let row = view.row_with_token(&request.accounts);
    let answer = AdminAnswer::of(&Changed { key: &key, row })?;
    Ok(answer.ignoring(ignored.iter().map(String::as_str)))
}

/// `POST /key/bulk_update`: the same for several keys, each for itself.
pub(super) async fn bulk_update(mut request: AdminRequest) -> Result<AdminAnswer, AdminRefusal> {
    let keys: Vec<Value> = request.body.require("keys")?;
    if keys.is_empty() || keys.len() > BULK {
        let message = format!("keys must have 1 to {BULK} elements");
        return Err(AdminRefusal::bad(message).param("keys"));
    }
    let total_requested = keys.len();
    let (mut changes, mut failed_updates) = (Vec::new(), Vec::new());
    for key in keys {
        let named = named_in(&key);
        let fault = || {
            AdminRefusal::unprocessable(&[FieldFault::wrong(
                "body",
                "keys",
                "dict_type",
                "Input should be a valid dictionary",
            )])
        };
        let changed = match AdminBody::of(key) {
            Ok(body) => change(&request, body).await,
            Err(()) => Err(fault()),
        };
        match changed {
            Ok(changed) => changes.push(changed),
            Err(refusal) => failed_updates.push(FailedChange {
                key: named,
                key_info: None,
                failed_reason: refusal.message().to_owned(),
            }),
        }
    }
    let ignored = changes.iter().flat_map(|change| change.ignored.iter().map(String::as_str));
    let accounts = &request.accounts;
    let successful = changes.iter().map(|change| BulkChange {
        key: &change.key,
        key_info: change.view.row_with_token(accounts),
    });
    let successful_updates = successful.collect();
    let answer =
        AdminAnswer::of(&BulkUpdated { total_requested, successful_updates, failed_updates })?;
    Ok(answer.ignoring(ignored))
}

/// `POST /key/block`: refuses calls of a key from now on.
pub(super) async fn block(request: AdminRequest) -> Result<AdminAnswer, AdminRefusal> {
    set_blocked(request, true).await
}

/// `POST /key/unblock`: lets a key call again.
pub(super) async fn unblock(request: AdminRequest) -> Result<AdminAnswer, AdminRefusal> {
    set_blocked(request, false).await
}

/// `POST /key/delete`: ends keys at once. Their names may be taken again.
pub(super) async fn delete(mut request: AdminRequest) -> Result<AdminAnswer, AdminRefusal> {
    let keys: Option<Vec<String>> = request.body.option("keys")?;
    let aliases: Option<Vec<String>> = request.body.option("key_aliases")?;
    if keys.is_none() && aliases.is_none() {
        return Err(AdminRefusal::unprocessable(&[FieldFault::missing("body", "keys")]));
    }
    let by_key = keys.into_iter().flatten().map(|text| (KeyRef::parse(&text), text));
    let by_alias = aliases.into_iter().flatten();
    let by_alias = by_alias.map(|alias| (Some(KeyRef::Alias(alias.clone())), alias));
    let (mut rows, mut deleted_keys) = (Vec::new(), Vec::new());
    for (key, text) in by_key.chain(by_alias) {
        let Some(key) = key else { continue };
        match key_access::find(&request, &key, (KeyUse::Change, DELETE)).await {
            Ok(record) => {
                deleted_keys.push(match key {
                    KeyRef::Alias(alias) => alias,
                    KeyRef::Secret(_) | KeyRef::Token(_) | KeyRef::Id(_) => {
                        shown(&text, &record).to_owned()
                    }
                });
                rows.push(record.id);
            }
            Err(refusal) if refusal.is_missing() => {}
            Err(refusal) => return Err(refusal),
        }
    }
    if rows.is_empty() {
        let message = "No keys found: the keys or aliases were not found in database";
        return Err(AdminRefusal::not_found(message).param("keys"));
    }
    rows.sort();
    rows.dedup();
    let rows: Vec<_> = rows.into_iter().map(KeyRef::Id).collect();
    request.accounts.delete_keys(&rows, request.caller.actor()).await?;
    AdminAnswer::of(&DeletedKeys { deleted_keys })
}

/// `POST /key/{key}/reset_spend`: sets the spend of the present window. The lifetime's stays.
pub(super) async fn reset_spend(mut request: AdminRequest) -> Result<AdminAnswer, AdminRefusal> {
    let spend: Number = request.body.require("reset_to")?;
    let spend = money(&spend, "reset_to")?;
    let key = named(request.in_path("key"))?;
    let record = key_access::find(&request, &key, (KeyUse::Change, RESET)).await?;
    let team = key_access::team_of(&request, record.team_id.as_deref()).await?;
    let leads = team.is_some_and(|team| request.caller.leads(&team));
    let is_own = request.caller.holder().is_some_and(|holder| holder.key.id == record.id);
    if !leads || is_own {
        request.caller.require_admin()?;
    }
    let view = KeyView::of(&request.accounts, record).await?;
    if spend > view.spend() {
        let message = format!("reset_to cannot be above the present spend, {}", view.spend());
        return Err(AdminRefusal::bad(message).param("reset_to"));
    }
    let record = view.record;
    let accounts = &request.accounts;
    let limits = accounts.with_row(&record.limits, record.budget_id.as_deref()).await?;
    accounts.set_spend(ScopeKind::Key, &record.id, &limits, spend).await?;
    let view = KeyView::of(accounts, record).await?;
    AdminAnswer::of(&view.row_with_token(accounts))
}

async fn set_blocked(
    mut request: AdminRequest,
    blocked: bool,
) -> Result<AdminAnswer, AdminRefusal> {
    let text: String = request.body.require("key")?;
    let invalid = || AdminRefusal::bad("Invalid key format.").param("key");
    let key = KeyRef::parse(&text).ok_or_else(invalid)?;
    let found = key_access::find(&request, &key, (KeyUse::Change, BLOCK)).await;
    let record = found.map_err(|refusal| refusal.or_missing("Key not found."))?;
    let after = KeyRecord { blocked: Some(blocked), ..record.clone() };
    let grant = KeyGrant { after: &after, before: Some(&record), route: BLOCK };
    key_access::check(&request, grant).await?;
    let input = KeyInput { blocked: Set::To(blocked), ..KeyInput::default() };
    let (row, actor) = (KeyRef::Id(record.id), request.caller.actor());
    let record = request.accounts.update_key(&row, input, actor).await?;
    let view = KeyView::of(&request.accounts, record).await?;
    AdminAnswer::of(&view.row_with_token(&request.accounts))
}

/// Merges the fields of a body into the key that it names, by itself or by its alias.
async fn change(request: &AdminRequest, mut body: AdminBody) -> Result<Change, AdminRefusal> {
    let sent = body.text("key")?;
    let key = match &sent {
        Some(text) => named(text)?,
        None => match body.text("key_alias")? {
            Some(alias) => KeyRef::Alias(alias),
            None => {
                return Err(AdminRefusal::unprocessable(&[FieldFault::missing("body", "key")]));
            }
        },
    };
    let before = key_access::find(request, &key, (KeyUse::Change, UPDATE)).await?;
    let mut fields = KeyFields::read(body, &request.caller)?;
    fields.keep_service_account(&before)?;
    let mut after = before.clone();
    after.apply(fields.input.clone(), request.accounts.now())?;
    let grant = KeyGrant { after: &after, before: Some(&before), route: UPDATE };
    key_access::check(request, grant).await?;
    key_bounds::hold(request, grant, &mut fields.input).await?;
    let (row, actor) = (KeyRef::Id(before.id), request.caller.actor());
    let record = request.accounts.update_key(&row, fields.input, actor).await?;
    if let Some(spend) = fields.spend {
        carry_over(&request.accounts, &record, spend).await?;
    }
    let view = KeyView::of(&request.accounts, record).await?;
    let key = shown(sent.as_deref().unwrap_or_default(), &view.record).to_owned();
    Ok(Change { key, view, ignored: fields.ignored })
}

/// The name of a key in an element of a bulk request; of a raw key its last characters.
fn named_in(element: &Value) -> String {
    let text = |name: &str| element.get(name).and_then(Value::as_str);
    match text("key").and_then(KeyRef::parse) {
        Some(KeyRef::Secret(secret)) => secret.name(),
        Some(KeyRef::Token(token)) => token.to_string(),
        Some(KeyRef::Alias(_) | KeyRef::Id(_)) | None => {
            text("key_alias").unwrap_or_default().to_owned()
        }
    }
}
