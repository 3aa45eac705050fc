//! Which of several targets a call goes to: by weight, without a lock, and evenly. Successive
//! multiples of the golden ratio fill an interval better than chance would.

use std::sync::atomic::{AtomicU64, Ordering};

use super::settings::Weight;

/// 2^64 divided by the golden ratio.
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// Takes turns among weighted targets.
#[derive(Debug)]
pub(crate) struct Choice {
    /// Sums of the weights up to each target.
    sums: Vec<u64>,
    calls: AtomicU64,
}

impl Choice {
    pub(crate) fn new(weights: impl IntoIterator<Item = Weight>) -> Self {
        let sums = weights.into_iter().scan(0, |sum, Weight(weight)| {
            *sum += u64::from(weight);
            Some(*sum)
        });
        Self { sums: sums.collect(), calls: AtomicU64::new(0) }
    }

    /// Position of the next target; 0 where there is nothing to choose from.
    pub(crate) fn next(&self) -> usize {
        let total = self.sums.last().copied().unwrap_or_default();
        if self.sums.len() < 2 || total == 0 {
            return 0;
        }
        let point = self.calls.fetch_add(1, Ordering::Relaxed).wrapping_mul(STEP);
        let at = (u128::from(point) * u128::from(total)) >> 64;
        self.sums.partition_point(|sum| u128::from(*sum) <= at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(weights: &[u32], calls: usize) -> Vec<usize> {
        let choice = Choice::new(weights.iter().copied().map(Weight));
        let mut counts = vec![0; weights.len()];
        for _ in 0..calls {
            counts[choice.next()] += 1;
        }
        counts
    }

    #[test]
    fn calls_are_shared_as_the_weights_say() {
        for (weights, expected) in [
            (vec![1000, 1000], [500, 500].to_vec()),
            (vec![3000, 1000], [750, 250].to_vec()),
            (vec![0, 1000, 0], [0, 1000, 0].to_vec()),
            (vec![900, 90, 10], [900, 90, 10].to_vec()),
            (vec![7], [1000].to_vec()),
        ] {
            for (count, expected) in counts(&weights, 1000).into_iter().zip(&expected) {
                assert!(count.abs_diff(*expected) <= 4, "{weights:?}: {count} for {expected}");
            }
        }
    }

    #[test]
    fn two_equals_are_both_called_soon() {
        let first = counts(&[1000, 1000], 4);
        assert!(first.iter().all(|count| *count > 0), "{first:?}");
    }

    #[test]
    fn nothing_to_choose_from_is_no_error() {
        assert_eq!(Choice::new([]).next(), 0);
        assert_eq!(counts(&[0, 0], 3), [3, 0]);
    }
}
