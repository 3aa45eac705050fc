//! Shards of the local stores: each is bounded in bytes; entries expire after their last use.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use translate::reasoning::Turn;

use super::StoreLimits;

/// Approximate cost of an entry besides its value, in bytes. It also bounds the number of entries.
const OVERHEAD: usize = 256;

/// A value of a shard.
pub(crate) trait Weighed {
    /// Its size, in bytes.
    fn weight(&self) -> usize;
}

impl Weighed for Turn {
    fn weight(&self) -> usize {
        self.size()
    }
}

impl Weighed for str {
    fn weight(&self) -> usize {
        self.len()
    }
}

/// A store in `N` shards, whose locks are independent.
#[derive(Debug)]
pub(crate) struct Shards<V: ?Sized, const N: usize> {
    shards: [Mutex<Shard<V>>; N],
    /// Random keys of this process, so that callers cannot produce colliding keys.
    hashers: [RandomState; 2],
}

/// Values by key, and their order of eviction.
#[derive(Debug)]
pub(crate) struct Shard<V: ?Sized = Turn> {
    entries: HashMap<u128, Entry<V>>,
    /// Keys with the time they were queued; earlier entries of the same key are ignored.
    line: VecDeque<(u128, Instant)>,
    bytes: usize,
}

#[derive(Debug)]
struct Entry<V: ?Sized> {
    value: Arc<V>,
    bytes: usize,
    lined_up: Instant,
    used: Instant,
}

impl<V: ?Sized, const N: usize> Default for Shards<V, N> {
    fn default() -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            hashers: [RandomState::new(), RandomState::new()],
        }
    }
}

impl<V: ?Sized, const N: usize> Shards<V, N> {
    /// The key of a name: of a caller, or of a value together with its caller.
    pub(crate) fn key(&self, name: impl Hash) -> u128 {
        let [high, low] = self.hashers.each_ref().map(|hasher| u128::from(hasher.hash_one(&name)));
        (high << 64) | low
    }

    /// Entries, and their bytes.
    pub(crate) fn size(&self) -> (usize, usize) {
        let shards = self.shards.iter().map(|shard| {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            (shard.entries.len(), shard.bytes)
        });
        shards.fold((0, 0), |(entries, bytes), (more, weight)| (entries + more, bytes + weight))
    }

    /// The shard of a key.
    pub(crate) fn of(&self, key: u128) -> MutexGuard<'_, Shard<V>> {
        let at = usize::try_from(key % N as u128).unwrap_or_default();
        self.shards[at].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<V: ?Sized> Default for Shard<V> {
    fn default() -> Self {
        Self { entries: HashMap::new(), line: VecDeque::new(), bytes: 0 }
    }
}

impl<V: Weighed + ?Sized> Shard<V> {
    /// Stores a value under a key, and evicts entries that no longer fit. Parallel calls share their turn;
    /// each is charged in full.
    pub(crate) fn put(&mut self, key: u128, value: Arc<V>, limits: StoreLimits, now: Instant) {
        let bytes = OVERHEAD + value.weight();
        self.remove(key);
        if bytes <= limits.bytes {
            self.bytes += bytes;
            self.entries.insert(key, Entry { value, bytes, lined_up: now, used: now });
            self.line.push_back((key, now));
        }
        if self.line.len() > 2 * self.entries.len() + 64 {
            let entries = &self.entries;
            self.line.retain(|(key, at)| entries.get(key).is_some_and(|one| one.lined_up == *at));
        }
        self.tidy(limits, now);
    }

    /// The value under a key, unless it has expired.
    pub(crate) fn find(&mut self, key: u128, ttl: Duration, now: Instant) -> Option<Arc<V>> {
        let entry = self.entries.get_mut(&key)?;
        if now.duration_since(entry.used) > ttl {
            self.remove(key);
            return None;
        }
        entry.used = now;
        Some(Arc::clone(&entry.value))
    }

    /// Removes the value under a key.
    pub(crate) fn remove(&mut self, key: u128) {
        if let Some(entry) = self.entries.remove(&key) {
            self.bytes -= entry.bytes;
        }
    }

    /// Evicts the oldest entries; one used since it was queued is queued again, once.
    fn tidy(&mut self, limits: StoreLimits, now: Instant) {
        while let Some(&(key, lined_up)) = self.line.front() {
            let is_over = self.bytes > limits.bytes;
            if !is_over && now.duration_since(lined_up) <= limits.ttl {
                return;
            }
            self.line.pop_front();
            let Some(entry) = self.entries.get_mut(&key) else { continue };
            if entry.lined_up != lined_up {
                continue;
            }
            if entry.used > lined_up && now.duration_since(entry.used) <= limits.ttl {
                entry.lined_up = entry.used;
                self.line.push_back((key, entry.used));
            } else {
                self.remove(key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use translate::reasoning::ReasoningItem;

    use super::*;

    const TTL: Duration = Duration::from_secs(60);
    const LIMITS: StoreLimits = StoreLimits { bytes: 4 * (OVERHEAD + 10), ttl: TTL };

    fn turn() -> Arc<Turn> {
        of("0123456789")
    }

    fn of(data: &str) -> Arc<Turn> {
        Arc::new(Turn::of_thoughts([ReasoningItem::Redacted(data.to_owned())]))
    }

    #[test]
    fn the_least_used_are_evicted_first_within_the_byte_limit() {
        let mut shard = Shard::default();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        for key in 0..4 {
            shard.put(key, turn(), LIMITS, at(u64::try_from(key).unwrap()));
        }
        assert!(shard.find(0, TTL, at(5)).is_some());
        for key in 4..6 {
            shard.put(key, turn(), LIMITS, at(u64::try_from(key).unwrap() + 2));
            assert!(shard.bytes <= LIMITS.bytes);
        }
        let known: Vec<_> = (0..6).filter(|key| shard.entries.contains_key(key)).collect();
        assert_eq!(known, [0, 3, 4, 5]);
        assert!(shard.line.len() <= 5, "{:?}", shard.line);
    }

    #[test]
    fn unused_entries_expire_and_large_ones_are_not_stored() {
        let mut shard = Shard::default();
        let start = Instant::now();
        shard.put(1, turn(), LIMITS, start);
        shard.put(2, turn(), LIMITS, start);
        assert!(shard.find(1, TTL, start + TTL).is_some());
        assert!(shard.find(2, TTL, start + TTL + TTL).is_none());
        assert!(shard.find(1, TTL, start + TTL + TTL).is_some(), "each use counts anew");
        let large = of(&"0".repeat(LIMITS.bytes));
        shard.put(3, large, LIMITS, start + TTL);
        assert!(shard.find(3, TTL, start + TTL).is_none());
        shard.put(4, turn(), LIMITS, start + 10 * TTL);
        assert_eq!((shard.entries.len(), shard.line.len()), (1, 1));
        assert_eq!(shard.bytes, OVERHEAD + 10);
    }

    #[test]
    fn a_key_put_again_does_not_count_twice() {
        let mut shard = Shard::default();
        let start = Instant::now();
        for second in 0..100 {
            shard.put(1, turn(), LIMITS, start + Duration::from_secs(second));
        }
        assert_eq!((shard.entries.len(), shard.bytes), (1, OVERHEAD + 10));
        assert!(shard.line.len() <= 67, "old lines go: {}", shard.line.len());
    }
}
