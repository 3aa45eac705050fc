//! Fields of keys in requests.

use access::accounts::KeyRef;
use access::ledger::ScopeKind;
use access::{Accounts, KeyInput, KeyRecord, Limits, Nanodollars, SecretKey, Set};
use serde_json::{Number, Value};

use super::body::AdminBody;
use super::caller::AdminCaller;
use super::error::AdminRefusal;
use super::metadata;
use super::record_defaults;
use super::unenforced;
use crate::config::RecordDefaults;

/// The entry of the metadata that makes a key a service account's.
pub(super) const SERVICE_ACCOUNT: &str = "service_account_id";

/// The fields of a key in a request.
#[derive(Debug, Default)]
pub(super) struct KeyFields {
    /// The fields of its record.
    pub(super) input: KeyInput,
    /// Spend of the present window, for imports.
    pub(super) spend: Option<Nanodollars>,
    /// Names of fields that have no effect.
    pub(super) ignored: Vec<String>,
}

impl KeyFields {
    /// Reads the fields of a new key. Those that are left out are the configured ones, the owner only where the caller may
    /// make keys for anyone.
    ///
    /// # Errors
    /// As for [`KeyFields::read`].
    pub(super) fn of_new(
        mut body: AdminBody,
        (caller, defaults): (&AdminCaller, &RecordDefaults),
    ) -> Result<Self, AdminRefusal> {
        metadata::move_out(&mut body, metadata::OF_KEYS);
        let names_owner = |name: &str| matches!(name, "user_id" | "team_id");
        record_defaults::fill(&mut body, defaults, |name| !caller.is_admin() && names_owner(name));
        Self::read(body, caller)
    }

    /// Reads the members of a body that were not read yet.
    ///
    /// # Errors
    /// A member has the wrong type, or limits something without effect, or the caller may not set it.
    pub(super) fn read(mut body: AdminBody, caller: &AdminCaller) -> Result<Self, AdminRefusal> {
        metadata::move_out(&mut body, metadata::OF_KEYS);
        let spend = body.option::<Number>("spend")?;
        let spend = spend.map(|spend| money(&spend, "spend")).transpose()?;
        if spend.is_some() && !caller.is_admin() {
            return Err(AdminRefusal::only_admins().param("spend"));
        }
        let mut ignored = unenforced::stored(body.members());
        let (input, other) = body.fields::<KeyInput>()?;
        ignored.extend(unenforced::unknown(&other)?);
        Ok(Self { input, spend, ignored })
    }

    /// Keeps the mark of a service account, which no change takes away.
    ///
    /// # Errors
    /// The request sets another one.
    pub(super) fn keep_service_account(&mut self, record: &KeyRecord) -> Result<(), AdminRefusal> {
        let Some(kept) = record.metadata.get(SERVICE_ACCOUNT) else { return Ok(()) };
        match &mut self.input.metadata {
            Set::Keep => {}
            Set::Clear => {
                let kept = [(SERVICE_ACCOUNT.to_owned(), kept.clone())];
                self.input.metadata = Set::To(kept.into_iter().collect());
            }
            Set::To(sent) => match sent.get(SERVICE_ACCOUNT) {
                Some(other) if other != kept => {
                    let message =
                        "metadata.service_account_id of a service account cannot be changed";
                    return Err(AdminRefusal::bad(message).param("metadata"));
                }
                Some(_) => {}
                None => {
                    sent.insert(SERVICE_ACCOUNT.to_owned(), kept.clone());
                }
            },
        }
        Ok(())
    }

    /// Marks a key as that of a service account: by the id in its metadata, else by its alias.
    pub(super) fn mark_service_account(&mut self) {
        let alias = self.input.key_alias.value().filter(|alias| !alias.is_empty()).cloned();
        let id = alias.unwrap_or_else(|| uuid::Uuid::now_v7().to_string());
        if !matches!(self.input.metadata, Set::To(_)) {
            self.input.metadata = Set::To(serde_json::Map::new());
        }
        if let Set::To(metadata) = &mut self.input.metadata {
            metadata.entry(SERVICE_ACCOUNT).or_insert(Value::String(id));
        }
        self.input.user_id = Set::Clear;
    }
}

/// Sets the spend of a key's present window, as imports state it. The lifetime has spent no less.
///
/// # Errors
/// The store fails.
pub(super) async fn carry_over(
    accounts: &Accounts,
    record: &KeyRecord,
    spend: Nanodollars,
) -> Result<(), AdminRefusal> {
    let (kind, id) = (ScopeKind::Key, record.id.as_str());
    let limits = accounts.with_row(&record.limits, record.budget_id.as_deref()).await?;
    accounts.set_spend(kind, id, &limits, spend).await?;
    let total = accounts.spend_of(kind, id, &limits).await?.total_spend;
    if total < spend {
        accounts.set_spend(kind, id, &Limits::default(), spend).await?;
    }
    Ok(())
}

/// Reads a key that the caller chose.
///
/// # Errors
/// It has the wrong type, or is too weak.
pub(super) fn chosen(body: &mut AdminBody, name: &str) -> Result<Option<SecretKey>, AdminRefusal> {
    Ok(body.text(name)?.map(|text| SecretKey::chosen(&text)).transpose()?)
}

/// Reads an amount of dollars.
///
/// # Errors
/// It is negative or too large.
pub(super) fn money(number: &Number, name: &'static str) -> Result<Nanodollars, AdminRefusal> {
    match Nanodollars::parse(&number.to_string()) {
        Some(amount) if !amount.is_negative() => Ok(amount),
        Some(_) => Err(AdminRefusal::bad(format!("{name} cannot be negative")).param(name)),
        None => Err(AdminRefusal::bad(format!("{name} is too large")).param(name)),
    }
}

/// A raw key or a token as requests name keys. Text that is neither names no key.
///
/// # Errors
/// It can be no key.
pub(super) fn named(text: &str) -> Result<KeyRef, AdminRefusal> {
    let missing = || AdminRefusal::not_found("Key not found in database").param("key");
    KeyRef::parse(text).ok_or_else(missing)
}

/// The name of a key in an answer: a token as it was sent, and never a raw key.
pub(super) fn shown<'k>(sent: &'k str, record: &'k KeyRecord) -> &'k str {
    match KeyRef::parse(sent) {
        Some(KeyRef::Token(_)) => sent,
        Some(KeyRef::Secret(_) | KeyRef::Alias(_) | KeyRef::Id(_)) | None => &record.token,
    }
}
