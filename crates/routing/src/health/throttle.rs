//! Penalties for throttling, apart from failures: a throttled target gets no calls for a short time, longer
//! each time, and then one probe. A fast 429 never makes it look fast.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::CallRole;
use crate::clock::Timestamp;

/// Penalty after the first 429.
pub(crate) const FIRST: Duration = Duration::from_millis(250);
/// Longest penalty.
const LONGEST: Duration = Duration::from_secs(4);
/// Longest wait accepted from the service's own `Retry-After`.
const ASKED_MOST: Duration = Duration::from_secs(30);
const LEVEL_BITS: u32 = 8;
const LEVEL: u64 = (1 << LEVEL_BITS) - 1;
/// Highest penalty level.
const HIGHEST: u64 = 5;

/// The penalty of one target: a level and an end time.
#[derive(Debug, Default)]
pub(super) struct Throttle(AtomicU64);

/// Whether a penalty is in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Penalty {
    /// None.
    None,
    /// It has ended: one call may probe.
    Due,
    /// In force.
    Held,
}

impl Throttle {
    pub(super) fn penalty(&self, now: Timestamp) -> Penalty {
        let word = self.0.load(Ordering::Relaxed);
        match word & LEVEL {
            0 => Penalty::None,
            _ if until(word) <= now.millis() => Penalty::Due,
            _ => Penalty::Held,
        }
    }

    /// Consecutive throttled calls, approximately.
    pub(super) fn level(&self) -> u64 {
        self.0.load(Ordering::Relaxed) & LEVEL
    }

    /// Records a 429, with the wait that the service asks for, if any.
    pub(super) fn throttled(&self, now: Timestamp, asked: Option<Duration>) {
        self.change(|word| {
            // Throttled calls that were in flight together count as one.
            let held = until(word) > now.millis() && word & LEVEL != 0;
            let level = if held { word & LEVEL } else { (word & LEVEL).saturating_add(1) };
            let level = level.clamp(1, HIGHEST);
            let pause = pause(level).max(asked.unwrap_or_default().min(ASKED_MOST));
            let later = now.after(pause).millis().max(until(word));
            Some((later << LEVEL_BITS) | level)
        });
    }

    /// Records an answer: halves the penalty level and lets the next call pass. A normal call began before
    /// the penalty, and does not affect it.
    pub(super) fn succeeded(&self, now: Timestamp, role: CallRole) {
        if role == CallRole::Normal || self.level() == 0 {
            return;
        }
        self.change(|word| Some(written(now, (word & LEVEL) / 2)));
    }

    fn change(&self, to: impl Fn(u64) -> Option<u64>) {
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, to);
    }
}

fn until(word: u64) -> u64 {
    word >> LEVEL_BITS
}

fn written(until: Timestamp, level: u64) -> u64 {
    (until.millis() << LEVEL_BITS) | level
}

fn pause(level: u64) -> Duration {
    let doublings = u32::try_from(level.saturating_sub(1).min(HIGHEST)).unwrap_or_default();
    FIRST.saturating_mul(1 << doublings).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp(millis * 1000)
    }

    #[test]
    fn each_throttled_probe_doubles_the_penalty() {
        let throttle = Throttle::default();
        assert_eq!(throttle.penalty(at(0)), Penalty::None);
        let mut now = 1000;
        throttle.throttled(at(now), None);
        for pause in [250, 500, 1000, 2000, 4000, 4000, 4000] {
            assert_eq!(throttle.penalty(at(now + pause - 1)), Penalty::Held, "{pause}");
            now += pause;
            assert_eq!(throttle.penalty(at(now)), Penalty::Due, "{pause}");
            throttle.throttled(at(now), None);
        }
    }

    #[test]
    fn concurrent_429s_count_once() {
        let throttle = Throttle::default();
        for _ in 0..50 {
            throttle.throttled(at(1000), None);
        }
        assert_eq!(throttle.penalty(at(1250)), Penalty::Due);
    }

    #[test]
    fn answers_halve_the_penalty_level() {
        let throttle = Throttle::default();
        for second in 1..=4 {
            throttle.throttled(at(second * 10_000), None);
        }
        assert_eq!(throttle.level(), 4);
        assert_eq!(throttle.penalty(at(40_001)), Penalty::Held);
        for (level, penalty) in [(2, Penalty::Due), (1, Penalty::Due), (0, Penalty::None)] {
            throttle.succeeded(at(40_002), CallRole::LastResort);
            assert_eq!((throttle.level(), throttle.penalty(at(40_002))), (level, penalty));
        }
    }

    #[test]
    fn retry_after_is_honoured_up_to_a_limit() {
        for (asked, held) in [(2, 2), (600, 30)] {
            let throttle = Throttle::default();
            throttle.throttled(at(0), Some(Duration::from_secs(asked)));
            assert_eq!(throttle.penalty(at(held * 1000 - 1)), Penalty::Held);
            assert_eq!(throttle.penalty(at(held * 1000)), Penalty::Due);
        }
    }
}
