//! Weighted selection among targets, lock-free and even. Successive multiples of the golden ratio fill an
//! interval more evenly than random points.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

/// 2^64 divided by the golden ratio.
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// A counter whose successive values spread evenly over an interval.
#[derive(Debug, Default)]
pub(crate) struct WeightedChoice(AtomicU64);

impl WeightedChoice {
    /// The next point below `total`; 0 if `total` is 0.
    pub(crate) fn point(&self, total: u64) -> u64 {
        let turn = self.0.fetch_add(1, Ordering::Relaxed).wrapping_mul(STEP);
        // Less than `total`, so it fits.
        u64::try_from((u128::from(turn) * u128::from(total)) >> 64).unwrap_or_default()
    }

    /// A copy at the same position; advancing it leaves the original unchanged.
    pub(crate) fn fork(&self) -> Self {
        Self(AtomicU64::new(self.0.load(Ordering::Relaxed)))
    }
}

/// A random point below `total`, used for the second draw of a pair: the next point of [`WeightedChoice`] would
/// depend on the first draw.
pub(crate) fn chance(total: u64) -> u64 {
    // The standard library's only source of randomness: each hasher gets different keys.
    let chance = RandomState::new().hash_one(total);
    u64::try_from((u128::from(chance) * u128::from(total)) >> 64).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_fill_the_interval_evenly() {
        let choice = WeightedChoice::default();
        let mut tenths = [0_u32; 10];
        for _ in 0..1000 {
            let point = choice.point(1000);
            tenths[usize::try_from(point / 100).unwrap()] += 1;
        }
        assert!(tenths.iter().all(|count| count.abs_diff(100) <= 3), "{tenths:?}");
        assert_eq!(choice.point(0), 0);
        assert_eq!(choice.point(1), 0);
    }
}
