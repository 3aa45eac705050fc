//! Values that any worker may change without waiting: counters, gauges, histograms, and tables of them by label.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use arc_swap::ArcSwap;

/// Most entries of a table. Names that come after are counted under the name of all others.
const LIMIT: usize = 1_000;

/// A number that grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, count: u64) {
        if count > 0 {
            self.0.fetch_add(count, Ordering::Relaxed);
        }
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number of things that exist now.
#[derive(Debug, Default)]
pub(crate) struct Gauge(AtomicI64);

impl Gauge {
    pub(crate) fn up(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn down(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Upper bounds of a histogram's buckets, in whole units, and the units in one of the metric.
#[derive(Debug)]
pub(crate) struct Buckets {
    pub(crate) bounds: &'static [u64],
    pub(crate) scale: f64,
}

/// A distribution.
#[derive(Debug)]
pub(crate) struct Histogram {
    buckets: &'static Buckets,
    counts: Box<[AtomicU64]>,
    sum: AtomicU64,
}

impl Histogram {
    pub(crate) fn of(buckets: &'static Buckets) -> Self {
        let counts = (0..=buckets.bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self { buckets, counts, sum: AtomicU64::new(0) }
    }

    pub(crate) fn observe(&self, value: u64) {
        let at = self.buckets.bounds.partition_point(|bound| *bound < value);
        if let Some(count) = self.counts.get(at) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    /// The sum, the count, and the count of each bucket by its upper bound, in the metric's unit.
    #[expect(clippy::cast_precision_loss, reason = "as the exposition's own numbers")]
    pub(crate) fn snapshot(&self) -> (f64, u64, Vec<(f64, u64)>) {
        let scale = self.buckets.scale;
        let bounds = self.buckets.bounds.iter().map(|bound| *bound as f64 / scale);
        let bounds = bounds.chain([f64::INFINITY]);
        let counts = self.counts.iter().map(|count| count.load(Ordering::Relaxed));
        let buckets: Vec<_> = bounds.zip(counts).collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        (self.sum.load(Ordering::Relaxed) as f64 / scale, count, buckets)
    }
}

/// Values by their labels. Reads take no lock; each key is inserted once.
#[derive(Debug)]
pub(crate) struct SeriesTable<K, V>(ArcSwap<HashMap<K, Arc<V>>>);

impl<K, V> Default for SeriesTable<K, V> {
    fn default() -> Self {
        Self(ArcSwap::default())
    }
}

impl<K: Hash + Eq + Clone, V: Default> SeriesTable<K, V> {
    /// Changes the values of a key; those of `rest` where the table is full.
    pub(crate) fn with(&self, key: &K, rest: impl FnOnce() -> K, change: impl FnOnce(&V)) {
        if let Some(values) = self.0.load().get(key) {
            return change(values);
        }
        let is_full = self.0.load().len() >= LIMIT;
        let key = if is_full { rest() } else { key.clone() };
        self.0.rcu(|known| {
            let mut known = HashMap::clone(known);
            known.entry(key.clone()).or_default();
            known
        });
        if let Some(values) = self.0.load().get(&key) {
            change(values);
        }
    }

    /// All entries, in the order of their keys.
    pub(crate) fn entries(&self) -> Vec<(K, Arc<V>)>
    where
        K: Ord,
    {
        let mut all: Vec<_> =
            self.0.load().iter().map(|(key, value)| (key.clone(), Arc::clone(value))).collect();
        all.sort_by(|(one, _), (other, _)| one.cmp(other));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static MILLIS: Buckets = Buckets { bounds: &[10, 100], scale: 1_000.0 };

    #[test]
    fn a_value_at_a_bound_belongs_to_its_bucket() {
        let histogram = Histogram::of(&MILLIS);
        for value in [0, 10, 11, 100, 101, 5_000] {
            histogram.observe(value);
        }
        let (sum, count, buckets) = histogram.snapshot();
        assert_eq!((sum, count), (5.222, 6));
        assert_eq!(buckets, [(0.01, 2), (0.1, 2), (f64::INFINITY, 2)]);
    }

    #[test]
    fn a_full_table_counts_under_the_rest() {
        let table = SeriesTable::<usize, Counter>::default();
        for key in 0..LIMIT + 50 {
            table.with(&key, || usize::MAX, |counter| counter.add(1));
        }
        let entries = table.entries();
        assert_eq!(entries.len(), LIMIT + 1);
        let (key, rest) = entries.last().unwrap();
        assert_eq!((*key, rest.get()), (usize::MAX, 50));
        assert_eq!(entries.iter().map(|(_, counter)| counter.get()).sum::<u64>(), 1_050);
    }
}
