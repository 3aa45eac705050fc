//! Dates and timestamps in the formats of AWS and the catalogue, without a date library: only comparison of
//! days and conversion to Unix seconds are needed.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Deserialize;

const SECONDS_A_DAY: i64 = 86_400;

/// A day, counted from 1970-01-01, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Day(i64);

impl Day {
    /// The current day.
    pub fn today() -> Self {
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
        Self(i64::try_from(seconds).unwrap_or(i64::MAX).div_euclid(SECONDS_A_DAY))
    }

    /// The date in a model's id, as `20250929` in `anthropic.claude-sonnet-4-5-20250929-v1:0`.
    pub fn of_id(id: &str) -> Option<Self> {
        let digits =
            |part: &&str| part.len() == 8 && part.bytes().all(|byte| byte.is_ascii_digit());
        let date = id.split(|c: char| !c.is_ascii_alphanumeric()).find(digits)?;
        let (year, rest) = date.split_at(4);
        let (month, day) = rest.split_at(2);
        Self::parse(&format!("{year}-{month}-{day}"))
    }

    /// Parses `2026-11-21`, or a timestamp that begins with a date.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.get(..10)?.splitn(3, '-');
        let mut number = |length: usize| {
            let digits = parts.next().filter(|digits| digits.len() == length)?;
            digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse::<i64>().ok())?
        };
        let (year, month, day) = (number(4)?, number(2)?, number(2)?);
        let valid = (1..=12).contains(&month) && (1..=31).contains(&day);
        valid.then(|| Self(from_civil(year, month, day)))
    }
}

/// The start of a day in Unix seconds.
impl From<Day> for i64 {
    fn from(day: Day) -> Self {
        day.0 * SECONDS_A_DAY
    }
}

impl TryFrom<String> for Day {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text).ok_or_else(|| format!("{text:?} is not a day such as 2026-11-21"))
    }
}

/// Formats as `2026-11-21`.
impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = to_civil(self.0);
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

/// Days since 1970-01-01 of a date in the Gregorian calendar. Years begin in March here, so that the leap
/// day is the last day of its year.
fn from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

fn to_civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let years = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * years + years / 4 - years / 100);
    let shifted = (5 * of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = years + era * 400 + i64::from(month <= 2);
    (year, month, of_year - (153 * shifted + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_parsed_compared_and_formatted() {
        for (text, seconds) in [
            ("1970-01-01", 0),
            ("2000-02-29", 951_782_400),
            ("2026-11-21", 1_795_219_200),
            ("2027-01-08T10:00:00Z", 1_799_366_400),
        ] {
            let day = Day::parse(text).unwrap();
            assert_eq!(i64::from(day), seconds, "{text}");
            assert_eq!(day.to_string(), text[..10]);
        }
        assert!(Day::parse("2026-07-30") < Day::parse("2026-11-21"));
        assert!(Day::today() > Day::parse("2026-01-01").unwrap());
        for (id, day) in [
            ("anthropic.claude-sonnet-4-5-20250929-v1:0", Some("2025-09-29")),
            ("us.amazon.nova-lite-v1:0", None),
            ("a.b-20251399", None),
            ("arn:aws:bedrock:us-east-1:123456789012:x/y", None),
        ] {
            assert_eq!(Day::of_id(id), day.and_then(Day::parse), "{id}");
        }
        for bad in ["", "2026", "2026-13-01", "2026-1-01x", "20-06-2026", "2026-00-10"] {
            assert_eq!(Day::parse(bad), None, "{bad}");
        }
    }
}
