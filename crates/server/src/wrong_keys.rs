//! Wrong keys by the address that sent them: an address with ten of them in a minute is not asked for another at the admin
//! API until the minute is over, whether or not the next one were right. The memory is bounded.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Wrong keys of an address in a minute, after which it is refused.
const MOST: u32 = 10;
const MINUTE: Duration = Duration::from_secs(60);
/// Most addresses remembered. Beyond it those of the oldest minute make room.
const MOST_ADDRESSES: usize = 4096;

/// Counts of wrong keys.
#[derive(Debug, Default)]
pub(crate) struct WrongKeys(Mutex<HashMap<IpAddr, Minute>>);

/// The minute that begins with the first wrong key of an address.
#[derive(Debug, Clone, Copy)]
struct Minute {
    began: Instant,
    count: u32,
}

impl WrongKeys {
    /// The time after which an address is asked again; absent where it is asked now.
    pub(crate) fn wait(&self, address: IpAddr, now: Instant) -> Option<Duration> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let minute = counts.get(&network(address)).filter(|minute| minute.count >= MOST)?;
        (minute.began + MINUTE).checked_duration_since(now).filter(|wait| !wait.is_zero())
    }

    /// Counts a wrong key.
    pub(crate) fn count(&self, address: IpAddr, now: Instant) {
        let address = network(address);
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() >= MOST_ADDRESSES && !counts.contains_key(&address) {
            counts.retain(|_, minute| !minute.is_over(now));
            let oldest = counts.iter().min_by_key(|(_, minute)| minute.began).map(|(at, _)| *at);
            if let Some(oldest) = oldest.filter(|_| counts.len() >= MOST_ADDRESSES) {
                counts.remove(&oldest);
            }
        }
        let minute = counts.entry(address).or_insert(Minute { began: now, count: 0 });
        if minute.is_over(now) {
            *minute = Minute { began: now, count: 0 };
        }
        minute.count = minute.count.saturating_add(1);
    }
}

impl Minute {
    fn is_over(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.began) >= MINUTE
    }
}

/// The network of an address: of IPv6 the first half, because one client has all of the other.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() >> 64 << 64).into()),
        IpAddr::V4(_) => address.to_canonical(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_eleventh_key_of_a_minute_waits_for_its_end() {
        let (keys, now) = (WrongKeys::default(), Instant::now());
        let (one, other) = (address("192.0.2.1"), address("192.0.2.2"));
        for n in 0..10 {
            assert_eq!(keys.wait(one, now), None);
            keys.count(one, now + Duration::from_secs(n));
        }
        let soon = now + Duration::from_secs(15);
        assert_eq!(keys.wait(one, soon), Some(Duration::from_secs(45)));
        assert_eq!(keys.wait(address("::ffff:192.0.2.1"), soon), Some(Duration::from_secs(45)));
        assert_eq!(keys.wait(other, soon), None);
        let later = now + MINUTE;
        assert_eq!(keys.wait(one, later), None);
        keys.count(one, later);
        assert_eq!(keys.wait(one, later), None);
    }

    #[test]
    fn a_client_of_ipv6_has_one_count() {
        let (keys, now) = (WrongKeys::default(), Instant::now());
        for n in 0..10 {
            keys.count(address(&format!("2001:db8::{n}")), now);
        }
        assert!(keys.wait(address("2001:db8::ffff:0:1"), now).is_some());
        assert!(keys.wait(address("2001:db8:0:1::1"), now).is_none());
    }

    #[test]
    fn many_addresses_take_bounded_memory() {
        let (keys, now) = (WrongKeys::default(), Instant::now());
        let mut last = now;
        for n in 0..2 * u32::try_from(MOST_ADDRESSES).unwrap() {
            last = now + Duration::from_millis(u64::from(n));
            keys.count(IpAddr::V4(n.into()), last);
        }
        let counts = keys.0.lock().unwrap();
        assert_eq!(counts.len(), MOST_ADDRESSES);
        assert!(counts.values().all(|minute| minute.began <= last));
        assert!(!counts.contains_key(&IpAddr::V4(0.into())));
    }
}
