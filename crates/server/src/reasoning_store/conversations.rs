//! Conversations that callers keep here: their items stand before those of every request that names them, and
//! the items of the request and of its response join them.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use translate::Invalid;

use super::responses::{CallerResponses, LARGEST, Output, StoredResponse, StoredValue};
use super::shard::Weighed;
use crate::error::{GatewayError, KeptKind};

/// Length of the random part of an id that item ids repeat.
const RANDOM: usize = 28;
/// The field of a request that names a conversation.
const CONVERSATION: &str = "conversation";

/// A conversation.
#[derive(Debug, Clone, Default)]
pub(crate) struct StoredConversation {
    /// Unix seconds.
    pub(crate) created_at: u32,
    pub(crate) metadata: Map<String, Value>,
    pub(crate) items: Vec<ConversationItem>,
}

/// An item of a conversation, in the form in which a request would send it.
#[derive(Debug, Clone)]
pub(crate) struct ConversationItem {
    pub(crate) id: Arc<str>,
    pub(crate) json: Arc<str>,
}

impl ConversationItem {
    /// The item that this JSON is, which has an id.
    pub(crate) fn of(item: &Value) -> Self {
        let id = item.get("id").and_then(Value::as_str).unwrap_or_default();
        Self { id: id.into(), json: item.to_string().into() }
    }

    fn weight(&self) -> usize {
        self.id.len() + self.json.len() + size_of::<Self>()
    }
}

impl StoredConversation {
    /// Adds items; one whose id is known gives the item of this id its content.
    fn add(&mut self, items: Vec<ConversationItem>) {
        for item in items {
            match self.items.iter_mut().find(|known| known.id == item.id) {
                Some(known) => *known = item,
                None => self.items.push(item),
            }
        }
    }
}

impl Weighed for StoredConversation {
    fn weight(&self) -> usize {
        let metadata = self.metadata.iter();
        let metadata = metadata.map(|(name, value)| name.len() + value.to_string().len());
        let items = self.items.iter().map(ConversationItem::weight);
        size_of::<Self>() + metadata.sum::<usize>() + items.sum::<usize>()
    }
}

impl CallerResponses<'_> {
    /// Keeps a new conversation.
    ///
    /// # Errors
    /// The store is off, or the conversation is too long.
    pub(crate) async fn create_conversation(
        &self,
        id: &str,
        conversation: StoredConversation,
    ) -> Result<(), GatewayError> {
        if !self.is_on() {
            let message =
                "This gateway keeps no conversations: its operator has turned responses.store off.";
            let refused = Invalid::value(CONVERSATION, message);
            return Err(refused.with_code("unsupported_parameter").into());
        }
        self.check_length(conversation.weight(), "items")?;
        match self.rows() {
            Some(rows) => rows.keep_conversation(id, &conversation).await?,
            None => self.put(id, StoredValue::Conversation(Arc::new(conversation))),
        }
        Ok(())
    }

    /// The conversation with this id.
    ///
    /// # Errors
    /// There is none.
    pub(crate) async fn conversation(
        &self,
        id: &str,
    ) -> Result<Arc<StoredConversation>, GatewayError> {
        if let Some(rows) = self.rows() {
            return rows.conversation(id).await?.map(Arc::new).ok_or_else(|| unknown(id));
        }
        match self.kept(id) {
            Some(StoredValue::Conversation(conversation)) => Ok(conversation),
            Some(StoredValue::Response(_)) | None => Err(unknown(id)),
        }
    }

    /// Replaces the metadata of a conversation.
    ///
    /// # Errors
    /// There is none with this id.
    pub(crate) async fn set_metadata(
        &self,
        id: &str,
        metadata: Map<String, Value>,
    ) -> Result<Arc<StoredConversation>, GatewayError> {
        if let Some(rows) = self.rows() {
            let before = self.conversation(id).await?;
            let next = StoredConversation { metadata, ..StoredConversation::clone(&before) };
            let is_known = rows.rewrite_conversation(id, &next).await?;
            return is_known.then(|| Arc::new(next)).ok_or_else(|| unknown(id));
        }
        self.change(id, |conversation| {
            conversation.metadata = metadata;
            Ok(())
        })
    }

    /// Adds items at the end of a conversation.
    ///
    /// # Errors
    /// There is none with this id, or it would be too long.
    pub(crate) async fn add_items(
        &self,
        id: &str,
        items: Vec<ConversationItem>,
    ) -> Result<(), GatewayError> {
        if let Some(rows) = self.rows() {
            let before = self.conversation(id).await?;
            let added = items.iter().map(ConversationItem::weight).sum::<usize>();
            self.check_length(before.weight() + added, "items")?;
            return rows.add_items(id, &items).await;
        }
        self.change(id, |conversation| {
            conversation.add(items);
            self.check_length(conversation.weight(), "items")
        })?;
        Ok(())
    }

    /// Removes an item.
    ///
    /// # Errors
    /// There is no such conversation or item.
    pub(crate) async fn remove_item(
        &self,
        id: &str,
        item: &str,
    ) -> Result<Arc<StoredConversation>, GatewayError> {
        if let Some(rows) = self.rows() {
            self.conversation(id).await?;
            if !rows.remove_item(id, item).await? {
                return Err(GatewayError::NotKept(KeptKind::Item, item.to_owned()));
            }
            return self.conversation(id).await;
        }
        self.change(id, |conversation| {
            let before = conversation.items.len();
            conversation.items.retain(|one| &*one.id != item);
            if conversation.items.len() == before {
                return Err(GatewayError::NotKept(KeptKind::Item, item.to_owned()));
            }
            Ok(())
        })
    }

    /// Removes a conversation.
    ///
    /// # Errors
    /// There is none with this id.
    pub(crate) async fn remove_conversation(&self, id: &str) -> Result<(), GatewayError> {
        if let Some(rows) = self.rows() {
            let is_known = rows.remove_conversation(id).await?;
            return is_known.then_some(()).ok_or_else(|| unknown(id));
        }
        self.conversation(id).await?;
        self.forget(id);
        Ok(())
    }

    /// The items of a conversation, to stand before a request of this many bytes.
    ///
    /// # Errors
    /// There is no such conversation, or the request would be too long.
    pub(crate) async fn items_before(
        &self,
        id: &str,
        bytes: usize,
    ) -> Result<Vec<Arc<str>>, GatewayError> {
        let conversation = self.conversation(id).await?;
        self.check_length(conversation.weight() + bytes, CONVERSATION)?;
        Ok(conversation.items.iter().map(|item| Arc::clone(&item.json)).collect())
    }

    /// Adds the items of a request and of its response to their conversation.
    pub(super) async fn join_conversation(&self, id: &str, response: &StoredResponse) {
        let Some(conversation) = &response.input.conversation else { return };
        let own = response.input.items.iter().enumerate();
        let mut items: Vec<_> =
            own.map(|(at, item)| ConversationItem::of(&complete_item(id, at, item))).collect();
        let output = Output::of(&response.object).unwrap_or_default();
        for item in output.items() {
            let Ok(value) = serde_json::from_str::<Value>(item) else { continue };
            let id = value.get("id").and_then(Value::as_str).unwrap_or_default();
            items.push(ConversationItem { id: id.into(), json: item.into() });
        }
        if let Err(error) = self.add_items(conversation, items).await {
            log::warn!("the items of a response did not join their conversation: {error}");
        }
    }

    /// Changes a conversation as one step.
    fn change(
        &self,
        id: &str,
        change: impl FnOnce(&mut StoredConversation) -> Result<(), GatewayError>,
    ) -> Result<Arc<StoredConversation>, GatewayError> {
        self.replace(id, |kept| match kept {
            Some(StoredValue::Conversation(conversation)) => {
                let mut next = StoredConversation::clone(&conversation);
                change(&mut next)?;
                let next = Arc::new(next);
                Ok((StoredValue::Conversation(Arc::clone(&next)), next))
            }
            Some(StoredValue::Response(_)) | None => Err(unknown(id)),
        })
    }

    fn check_length(&self, bytes: usize, param: &str) -> Result<(), GatewayError> {
        if bytes <= LARGEST.min(self.most_bytes()) {
            return Ok(());
        }
        let message = "The conversation is too long: compact it, delete items, or begin a new one.";
        Err(Invalid::value(param, message).with_code("conversation_too_long").into())
    }
}

fn unknown(id: &str) -> GatewayError {
    GatewayError::NotKept(KeptKind::Conversation, id.to_owned())
}

/// An item with all members that strict clients require: an id, which repeats that of its `owner`, and of
/// messages a type, a status and a content of parts.
pub(crate) fn complete_item(owner: &str, at: usize, item: &str) -> Value {
    let mut members: Map<String, Value> = serde_json::from_str(item).unwrap_or_default();
    if !members.contains_key("type") && members.contains_key("role") {
        members.insert("type".to_owned(), "message".into());
    }
    let is_message = members.get("type").is_some_and(|kind| kind == "message");
    if members.get("id").is_none_or(Value::is_null) {
        let own = owner.split_once('_').map_or(owner, |(_, own)| own);
        let own = own.get(..RANDOM).unwrap_or(own);
        let prefix = if is_message { "msg" } else { "item" };
        members.insert("id".to_owned(), format!("{prefix}_{own}in{at:04x}").into());
    }
    if is_message {
        members.entry("status").or_insert_with(|| "completed".into());
        let is_own = members.get("role").is_some_and(|role| role == "assistant");
        if let Some(Value::String(text)) = members.get("content") {
            let part = if is_own {
                json!({ "type": "output_text", "text": text, "annotations": [], "logprobs": [] })
            } else {
                json!({ "type": "input_text", "text": text })
            };
            members.insert("content".to_owned(), json!([part]));
        }
    }
    Value::Object(members)
}
