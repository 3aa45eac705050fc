//! `/v1/conversations`: conversations that a caller keeps here, and their items.

use std::sync::Arc;

use actix_web::web::{Data, Path, Payload, Query};
use actix_web::{HttpRequest, HttpResponse};
use schema::openai::responses::item::Item;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use translate::Invalid;
use uuid::Uuid;

use super::metadata;
use super::responses::item_list::{ItemList, ItemPage};
use crate::error::{GatewayError, KeptKind};
use crate::pipeline::json::parse;
use crate::pipeline::json_response::respond_without_call;
use crate::pipeline::{Admitted, Incoming};
use crate::reasoning_store::{ConversationItem, StoredConversation, complete_item};
use crate::request::context::{RequestContext, unix_seconds};
use crate::state::Worker;

/// A new conversation, a change of one, or items for one.
#[derive(Debug, Default, Deserialize)]
struct Sent<'b> {
    #[serde(borrow)]
    items: Option<Vec<&'b RawValue>>,
    metadata: Option<Map<String, Value>>,
}

/// A conversation as clients see it.
#[derive(Debug, Serialize)]
struct Shown<'c> {
    id: &'c str,
    object: &'static str,
    created_at: u32,
    metadata: &'c Map<String, Value>,
}

/// Makes a conversation.
pub(crate) async fn create(
    worker: Data<Worker>,
    http: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    let mut context = RequestContext::begin(&http, "conversations.create");
    let made = async {
        let (incoming, body) = Incoming::with_body(&worker, &http, payload, &context).await?;
        let admitted = incoming.admit(None, &mut context).await?;
        // A client may send no body at all.
        let sent = if body.is_empty() { Sent::default() } else { parse(&body)? };
        let metadata = metadata::checked(sent.metadata.unwrap_or_default())?;
        let items = items_of(sent.items.unwrap_or_default())?;
        let id = format!("conv_{}", Uuid::now_v7().simple());
        let conversation = StoredConversation { created_at: unix_seconds(), metadata, items };
        let shown = shown(&id, &conversation);
        admitted.reasoning().responses().create_conversation(&id, conversation).await?;
        Ok(shown)
    };
    let made = made.await;
    respond_without_call(context, made)
}

/// Responds with a conversation.
pub(crate) async fn read(
    worker: Data<Worker>,
    http: HttpRequest,
    id: Path<String>,
) -> HttpResponse {
    let mut context = RequestContext::begin(&http, "conversations.read");
    let found = found(&worker, &http, &id, &mut context).await;
    respond_without_call(context, found.map(|(_, conversation)| shown(&id, &conversation)))
}

/// Replaces the metadata of a conversation.
pub(crate) async fn update(
    worker: Data<Worker>,
    http: HttpRequest,
    id: Path<String>,
    payload: Payload,
) -> HttpResponse {
    let mut context = RequestContext::begin(&http, "conversations.update");
    let changed = async {
        let (incoming, body) = Incoming::with_body(&worker, &http, payload, &context).await?;
        let admitted = incoming.admit(None, &mut context).await?;
        let Some(metadata) = parse::<Sent<'_>>(&body)?.metadata else {
            return Err(missing("metadata", "metadata is missing."));
        };
        let responses = admitted.reasoning().responses();
        let conversation = responses.set_metadata(&id, metadata::checked(metadata)?).await?;
        Ok(shown(&id, &conversation))
    };
    let changed = changed.await;
    respond_without_call(context, changed)
}

/// Deletes a conversation with its items.
pub(crate) async fn delete(
    worker: Data<Worker>,
    http: HttpRequest,
    id: Path<String>,
) -> HttpResponse {
    let mut context = RequestContext::begin(&http, "conversations.delete");
    let deleted = async {
        let admitted = Incoming::list(&worker, &http).await?.admit(None, &mut context).await?;
        admitted.reasoning().responses().remove_conversation(&id).await?;
        Ok(json!({ "id": *id, "object": "conversation.deleted", "deleted": true }))
    };
    let deleted = deleted.await;
    respond_without_call(context, deleted)
}

/// Adds items to a conversation.
pub(crate) async fn add_items(
    worker: Data<Worker>,
    http: HttpRequest,
    id: Path<String>,
    payload: Payload,
) -> HttpResponse {
    let mut context = RequestContext::begin(&http, "conversations.items.create");
    let added = async {
        let (incoming, body) = Incoming::with_body(&worker, &http, payload, &context).await?;
        let admitted = incoming.admit(None, &mut context).await?;
        let Some(items) = parse::<Sent<'_>>(&body)?.items else {
            return Err(missing("items", "items is missing."));
        };
        let items = items_of(items)?;
        let list = ItemList::whole(items.iter().map(value_of).collect());
        admitted.reasoning().responses().add_items(&id, items).await?;
        Ok(list)
    };
    let added = added.await;
    respond_without_call(context, added)
}

/// Lists the items of a conversation.
pub(crate) async fn items(
    worker: Data<Worker>,
    http: HttpRequest,
    id: Path<String>,
    page: Query<ItemPage>,
) -> HttpResponse {
    let mut context = RequestContext::begin(&http, "conversations.items.list");
    let listed = found(&worker, &http, &id, &mut context).await.and_then(|(_, conversation)| {
        Ok(page.of(conversation.items.iter().map(value_of).collect())?)
    });
    respond_without_call(context, listed)
}

/// Responds with an item of a conversation.
pub(crate) async fn item(
    worker: Data<Worker>,
    http: HttpRequest,
    ids: Path<(String, String)>,
) -> HttpResponse {
    let mut context = RequestContext::begin(&http, "conversations.items.read");
    let (id, item) = ids.into_inner();
    let read = found(&worker, &http, &id, &mut context).await.and_then(|(_, conversation)| {
        let one = conversation.items.iter().find(|one| *one.id == *item);
        one.map(value_of).ok_or(GatewayError::NotKept(KeptKind::Item, item))
    });
    respond_without_call(context, read)
}

/// Deletes an item, and responds with its conversation.
pub(crate) async fn delete_item(
    worker: Data<Worker>,
    http: HttpRequest,
    ids: Path<(String, String)>,
) -> HttpResponse {
    let mut context = RequestContext::begin(&http, "conversations.items.delete");
    let (id, item) = ids.into_inner();
    let deleted = async {
        let admitted = Incoming::list(&worker, &http).await?.admit(None, &mut context).await?;
        let conversation = admitted.reasoning().responses().remove_item(&id, &item).await?;
        Ok(shown(&id, &conversation))
    };
    let deleted = deleted.await;
    respond_without_call(context, deleted)
}

async fn found(
    worker: &Data<Worker>,
    http: &HttpRequest,
    id: &str,
    context: &mut RequestContext,
) -> Result<(Admitted, Arc<StoredConversation>), GatewayError> {
    let admitted = Incoming::list(worker, http).await?.admit(None, context).await?;
    let conversation = admitted.reasoning().responses().conversation(id).await?;
    Ok((admitted, conversation))
}

fn shown(id: &str, conversation: &StoredConversation) -> Value {
    let StoredConversation { created_at, metadata, items: _ } = conversation;
    let shown = Shown { id, object: "conversation", created_at: *created_at, metadata };
    serde_json::to_value(shown).unwrap_or_default()
}

fn value_of(item: &ConversationItem) -> Value {
    serde_json::from_str(&item.json).unwrap_or_default()
}

/// The items that a client sent, with ids of their own where it gave none.
fn items_of(items: Vec<&RawValue>) -> Result<Vec<ConversationItem>, GatewayError> {
    let owner = Uuid::now_v7().simple().to_string();
    let items = items.into_iter().enumerate().map(|(at, item)| {
        let refused = |message| Invalid::value(format!("items[{at}]"), message);
        match serde_json::from_str::<Item<'_>>(item.get()) {
            Ok(Item::Reference(_)) => {
                Err(refused("A conversation keeps items in full: send the item itself."))
            }
            Ok(_) => Ok(ConversationItem::of(&complete_item(&owner, at, item.get()))),
            Err(_) => {
                Err(refused("An item needs a type or a role, and a content of texts or parts."))
            }
        }
    });
    Ok(items.collect::<Result<_, Invalid>>()?)
}

fn missing(param: &'static str, message: &'static str) -> GatewayError {
    Invalid::value(param, message).with_code("missing_required_parameter").into()
}
