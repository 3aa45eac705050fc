//! Reasoning store: keeps a model's reasoning before tool calls, for clients that send back only OpenAI's
//! own fields. Some model families refuse a tool turn without its signed reasoning. The store is read once
//! per request and written once per tool call, never per token. The process's local store comes first; a
//! Redis store shared by replicas is optional.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use actix_web::http::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use schema::openai::chat::ChatRequest;
use translate::Profile;
use translate::thoughts::{Kept, Origin, Recalled, Turn};

use crate::app::{Shared, Snapshot};
use crate::routing::Leg;

mod redis;
mod seal;
mod shelf;

pub(crate) use redis::{SharedMemory, StoreSettings};
use shelf::Shelf;

/// Number of locks, high enough that workers seldom wait for one.
const SHELVES: usize = 16;

/// Limits of the local store in size and time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MemoryLimits {
    /// Bytes in total; 0 disables the store.
    pub(crate) bytes: usize,
    /// Lifetime since the last use.
    pub(crate) ttl: Duration,
}

/// A store of reasoning, by caller and tool call id. A failure of the store never fails the request: less
/// reasoning is restored.
trait ThoughtStore {
    /// Saves the reasoning that led to some calls.
    async fn keep(&self, caller: Caller, kept: &Kept, limits: MemoryLimits);

    /// Restores the reasoning of some calls.
    async fn recall<'c>(
        &self,
        caller: Caller,
        calls: impl Iterator<Item = &'c str>,
        limits: MemoryLimits,
    ) -> Recalled;
}

/// The local store of the process.
#[derive(Debug)]
pub(crate) struct Memory {
    shelves: [Mutex<Shelf>; SHELVES],
    /// Random keys of this process, so that callers cannot produce colliding keys.
    hashers: [RandomState; 2],
}

/// Identifies the caller by headers: the reasoning of one caller's conversation is not for another. Stores
/// no secret, only its keyed hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Caller(u128);

impl Default for Memory {
    fn default() -> Self {
        Self {
            shelves: std::array::from_fn(|_| Mutex::default()),
            hashers: [RandomState::new(), RandomState::new()],
        }
    }
}

impl Memory {
    fn put(&self, caller: Caller, call: &str, turn: &Arc<Turn>, limits: MemoryLimits) {
        let key = self.hash((caller, call));
        self.shelf(key).put(key, Arc::clone(turn), share(limits), Instant::now());
    }

    fn find<'c>(
        &self,
        caller: Caller,
        calls: impl Iterator<Item = &'c str>,
        limits: MemoryLimits,
    ) -> Recalled {
        let now = Instant::now();
        let mut recalled = Recalled::default();
        for call in calls {
            let key = self.hash((caller, call));
            if let Some(turn) = self.shelf(key).find(key, limits.ttl, now) {
                recalled.add(call, turn);
            }
        }
        recalled
    }

    fn shelf(&self, key: u128) -> MutexGuard<'_, Shelf> {
        let at = usize::try_from(key % SHELVES as u128).unwrap_or_default();
        self.shelves[at].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hash(&self, value: impl std::hash::Hash) -> u128 {
        let [high, low] = self.hashers.each_ref().map(|hasher| u128::from(hasher.hash_one(&value)));
        (high << 64) | low
    }
}

impl ThoughtStore for Memory {
    async fn keep(&self, caller: Caller, kept: &Kept, limits: MemoryLimits) {
        for call in &kept.calls {
            self.put(caller, call, &kept.turn, limits);
        }
    }

    async fn recall<'c>(
        &self,
        caller: Caller,
        calls: impl Iterator<Item = &'c str>,
        limits: MemoryLimits,
    ) -> Recalled {
        self.find(caller, calls, limits)
    }
}

fn share(limits: MemoryLimits) -> MemoryLimits {
    MemoryLimits { bytes: limits.bytes / SHELVES, ..limits }
}

/// The store as one request uses it.
#[derive(Debug, Clone)]
pub(crate) struct Recall {
    shared: Arc<Shared>,
    /// The Redis store, if configured.
    store: Option<Arc<SharedMemory>>,
    caller: Caller,
    limits: MemoryLimits,
}

impl Recall {
    pub(crate) fn new(shared: &Arc<Shared>, now: &Snapshot, headers: &HeaderMap) -> Self {
        let told = [AUTHORIZATION.as_str(), "x-api-key", "api-key"]
            .map(|name| headers.get(name).map(HeaderValue::as_bytes));
        let store = now.store.clone();
        let caller = match &store {
            None => Caller(shared.memory.hash(told)),
            Some(store) => store.caller(told.into_iter()),
        };
        Self { shared: Arc::clone(shared), store, caller, limits: now.config.thinking_memory }
    }

    /// The reasoning saved for the tool calls of a conversation, if the model accepts past reasoning.
    pub(crate) async fn of(&self, request: &ChatRequest<'_>, leg: &Leg) -> Recalled {
        let mut recalled = self.remembered(request, &leg.target.profile).await;
        recalled.is_for(leg.origin());
        recalled
    }

    /// Origin of the latest saved reasoning among these calls, the last call first.
    pub(crate) async fn origin(&self, calls: &[String]) -> Option<Origin> {
        if self.limits.bytes == 0 || calls.is_empty() {
            return None;
        }
        let ids = || calls.iter().map(String::as_str);
        let mut recalled = self.shared.memory.find(self.caller, ids(), self.limits);
        if let (Some(store), true) = (&self.store, recalled.is_empty()) {
            recalled = store.recall(self.caller, ids(), self.limits).await;
        }
        ids().find_map(|call| recalled.origin(call))
    }

    async fn remembered(&self, request: &ChatRequest<'_>, profile: &Profile) -> Recalled {
        if self.limits.bytes == 0 || !profile.keeps_thoughts() {
            return Recalled::default();
        }
        let calls = request.messages.iter().flat_map(|message| message.tool_calls.iter().flatten());
        let ids = calls.filter_map(|call| call.id.as_deref());
        let mut recalled = self.shared.memory.find(self.caller, ids.clone(), self.limits);
        if let Some(store) = &self.store {
            let latest: Vec<&str> = ids.filter(|id| !recalled.knows(id)).collect();
            let latest = latest.into_iter().rev();
            let more = store.recall(self.caller, latest, self.limits).await;
            for (call, turn) in more.calls() {
                self.shared.memory.put(self.caller, call, turn, self.limits);
            }
            recalled.join(more);
        }
        recalled
    }

    /// Saves reasoning. Must be awaited before the client sees the ids of the calls.
    pub(crate) async fn keep(&self, kept: &Kept) {
        if self.limits.bytes == 0 {
            return;
        }
        self.shared.memory.keep(self.caller, kept, self.limits).await;
        if let Some(store) = &self.store {
            store.keep(self.caller, kept, self.limits).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use translate::thoughts::Thought;

    use super::redis::tests::FakeRedis;
    use super::*;

    const LIMITS: MemoryLimits = MemoryLimits { bytes: 1 << 20, ttl: Duration::from_secs(60) };

    fn kept(calls: &[&str], text: &str) -> Kept {
        let thought = Thought::Text { text: text.to_owned(), signature: Some("s".to_owned()) };
        let calls = calls.iter().map(|call| (*call).to_owned()).collect();
        Kept { calls, turn: Arc::new(Turn::of_thoughts([thought])) }
    }

    /// The behaviour that every kind of store shares.
    async fn check(store: &impl ThoughtStore) {
        let (ann, bob) = (Caller(1), Caller(2));
        let known = async |caller, calls: &[&str]| {
            let recalled = store.recall(caller, calls.iter().copied(), LIMITS).await;
            let mut known: Vec<(String, usize)> =
                recalled.calls().map(|(call, turn)| (call.to_owned(), turn.steps.len())).collect();
            known.sort();
            known
        };
        assert!(known(ann, &["c1"]).await.is_empty());
        store.keep(ann, &kept(&["c1", "c2"], "hm"), LIMITS).await;
        store.keep(ann, &Kept { calls: vec!["c3".to_owned()], turn: Arc::default() }, LIMITS).await;
        let all = [("c1".to_owned(), 1), ("c2".to_owned(), 1), ("c3".to_owned(), 0)];
        assert_eq!(known(ann, &["c3", "c0", "c1", "c2"]).await, all);
        assert!(known(ann, &[]).await.is_empty());
        assert!(known(bob, &["c1", "c2", "c3"]).await.is_empty(), "thoughts are not another's");
        store.keep(ann, &kept(&["c1"], "hm, hm"), LIMITS).await;
        let recalled = store.recall(ann, ["c1"].into_iter(), LIMITS).await;
        let (_, turn) = recalled.calls().next().unwrap();
        assert_eq!(*turn, kept(&[], "hm, hm").turn, "the last counts");
    }

    #[tokio::test(flavor = "current_thread")]
    async fn both_stores_behave_the_same() {
        check(&Memory::default()).await;
        let server = FakeRedis::start().await;
        check(&server.memory()).await;
        server.has_nothing_readable("hm");
    }

    #[test]
    fn callers_are_distinguished_by_their_keys() {
        let memory = Memory::default();
        let of = |key: &'static str| Caller(memory.hash([Some(key.as_bytes()), None]));
        assert_eq!(of("Bearer ann"), of("Bearer ann"));
        assert_ne!(of("Bearer ann"), of("Bearer bob"));
        assert_ne!(Caller(memory.hash([None::<&[u8]>, None])), of("Bearer ann"));
    }
}
