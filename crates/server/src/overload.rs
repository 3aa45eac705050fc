//! Overload: calls above the cap, above a key's fair share of it, or while memory is short, are refused at once. There is
//! no queue, because a call that waits holds memory, and its client would rather try another replica.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::byte_size::Mib;
use crate::memory_gauge::MemoryGauge;

/// Calls of keys are counted in so many places; keys that share a place share its part.
const PLACES: usize = 1024;
/// A key may have this many times the calls for which there is still room. So one key alone gets four fifths of the
/// cap, several get equal parts, and there is always room for one more.
const SHARE: usize = 4;
/// Longest age of what is known of memory, and shortest time between two lines in the log, in milliseconds.
const MEMORY_AGE: u64 = 100;
const LOG_PAUSE: u64 = 1000;
/// Longest time that a refused client is told to wait, in seconds; the shortest is one.
const LONGEST_WAIT: u64 = 3;

/// Limits above which calls are refused at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OverloadLimits {
    /// Calls in flight.
    pub(crate) max_in_flight: usize,
    /// Part of the memory limit that may be in use, in percent.
    pub(crate) memory_percent: u8,
    /// Memory limit of the process; without one that of its cgroup holds.
    pub(crate) memory_limit_mib: Option<Mib>,
}

impl Default for OverloadLimits {
    fn default() -> Self {
        Self { max_in_flight: 4096, memory_percent: 85, memory_limit_mib: None }
    }
}

/// The reason why a call is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ShedReason {
    /// As many calls as there may be are in flight.
    InFlight,
    /// The key has its share of them.
    KeyShare,
    /// Memory is short.
    Memory,
}

/// A call that is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("overloaded: {}", .reason.as_str())]
pub(crate) struct Shed {
    pub(crate) reason: ShedReason,
    /// Time after which the client may try again. It differs, so that clients do not come back together.
    pub(crate) retry_after: Duration,
}

/// Calls in flight and calls refused since the start.
#[derive(Debug)]
pub(crate) struct Overload {
    in_flight: AtomicUsize,
    of_keys: Box<[AtomicUsize]>,
    hasher: RandomState,
    memory: MemoryState,
    shed: [AtomicU64; ShedReason::ALL.len()],
    started: Instant,
    /// The time of the last line in the log, in milliseconds since the start.
    logged: AtomicU64,
}

/// The state of memory as it was last seen.
#[derive(Debug)]
struct MemoryState {
    cgroup: Option<MemoryGauge>,
    /// In milliseconds since the start.
    seen: AtomicU64,
    is_short: AtomicBool,
}

/// A place among the calls in flight. Dropping it makes room for another.
#[derive(Debug)]
pub(crate) struct Permit {
    overload: Arc<Overload>,
    place: Option<usize>,
}

impl Default for Overload {
    fn default() -> Self {
        Self {
            in_flight: AtomicUsize::new(0),
            of_keys: (0..PLACES).map(|_| AtomicUsize::new(0)).collect(),
            hasher: RandomState::new(),
            memory: MemoryState {
                cgroup: MemoryGauge::of_cgroup(),
                // The first call looks.
                seen: AtomicU64::new(u64::MAX),
                is_short: AtomicBool::new(false),
            },
            shed: Default::default(),
            started: Instant::now(),
            logged: AtomicU64::new(u64::MAX),
        }
    }
}

impl Overload {
    /// Takes a place for a call, by the id of its key if it has one.
    ///
    /// # Errors
    /// There is no room.
    pub(crate) fn admit(
        self: &Arc<Self>,
        limits: OverloadLimits,
        key: Option<&str>,
    ) -> Result<Permit, Shed> {
        if self.is_memory_short(limits) {
            return Err(self.refuse(ShedReason::Memory));
        }
        let most = limits.max_in_flight;
        let taken = self.in_flight.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |calls| {
            (calls < most).then_some(calls + 1)
        });
        let Ok(before) = taken else { return Err(self.refuse(ShedReason::InFlight)) };
        // From here on the place is given back on drop.
        let mut permit = Permit { overload: Arc::clone(self), place: None };
        let Some(place) = key.map(|key| self.place(key)) else { return Ok(permit) };
        let share = SHARE.saturating_mul(most - before);
        let taken = self.of_keys[place].fetch_update(Ordering::Relaxed, Ordering::Relaxed, |own| {
            (own < share).then_some(own + 1)
        });
        match taken {
            Ok(_) => {
                permit.place = Some(place);
                Ok(permit)
            }
            Err(_) => Err(self.refuse(ShedReason::KeyShare)),
        }
    }

    /// Calls in flight.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Calls refused since the start for this reason.
    pub(crate) fn shed(&self, reason: ShedReason) -> u64 {
        self.shed[reason as usize].load(Ordering::Relaxed)
    }

    fn place(&self, key: &str) -> usize {
        // Below the number of places, which fits.
        usize::try_from(self.hasher.hash_one(key) % PLACES as u64).unwrap_or(0)
    }

    /// Milliseconds since the start.
    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Takes a turn that comes round once in `pause` milliseconds.
    fn takes_turn(&self, last: &AtomicU64, pause: u64) -> bool {
        let (now, before) = (self.now(), last.load(Ordering::Relaxed));
        let is_due = before == u64::MAX || now.saturating_sub(before) >= pause;
        is_due && last.compare_exchange(before, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    fn is_memory_short(&self, limits: OverloadLimits) -> bool {
        let own = limits.memory_limit_mib.map(|limit| MemoryGauge::Process(limit.bytes() as u64));
        let Some(gauge) = own.as_ref().or(self.memory.cgroup.as_ref()) else { return false };
        if self.takes_turn(&self.memory.seen, MEMORY_AGE) {
            let is_short = gauge.is_above(limits.memory_percent);
            self.memory.is_short.store(is_short, Ordering::Relaxed);
        }
        self.memory.is_short.load(Ordering::Relaxed)
    }

    /// Counts a refused call. The log has a line a second at most.
    fn refuse(&self, reason: ShedReason) -> Shed {
        let count = self.shed[reason as usize].fetch_add(1, Ordering::Relaxed);
        if self.takes_turn(&self.logged, LOG_PAUSE) {
            let (why, calls) = (reason.as_str(), self.in_flight());
            log::warn!("calls are refused: {why}; {} so far, {calls} in flight", count + 1);
        }
        Shed { reason, retry_after: Duration::from_secs(count % LONGEST_WAIT + 1) }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            self.overload.of_keys[place].fetch_sub(1, Ordering::Relaxed);
        }
        self.overload.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl ShedReason {
    /// Every reason, in the order of its counter.
    pub(crate) const ALL: [Self; 3] = [Self::InFlight, Self::KeyShare, Self::Memory];

    /// The reason in metrics.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::InFlight => "in_flight",
            Self::KeyShare => "key_share",
            Self::Memory => "memory",
        }
    }

    /// The reason in the log.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::InFlight => "too many calls are in flight",
            Self::KeyShare => "a key has its share of the calls in flight",
            Self::Memory => "memory is short",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(max_in_flight: usize) -> OverloadLimits {
        let memory_limit_mib = Some(Mib::new(1024 * 1024));
        OverloadLimits { max_in_flight, memory_limit_mib, ..OverloadLimits::default() }
    }

    fn taken(overload: &Arc<Overload>, most: usize, key: Option<&str>) -> Vec<Permit> {
        let calls = (0..1000).map(|_| overload.admit(limits(most), key));
        calls.map_while(Result::ok).collect()
    }

    #[test]
    fn the_cap_is_exact_and_a_place_comes_back() {
        let overload = Arc::new(Overload::default());
        let mut permits = taken(&overload, 64, None);
        assert_eq!((permits.len(), overload.in_flight()), (64, 64));
        assert_eq!(overload.admit(limits(64), None).unwrap_err().reason, ShedReason::InFlight);
        assert_eq!(overload.shed(ShedReason::InFlight), 2);
        permits.pop();
        permits.extend(overload.admit(limits(64), Some("key")));
        assert_eq!((permits.len(), overload.in_flight()), (64, 64));
        drop(permits);
        assert_eq!(overload.in_flight(), 0);
        assert!(overload.of_keys.iter().all(|calls| calls.load(Ordering::Relaxed) == 0));
    }

    #[test]
    fn the_cap_holds_for_threads_at_once() {
        let overload = Arc::new(Overload::default());
        let threads: Vec<_> = (0..8)
            .map(|_| {
                let overload = Arc::clone(&overload);
                std::thread::spawn(move || taken(&overload, 64, None))
            })
            .collect();
        let permits: Vec<_> =
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        assert_eq!(permits.len(), 64);
    }

    #[test]
    fn one_key_leaves_room_for_others_and_several_get_equal_parts() {
        let overload = Arc::new(Overload::default());
        // Hashes are random, and two keys may have one place.
        let other = ["b", "c", "d", "e", "f"];
        let other = other.into_iter().find(|key| overload.place(key) != overload.place("a"));
        let first = taken(&overload, 100, Some("a"));
        assert_eq!(first.len(), 80);
        let refused = overload.admit(limits(100), Some("a")).unwrap_err();
        assert_eq!(refused.reason, ShedReason::KeyShare);
        assert_eq!(overload.in_flight(), 80, "a refused call has no place");
        assert!(!taken(&overload, 100, other).is_empty());
        drop(first);

        let mut permits: [Vec<Permit>; 2] = Default::default();
        for _ in 0..100 {
            for (own, key) in permits.iter_mut().zip([Some("a"), other]) {
                own.extend(overload.admit(limits(100), key));
            }
        }
        assert_eq!(permits.each_ref().map(Vec::len), [45, 44]);
    }

    #[test]
    fn short_memory_refuses_and_waits_differ() {
        let overload = Arc::new(Overload::default());
        let short = OverloadLimits { memory_limit_mib: Some(Mib::new(1)), ..limits(64) };
        let waits: Vec<u64> = (0..6)
            .map(|_| {
                let shed = overload.admit(short, None).unwrap_err();
                assert_eq!(shed.reason, ShedReason::Memory);
                shed.retry_after.as_secs()
            })
            .collect();
        assert_eq!(waits, [1, 2, 3, 1, 2, 3]);
        assert_eq!(overload.shed(ShedReason::Memory), 6);
        std::thread::sleep(Duration::from_millis(2 * MEMORY_AGE));
        assert!(overload.admit(limits(64), None).is_ok(), "memory is looked at again");
    }
}
