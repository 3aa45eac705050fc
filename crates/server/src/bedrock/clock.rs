//! The time requests are signed with. A machine whose clock is off would have every signature
//! refused; one refusal tells the service's time, and the difference is remembered.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use http::HeaderMap;
use http::header::DATE;

use super::error::{Exception, ServiceError};

/// AWS accepts five minutes; below four a refusal has another reason. The SDK draws the same line.
const TOLERANCE: Duration = Duration::from_secs(4 * 60);

/// Whether a refused time may be learned from (`AWS_DISABLE_CLOCK_SKEW_CORRECTION` says no).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Correction {
    On,
    Off,
}

/// System time plus the offset learned from the service.
#[derive(Debug)]
pub(super) struct Clock {
    offset_seconds: AtomicI64,
    correction: Correction,
}

impl Clock {
    pub(super) fn new(correction: Correction) -> Self {
        Self { offset_seconds: AtomicI64::new(0), correction }
    }

    pub(super) fn now(&self) -> SystemTime {
        shifted(SystemTime::now(), self.offset_seconds.load(Ordering::Relaxed))
    }

    pub(super) fn offset_seconds(&self) -> i64 {
        self.offset_seconds.load(Ordering::Relaxed)
    }

    /// Learns from a refusal. True if `signed_at` was so far off that signing again is worthwhile.
    pub(super) fn learn(&self, error: &ServiceError, signed_at: SystemTime) -> bool {
        if self.correction == Correction::Off || !blames_the_clock(error) {
            return false;
        }
        let Some(theirs) = date(&error.headers) else { return false };
        if distance(theirs, signed_at) <= TOLERANCE {
            return false;
        }
        let now = SystemTime::now();
        let seconds = distance(theirs, now).as_secs().try_into().unwrap_or(i64::MAX);
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

/// When an answer was made, as its server's clock has it.
pub(super) fn date(headers: &HeaderMap) -> Option<SystemTime> {
    read_date(headers.get(DATE)?.to_str().ok()?)
}

/// A moment as HTTP writes it.
pub(super) fn read_date(text: &str) -> Option<SystemTime> {
    DateTime::from_str(text, Format::HttpDate).ok()?.try_into().ok()
}

fn distance(a: SystemTime, b: SystemTime) -> Duration {
    a.duration_since(b).unwrap_or_else(|error| error.duration())
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
    use crate::bedrock::error::Failure;

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
    fn ten_minutes_off_are_learned_in_both_directions() {
        for (ahead, sign) in [(true, 1), (false, -1)] {
            let clock = Clock::new(Correction::On);
            let now = SystemTime::now();
            let theirs = shifted(now, sign * 600);
            assert!(clock.learn(&refusal("InvalidSignatureException", "", theirs), now), "{ahead}");
            assert!((clock.offset_seconds() - sign * 600).abs() <= 2);
            assert!(distance(clock.now(), theirs) < Duration::from_secs(3));
            // What was signed with the corrected time is not a reason to try again.
            assert!(!clock.learn(&refusal("InvalidSignatureException", "", theirs), clock.now()));
        }
    }

    #[test]
    fn only_a_far_off_clock_is_learned_from() {
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
}
