//! Spans of time as callers write them (`30d`, `1mo`, `0s`, `daily`), and the budget windows that they snap to in
//! the operator's time zone.

use std::fmt;
use std::time::Duration;

use jiff::civil::{Date, Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{ToSpan, Zoned};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{InvalidField, UtcTime};

/// Most of any unit: 100 years of days.
const MOST: u32 = 36_500;

/// A span as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct WrittenSpan {
    text: String,
    count: u32,
    unit: SpanUnit,
}

/// The unit of a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SpanUnit {
    /// `s`
    Second,
    /// `m`
    Minute,
    /// `h`
    Hour,
    /// `d`
    Day,
    /// `w`
    Week,
    /// `mo`, of the calendar
    Month,
}

impl WrittenSpan {
    /// Reads a count and one of `s m h d w mo`, or one of `hourly daily weekly monthly`.
    pub fn parse(text: &str) -> Option<Self> {
        let (count, unit) = match text {
            "hourly" => (1, SpanUnit::Hour),
            "daily" => (1, SpanUnit::Day),
            "weekly" => (1, SpanUnit::Week),
            "monthly" => (1, SpanUnit::Month),
            _ => {
                let at = text.find(|c: char| !c.is_ascii_digit())?;
                let unit = match &text[at..] {
                    "s" => SpanUnit::Second,
                    "m" => SpanUnit::Minute,
                    "h" => SpanUnit::Hour,
                    "d" => SpanUnit::Day,
                    "w" => SpanUnit::Week,
                    "mo" => SpanUnit::Month,
                    _ => return None,
                };
                (text[..at].parse().ok()?, unit)
            }
        };
        // Seconds and minutes of a year are more than days of a century.
        let most = match unit {
            SpanUnit::Second => MOST * 86_400 / 100,
            SpanUnit::Minute => MOST * 1_440,
            SpanUnit::Hour => MOST * 24,
            SpanUnit::Day => MOST,
            SpanUnit::Week => MOST / 7,
            SpanUnit::Month => MOST / 30,
        };
        (count <= most).then(|| Self { text: text.to_owned(), count, unit })
    }

    /// Reads the span of a budget, which is longer than zero.
    ///
    /// # Errors
    /// It is no span, or zero.
    pub fn of_budget(text: &str, param: &'static str) -> Result<Self, InvalidField> {
        Self::parse(text).filter(|span| span.count > 0).ok_or_else(|| {
            InvalidField::new(
                param,
                format!("Invalid {param} '{text}'. Use a format like '1h', '24h', '7d', or '30d'."),
            )
        })
    }

    /// Reads the span after which a key expires; zero expires it at once.
    ///
    /// # Errors
    /// It is no span.
    pub fn of_key(text: &str, param: &'static str) -> Result<Self, InvalidField> {
        Self::parse(text).ok_or_else(|| {
            let message = format!(
                "Invalid {param} '{text}'. Use a format like '30s', '1h', '30d', or '1mo'."
            );
            InvalidField::new(param, message)
        })
    }

    /// The text as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it is longer than another, a month being thirty days.
    pub fn exceeds(&self, other: &Self) -> bool {
        let length = |span: &Self| match span.fixed() {
            Some(length) => length,
            None => Duration::from_hours(24 * 30 * u64::from(span.count)),
        };
        length(self) > length(other)
    }

    /// The point exactly this long after `now`. Months are those of the calendar in UTC; the 31st becomes the last
    /// day of a shorter month.
    pub fn after(&self, now: UtcTime) -> UtcTime {
        match self.fixed() {
            Some(span) => now.plus(span),
            None => {
                let zoned = now.to_jiff().to_zoned(TimeZone::UTC);
                let later = zoned.checked_add(i64::from(self.count).months());
                later
                    .map_or(UtcTime::from_millis(i64::MAX), |at| UtcTime::from_jiff(at.timestamp()))
            }
        }
    }

    /// The point exactly this long before `at`.
    pub(crate) fn before(&self, at: UtcTime) -> UtcTime {
        match self.fixed() {
            Some(span) => {
                let millis = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
                UtcTime::from_millis(at.millis().saturating_sub(millis))
            }
            None => {
                let zoned = at.to_jiff().to_zoned(TimeZone::UTC);
                let earlier = zoned.checked_sub(i64::from(self.count).months());
                earlier
                    .map_or(UtcTime::from_millis(i64::MIN), |at| UtcTime::from_jiff(at.timestamp()))
            }
        }
    }

    /// The length, of units that have one.
    fn fixed(&self) -> Option<Duration> {
        let seconds = match self.unit {
            SpanUnit::Second => 1,
            SpanUnit::Minute => 60,
            SpanUnit::Hour => 3600,
            SpanUnit::Day => 86_400,
            SpanUnit::Week => 7 * 86_400,
            SpanUnit::Month => return None,
        };
        Some(Duration::from_secs(u64::from(self.count) * seconds))
    }
}

impl fmt::Display for WrittenSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for WrittenSpan {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for WrittenSpan {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("not a span of time"))
    }
}

/// The zone and the time of day at which budget windows begin.
#[derive(Debug, Clone)]
pub struct BudgetZone {
    zone: TimeZone,
    reset: Time,
}

/// A span of time in which spend is summed: from `start` to before `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BudgetWindow {
    /// The first point inside.
    pub start: UtcTime,
    /// The first point after it.
    pub end: UtcTime,
}

impl Default for BudgetZone {
    fn default() -> Self {
        Self { zone: TimeZone::UTC, reset: Time::midnight() }
    }
}

impl BudgetZone {
    /// A zone by its name in the time zone database, and the time of day as `HH:MM`.
    ///
    /// # Errors
    /// The zone is unknown, or the time of day is none.
    pub fn named(zone: &str, reset: &str) -> Result<Self, InvalidField> {
        let zone = TimeZone::get(zone).map_err(|_| {
            InvalidField::new("budget_timezone", format!("unknown time zone {zone:?}"))
        })?;
        let reset = reset.parse::<Time>().map_err(|_| {
            InvalidField::new(
                "budget_reset_time",
                format!("{reset:?} is no time of day, such as 00:00"),
            )
        })?;
        Ok(Self { zone, reset })
    }

    /// The window of a budget that holds `now`. Windows of one day, week or month begin at midnight, on Monday or
    /// on the first; thirty days are a month. Hours and smaller units count from midnight, so the last of a day is
    /// cut where they do not fill it. Other spans follow one another from the day on which the budget was set.
    pub fn window(&self, span: &WrittenSpan, set_at: UtcTime, now: UtcTime) -> BudgetWindow {
        let today = self.day_of(now);
        let found = match (span.unit, span.count) {
            (SpanUnit::Day, 1) | (SpanUnit::Hour, 24) => self.days(today, 1),
            (SpanUnit::Day, 7) | (SpanUnit::Week, 1) => {
                let back = i64::from(today.weekday().since(Weekday::Monday));
                today.checked_sub(back.days()).ok().and_then(|monday| self.days(monday, 7))
            }
            (SpanUnit::Day, 30) => self.months(today, today, 1),
            (SpanUnit::Month, count) => self.months(today, self.day_of(set_at), count),
            (SpanUnit::Day, count) => self.repeated(today, self.day_of(set_at), count),
            (SpanUnit::Week, count) => self.repeated(today, self.day_of(set_at), 7 * count),
            (SpanUnit::Hour | SpanUnit::Minute | SpanUnit::Second, _) => {
                self.within_day((today, set_at), span, now)
            }
        };
        let BudgetWindow { start, end } = found.unwrap_or(BudgetWindow {
            start: UtcTime::from_millis(0),
            end: UtcTime::from_millis(i64::MAX),
        });
        // A budget set in mid-window starts at zero then, whatever was spent before.
        BudgetWindow { start: start.max(set_at), end }
    }

    /// The day that `at` belongs to: before the reset it is still yesterday.
    fn day_of(&self, at: UtcTime) -> Date {
        let day = at.to_jiff().to_zoned(self.zone.clone()).date();
        // By points of time, because a time of day may come twice or not at all.
        let early = self.start_of(day).is_some_and(|start| at < start);
        if early { day.yesterday().unwrap_or(day) } else { day }
    }

    fn start_of(&self, day: Date) -> Option<UtcTime> {
        let zoned: Zoned = day.to_datetime(self.reset).to_zoned(self.zone.clone()).ok()?;
        Some(UtcTime::from_jiff(zoned.timestamp()))
    }

    fn days(&self, first: Date, count: u32) -> Option<BudgetWindow> {
        let end = first.checked_add(i64::from(count).days()).ok()?;
        Some(BudgetWindow { start: self.start_of(first)?, end: self.start_of(end)? })
    }

    fn repeated(&self, today: Date, anchor: Date, count: u32) -> Option<BudgetWindow> {
        let passed = today.since(anchor).ok()?.get_days();
        let into = i64::from(passed.rem_euclid(i32::try_from(count).ok()?));
        self.days(today.checked_sub(into.days()).ok()?, count)
    }

    fn months(&self, today: Date, anchor: Date, count: u32) -> Option<BudgetWindow> {
        let number = |day: Date| i64::from(day.year()) * 12 + i64::from(day.month()) - 1;
        let into = (number(today) - number(anchor)).rem_euclid(i64::from(count));
        let first = today.first_of_month().checked_sub(into.months()).ok()?;
        let end = first.checked_add(i64::from(count).months()).ok()?;
        Some(BudgetWindow { start: self.start_of(first)?, end: self.start_of(end)? })
    }

    fn within_day(
        &self,
        (today, set_at): (Date, UtcTime),
        span: &WrittenSpan,
        now: UtcTime,
    ) -> Option<BudgetWindow> {
        let length = span.fixed()?;
        let longer = length > Duration::from_secs(86_400);
        let day = self.days(if longer { self.day_of(set_at) } else { today }, 1)?;
        let millis = i64::try_from(length.as_millis()).ok()?;
        let into = (now.millis() - day.start.millis()).rem_euclid(millis);
        let start = UtcTime::from_millis(now.millis() - into);
        let end = start.plus(length);
        Some(BudgetWindow { start, end: if longer { end } else { end.min(day.end) } })
    }
}

#[cfg(test)]
mod tests;
