//! Keys: made, replaced and deleted. A secret is shown by the answer that made it, and never again.

use super::admin::ATTEMPTS;
use super::{Accounts, AdminError};
use crate::record::{KeyInput, KeyRecord, Record, RecordKind, Stamp, UserRecord};
use crate::store::{Change, Document, Page, RecordQuery, SecretBy, StoreError, StoredSecret};
use crate::{AwsKeyPair, InvalidField, KeyDigest, KeyToken, SecretKey, UtcTime, WrittenSpan};

/// A key as admin calls name it.
#[derive(Debug, Clone)]
pub enum KeyRef {
    /// By the key itself.
    Secret(SecretKey),
    /// By its handle.
    Token(KeyToken),
    /// By its alias.
    Alias(String),
    /// By its row.
    Id(String),
}

/// A key that was made, or whose secret was replaced.
#[derive(Debug)]
pub struct NewKey {
    /// The key, to be shown once.
    pub secret: SecretKey,
    /// Its AWS key pair, to be shown once.
    pub aws: AwsKeyPair,
    /// The record.
    pub record: KeyRecord,
}

impl KeyRef {
    /// Reads a raw key or a token. Absent where the text can be neither.
    pub fn parse(text: &str) -> Option<Self> {
        match KeyToken::parse(text) {
            Some(token) => Some(Self::Token(token)),
            None => SecretKey::presented(text).map(Self::Secret),
        }
    }

    /// The name that messages may show.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Secret(secret) => secret.name(),
            Self::Token(token) => token.to_string(),
            Self::Alias(text) | Self::Id(text) => text.clone(),
        }
    }
}

impl Accounts {
    /// Makes a key, or takes over one that the caller chose. A user that does not exist is made.
    ///
    /// # Errors
    /// A value cannot be stored, the alias or the key is taken, or the store fails.
    pub async fn create_key(
        &self,
        input: KeyInput,
        chosen: Option<SecretKey>,
        actor: &str,
    ) -> Result<NewKey, AdminError> {
        let now = self.clock.now();
        let mut record = KeyRecord { id: uuid::Uuid::now_v7().to_string(), ..KeyRecord::default() };
        record.apply(input, now)?;
        record.stamp = Stamp::new(now, actor);
        self.check_links(&record).await?;
        let (secret, stored) = self.new_secret(&record.id, chosen)?;
        wears(&mut record, &secret, &stored);
        let document = Document::of(&record, 0)?;
        let audit = self.audit("new", actor, None, Some(&document));
        let changes =
            [Change::Insert(document), Change::AddSecret(stored.clone()), Change::Audit(audit)];
        let mut attempt = 1;
        loop {
            let mut changes = changes.to_vec();
            changes.extend(self.missing_user(&record, actor).await?.map(Change::Insert));
            match self.write_key(changes, &record).await {
                // Another key of the same new user was faster.
                Err(AdminError::Store(StoreError::IdTaken)) if attempt < ATTEMPTS => attempt += 1,
                written => {
                    written?;
                    return Ok(self.shown_once(secret, &stored, record));
                }
            }
        }
    }

    /// Takes over a key of another gateway, of which only SHA-256 is known; that hash stays its token. It has no AWS
    /// key pair until it is regenerated. Absent where the key is here already, so that an import may be repeated. The
    /// record keeps its id and the time it was made, where it has them.
    ///
    /// # Errors
    /// The alias is taken, a record it refers to does not exist, or the store fails.
    pub async fn import_key(
        &self,
        mut record: KeyRecord,
        hash: &[u8; 32],
        actor: &str,
    ) -> Result<Option<KeyRecord>, AdminError> {
        let digest = KeyDigest::of_hash(hash, &self.pepper);
        if self.knows(hash).await? {
            return Ok(None);
        }
        if record.id.is_empty() {
            record.id = uuid::Uuid::now_v7().to_string();
        }
        let made = std::mem::replace(&mut record.stamp, Stamp::new(self.clock.now(), actor));
        if made.created_at != UtcTime::default() {
            (record.stamp.created_at, record.stamp.created_by) = (made.created_at, made.created_by);
        }
        self.check_links(&record).await?;
        let token = KeyToken::of_hash(hash);
        let public_id = crate::key::new_public_id()?;
        (record.token, record.public_id) = (token.as_str().to_owned(), public_id.clone());
        record.has_aws_pair = false;
        let key_id = record.id.clone();
        let stored = StoredSecret { digest, token, public_id, key_id, valid_until: None };
        let document = Document::of(&record, 0)?;
        let audit = self.audit("import", actor, None, Some(&document));
        let changes =
            vec![Change::Insert(document), Change::AddSecret(stored), Change::Audit(audit)];
        self.write_key(changes, &record).await?;
        Ok(Some(record))
    }

    /// Adds an earlier secret of an imported key, of which only SHA-256 is known; it ends at `until`.
    ///
    /// # Errors
    /// The secret is here already, or the store fails.
    pub async fn import_secret(
        &self,
        key_id: &str,
        hash: &[u8; 32],
        until: UtcTime,
        actor: &str,
    ) -> Result<(), AdminError> {
        let found = self.store.document(RecordKind::Key, key_id.to_owned()).await?;
        let not_found = || AdminError::NotFound { kind: RecordKind::Key, id: key_id.to_owned() };
        let document = found.ok_or_else(not_found)?;
        let stored = StoredSecret {
            digest: KeyDigest::of_hash(hash, &self.pepper),
            token: KeyToken::of_hash(hash),
            public_id: crate::key::new_public_id()?,
            key_id: key_id.to_owned(),
            valid_until: Some(until),
        };
        let audit = self.audit("import_secret", actor, None, Some(&document));
        let changes = vec![Change::AddSecret(stored), Change::Audit(audit)];
        self.write_key(changes, &document.read()?).await
    }

    /// Whether a key of which only SHA-256 is known authenticates here.
    pub(crate) async fn knows(&self, hash: &[u8; 32]) -> Result<bool, StoreError> {
        let by = SecretBy::Digest(KeyDigest::of_hash(hash, &self.pepper));
        Ok(self.store.secret(by).await?.is_some())
    }

    /// Finds a key that was not deleted.
    ///
    /// # Errors
    /// There is none, or the store fails.
    pub async fn key(&self, key: &KeyRef) -> Result<KeyRecord, AdminError> {
        Ok(self.key_document(key).await?.read()?)
    }

    /// Changes a key. Blocking is an update of `blocked`, expiry at once one of `duration` to `0s`.
    ///
    /// # Errors
    /// There is none, a value cannot be stored, the alias is taken, or the store fails.
    pub async fn update_key(
        &self,
        key: &KeyRef,
        input: KeyInput,
        actor: &str,
    ) -> Result<KeyRecord, AdminError> {
        let id = self.key_document(key).await?.id;
        self.update(&id, actor, |record: &mut KeyRecord, now| record.apply(input.clone(), now))
            .await
    }

    /// Replaces a key's secret, keeping its row, limits and spend. The old one is valid for `grace`, or no longer.
    ///
    /// # Errors
    /// As for [`Accounts::update_key`].
    pub async fn regenerate_key(
        &self,
        key: &KeyRef,
        (input, chosen): (KeyInput, Option<SecretKey>),
        grace: Option<&WrittenSpan>,
        actor: &str,
    ) -> Result<NewKey, AdminError> {
        let before = self.key_document(key).await?;
        let now = self.clock.now();
        let mut record: KeyRecord = before.read()?;
        record.apply(input, now)?;
        record.stamp.touch(now, actor);
        self.check_links(&record).await?;
        let (secret, stored) = self.new_secret(&record.id, chosen)?;
        wears(&mut record, &secret, &stored);
        let after = Document::of(&record, before.revision)?;
        let audit = self.audit("regenerate", actor, Some(&before), Some(&after));
        let until = grace.map(|span| span.after(now));
        let changes = vec![
            Change::EndSecrets { key_id: record.id.clone(), until },
            Change::Update(after),
            Change::AddSecret(stored.clone()),
            Change::Audit(audit),
        ];
        self.write_key(changes, &record).await?;
        Ok(self.shown_once(secret, &stored, record))
    }

    /// Deletes keys at once; those that do not exist are left out of the answer.
    ///
    /// # Errors
    /// The store fails.
    pub async fn delete_keys(
        &self,
        keys: &[KeyRef],
        actor: &str,
    ) -> Result<Vec<KeyRecord>, AdminError> {
        let at = self.clock.now();
        let (mut deleted, mut changes) = (Vec::new(), Vec::new());
        for key in keys {
            match self.key_document(key).await {
                Ok(document) => {
                    deleted.push(document.read()?);
                    self.end(&document, (at, actor), &mut changes);
                }
                Err(AdminError::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        if !changes.is_empty() {
            let version = self.store.write(changes).await?;
            self.changed(version);
        }
        Ok(deleted)
    }

    /// Reads a page of keys.
    ///
    /// # Errors
    /// The store fails.
    pub async fn keys(&self, query: RecordQuery) -> Result<Page<KeyRecord>, AdminError> {
        self.list(query).await
    }

    async fn key_document(&self, key: &KeyRef) -> Result<Document, AdminError> {
        let not_found = || AdminError::NotFound { kind: RecordKind::Key, id: key.shown() };
        let by = match key {
            KeyRef::Id(id) => {
                return self
                    .store
                    .document(RecordKind::Key, id.clone())
                    .await?
                    .ok_or_else(not_found);
            }
            KeyRef::Alias(alias) => {
                let all = RecordQuery::all(RecordKind::Key, self.clock.now());
                let query = RecordQuery { alias: Some(alias.clone()), limit: 1, ..all };
                return self.store.documents(query).await?.rows.pop().ok_or_else(not_found);
            }
            KeyRef::Secret(secret) => SecretBy::Digest(secret.digest(&self.pepper)),
            KeyRef::Token(token) => SecretBy::Token(token.clone()),
        };
        let secret = self.store.secret(by).await?.ok_or_else(not_found)?;
        self.store.document(RecordKind::Key, secret.key_id).await?.ok_or_else(not_found)
    }

    fn new_secret(
        &self,
        key_id: &str,
        chosen: Option<SecretKey>,
    ) -> Result<(SecretKey, StoredSecret), AdminError> {
        let secret = match chosen {
            Some(secret) => secret,
            None => SecretKey::generate()?,
        };
        let public_id = match secret.public_id() {
            Some(id) => id.to_owned(),
            None => crate::key::new_public_id()?,
        };
        let stored = StoredSecret {
            digest: secret.digest(&self.pepper),
            token: secret.token(&self.pepper),
            public_id,
            key_id: key_id.to_owned(),
            valid_until: None,
        };
        Ok((secret, stored))
    }

    /// The document of a key's user, where it does not exist.
    async fn missing_user(
        &self,
        key: &KeyRecord,
        actor: &str,
    ) -> Result<Option<Document>, AdminError> {
        let Some(id) = &key.user_id else { return Ok(None) };
        if self.read::<UserRecord>(id).await?.is_some() {
            return Ok(None);
        }
        let mut user = UserRecord::new(id)?;
        *user.stamp_mut() = Stamp::new(self.clock.now(), actor);
        Ok(Some(Document::of(&user, 0)?))
    }

    async fn write_key(&self, changes: Vec<Change>, record: &KeyRecord) -> Result<(), AdminError> {
        match self.store.write(changes).await {
            Ok(version) => {
                self.changed(version);
                Ok(())
            }
            Err(StoreError::AliasTaken) => Err(self.taken(record).await?),
            Err(error) => Err(error.into()),
        }
    }

    /// Tells a taken alias from a taken key.
    async fn taken(&self, record: &KeyRecord) -> Result<AdminError, AdminError> {
        if let Some(alias) = &record.key_alias {
            match self.key_document(&KeyRef::Alias(alias.clone())).await {
                Ok(other) if other.id != record.id => {
                    return Ok(AdminError::Taken { param: "key_alias", value: alias.clone() });
                }
                Ok(_) | Err(AdminError::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(InvalidField::new("key", "Key already exists.").into())
    }

    fn shown_once(&self, secret: SecretKey, stored: &StoredSecret, record: KeyRecord) -> NewKey {
        let aws = AwsKeyPair::derive(&stored.public_id, &stored.digest, &self.pepper);
        NewKey { secret, aws, record }
    }
}

/// Puts what may be shown of a secret into the record.
fn wears(record: &mut KeyRecord, secret: &SecretKey, stored: &StoredSecret) {
    record.token = stored.token.as_str().to_owned();
    record.key_name = secret.name();
    record.public_id.clone_from(&stored.public_id);
    record.has_aws_pair = true;
}
