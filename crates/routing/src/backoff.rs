//! Backoff before the same target is called again: random up to a limit that doubles, so that calls that
//! failed together do not retry together. A throttling target gets at least its penalty time: an earlier
//! retry would only be throttled again.

use std::time::Duration;

use super::health::FIRST_PENALTY;
use super::settings::Retries;
use super::weighted::chance;

/// The backoff after `attempts` attempts.
pub(super) fn before(attempts: u8, retries: &Retries) -> Duration {
    jittered(limit(attempts, retries.first_pause, retries))
}

/// The backoff after `attempts` attempts, the last of which was throttled.
pub(super) fn before_throttled(attempts: u8, retries: &Retries) -> Duration {
    let least = limit(attempts, retries.first_pause.max(FIRST_PENALTY), retries);
    least.saturating_add(jittered(least)).min(retries.longest_pause)
}

fn jittered(limit: Duration) -> Duration {
    Duration::from_nanos(chance(u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX)))
}

fn limit(attempts: u8, first: Duration, retries: &Retries) -> Duration {
    let doublings = u32::from(attempts.saturating_sub(1)).min(16);
    first.saturating_mul(1 << doublings).min(retries.longest_pause)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_limit_and_are_drawn_from_all_of_it() {
        let retries = Retries { longest_pause: Duration::from_millis(150), ..Retries::default() };
        let of = |attempts| limit(attempts, retries.first_pause, &retries).as_millis();
        let limits: Vec<u128> = (1..=4).map(of).collect();
        assert_eq!(limits, [50, 100, 150, 150]);
        let drawn: Vec<Duration> = (0..20).map(|_| before(2, &retries)).collect();
        assert!(drawn.iter().all(|pause| *pause < Duration::from_millis(100)), "{drawn:?}");
        assert!(drawn.iter().any(|pause| *pause != drawn[0]), "{drawn:?}");
    }
    #[test]
    fn a_throttled_backoff_is_one_to_two_penalties() {
        let retries = Retries::default();
        for (attempts, least) in [(1, 250), (2, 500)] {
            for _ in 0..20 {
                let pause = before_throttled(attempts, &retries).as_millis();
                assert!((least..=2 * least).contains(&pause), "{pause} after {attempts}");
            }
        }
        // The operator's limits apply to these pauses too.
        let patient = Retries { first_pause: Duration::from_millis(700), ..retries };
        assert!(before_throttled(1, &patient) >= Duration::from_millis(700));
        let hasty = Retries { longest_pause: Duration::from_millis(60), ..retries };
        assert_eq!(before_throttled(2, &hasty), Duration::from_millis(60));
    }
}
