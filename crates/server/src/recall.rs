//! What models thought before they called tools, kept for clients that send back no more than OpenAI's
//! own fields: some families refuse a tool turn whose signed thoughts are missing. The memory is this
//! process's own; it is read once per question and written once per tool call, never per token. Another
//! kind of store would stand behind [`Memory::keep`] and [`Memory::recall`].

use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use actix_web::http::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use schema::openai::chat::ChatRequest;
use translate::Profile;
use translate::thoughts::{Kept, Recalled};

use crate::app::Shared;

mod shelf;

use shelf::Shelf;

/// So many locks that workers hardly meet at one.
const SHELVES: usize = 16;

/// How much is remembered, and how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MemoryLimits {
    /// Bytes in all; 0 remembers nothing.
    pub(crate) bytes: usize,
    /// Since the last use.
    pub(crate) ttl: Duration,
}

/// Thoughts by caller and tool call id.
#[derive(Debug)]
pub(crate) struct Memory {
    shelves: [Mutex<Shelf>; SHELVES],
    /// Keyed anew in every process: together they make keys nobody can aim at.
    hashers: [RandomState; 2],
}

/// Who asks, as far as headers tell: what one caller's models thought is not for another. No secret is
/// kept, only its keyed hash.
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
    fn caller(&self, headers: &HeaderMap) -> Caller {
        let told = [AUTHORIZATION.as_str(), "x-api-key", "api-key"]
            .map(|name| headers.get(name).map(HeaderValue::as_bytes));
        Caller(self.hash(told))
    }

    fn keep(&self, caller: Caller, kept: &Kept, limits: MemoryLimits) {
        let now = Instant::now();
        for call in &kept.calls {
            let key = self.hash((caller, call.as_str()));
            self.shelf(key).put(key, Arc::clone(&kept.thoughts), share(limits), now);
        }
    }

    fn recall<'c>(
        &self,
        caller: Caller,
        calls: impl Iterator<Item = &'c str>,
        limits: MemoryLimits,
    ) -> Recalled {
        let now = Instant::now();
        let mut recalled = Recalled::default();
        for call in calls {
            let key = self.hash((caller, call));
            if let Some(thoughts) = self.shelf(key).find(key, limits.ttl, now) {
                recalled.add(call, thoughts);
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

fn share(limits: MemoryLimits) -> MemoryLimits {
    MemoryLimits { bytes: limits.bytes / SHELVES, ..limits }
}

/// The memory as one request sees it.
#[derive(Debug, Clone)]
pub(crate) struct Recall {
    shared: Arc<Shared>,
    caller: Caller,
    limits: MemoryLimits,
}

impl Recall {
    pub(crate) fn new(shared: &Arc<Shared>, headers: &HeaderMap, limits: MemoryLimits) -> Self {
        let caller = shared.memory.caller(headers);
        Self { shared: Arc::clone(shared), caller, limits }
    }

    /// What is remembered of the tool calls of a conversation, where the model takes it back.
    pub(crate) fn of(&self, request: &ChatRequest<'_>, profile: &Profile) -> Option<Recalled> {
        if self.limits.bytes == 0 || !profile.needs_thoughts() {
            return None;
        }
        let calls = request.messages.iter().flat_map(|message| message.tool_calls.iter().flatten());
        let ids = calls.filter_map(|call| call.id.as_deref());
        Some(self.shared.memory.recall(self.caller, ids, self.limits))
    }

    /// Keeps what was thought. To be called before the client can see the ids of the calls.
    pub(crate) fn keep(&self, kept: &Kept) {
        if self.limits.bytes > 0 {
            self.shared.memory.keep(self.caller, kept, self.limits);
        }
    }
}

#[cfg(test)]
mod tests {
    use translate::thoughts::Thought;

    use super::*;

    const LIMITS: MemoryLimits = MemoryLimits { bytes: 1 << 20, ttl: Duration::from_secs(60) };

    fn kept(call: &str) -> Kept {
        let thought = Thought::Text { text: "hm".to_owned(), signature: Some("s".to_owned()) };
        Kept { calls: vec![call.to_owned()], thoughts: vec![thought].into() }
    }

    fn knows(memory: &Memory, caller: Caller, call: &str) -> bool {
        !memory.recall(caller, [call].into_iter(), LIMITS).is_empty()
    }

    #[test]
    fn one_callers_thoughts_are_not_anothers() {
        let memory = Memory::default();
        let of = |key: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, HeaderValue::from_static(key));
            memory.caller(&headers)
        };
        let (ann, bob) = (of("Bearer ann"), of("Bearer bob"));
        memory.keep(ann, &kept("c1"), LIMITS);
        assert!(knows(&memory, ann, "c1") && knows(&memory, of("Bearer ann"), "c1"));
        assert!(!knows(&memory, bob, "c1"));
        assert!(!knows(&memory, ann, "c2"));
        assert_ne!(memory.caller(&HeaderMap::new()), ann);
    }
}
