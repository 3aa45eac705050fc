//! Points in time, and the clock they come from. Everything else in this crate takes the time as a value, so
//! that tests can go to the end of a month.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

const HOUR: i64 = 3_600_000;

/// A point in time, in whole milliseconds since 1970 in UTC. Written as RFC 3339 with `Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct UtcTime(i64);

impl UtcTime {
    /// The point `millis` milliseconds after 1970.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since 1970.
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Reads RFC 3339, with any offset.
    pub fn parse(text: &str) -> Option<Self> {
        text.parse::<jiff::Timestamp>().ok().map(Self::from_jiff)
    }

    /// The point this long after this one; the end of time where there is none.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        let millis = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(millis))
    }

    /// The time from `earlier` to this point; zero where that is not earlier.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// The start of the hour in UTC, the unit of the aggregates.
    #[must_use]
    pub const fn hour(self) -> Self {
        Self(self.0 - self.0.rem_euclid(HOUR))
    }

    pub(crate) fn from_jiff(at: jiff::Timestamp) -> Self {
        Self(at.as_millisecond())
    }

    pub(crate) fn to_jiff(self) -> jiff::Timestamp {
        let end = if self.0 < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
        jiff::Timestamp::from_millisecond(self.0).unwrap_or(end)
    }
}

impl fmt::Display for UtcTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.rem_euclid(1000) {
            0 => write!(f, "{}", self.to_jiff()),
            _ => write!(f, "{:.3}", self.to_jiff()),
        }
    }
}

impl Serialize for UtcTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for UtcTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("not a time of RFC 3339"))
    }
}

/// Times as milliseconds, for records that are written with every call.
pub(crate) mod millis {
    use serde::{Deserialize, Deserializer, Serializer};

    use super::UtcTime;

    /// Either form: RFC 3339 is that of rows of earlier versions.
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Millis(i64),
        Text(UtcTime),
    }

    pub(crate) fn serialize<S: Serializer>(at: &UtcTime, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(at.0)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<UtcTime, D::Error> {
        Ok(match Written::deserialize(deserializer)? {
            Written::Millis(millis) => UtcTime(millis),
            Written::Text(at) => at,
        })
    }
}

/// The source of the present time.
#[derive(Debug, Clone, Default)]
pub enum Clock {
    /// The system's clock.
    #[default]
    System,
    /// A clock that stands still until it is set, in milliseconds since 1970: for tests.
    Set(Arc<AtomicI64>),
}

impl Clock {
    /// A clock that stands at `at`.
    pub fn standing_at(at: UtcTime) -> Self {
        Self::Set(Arc::new(AtomicI64::new(at.millis())))
    }

    /// The present time.
    pub fn now(&self) -> UtcTime {
        match self {
            Self::System => UtcTime::from_jiff(jiff::Timestamp::now()),
            Self::Set(at) => UtcTime(at.load(Ordering::Acquire)),
        }
    }

    /// Moves a clock that is [`Clock::Set`]; the system's is not moved.
    pub fn go_to(&self, at: UtcTime) {
        match self {
            Self::System => {}
            Self::Set(cell) => cell.store(at.millis(), Ordering::Release),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_back_as_they_are_written() {
        for text in ["2026-12-01T00:00:00Z", "2026-11-27T09:14:03.120Z", "1969-12-31T23:59:59.999Z"]
        {
            let at = UtcTime::parse(text).unwrap();
            assert_eq!(at.to_string(), text);
            assert_eq!(
                serde_json::from_str::<UtcTime>(&serde_json::to_string(&at).unwrap()).unwrap(),
                at
            );
        }
        assert_eq!(
            UtcTime::parse("2026-11-27T10:14:03+01:00"),
            UtcTime::parse("2026-11-27T09:14:03Z")
        );
        assert_eq!(UtcTime::parse("yesterday"), None);
    }

    #[test]
    fn hours_start_at_the_full_hour_before_1970_too() {
        let at = UtcTime::parse("1969-12-31T23:59:59.999Z").unwrap();
        assert_eq!(at.hour().to_string(), "1969-12-31T23:00:00Z");
        assert_eq!(at.hour().since(at), Duration::ZERO);
    }

    #[test]
    fn times_are_read_as_numbers_and_as_text() {
        #[derive(Debug, PartialEq, Serialize, Deserialize)]
        struct Row {
            #[serde(with = "millis")]
            at: UtcTime,
        }
        let row = Row { at: UtcTime::from_millis(1500) };
        assert_eq!(serde_json::to_string(&row).unwrap(), r#"{"at":1500}"#);
        for text in [r#"{"at":1500}"#, r#"{"at":"1970-01-01T00:00:01.5Z"}"#] {
            assert_eq!(serde_json::from_str::<Row>(text).unwrap(), row);
        }
    }

    #[test]
    fn a_set_clock_moves_only_when_told() {
        let clock = Clock::standing_at(UtcTime::from_millis(5));
        assert_eq!(clock.now().millis(), 5);
        clock.go_to(UtcTime::from_millis(9));
        assert_eq!(clock.now().millis(), 9);
    }
}
