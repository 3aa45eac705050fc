//! Responses and conversations in the database of accounts, where they outlive the process and replicas share
//! them. Sealed, if replicas have a secret.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use access::store::{KeptId, KeptLimits, KeptRow, RowKind, SqlStore, StoreError};
use access::{Accounts, Clock, UtcTime};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use translate::capsule::{CapsulePurpose, Capsules};

use super::StoreLimits;
use super::capsules::CallerCapsules;
use super::conversations::{ConversationItem, StoredConversation};
use super::responses::{SentInput, StoredResponse};
use crate::error::GatewayError;
use crate::panic_guard;

/// Milliseconds between two removals of what is too old or too much.
const PRUNING: i64 = 60_000;
/// Time for which a process says that it makes a response.
pub(super) const LEASE: Duration = Duration::from_secs(30);
/// Items that may join a conversation within one millisecond, in order.
const PLACES: i64 = 4096;

/// The rows of one caller.
#[derive(Debug)]
pub(super) struct CallerRows {
    accounts: Arc<Accounts>,
    owner: String,
    seal: Option<CallerCapsules>,
    limits: StoreLimits,
}

/// The content of a response's row.
#[derive(Serialize, Deserialize)]
struct ResponseBody<'b> {
    #[serde(borrow)]
    object: &'b RawValue,
    items: Vec<&'b RawValue>,
    conversation: Option<String>,
    events: Option<String>,
}

/// The content of a conversation's row.
#[derive(Serialize, Deserialize)]
struct ConversationBody {
    created_at: u32,
    metadata: Map<String, Value>,
}

impl From<StoreError> for GatewayError {
    fn from(error: StoreError) -> Self {
        Self::StoreAway(error.to_string())
    }
}

impl CallerRows {
    /// The rows of an owner, if the accounts have a database.
    pub(super) fn of(
        accounts: &Arc<Accounts>,
        owner: String,
        seal: Option<CallerCapsules>,
        limits: StoreLimits,
    ) -> Option<Self> {
        accounts.store().database()?;
        Some(Self { accounts: Arc::clone(accounts), owner, seal, limits })
    }

    fn database(&self) -> Result<&SqlStore, GatewayError> {
        let away = || GatewayError::Internal("the accounts have no database".to_owned());
        self.accounts.store().database().ok_or_else(away)
    }

    fn now(&self) -> KeptLimits {
        let now = Clock::default().now();
        let ttl = i64::try_from(self.limits.ttl.as_millis()).unwrap_or(i64::MAX);
        let oldest = UtcTime::from_millis(now.millis().saturating_sub(ttl));
        KeptLimits { now, oldest, bytes: self.limits.bytes as u64 }
    }

    fn name<'k>(&'k self, kind: RowKind, id: &'k str) -> KeptId<'k> {
        KeptId { owner: &self.owner, kind, id }
    }

    /// Keeps a response.
    pub(super) async fn keep_response(
        &self,
        id: &str,
        response: &StoredResponse,
    ) -> Result<(), GatewayError> {
        let body = self.written(id, response)?;
        let parent = response.input.previous.clone().unwrap_or_default();
        let row = self.row((RowKind::Response, id), (parent, 0), body);
        Ok(self.database()?.keep_rows(vec![row], self.now().now).await?)
    }

    /// Replaces a response that is kept.
    pub(super) async fn rewrite_response(
        &self,
        id: &str,
        response: &StoredResponse,
    ) -> Result<(), GatewayError> {
        let body = closed(self.seal.as_ref(), id, self.written(id, response)?);
        self.database()?.rewrite_row(self.name(RowKind::Response, id), body).await?;
        Ok(())
    }

    /// The response with this id.
    pub(super) async fn response(&self, id: &str) -> Result<Option<StoredResponse>, GatewayError> {
        let name = self.name(RowKind::Response, id);
        let row = self.database()?.kept_row(name, self.now()).await?;
        Ok(row.and_then(|row| self.read_response(row)))
    }

    /// A response and those that it continues, the last first, with their ids.
    pub(super) async fn chain(
        &self,
        id: &str,
        most: usize,
    ) -> Result<Vec<(String, StoredResponse)>, GatewayError> {
        let from = (self.owner.as_str(), id);
        let rows = self.database()?.kept_chain(from, most as u64, self.now()).await?;
        let read = rows.into_iter().map(|row| {
            let id = row.id.clone();
            self.read_response(row).map(|response| (id, response))
        });
        // A response that cannot be read breaks the chain.
        Ok(read.map_while(|one| one).collect())
    }

    /// Removes a response; returns whether there was one.
    pub(super) async fn remove_response(&self, id: &str) -> Result<bool, GatewayError> {
        Ok(self.database()?.remove_row(self.name(RowKind::Response, id)).await?)
    }

    /// Keeps a conversation with its items.
    pub(super) async fn keep_conversation(
        &self,
        id: &str,
        conversation: &StoredConversation,
    ) -> Result<(), GatewayError> {
        let body = conversation_body(conversation)?;
        let row = self.row((RowKind::Conversation, id), (String::new(), 0), body);
        let mut rows = vec![row];
        rows.extend(self.item_rows(id, &conversation.items));
        Ok(self.database()?.keep_rows(rows, self.now().now).await?)
    }

    /// Replaces the metadata of a conversation.
    pub(super) async fn rewrite_conversation(
        &self,
        id: &str,
        conversation: &StoredConversation,
    ) -> Result<bool, GatewayError> {
        let body = closed(self.seal.as_ref(), id, conversation_body(conversation)?);
        Ok(self.database()?.rewrite_row(self.name(RowKind::Conversation, id), body).await?)
    }

    /// The conversation with this id.
    pub(super) async fn conversation(
        &self,
        id: &str,
    ) -> Result<Option<StoredConversation>, GatewayError> {
        let (database, limits) = (self.database()?, self.now());
        let row = database.kept_row(self.name(RowKind::Conversation, id), limits).await?;
        let Some(body) = row.and_then(|row| self.opened(&row)) else { return Ok(None) };
        let Ok(ConversationBody { created_at, metadata }) = serde_json::from_str(&body) else {
            return Ok(None);
        };
        let rows = database.kept_items((&self.owner, id), limits).await?;
        let items = rows.iter().filter_map(|row| {
            let json = self.opened(row)?.into();
            let (_, own) = row.id.split_once('/')?;
            Some(ConversationItem { id: own.into(), json })
        });
        Ok(Some(StoredConversation { created_at, metadata, items: items.collect() }))
    }

    /// Adds items at the end of a conversation.
    pub(super) async fn add_items(
        &self,
        id: &str,
        items: &[ConversationItem],
    ) -> Result<(), GatewayError> {
        let rows = self.item_rows(id, items);
        Ok(self.database()?.keep_rows(rows, self.now().now).await?)
    }

    /// Removes an item of a conversation; returns whether there was one.
    pub(super) async fn remove_item(&self, id: &str, item: &str) -> Result<bool, GatewayError> {
        let item = item_id(id, item);
        Ok(self.database()?.remove_row(self.name(RowKind::Item, &item)).await?)
    }

    /// Removes a conversation; returns whether there was one.
    pub(super) async fn remove_conversation(&self, id: &str) -> Result<bool, GatewayError> {
        Ok(self.database()?.remove_row(self.name(RowKind::Conversation, id)).await?)
    }

    /// Says that this process goes on making a response; returns whether it should end, because its client has
    /// cancelled or deleted it.
    pub(super) async fn renew(&self, id: &str) -> Result<bool, GatewayError> {
        let until = self.now().now.plus(LEASE);
        let lease = self.database()?.lease_row(self.name(RowKind::Response, id), until).await?;
        Ok(lease.is_none_or(|lease| lease.is_cancelled))
    }

    /// Whether a process makes a response.
    pub(super) async fn is_made(&self, id: &str) -> Result<bool, GatewayError> {
        let lease = self.database()?.kept_lease(self.name(RowKind::Response, id)).await?;
        Ok(lease.is_some_and(|lease| lease.until >= self.now().now))
    }

    /// Asks the process that makes a response for its end.
    pub(super) async fn cancel(&self, id: &str) -> Result<(), GatewayError> {
        Ok(self.database()?.cancel_row(self.name(RowKind::Response, id)).await?)
    }

    /// Removes what is too old or too much, now and then, while requests go on.
    pub(super) fn prune(&self, pruned: &AtomicI64) {
        let (limits, accounts) = (self.now(), Arc::clone(&self.accounts));
        let (now, last) = (limits.now.millis(), pruned.load(Ordering::Relaxed));
        let is_due = now - last >= PRUNING
            && pruned.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if !is_due {
            return;
        }
        actix_rt::spawn(panic_guard::noted("the removal of old responses", async move {
            let Some(database) = accounts.store().database() else { return };
            match database.prune_kept(limits).await {
                Ok(0) => {}
                Ok(count) => log::info!("{count} rows of responses and conversations were removed"),
                Err(error) => log::warn!("old responses are not removed: {error}"),
            }
        }));
    }

    fn item_rows(&self, conversation: &str, items: &[ConversationItem]) -> Vec<KeptRow> {
        let first = self.now().now.millis().saturating_mul(PLACES);
        let rows = (first..).zip(items).map(|(at, item)| {
            let id = item_id(conversation, &item.id);
            let place = (conversation.to_owned(), at);
            self.row((RowKind::Item, &id), place, item.json.to_string())
        });
        rows.collect()
    }

    fn row(
        &self,
        (kind, id): (RowKind, &str),
        (parent, position): (String, i64),
        body: String,
    ) -> KeptRow {
        let (owner, body) = (self.owner.clone(), closed(self.seal.as_ref(), id, body));
        KeptRow { owner, kind, id: id.to_owned(), parent, position, body }
    }

    fn opened(&self, row: &KeptRow) -> Option<String> {
        opened(self.seal.as_ref(), &row.id, &row.body)
    }

    fn written(&self, id: &str, response: &StoredResponse) -> Result<String, GatewayError> {
        let StoredResponse { object, input, events } = response;
        let SentInput { items, previous: _, conversation } = input;
        let body = || {
            let object = serde_json::from_str(object)?;
            let items = items.iter().map(|item| serde_json::from_str(item));
            let items = items.collect::<Result<_, _>>()?;
            let (conversation, events) = (conversation.clone(), events.clone());
            serde_json::to_string(&ResponseBody { object, items, conversation, events })
        };
        body().map_err(|error| {
            GatewayError::Internal(format!("the response {id} cannot be written: {error}"))
        })
    }

    fn read_response(&self, row: KeptRow) -> Option<StoredResponse> {
        let body = self.opened(&row)?;
        let ResponseBody { object, items, conversation, events } =
            serde_json::from_str(&body).ok()?;
        let items = items.into_iter().map(|item| item.get().to_owned()).collect();
        let previous = Some(row.parent).filter(|parent| !parent.is_empty());
        let input = SentInput { items, previous, conversation };
        Some(StoredResponse { object: object.get().to_owned(), input, events })
    }
}

/// A content as it is written: sealed with its id, where there is a secret.
fn closed(seal: Option<&CallerCapsules>, id: &str, body: String) -> String {
    let Some(seal) = seal else { return body };
    let sealed = seal.seal(CapsulePurpose::Kept, format!("{id}\n{body}").as_bytes());
    sealed.unwrap_or_else(|| {
        log::error!("a response cannot be sealed, and is not kept");
        String::new()
    })
}

/// A content as it was before. One that was sealed with another secret, or under another id, is gone.
fn opened(seal: Option<&CallerCapsules>, id: &str, body: &str) -> Option<String> {
    if body.starts_with('{') {
        return Some(body.to_owned());
    }
    let text = String::from_utf8(seal?.open(CapsulePurpose::Kept, body)?).ok()?;
    let (sealed, body) = text.split_once('\n')?;
    (sealed == id).then(|| body.to_owned())
}

fn conversation_body(conversation: &StoredConversation) -> Result<String, GatewayError> {
    let StoredConversation { created_at, metadata, items: _ } = conversation;
    let body = ConversationBody { created_at: *created_at, metadata: metadata.clone() };
    serde_json::to_string(&body).map_err(|error| GatewayError::Internal(error.to_string()))
}

/// Items are named within their conversation: clients may send the same id to several.
fn item_id(conversation: &str, item: &str) -> String {
    format!("{conversation}/{item}")
}

#[cfg(test)]
mod tests {
    use super::super::Caller;
    use super::super::capsules::CapsuleKey;
    use super::*;

    #[test]
    fn a_content_is_sealed_with_its_id_where_there_is_a_secret() {
        let key = Arc::new(CapsuleKey::random().unwrap());
        let seal = |key, caller| CallerCapsules::new(key, Caller(caller));
        let (ann, bob) = (seal(&key, 1), seal(&key, 2));
        let other = seal(&Arc::new(CapsuleKey::random().unwrap()), 1);
        let body = r#"{"object":"quartz"}"#.to_owned();
        let sealed = closed(Some(&ann), "resp_1", body.clone());
        assert!(!sealed.contains("quartz"));
        assert_eq!(opened(Some(&ann), "resp_1", &sealed), Some(body.clone()));
        for (seal, id) in [
            (Some(&ann), "resp_2"),
            (Some(&bob), "resp_1"),
            (Some(&other), "resp_1"),
            (None, "resp_1"),
        ] {
            assert_eq!(opened(seal, id, &sealed), None, "{id}");
        }
        // Rows from before there was a secret are still read.
        assert_eq!(closed(None, "resp_1", body.clone()), body);
        assert_eq!(opened(Some(&ann), "resp_1", &body), Some(body));
    }
}
