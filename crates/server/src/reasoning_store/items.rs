//! Items of responses, kept for clients that later refer to them by their ids: the AI SDK sends no more
//! than the ids of past text and reasoning. Bounded, in this process, and apart for every caller.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use translate::answer_stream::KeptItem;
use translate::dialect::{Dialect, KnownState};

use super::shard::Shards;
use super::{Caller, SHARDS, StoreLimits};

/// Size of the store, and lifetime of an item since its last use.
const LIMITS: StoreLimits =
    StoreLimits { bytes: 64 * 1024 * 1024 / SHARDS, ttl: Duration::from_secs(3600) };

/// The items of all callers.
#[derive(Debug, Default)]
pub(super) struct StoredItems(Shards<str, SHARDS>);

/// The items of one caller.
#[derive(Debug, Clone)]
pub(crate) struct ItemMemory<'s> {
    stored: &'s StoredItems,
    caller: Caller,
    /// Limits of the store; of no size where the operator keeps nothing in memory.
    limits: StoreLimits,
}

/// The items that a request refers to, as JSON, by their ids.
#[derive(Debug, Default)]
pub(crate) struct KnownItems {
    items: HashMap<String, Arc<str>>,
    /// The state of the conversation besides them.
    state: KnownState,
}

impl StoredItems {
    /// Items, and their bytes.
    pub(super) fn size(&self) -> (usize, usize) {
        self.0.size()
    }

    /// The part of a caller; `memory` are the operator's limits of what is kept in memory.
    pub(super) fn of(&self, caller: Caller, memory: StoreLimits) -> ItemMemory<'_> {
        let limits = if memory.bytes == 0 { memory } else { LIMITS };
        ItemMemory { stored: self, caller, limits }
    }
}

impl ItemMemory<'_> {
    /// Keeps items. Must be done before the client sees their ids.
    pub(crate) fn keep(&self, items: Vec<KeptItem>) {
        let now = Instant::now();
        for KeptItem { id, json } in items {
            let key = self.stored.0.key((self.caller, &*id));
            self.stored.0.of(key).put(key, json.into(), self.limits, now);
        }
    }

    /// The items with these ids, as far as they are known.
    pub(crate) fn find(&self, ids: &[String]) -> KnownItems {
        let now = Instant::now();
        let known = ids.iter().filter_map(|id| {
            let key = self.stored.0.key((self.caller, &**id));
            let json = self.stored.0.of(key).find(key, self.limits.ttl, now)?;
            Some((id.clone(), json))
        });
        KnownItems { items: known.collect(), state: KnownState::default() }
    }
}

impl KnownItems {
    /// The same with what is known of the conversation.
    pub(crate) fn with(self, state: KnownState) -> Self {
        Self { state, ..self }
    }

    /// Puts the items where a request refers to them.
    pub(crate) fn fill<'a, D: Dialect>(&'a self, request: &mut D::Request<'a>) {
        if !self.items.is_empty() {
            D::fill_items(request, &|id| self.items.get(id).map(|json| &**json));
        }
        D::knows(request, self.state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_the_callers_own() {
        let stored = StoredItems::default();
        let (ann, bob) = (stored.of(Caller(1), LIMITS), stored.of(Caller(2), LIMITS));
        let item = |id: &str| KeptItem { id: id.to_owned(), json: format!("{{\"id\":\"{id}\"}}") };
        ann.keep(vec![item("msg_1"), item("rs_2")]);
        let ids = ["msg_1", "rs_2", "msg_3"].map(ToOwned::to_owned);
        let known = ann.find(&ids);
        assert_eq!(known.items.len(), 2);
        assert_eq!(&*known.items["rs_2"], r#"{"id":"rs_2"}"#);
        assert!(bob.find(&ids).items.is_empty());
        ann.keep(vec![KeptItem { id: "msg_1".to_owned(), json: "x".repeat(LIMITS.bytes) }]);
        assert_eq!(ann.find(&ids).items.len(), 1, "an item larger than its share is not kept");
        let off = stored.of(Caller(3), StoreLimits { bytes: 0, ..LIMITS });
        off.keep(vec![item("msg_1")]);
        assert!(off.find(&ids).items.is_empty());
    }
}
