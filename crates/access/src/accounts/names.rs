//! Records as reports name them: deleted ones too, so that old spend keeps its names.

use std::collections::HashMap;

use super::{Accounts, AdminError, KeyRef};
use crate::UtcTime;
use crate::record::{KeyRecord, Record, RecordKind};
use crate::store::{Document, StoreError};

/// A record that may have been deleted.
#[derive(Debug, Clone, PartialEq)]
pub struct PastRecord<R> {
    /// The record, as it was last.
    pub record: R,
    /// The time it was deleted.
    pub deleted: Option<UtcTime>,
}

impl Accounts {
    /// Reads records by their ids, deleted ones too. Ids that never had one are left out.
    ///
    /// # Errors
    /// The store fails.
    pub async fn past_records<R: Record>(
        &self,
        ids: Vec<String>,
    ) -> Result<HashMap<String, PastRecord<R>>, StoreError> {
        let documents = self.store.documents_by_id(R::KIND, ids).await?;
        documents.into_iter().map(|document| Ok((document.id.clone(), past(&document)?))).collect()
    }

    /// Finds a key by what it is or was called: its present or an earlier secret or token, also after it was
    /// deleted; an alias finds present keys only.
    ///
    /// # Errors
    /// There never was one, or the store fails.
    pub async fn past_key(&self, key: &KeyRef) -> Result<PastRecord<KeyRecord>, AdminError> {
        let token = match key {
            KeyRef::Secret(secret) => secret.token(&self.pepper),
            KeyRef::Token(token) => token.clone(),
            KeyRef::Alias(_) | KeyRef::Id(_) => {
                return Ok(PastRecord { record: self.key(key).await?, deleted: None });
            }
        };
        let id = self.store.key_of_token(token).await?;
        let found = match id {
            Some(id) => self.store.documents_by_id(RecordKind::Key, vec![id]).await?,
            None => Vec::new(),
        };
        match found.first() {
            Some(document) => Ok(past(document)?),
            None => Err(AdminError::NotFound { kind: RecordKind::Key, id: key.shown() }),
        }
    }
}

fn past<R: Record>(document: &Document) -> Result<PastRecord<R>, StoreError> {
    Ok(PastRecord { record: document.read()?, deleted: document.deleted })
}
