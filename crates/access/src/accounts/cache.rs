//! Records of recent calls. An entry knows the version of the store that was current before it was read; a change,
//! here or on a replica, raises the known version, and entries of an older one are read again. So a read that began
//! before a revocation cannot undo it, however late it ends.

use std::hash::Hash;
use std::time::{Duration, Instant};

use moka::sync::Cache;

/// The longest time an entry is used without asking the store.
const FRESH: Duration = Duration::from_secs(5);
/// The longest time an unknown key is remembered as unknown.
const FRESH_MISSING: Duration = Duration::from_secs(1);
/// The longest time an entry is kept for a store that cannot be reached.
const STALE: Duration = Duration::from_mins(10);

pub(super) struct RecordCache<K, V> {
    found: Cache<K, Entry<V>>,
    /// Apart, so that a flood of made-up keys drives out no real one.
    missing: Cache<K, Entry<()>>,
}

#[derive(Debug, Clone)]
struct Entry<V> {
    value: V,
    version: u64,
    read: Instant,
}

/// An entry's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cached<V> {
    /// There is such a record, as it was.
    Found(V),
    /// There is none.
    Missing,
    /// It is to be read; an earlier answer may serve while the store is away.
    Unknown(Option<V>),
}

impl<K, V> RecordCache<K, V>
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    pub(super) fn new(entries: u64) -> Self {
        Self {
            found: Cache::builder().max_capacity(entries).time_to_live(STALE).build(),
            missing: Cache::builder().max_capacity(entries).time_to_live(FRESH_MISSING).build(),
        }
    }

    /// Looks up a key; entries read before `version` are of the past.
    pub(super) fn look_up(&self, key: &K, version: u64) -> Cached<V> {
        let found = self.found.get(key);
        if let Some(entry) = &found
            && entry.version >= version
            && entry.read.elapsed() < FRESH
        {
            return Cached::Found(entry.value.clone());
        }
        match self.missing.get(key) {
            Some(entry) if entry.version >= version && entry.read.elapsed() < FRESH_MISSING => {
                Cached::Missing
            }
            _ => Cached::Unknown(found.map(|entry| entry.value)),
        }
    }

    /// Keeps an answer that was read when the store had `version`.
    pub(super) fn keep(&self, key: K, value: Option<V>, version: u64) {
        let read = Instant::now();
        match value {
            Some(value) => self.found.insert(key, Entry { value, version, read }),
            None => {
                self.found.invalidate(&key);
                self.missing.insert(key, Entry { value: (), version, read });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_that_began_before_a_revocation_does_not_undo_it() {
        let cache = RecordCache::new(10);
        cache.keep("k", Some("granted"), 7);
        assert_eq!(cache.look_up(&"k", 7), Cached::Found("granted"));
        // The revocation is version 8; the read of version 7 ends after it.
        assert_eq!(cache.look_up(&"k", 8), Cached::Unknown(Some("granted")));
        cache.keep("k", Some("granted"), 7);
        assert_eq!(cache.look_up(&"k", 8), Cached::Unknown(Some("granted")));
        cache.keep("k", None, 8);
        assert_eq!(cache.look_up(&"k", 8), Cached::Missing);
    }

    #[test]
    fn a_new_key_ends_the_memory_of_its_absence() {
        let cache: RecordCache<_, &str> = RecordCache::new(10);
        cache.keep("k", None, 7);
        assert_eq!(cache.look_up(&"k", 7), Cached::Missing);
        assert_eq!(cache.look_up(&"k", 8), Cached::Unknown(None));
    }
}
