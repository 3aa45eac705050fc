//! How long to wait before a target is asked once more: at random up to a limit that doubles, so that
//! calls that failed together do not come back together.

use std::time::Duration;

use super::choice::chance;
use super::settings::Retries;

/// The pause after `attempts` attempts.
pub(super) fn before(attempts: u8, retries: &Retries) -> Duration {
    let limit = limit(attempts, retries);
    Duration::from_nanos(chance(u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX)))
}

fn limit(attempts: u8, retries: &Retries) -> Duration {
    let doublings = u32::from(attempts.saturating_sub(1)).min(16);
    retries.first_pause.saturating_mul(1 << doublings).min(retries.longest_pause)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_limit_and_are_drawn_from_all_of_it() {
        let retries = Retries { longest_pause: Duration::from_millis(150), ..Retries::default() };
        let limits: Vec<u128> = (1..=4).map(|at| limit(at, &retries).as_millis()).collect();
        assert_eq!(limits, [50, 100, 150, 150]);
        let drawn: Vec<Duration> = (0..20).map(|_| before(2, &retries)).collect();
        assert!(drawn.iter().all(|pause| *pause < Duration::from_millis(100)), "{drawn:?}");
        assert!(drawn.iter().any(|pause| *pause != drawn[0]), "{drawn:?}");
    }
}
