//! Reasoning store: keeps a model's reasoning before tool calls, for clients that send back only OpenAI's
//! own fields. Some model families refuse a tool turn without its signed reasoning. The store is read once
//! per request and written once per tool call, never per token. The process's local store comes first; a
//! Redis store shared by replicas is optional.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use actix_web::http::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use translate::answer_stream::KeptItem;
use translate::dialect::{Dialect, KnownState};
use translate::reasoning::{Origin, RestoredReasoning, SavedTurn, Turn};
use translate::{Invalid, Profile};

use routing::Target;

mod capsules;
mod connection;
mod items;
mod redis;
mod responses;
mod sealing;
mod shard;

use capsules::{CallerCapsules, CapsuleKey};
pub(crate) use connection::ConnectionResponses;
use connection::HeldConversation;
use items::StoredItems;
pub(crate) use items::{ItemMemory, KnownItems};
pub(crate) use redis::{RedisStore, StoreSettings};
use responses::StoredResponses;
pub(crate) use responses::{CallerResponses, SentInput, StoredResponse};
use shard::Shards;

/// Marks callers that are known by the id of their key.
const KEY: &[u8] = b"key of the gateway";
/// Number of locks, high enough that workers seldom wait for one.
const SHARDS: usize = 16;

/// Limits of the local store in size and time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StoreLimits {
    /// Bytes in total; 0 disables the store.
    pub(crate) bytes: usize,
    /// Lifetime since the last use.
    pub(crate) ttl: Duration,
}

/// A store of reasoning, by caller and tool call id. A failure of the store never fails the request: less
/// reasoning is restored.
trait StoreBackend {
    /// Saves the reasoning that led to some calls.
    async fn keep(&self, caller: Caller, kept: &SavedTurn, limits: StoreLimits);

    /// Restores the reasoning of some calls.
    async fn restore<'c>(
        &self,
        caller: Caller,
        calls: impl Iterator<Item = &'c str>,
        limits: StoreLimits,
    ) -> RestoredReasoning;
}

/// The local store of the process.
#[derive(Debug)]
pub(crate) struct LocalStore {
    turns: Shards<Turn, SHARDS>,
    /// Items of responses.
    items: StoredItems,
    /// Responses as a whole.
    responses: StoredResponses,
    /// Seals reasoning for clients, where no secret is shared by replicas.
    capsules: Option<Arc<CapsuleKey>>,
}

/// Identifies the caller by headers: the reasoning of one caller's conversation is not for another. Stores
/// no secret, only its keyed hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Caller(u128);

impl Default for LocalStore {
    fn default() -> Self {
        Self {
            turns: Shards::default(),
            items: StoredItems::default(),
            responses: StoredResponses::default(),
            capsules: CapsuleKey::random().map(Arc::new),
        }
    }
}

impl LocalStore {
    fn put(&self, caller: Caller, call: &str, turn: &Arc<Turn>, limits: StoreLimits) {
        let key = self.turns.key((caller, call));
        self.turns.of(key).put(key, Arc::clone(turn), share(limits), Instant::now());
    }

    fn find<'c>(
        &self,
        caller: Caller,
        calls: impl Iterator<Item = &'c str>,
        limits: StoreLimits,
    ) -> RestoredReasoning {
        let now = Instant::now();
        let mut restored = RestoredReasoning::default();
        for call in calls {
            let key = self.turns.key((caller, call));
            if let Some(turn) = self.turns.of(key).find(key, limits.ttl, now) {
                restored.add(call, turn);
            }
        }
        restored
    }
}

impl StoreBackend for LocalStore {
    async fn keep(&self, caller: Caller, kept: &SavedTurn, limits: StoreLimits) {
        for call in &kept.calls {
            self.put(caller, call, &kept.turn, limits);
        }
    }

    async fn restore<'c>(
        &self,
        caller: Caller,
        calls: impl Iterator<Item = &'c str>,
        limits: StoreLimits,
    ) -> RestoredReasoning {
        self.find(caller, calls, limits)
    }
}

fn share(limits: StoreLimits) -> StoreLimits {
    StoreLimits { bytes: limits.bytes / SHARDS, ..limits }
}

/// The store as one request uses it.
#[derive(Debug, Clone)]
pub(crate) struct ReasoningStore {
    local: Arc<LocalStore>,
    /// The second memory, where there is one.
    store: Option<Arc<RedisStore>>,
    caller: Caller,
    limits: StoreLimits,
    /// Limits of the store of responses; of no size where the operator forbids storing.
    response_limits: StoreLimits,
    /// The input of the request, if its response is to be kept.
    input: Arc<OnceLock<SentInput>>,
    /// Responses of the WebSocket that the request came over.
    connection: Option<Arc<ConnectionResponses>>,
}

/// Limits of the parts of the store.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PartLimits {
    pub(crate) reasoning: StoreLimits,
    pub(crate) responses: StoreLimits,
}

impl ReasoningStore {
    /// The part of the caller: of the key with this id, or of the credential in the headers. A signature is another one
    /// for each request, and a key may come in several headers.
    pub(crate) fn new(
        local: &Arc<LocalStore>,
        store: Option<&Arc<RedisStore>>,
        limits: PartLimits,
        (headers, key): (&HeaderMap, Option<&str>),
    ) -> Self {
        let told = match key {
            Some(id) => [Some(KEY), Some(id.as_bytes()), None],
            None => [AUTHORIZATION.as_str(), "x-api-key", "api-key"]
                .map(|name| headers.get(name).map(HeaderValue::as_bytes)),
        };
        let caller = match store {
            None => Caller(local.turns.key(told)),
            Some(store) => store.caller(told.into_iter()),
        };
        Self {
            local: Arc::clone(local),
            store: store.cloned(),
            caller,
            limits: limits.reasoning,
            response_limits: limits.responses,
            input: Arc::default(),
            connection: None,
        }
    }

    /// The reasoning saved for the tool calls of a conversation, if the model accepts past reasoning.
    pub(crate) async fn of<D: Dialect>(
        &self,
        request: &D::Request<'_>,
        target: &Target,
    ) -> RestoredReasoning {
        let mut restored = self.remembered::<D>(request, &target.model.profile).await;
        restored.is_for(target.origin());
        let key = match &self.store {
            Some(store) => store.capsules(),
            None => self.local.capsules.as_ref(),
        };
        if let Some(key) = key {
            restored.seals_with(Arc::new(CallerCapsules::new(key, self.caller)));
        }
        restored
    }

    /// The caller's items of responses.
    pub(crate) fn items(&self) -> ItemMemory<'_> {
        self.local.items.of(self.caller, self.limits)
    }

    /// The caller's responses.
    pub(crate) fn responses(&self) -> CallerResponses<'_> {
        self.local.responses.of(self.caller, self.response_limits)
    }

    /// Sets the responses of the WebSocket that the request came over.
    pub(crate) fn is_of_connection(&mut self, kept: Arc<ConnectionResponses>) {
        self.connection = Some(kept);
    }

    /// Whether the request came over a WebSocket.
    pub(crate) fn has_connection(&self) -> bool {
        self.connection.is_some()
    }

    /// The items of the conversation up to and with this response, as JSON, the first item first.
    ///
    /// # Errors
    /// A response of the conversation is not known, or the conversation is too long.
    pub(crate) fn history(&self, id: &str) -> Result<Vec<String>, Invalid> {
        let of_connection = match &self.connection {
            Some(connection) => connection.conversation(id)?,
            None => None,
        };
        let Some(HeldConversation { stored, items }) = of_connection else {
            return self.responses().history(id);
        };
        let mut all = match stored {
            Some(id) => self.responses().history(&id)?,
            None => Vec::new(),
        };
        all.extend(items);
        Ok(all)
    }

    /// Announces that the response to this input is to be kept.
    pub(crate) fn will_keep(&self, input: SentInput, known: KnownState) {
        let input = match &self.connection {
            Some(connection) => connection.announce(input),
            None => input,
        };
        if known.stores && self.input.set(input).is_err() {
            log::warn!("a request has one response, and its input was set before");
        }
    }

    /// Keeps the response if that was announced. Must be done before the client sees its end.
    pub(crate) fn keep_response(&self, response: Option<KeptItem>) {
        let Some(response) = response else { return };
        if let Some(connection) = &self.connection {
            connection.keep(&response);
        }
        if let Some(input) = self.input.get() {
            self.responses().keep(response, input.clone());
        }
    }

    /// Origin of the latest saved reasoning among these calls, the last call first.
    pub(crate) async fn origin(&self, calls: &[String]) -> Option<Origin> {
        if self.limits.bytes == 0 || calls.is_empty() {
            return None;
        }
        let ids = || calls.iter().map(String::as_str);
        let mut restored = self.local.find(self.caller, ids(), self.limits);
        if let (Some(store), true) = (&self.store, restored.is_empty()) {
            restored = store.restore(self.caller, ids(), self.limits).await;
        }
        ids().find_map(|call| restored.origin(call))
    }

    async fn remembered<D: Dialect>(
        &self,
        request: &D::Request<'_>,
        profile: &Profile,
    ) -> RestoredReasoning {
        if self.limits.bytes == 0 || !profile.keeps_thoughts() {
            return RestoredReasoning::default();
        }
        let ids = D::call_ids(request);
        let mut restored = self.local.find(self.caller, ids.iter().copied(), self.limits);
        if let Some(store) = &self.store {
            let latest: Vec<&str> = ids.into_iter().filter(|id| !restored.knows(id)).collect();
            let latest = latest.into_iter().rev();
            let more = store.restore(self.caller, latest, self.limits).await;
            for (call, turn) in more.calls() {
                self.local.put(self.caller, call, turn, self.limits);
            }
            restored.join(more);
        }
        restored
    }

    /// Saves reasoning. Must be awaited before the client sees the ids of the calls.
    pub(crate) async fn keep(&self, kept: &SavedTurn) {
        if self.limits.bytes == 0 {
            return;
        }
        self.local.keep(self.caller, kept, self.limits).await;
        if let Some(store) = &self.store {
            store.keep(self.caller, kept, self.limits).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use translate::reasoning::ReasoningItem;

    use super::redis::tests::FakeRedis;
    use super::*;

    const LIMITS: StoreLimits = StoreLimits { bytes: 1 << 20, ttl: Duration::from_secs(60) };

    fn kept(calls: &[&str], text: &str) -> SavedTurn {
        let thought =
            ReasoningItem::Text { text: text.to_owned(), signature: Some("s".to_owned()) };
        let calls = calls.iter().map(|call| (*call).to_owned()).collect();
        SavedTurn { calls, turn: Arc::new(Turn::of_thoughts([thought])) }
    }

    /// The behaviour that every kind of store shares.
    async fn check(store: &impl StoreBackend) {
        let (ann, bob) = (Caller(1), Caller(2));
        let known = async |caller, calls: &[&str]| {
            let restored = store.restore(caller, calls.iter().copied(), LIMITS).await;
            let mut known: Vec<(String, usize)> =
                restored.calls().map(|(call, turn)| (call.to_owned(), turn.steps.len())).collect();
            known.sort();
            known
        };
        assert!(known(ann, &["c1"]).await.is_empty());
        store.keep(ann, &kept(&["c1", "c2"], "hm"), LIMITS).await;
        store
            .keep(ann, &SavedTurn { calls: vec!["c3".to_owned()], turn: Arc::default() }, LIMITS)
            .await;
        let all = [("c1".to_owned(), 1), ("c2".to_owned(), 1), ("c3".to_owned(), 0)];
        assert_eq!(known(ann, &["c3", "c0", "c1", "c2"]).await, all);
        assert!(known(ann, &[]).await.is_empty());
        assert!(known(bob, &["c1", "c2", "c3"]).await.is_empty(), "thoughts are not another's");
        store.keep(ann, &kept(&["c1"], "hm, hm"), LIMITS).await;
        let restored = store.restore(ann, ["c1"].into_iter(), LIMITS).await;
        let (_, turn) = restored.calls().next().unwrap();
        assert_eq!(*turn, kept(&[], "hm, hm").turn, "the last counts");
    }

    #[tokio::test(flavor = "current_thread")]
    async fn both_stores_behave_the_same() {
        check(&LocalStore::default()).await;
        let server = FakeRedis::start().await;
        check(&server.memory()).await;
        server.has_nothing_readable("hm");
    }

    #[test]
    fn callers_are_distinguished_by_their_keys() {
        let memory = LocalStore::default();
        let of = |key: &'static str| Caller(memory.turns.key([Some(key.as_bytes()), None]));
        assert_eq!(of("Bearer ann"), of("Bearer ann"));
        assert_ne!(of("Bearer ann"), of("Bearer bob"));
        assert_ne!(Caller(memory.turns.key([None::<&[u8]>, None])), of("Bearer ann"));
    }
}
