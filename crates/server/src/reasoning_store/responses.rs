//! Responses and conversations that are kept so that later requests can continue or read them. Bounded in bytes and
//! age, and apart for every caller: in the database of the accounts, or without one in this process.

use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Instant;

use serde::Deserialize;
use serde_json::value::RawValue;
use translate::Invalid;
use translate::answer_stream::KeptItem;
use translate::responses::background::ResponseState;

use super::conversations::StoredConversation;
use super::event_log::{EventLog, LoggedEvents};
use super::shard::{Shards, Weighed};
use super::shared_rows::CallerRows;
use super::{Caller, StoreLimits};
use crate::error::{GatewayError, KeptKind};
use crate::quoting;

/// Most responses that one conversation may have.
pub(super) const LONGEST: usize = 1000;
/// Most bytes of items that are put in front of a request.
pub(super) const LARGEST: usize = 25 * 1024 * 1024;
const PREVIOUS: &str = "previous_response_id";

/// The responses and conversations of all callers.
///
/// One shard, so that each may be as large as the whole store.
#[derive(Debug, Default)]
pub(super) struct StoredResponses(Shards<StoredValue, 1>);

/// A value of the store.
#[derive(Debug, Clone)]
pub(super) enum StoredValue {
    Response(Arc<StoredResponse>),
    Conversation(Arc<StoredConversation>),
}

/// The input of a request whose response is to be kept.
#[derive(Debug, Clone, Default)]
pub(crate) struct SentInput {
    /// Its own items, as JSON.
    pub(crate) items: Vec<String>,
    /// The response that it continues.
    pub(crate) previous: Option<String>,
    /// The conversation that it belongs to.
    pub(crate) conversation: Option<String>,
}

/// A response and the input that led to it.
#[derive(Debug)]
pub(crate) struct StoredResponse {
    /// The response as the client saw it, as JSON.
    pub(crate) object: String,
    pub(crate) input: SentInput,
    /// The events of a response made in the background, in a row.
    pub(crate) events: Option<String>,
}

/// The responses and conversations of one caller.
#[derive(Debug)]
pub(crate) struct CallerResponses<'s> {
    stored: &'s StoredResponses,
    caller: Caller,
    /// Of no size where the operator forbids storing.
    limits: StoreLimits,
    /// The caller's rows, where a database keeps them instead of this process.
    rows: Option<CallerRows>,
    /// The time at which old rows were last removed.
    pruned: &'s AtomicI64,
}

/// The part of a response that a conversation consists of.
#[derive(Default, Deserialize)]
pub(super) struct Output<'r> {
    #[serde(borrow)]
    output: Vec<&'r RawValue>,
}

impl<'r> Output<'r> {
    /// The output of a response.
    pub(super) fn of(object: &'r str) -> Option<Self> {
        serde_json::from_str(object).ok()
    }

    /// Its items, as JSON.
    pub(super) fn items(&self) -> impl Iterator<Item = &'r str> {
        self.output.iter().map(|item| item.get())
    }
}

impl Weighed for StoredValue {
    fn weight(&self) -> usize {
        match self {
            Self::Response(response) => response.weight(),
            Self::Conversation(conversation) => conversation.weight(),
        }
    }
}

impl Weighed for StoredResponse {
    fn weight(&self) -> usize {
        let items = self.input.items.iter().map(|item| item.len() + size_of::<String>());
        let events = self.events.as_ref().map_or(0, String::len);
        self.object.len() + events + items.sum::<usize>()
    }
}

impl StoredResponse {
    /// Whether it is still to change.
    pub(crate) fn is_pending(&self) -> bool {
        ResponseState::of(&self.object).is_some_and(|state| state.is_pending())
    }

    /// Whether it failed, so that it has no answer to continue.
    fn has_failed(&self) -> bool {
        ResponseState::of(&self.object).is_some_and(|state| &*state.status == "failed")
    }

    /// Whether it is made in the background.
    pub(crate) fn is_background(&self) -> bool {
        ResponseState::of(&self.object).is_some_and(|state| state.background)
    }

    /// Its events from a sequence number on, if they are kept.
    pub(crate) fn events_from(&self, next: usize) -> Option<LoggedEvents> {
        EventLog::of(self.events.as_deref()?).from(next)
    }
}

impl StoredResponses {
    /// Responses, and their bytes.
    pub(super) fn size(&self) -> (usize, usize) {
        self.0.size()
    }

    /// The part of a caller.
    pub(super) fn of<'s>(
        &'s self,
        caller: Caller,
        limits: StoreLimits,
        (rows, pruned): (Option<CallerRows>, &'s AtomicI64),
    ) -> CallerResponses<'s> {
        CallerResponses { stored: self, caller, limits, rows, pruned }
    }
}

impl CallerResponses<'_> {
    /// Whether anything is kept at all.
    pub(crate) fn is_on(&self) -> bool {
        self.limits.bytes > 0
    }

    /// The size of the store.
    pub(super) fn most_bytes(&self) -> usize {
        self.limits.bytes
    }

    /// Keeps a response. Must be done before the client sees its end.
    ///
    /// # Errors
    /// The database fails.
    pub(crate) async fn keep(
        &self,
        response: KeptItem,
        input: SentInput,
    ) -> Result<(), GatewayError> {
        let KeptItem { id, json } = response;
        let is_answer = ResponseState::of(&json).is_some_and(|state| state.is_answer());
        let stored = Arc::new(StoredResponse { object: json, input, events: None });
        if is_answer {
            self.join_conversation(&id, &stored).await;
        }
        let Some(rows) = &self.rows else {
            self.put(&id, StoredValue::Response(stored));
            return Ok(());
        };
        rows.prune(self.pruned);
        rows.keep_response(&id, &stored).await
    }

    /// The caller's rows, if a database has them.
    pub(super) fn rows(&self) -> Option<&CallerRows> {
        self.rows.as_ref()
    }

    /// Whether another process makes a response.
    ///
    /// # Errors
    /// The database fails.
    pub(super) async fn is_made_elsewhere(&self, id: &str) -> Result<bool, GatewayError> {
        match &self.rows {
            Some(rows) => rows.is_made(id).await,
            None => Ok(false),
        }
    }

    /// Says that this process goes on making a response; returns whether it should end.
    ///
    /// # Errors
    /// The database fails.
    pub(super) async fn renew(&self, id: &str) -> Result<bool, GatewayError> {
        match &self.rows {
            Some(rows) => rows.renew(id).await,
            None => Ok(false),
        }
    }

    /// Asks the process that makes a response for its end.
    ///
    /// # Errors
    /// The database fails.
    pub(crate) async fn cancel(&self, id: &str) -> Result<(), GatewayError> {
        match &self.rows {
            Some(rows) => rows.cancel(id).await,
            None => Ok(()),
        }
    }

    /// Keeps the events of a response beside it.
    pub(crate) async fn keep_events(&self, id: &str, events: String) {
        if let Some(rows) = &self.rows {
            let kept = async {
                let Some(response) = rows.response(id).await? else { return Ok(()) };
                let events = Some(events);
                rows.rewrite_response(id, &StoredResponse { events, ..response }).await
            };
            if let Err(error) = kept.await {
                log::error!("the events of a response are not kept: {error}");
            }
            return;
        }
        let kept = self.replace(id, |kept| match kept {
            Some(StoredValue::Response(response)) => {
                let StoredResponse { object, input, events: _ } = &*response;
                let (object, input, events) = (object.clone(), input.clone(), Some(events));
                Ok((StoredValue::Response(Arc::new(StoredResponse { object, input, events })), ()))
            }
            Some(StoredValue::Conversation(_)) | None => {
                Err(GatewayError::NotKept(KeptKind::Response, id.to_owned()))
            }
        });
        if let Err(error) = kept {
            log::info!("the events of a response are not kept: {error}");
        }
    }

    /// The response with this id.
    ///
    /// # Errors
    /// There is none.
    pub(crate) async fn find(&self, id: &str) -> Result<Arc<StoredResponse>, GatewayError> {
        let unknown = || GatewayError::NotKept(KeptKind::Response, id.to_owned());
        if let Some(rows) = &self.rows {
            return rows.response(id).await?.map(Arc::new).ok_or_else(unknown);
        }
        match self.kept(id) {
            Some(StoredValue::Response(response)) => Ok(response),
            Some(StoredValue::Conversation(_)) | None => Err(unknown()),
        }
    }

    /// Removes a response.
    ///
    /// # Errors
    /// There is none with this id.
    pub(crate) async fn remove(&self, id: &str) -> Result<(), GatewayError> {
        if let Some(rows) = &self.rows {
            let is_known = rows.remove_response(id).await?;
            let unknown = || GatewayError::NotKept(KeptKind::Response, id.to_owned());
            return is_known.then_some(()).ok_or_else(unknown);
        }
        self.find(id).await?;
        self.forget(id);
        Ok(())
    }

    /// The items of the conversation up to and with this response, as JSON, the first item first.
    ///
    /// # Errors
    /// A response of the conversation is not known, or the conversation is too long.
    pub(crate) async fn history(&self, id: &str) -> Result<Vec<Arc<str>>, GatewayError> {
        let mut bytes = 0_usize;
        let chain = self.chain(id).await?;
        for (id, response) in &chain {
            if response.is_pending() {
                return Err(unfinished(id).into());
            }
            if response.has_failed() {
                return Err(not_found(id).into());
            }
            if let Some(conversation) = &response.input.conversation {
                return Err(of_conversation(conversation).into());
            }
            bytes += response.weight();
            if bytes > LARGEST {
                return Err(too_long().into());
            }
        }
        let mut items = Vec::new();
        for (_, response) in chain.iter().rev() {
            items.extend(response.input.items.iter().map(|item| Arc::from(item.as_str())));
            let output = Output::of(&response.object).unwrap_or_default();
            items.extend(output.items().map(Arc::from));
        }
        Ok(items)
    }

    /// A response and those that it continues, the last first, with their ids.
    async fn chain(&self, id: &str) -> Result<Vec<(String, Arc<StoredResponse>)>, GatewayError> {
        let (mut chain, mut next) = (Vec::new(), Some(id.to_owned()));
        let mut rows = match &self.rows {
            Some(rows) => Some(rows.chain(id, LONGEST + 1).await?.into_iter()),
            None => None,
        };
        while let Some(id) = next {
            if chain.len() == LONGEST {
                return Err(too_long().into());
            }
            let found = match &mut rows {
                Some(rows) => rows.next().map(|(_, response)| Arc::new(response)),
                None => match self.kept(&id) {
                    Some(StoredValue::Response(response)) => Some(response),
                    Some(StoredValue::Conversation(_)) | None => None,
                },
            };
            let response = found.ok_or_else(|| not_found(&id))?;
            next = response.input.previous.clone();
            chain.push((id, response));
        }
        Ok(chain)
    }

    /// The value under an id.
    pub(super) fn kept(&self, id: &str) -> Option<StoredValue> {
        let key = self.key(id);
        let found = self.stored.0.of(key).find(key, self.limits.ttl, Instant::now());
        found.map(|kept| StoredValue::clone(&kept))
    }

    pub(super) fn put(&self, id: &str, kept: StoredValue) {
        let key = self.key(id);
        self.stored.0.of(key).put(key, Arc::new(kept), self.limits, Instant::now());
    }

    pub(super) fn forget(&self, id: &str) {
        let key = self.key(id);
        self.stored.0.of(key).remove(key);
    }

    /// Replaces the value under an id by what `change` makes of it, as one step.
    pub(super) fn replace<T>(
        &self,
        id: &str,
        change: impl FnOnce(Option<StoredValue>) -> Result<(StoredValue, T), GatewayError>,
    ) -> Result<T, GatewayError> {
        let (key, now) = (self.key(id), Instant::now());
        let mut shard = self.stored.0.of(key);
        let before = shard.find(key, self.limits.ttl, now).map(|kept| StoredValue::clone(&kept));
        let (next, result) = change(before)?;
        shard.put(key, Arc::new(next), self.limits, now);
        Ok(result)
    }

    fn key(&self, id: &str) -> u128 {
        self.stored.0.key((self.caller, id))
    }
}

/// The items of a response's output, as JSON.
pub(super) fn output_items(object: &str) -> impl Iterator<Item = String> {
    let read: Result<Output<'_>, _> = serde_json::from_str(object);
    let output = read.map(|read| read.output).unwrap_or_default();
    output.into_iter().map(|item| item.get().to_owned())
}

/// The error for a conversation that cannot be continued.
pub(super) fn too_long() -> Invalid {
    let message = "The stored conversation is too long: compact it, or begin a new one.";
    Invalid::value(PREVIOUS, message).with_code("conversation_too_long")
}

/// The error for a response that is not known here.
fn not_found(id: &str) -> Invalid {
    let id = quoting::id(id);
    let message = format!("Previous response with id '{id}' not found.");
    Invalid::value(PREVIOUS, message).with_code("previous_response_not_found")
}

/// The error for a response that has no answer yet.
fn unfinished(id: &str) -> Invalid {
    let id = quoting::id(id);
    let message = format!("Previous response with id '{id}' is still being made.");
    Invalid::value(PREVIOUS, message)
}

/// The error for a response whose items stand in a conversation.
fn of_conversation(conversation: &str) -> Invalid {
    let conversation = quoting::id(conversation);
    let message = format!(
        "The previous response belongs to the conversation '{conversation}': name that in conversation instead."
    );
    Invalid::value(PREVIOUS, message)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const LIMITS: StoreLimits = StoreLimits { bytes: 4096, ttl: Duration::from_secs(60) };

    fn response(id: &str, text: &str) -> KeptItem {
        let json = format!(r#"{{"id":"{id}","output":[{{"said":"{text}"}}]}}"#);
        KeptItem { id: id.to_owned(), json }
    }

    fn code<T>(refused: Result<T, GatewayError>) -> &'static str {
        refused.err().unwrap().code()
    }

    fn input(item: &str, previous: Option<&str>) -> SentInput {
        let previous = previous.map(ToOwned::to_owned);
        SentInput { items: vec![item.to_owned()], previous, conversation: None }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_conversation_is_the_callers_own_and_in_order() {
        let (stored, pruned) = (StoredResponses::default(), AtomicI64::default());
        let (ann, bob) = (
            stored.of(Caller(1), LIMITS, (None, &pruned)),
            stored.of(Caller(2), LIMITS, (None, &pruned)),
        );
        ann.keep(response("resp_1", "a"), input("1", None)).await.unwrap();
        ann.keep(response("resp_2", "b"), input("2", Some("resp_1"))).await.unwrap();
        let items = ann.history("resp_2").await.unwrap();
        let expected = ["1", r#"{"said":"a"}"#, "2", r#"{"said":"b"}"#];
        assert!(items.iter().map(|item| &**item).eq(expected), "{items:?}");
        assert_eq!(code(bob.history("resp_2").await), "previous_response_not_found");
        assert!(bob.find("resp_1").await.is_err() && bob.remove("resp_1").await.is_err());
        assert!(ann.remove("resp_1").await.is_ok() && ann.remove("resp_1").await.is_err());
        assert_eq!(code(ann.history("resp_2").await), "previous_response_not_found");
    }

    #[tokio::test(flavor = "current_thread")]
    async fn the_store_is_bounded_and_can_be_off() {
        let (stored, pruned) = (StoredResponses::default(), AtomicI64::default());
        let ann = stored.of(Caller(1), LIMITS, (None, &pruned));
        for number in 0..100 {
            ann.keep(response(&format!("resp_{number}"), "a"), input("1", None)).await.unwrap();
        }
        assert!(ann.find("resp_0").await.is_err() && ann.find("resp_99").await.is_ok());
        ann.keep(response("resp_large", &"x".repeat(LIMITS.bytes)), input("1", None))
            .await
            .unwrap();
        assert!(ann.find("resp_large").await.is_err());
        let off = stored.of(Caller(2), StoreLimits { bytes: 0, ..LIMITS }, (None, &pruned));
        off.keep(response("resp_1", "a"), input("1", None)).await.unwrap();
        assert!(!off.is_on() && off.find("resp_1").await.is_err());
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_conversation_that_is_too_long_is_refused() {
        let (stored, pruned) = (StoredResponses::default(), AtomicI64::default());
        let wide = StoreLimits { bytes: 64 * 1024 * 1024, ..LIMITS };
        let ann = stored.of(Caller(1), wide, (None, &pruned));
        ann.keep(response("resp_0", "a"), input("1", None)).await.unwrap();
        for number in 1..=LONGEST {
            let previous = format!("resp_{}", number - 1);
            ann.keep(response(&format!("resp_{number}"), "a"), input("1", Some(&previous)))
                .await
                .unwrap();
        }
        assert_eq!(ann.history("resp_999").await.unwrap().len(), 2 * LONGEST);
        assert_eq!(code(ann.history("resp_1000").await), "conversation_too_long");
    }
}
