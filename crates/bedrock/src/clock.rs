//! The time that requests are signed with. If the machine's clock is wrong, every signature is refused; a
//! single refusal tells the service's time, and the difference is kept.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use http::HeaderMap;
use http::header::DATE;

use super::error::{Exception, ServiceError};

/// AWS accepts five minutes; below four, a refusal has another reason. The SDK uses the same limit.
const TOLERANCE: Duration = Duration::from_secs(4 * 60);
/// Largest offset accepted. Beyond it, the `Date` is wrong and not this machine's clock.
const LARGEST_OFFSET: Duration = Duration::from_hours(24);
/// First second beyond the dates of signatures: `x-amz-date` has four digits for the year.
const END_OF_DATES: Duration = Duration::from_secs(253_402_300_800);

/// The time cannot be written into a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system clock is outside the years 1970 to 9999, so no request can be signed; set it")]
pub(super) struct ClockError;

/// Whether the clock may be corrected after a refusal (`AWS_DISABLE_CLOCK_SKEW_CORRECTION` forbids it).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Correction {
    On,
    Off,
}

/// System time plus the offset taken from the service.
#[derive(Debug)]
pub(super) struct Clock {
    offset_seconds: AtomicI64,
    correction: Correction,
}

impl Clock {
    pub(super) fn new(correction: Correction) -> Self {
        Self { offset_seconds: AtomicI64::new(0), correction }
    }

    /// The time to sign with.
    ///
    /// # Errors
    /// [`ClockError`]; the signer would panic on such a time.
    pub(super) fn now(&self) -> Result<SystemTime, ClockError> {
        let now = shifted(SystemTime::now(), self.offset_seconds.load(Ordering::Relaxed));
        if is_signable(now) { Ok(now) } else { Err(ClockError) }
    }

    pub(super) fn offset_seconds(&self) -> i64 {
        self.offset_seconds.load(Ordering::Relaxed)
    }

    /// Corrects the offset after a refusal. True if `signed_at` was so far off that signing again is
    /// worthwhile.
    pub(super) fn learn(&self, error: &ServiceError, signed_at: SystemTime) -> bool {
        if self.correction == Correction::Off || !blames_the_clock(error) {
            return false;
        }
        let Some(theirs) = date(&error.headers) else { return false };
        if distance(theirs, signed_at) <= TOLERANCE {
            return false;
        }
        let now = SystemTime::now();
        let offset = distance(theirs, now);
        if offset > LARGEST_OFFSET {
            log::warn!(
                "the service's date is {} s from system time, which is too far to be plausible; the clock stays as it is",
                offset.as_secs()
            );
            return false;
        }
        let seconds = offset.as_secs().try_into().unwrap_or(i64::MAX);
        self.offset_seconds.store(if theirs < now { -seconds } else { seconds }, Ordering::Relaxed);
        true
    }
}

fn blames_the_clock(error: &ServiceError) -> bool {
    match &error.exception {
        Exception::InvalidSignature | Exception::RequestTimeTooSkewed => true,
        _ => {
            error.status == 403
                && ["Signature expired", "Signature not yet current"]
                    .iter()
                    .any(|text| error.message.contains(text))
        }
    }
}

/// Time of a response, by its server's clock.
pub(super) fn date(headers: &HeaderMap) -> Option<SystemTime> {
    read_date(headers.get(DATE)?.to_str().ok()?)
}

/// Parses a timestamp in HTTP format.
pub(super) fn read_date(text: &str) -> Option<SystemTime> {
    DateTime::from_str(text, Format::HttpDate).ok()?.try_into().ok()
}

fn distance(a: SystemTime, b: SystemTime) -> Duration {
    a.duration_since(b).unwrap_or_else(|error| error.duration())
}

fn is_signable(time: SystemTime) -> bool {
    time.duration_since(SystemTime::UNIX_EPOCH).is_ok_and(|since| since < END_OF_DATES)
}

fn shifted(time: SystemTime, seconds: i64) -> SystemTime {
    let by = Duration::from_secs(seconds.unsigned_abs());
    let shifted = if seconds < 0 { time.checked_sub(by) } else { time.checked_add(by) };
    shifted.unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::error::Failure;

    fn refusal(kind: &str, message: &str, date: SystemTime) -> ServiceError {
        let date = DateTime::from(date).fmt(Format::HttpDate).unwrap();
        let headers = [("x-amzn-errortype", kind), ("date", date.as_str())]
            .into_iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect();
        let body = serde_json::json!({ "message": message }).to_string();
        match ServiceError::read(403, headers, Bytes::from(body)) {
            Failure::Service(error) => *error,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_offset_of_ten_minutes_is_corrected_in_both_directions() {
        for (ahead, sign) in [(true, 1), (false, -1)] {
            let clock = Clock::new(Correction::On);
            let now = SystemTime::now();
            let theirs = shifted(now, sign * 600);
            assert!(clock.learn(&refusal("InvalidSignatureException", "", theirs), now), "{ahead}");
            assert!((clock.offset_seconds() - sign * 600).abs() <= 2);
            assert!(distance(clock.now().unwrap(), theirs) < Duration::from_secs(3));
            // A refusal of a corrected time is no reason to sign again.
            let signed_at = clock.now().unwrap();
            assert!(!clock.learn(&refusal("InvalidSignatureException", "", theirs), signed_at));
        }
    }

    #[test]
    fn only_a_large_offset_is_corrected() {
        let clock = Clock::new(Correction::On);
        let now = SystemTime::now();
        assert!(!clock.learn(&refusal("InvalidSignatureException", "", shifted(now, 180)), now));
        assert!(!clock.learn(&refusal("AccessDeniedException", "", shifted(now, 900)), now));
        assert_eq!(clock.offset_seconds(), 0);
        let expired = refusal("AccessDeniedException", "Signature expired: x", shifted(now, 900));
        assert!(clock.learn(&expired, now));
        let off = Clock::new(Correction::Off);
        assert!(!off.learn(&expired, now));
    }

    #[test]
    fn an_implausible_date_is_ignored() {
        let clock = Clock::new(Correction::On);
        let now = SystemTime::now();
        let day = 24 * 60 * 60;
        let far = |days: i64| shifted(now, days * day);
        let ends = [SystemTime::UNIX_EPOCH, SystemTime::UNIX_EPOCH + END_OF_DATES - TOLERANCE];
        for theirs in ends.into_iter().chain([far(2), far(-2), far(27_000)]) {
            assert!(!clock.learn(&refusal("InvalidSignatureException", "", theirs), now));
            assert_eq!(clock.offset_seconds(), 0);
        }
        // The clock was set for another time zone.
        let theirs = shifted(now, 14 * 60 * 60);
        assert!(clock.learn(&refusal("RequestTimeTooSkewed", "", theirs), now));
        // Then the service sends one wrong date; the offset stays.
        assert!(!clock.learn(&refusal("InvalidSignatureException", "", far(-400)), now));
        assert!(distance(clock.now().unwrap(), theirs) < Duration::from_secs(3));
    }

    #[test]
    fn a_time_that_cannot_be_signed_is_an_error() {
        for seconds in [0, 1, END_OF_DATES.as_secs() - 1] {
            assert!(is_signable(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)));
        }
        assert!(!is_signable(SystemTime::UNIX_EPOCH + END_OF_DATES));
        assert!(!is_signable(SystemTime::UNIX_EPOCH - Duration::from_secs(1)));
        let clock = Clock::new(Correction::On);
        clock
            .offset_seconds
            .store(i64::try_from(END_OF_DATES.as_secs()).unwrap(), Ordering::Relaxed);
        assert_eq!(clock.now(), Err(ClockError));
    }
}
