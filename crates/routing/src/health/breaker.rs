//! Circuit breaker: stops calls to a failing target for a while, then lets one probe through. All state is
//! in atomics: the word of the gate holds whether it is open, until when, and how often it has opened in a
//! row.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use super::CallRole;
use crate::clock::Timestamp;
use crate::rolling_window::{RollingWindows, WindowCounts};
use crate::settings::Cooldown;

const OPEN: u64 = 1 << 63;
const LEVEL_BITS: u32 = 8;
const LEVEL: u64 = (1 << LEVEL_BITS) - 1;

/// The breaker of one target.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    gate: AtomicU64,
    in_a_row: AtomicU32,
    tallies: RollingWindows,
}

/// Whether a target may be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gate {
    /// Calls pass.
    Closed,
    /// The open time is over: one probe may pass.
    Due,
    /// No calls pass.
    Open,
}

/// A failed call.
#[derive(Debug, Clone, Copy)]
pub(super) struct FailedCall {
    pub(super) began: Timestamp,
    pub(super) role: CallRole,
    /// Whether its answer had begun; the call was counted then.
    pub(super) answered: bool,
}

impl Breaker {
    pub(super) fn gate(&self, now: Timestamp) -> Gate {
        let word = self.gate.load(Ordering::Relaxed);
        if word & OPEN == 0 {
            Gate::Closed
        } else if until(word) <= now.millis() {
            Gate::Due
        } else {
            Gate::Open
        }
    }

    pub(super) fn succeeded(&self, now: Timestamp, role: CallRole, cooldown: &Cooldown) {
        self.in_a_row.store(0, Ordering::Relaxed);
        self.tallies.add(now, cooldown.window, WindowCounts { first: 1, second: 0 });
        match role {
            // A normal call began before the breaker opened, and is no sign of the present state.
            CallRole::Normal => {}
            CallRole::Probe | CallRole::LastResort => self.close(now),
        }
    }

    /// Counts a failure; `true` if it opened the breaker.
    pub(super) fn failed(&self, now: Timestamp, call: FailedCall, cooldown: &Cooldown) -> bool {
        let word = self.gate.load(Ordering::Relaxed);
        let is_open = word & OPEN != 0;
        if !is_open && call.began.millis() < until(word) {
            // The call began before the target recovered.
            return false;
        }
        let in_a_row = self.in_a_row.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        // An answer that broke off was counted as a call when it began.
        let first = u64::from(!call.answered);
        self.tallies.add(now, cooldown.window, WindowCounts { first, second: 1 });
        if is_open {
            // A probe from before the latest opening does not count for this period.
            if call.role == CallRole::Probe && call.began.millis() >= until(word) {
                self.open(now, cooldown, level(word).saturating_add(1));
            }
            return false;
        }
        let WindowCounts { first: calls, second: failures } =
            self.tallies.sum(now, cooldown.window);
        let often = calls >= u64::from(cooldown.calls)
            && failures * 1000 >= calls * u64::from(cooldown.failing.0);
        if !often && in_a_row < cooldown.in_a_row {
            return false;
        }
        // Closed for longer than the longest cooldown: an unrelated outage, so the level starts at 0.
        let fresh =
            word == 0 || now.millis().saturating_sub(until(word)) > millis(cooldown.longest);
        self.open(now, cooldown, if fresh { 0 } else { level(word).saturating_add(1) });
        true
    }

    fn close(&self, now: Timestamp) {
        let closed = |word| (word & OPEN != 0).then(|| written(now, level(word)));
        let was_open = self.gate.fetch_update(Ordering::Relaxed, Ordering::Relaxed, closed).is_ok();
        if was_open {
            self.tallies.clear();
        }
    }

    fn open(&self, now: Timestamp, cooldown: &Cooldown, level: u64) {
        let level = level.min(LEVEL);
        let word = OPEN | written(now.after(open_for(cooldown, level)), level);
        self.gate.store(word, Ordering::Relaxed);
        self.in_a_row.store(0, Ordering::Relaxed);
    }
}

fn until(word: u64) -> u64 {
    (word & !OPEN) >> LEVEL_BITS
}

fn level(word: u64) -> u64 {
    word & LEVEL
}

fn written(until: Timestamp, level: u64) -> u64 {
    (until.millis() << LEVEL_BITS) | level
}

fn open_for(cooldown: &Cooldown, level: u64) -> Duration {
    let doubled = 1_u32.checked_shl(u32::try_from(level).unwrap_or(u32::MAX)).unwrap_or(u32::MAX);
    cooldown.open.saturating_mul(doubled).min(cooldown.longest)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::CallRole::{Normal, Probe};
    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp(millis * 1000)
    }

    fn failed(breaker: &Breaker, now: Timestamp, role: CallRole) -> bool {
        failed_with(breaker, now, role, &Cooldown::default())
    }

    fn failed_with(breaker: &Breaker, now: Timestamp, role: CallRole, cooldown: &Cooldown) -> bool {
        breaker.failed(now, FailedCall { began: now, role, answered: false }, cooldown)
    }

    fn opened() -> Breaker {
        let breaker = Breaker::default();
        for call in 1..=5 {
            assert_eq!(failed(&breaker, at(1000), Normal), call == 5, "{call}");
        }
        breaker
    }

    #[test]
    fn five_failures_in_a_row_open_and_one_probe_closes() {
        let cooldown = Cooldown::default();
        let breaker = opened();
        assert_eq!(breaker.gate(at(5999)), Gate::Open);
        assert_eq!(breaker.gate(at(6000)), Gate::Due);
        breaker.succeeded(at(6100), Probe, &cooldown);
        assert_eq!(breaker.gate(at(6100)), Gate::Closed);
    }

    #[test]
    fn the_open_time_doubles_up_to_a_limit() {
        let breaker = opened();
        let mut now = 1000;
        for seconds in [5, 10, 20, 40, 60, 60] {
            assert_eq!(breaker.gate(at(now + seconds * 1000 - 1)), Gate::Open, "{seconds}");
            now += seconds * 1000;
            assert_eq!(breaker.gate(at(now)), Gate::Due, "{seconds}");
            assert!(!failed(&breaker, at(now), Probe));
        }
    }

    #[test]
    fn failures_of_half_of_ten_calls_open_it() {
        let cooldown = Cooldown::default();
        let breaker = Breaker::default();
        for call in 0..8 {
            match call % 2 {
                0 => assert!(!failed(&breaker, at(10 * call), Normal)),
                _ => breaker.succeeded(at(10 * call), Normal, &cooldown),
            }
        }
        breaker.succeeded(at(90), Normal, &cooldown);
        assert!(failed(&breaker, at(91), Normal), "5 of 10");
        assert_eq!(breaker.gate(at(92)), Gate::Open);
    }

    #[test]
    fn old_failures_are_forgotten() {
        let cooldown = Cooldown { in_a_row: 100, ..Cooldown::default() };
        let breaker = Breaker::default();
        for call in 0..9 {
            assert!(!failed_with(&breaker, at(call), Normal, &cooldown));
        }
        assert!(!failed_with(&breaker, at(20_000), Normal, &cooldown));
        assert_eq!(breaker.gate(at(20_000)), Gate::Closed);
    }

    #[test]
    fn results_of_earlier_calls_leave_it_open() {
        let cooldown = Cooldown::default();
        let breaker = opened();
        breaker.succeeded(at(1100), Normal, &cooldown);
        assert_eq!(breaker.gate(at(1100)), Gate::Open);
        for _ in 0..10 {
            assert!(!failed(&breaker, at(5900), Normal));
        }
        assert_eq!(breaker.gate(at(6000)), Gate::Due);
    }

    #[test]
    fn a_probe_of_an_earlier_opening_does_not_extend_the_cooldown() {
        let cooldown = Cooldown::default();
        let breaker = opened();
        let began = at(6000);
        // Meanwhile another call was answered, and then the target failed again.
        breaker.succeeded(at(6100), CallRole::LastResort, &cooldown);
        for _ in 0..5 {
            failed(&breaker, at(6200), Normal);
        }
        breaker.failed(at(6300), FailedCall { began, role: Probe, answered: false }, &cooldown);
        assert_eq!(breaker.gate(at(16_199)), Gate::Open);
        assert_eq!(breaker.gate(at(16_200)), Gate::Due, "as long as the second time lasts");
    }

    #[test]
    fn each_window_is_counted_separately() {
        // Two names for one target, with different window lengths.
        let short =
            Cooldown { window: Duration::from_secs(1), in_a_row: 100, ..Cooldown::default() };
        let long = Cooldown { window: Duration::from_mins(1), ..short };
        let breaker = Breaker::default();
        for call in 0..9 {
            let cooldown = if call % 2 == 0 { &short } else { &long };
            assert!(!failed_with(&breaker, at(3000 * call), Normal, cooldown), "{call}");
        }
        assert!(!failed_with(&breaker, at(27_000), Normal, &short), "one in its second");
        assert!(failed_with(&breaker, at(30_000), Normal, &long), "eleven in its minute");
    }
}
