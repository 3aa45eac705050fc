//! Reasoning store: keeps a model's reasoning before tool calls, for clients that send back only OpenAI's
//! own fields. Some model families refuse a tool turn without its signed reasoning. The store is read once
//! per request and written once per tool call, never per token. The process's local store comes first; a
//! Redis store shared by replicas is optional.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use access::{Accounts, Principal};
use actix_web::http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use translate::Profile;
use translate::answer_stream::KeptItem;
use translate::dialect::{Dialect, KnownState};
use translate::reasoning::{Origin, RestoredReasoning, SavedTurn, Turn};
use translate::responses::background::{ResponseState, ended};

use crate::error::GatewayError;
use routing::Target;

mod capsules;
mod connection;
mod conversations;
mod event_log;
mod items;
mod jobs;
mod redis;
mod responses;
mod sealing;
mod shard;
mod shared_rows;

use capsules::{CallerCapsules, CapsuleKey};
pub(crate) use connection::ConnectionResponses;
use connection::HeldConversation;
pub(crate) use conversations::{ConversationItem, StoredConversation, complete_item};
pub(crate) use event_log::LoggedEvents;
use items::StoredItems;
pub(crate) use items::{ItemMemory, KnownItems};
use jobs::Jobs;
pub(crate) use jobs::{Job, RunningJob};
pub(crate) use redis::{RedisStore, StoreSettings};
use responses::StoredResponses;
pub(crate) use responses::{CallerResponses, SentInput, StoredResponse};
pub(crate) use shard::{Shards, Weighed};
use shared_rows::CallerRows;

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
    /// Responses that are made in the background.
    jobs: Jobs,
    /// The time at which old rows of the database were last removed, in milliseconds.
    pruned: AtomicI64,
    /// Tool calls whose reasoning was found here, and those where it was not.
    lookups: [AtomicU64; 2],
    /// Seals reasoning for clients, where no secret is shared by replicas.
    capsules: Option<Arc<CapsuleKey>>,
}

/// Headers that hold the credential of a caller.
static CREDENTIALS: [HeaderName; 3] =
    [AUTHORIZATION, HeaderName::from_static("x-api-key"), HeaderName::from_static("api-key")];

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
            jobs: Jobs::default(),
            pruned: AtomicI64::default(),
            lookups: Default::default(),
            capsules: CapsuleKey::random().map(Arc::new),
        }
    }
}

impl LocalStore {
    /// Waits until no response is made in the background.
    pub(crate) async fn jobs_ended(&self) {
        self.jobs.ended().await;
    }

    /// The parts of the store, by name, with the number of their entries and their bytes.
    pub(crate) fn sizes(&self) -> [(&'static str, (usize, usize)); 3] {
        [
            ("reasoning", self.turns.size()),
            ("items", self.items.size()),
            ("responses", self.responses.size()),
        ]
    }

    /// Tool calls whose reasoning was looked for: those found, and those not found.
    pub(crate) fn lookups(&self) -> [u64; 2] {
        self.lookups.each_ref().map(|count| count.load(Ordering::Relaxed))
    }

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
            let found = self.turns.of(key).find(key, limits.ttl, now);
            self.lookups[usize::from(found.is_none())].fetch_add(1, Ordering::Relaxed);
            if let Some(turn) = found {
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
    /// The accounts, whose database may keep responses, and the caller among them.
    account: Option<(Arc<Accounts>, Principal)>,
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
        (headers, account): (&HeaderMap, Option<(Arc<Accounts>, Principal)>),
    ) -> Self {
        let holder = account.as_ref().and_then(|(_, principal)| principal.holder());
        let key = holder.map(|holder| holder.key.id.as_str());
        let told = match key {
            Some(id) => [Some(KEY), Some(id.as_bytes()), None],
            None => CREDENTIALS.each_ref().map(|name| headers.get(name).map(HeaderValue::as_bytes)),
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
            account,
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

    /// The name of the caller's key, where keys have accounts.
    pub(crate) fn owner(&self) -> &str {
        let holder = self.account.as_ref().and_then(|(_, principal)| principal.holder());
        holder.map_or("", |holder| &holder.key.id)
    }

    /// The caller's items of responses.
    pub(crate) fn items(&self) -> ItemMemory<'_> {
        self.local.items.of(self.caller, self.limits)
    }

    /// The caller's responses.
    pub(crate) fn responses(&self) -> CallerResponses<'_> {
        let rows = || {
            let (accounts, principal) = self.account.as_ref()?;
            let owner = match principal.holder() {
                Some(holder) => format!("key:{}", holder.key.id),
                None => "master".to_owned(),
            };
            // A key of this process alone would lock the rows up.
            let seal = self.store.as_ref().and_then(|store| store.capsules());
            let seal = seal.map(|key| CallerCapsules::new(key, self.caller));
            CallerRows::of(accounts, owner, seal, self.response_limits)
        };
        let rows = if self.response_limits.bytes > 0 { rows() } else { None };
        let pruned = &self.local.pruned;
        self.local.responses.of(self.caller, self.response_limits, (rows, pruned))
    }

    /// The caller's response with this id, as it stands. One that no process is making any more has failed.
    ///
    /// # Errors
    /// There is none.
    pub(crate) async fn response(&self, id: &str) -> Result<Arc<StoredResponse>, GatewayError> {
        let mut found = self.responses().find(id).await?;
        if !found.is_pending()
            || self.job(id).is_some()
            || self.responses().is_made_elsewhere(id).await?
        {
            return Ok(found);
        }
        // The job may have ended since.
        found = self.responses().find(id).await?;
        if found.is_pending() {
            let failed = ended(&found.object, &GatewayError::Stopping.render().failure());
            let object = failed.unwrap_or_else(|| found.object.clone());
            found = Arc::new(StoredResponse { object, input: found.input.clone(), events: None });
        }
        Ok(found)
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
    pub(crate) async fn history(&self, id: &str) -> Result<Vec<Arc<str>>, GatewayError> {
        let of_connection = match &self.connection {
            Some(connection) => connection.conversation(id)?,
            None => None,
        };
        let Some(HeldConversation { stored, items }) = of_connection else {
            return self.responses().history(id).await;
        };
        let mut all = match stored {
            Some(id) => self.responses().history(&id).await?,
            None => Vec::new(),
        };
        all.extend(items.into_iter().map(Arc::from));
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
    pub(crate) async fn keep_response(&self, response: Option<KeptItem>) {
        let Some(response) = response else { return };
        if let Some(connection) = &self.connection
            && ResponseState::of(&response.json).is_some_and(|state| state.is_answer())
        {
            connection.keep(&response);
        }
        if let Err(error) = self.keep_begun(response).await {
            log::error!("a response is not kept: {error}");
        }
    }

    /// Keeps a response that is to be made, if that was announced.
    ///
    /// # Errors
    /// The database fails.
    pub(crate) async fn keep_begun(&self, response: KeptItem) -> Result<(), GatewayError> {
        match self.input.get() {
            // Boxed, because few answers are kept and every request's future would hold its state.
            Some(input) => Box::pin(self.responses().keep(response, input.clone())).await,
            None => Ok(()),
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
