//! The span of time that a report is asked for: days, or points in time, in UTC unless a route has a time zone.

use std::time::Duration;

use access::ledger::SpendQuery;
use access::{CalendarDay, CalendarZone, UtcTime, ZoneHours};
use serde_json::json;

use super::error::AdminRefusal;
use super::query::AdminQuery;

/// Most days of a report: three years.
const MOST_DAYS: u64 = 1100;
const START: &str = "start_date";
const END: &str = "end_date";

/// Days in a time zone, both ends included.
#[derive(Debug, Clone)]
pub(super) struct DayRange {
    /// The first.
    pub(super) first: CalendarDay,
    /// The last.
    pub(super) last: CalendarDay,
    zone: CalendarZone,
}

/// Points in time, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TimeRange {
    /// The first.
    pub(super) from: UtcTime,
    /// The last.
    pub(super) until: UtcTime,
}

impl DayRange {
    /// The days that a request must name.
    ///
    /// # Errors
    /// An end is missing or no day, or the range is too long.
    pub(super) fn required(query: &AdminQuery) -> Result<Self, AdminRefusal> {
        Self::optional(query)?.ok_or_else(missing)
    }

    /// The days that a request names, if it names both ends.
    ///
    /// # Errors
    /// An end is no day, or the range is too long.
    pub(super) fn optional(query: &AdminQuery) -> Result<Option<Self>, AdminRefusal> {
        let (Some(start), Some(end)) = (query.text(START), query.text(END)) else {
            return Ok(None);
        };
        let (first, last) = (day(start, START)?, day(end, END)?);
        Self::between(first, last, CalendarZone::utc()).map(Some)
    }

    /// The days that a request must name, in the zone of its parameter `timezone`: the minutes that UTC is ahead of
    /// local time, as JavaScript counts them.
    ///
    /// # Errors
    /// As for [`DayRange::required`]; or the zone is none.
    pub(super) fn zoned(query: &AdminQuery) -> Result<Self, AdminRefusal> {
        let range = Self::required(query)?;
        let Some(text) = query.text("timezone") else { return Ok(range) };
        let minutes = text.parse::<i32>().ok().and_then(i32::checked_neg);
        let zone = minutes.and_then(CalendarZone::ahead).ok_or_else(|| {
            let message = format!("Invalid timezone '{text}'. Use minutes, such as -60 for UTC+1.");
            AdminRefusal::bad(message).param("timezone")
        })?;
        Ok(Self { zone, ..range })
    }

    /// The days from one to another in a zone.
    ///
    /// # Errors
    /// They are too many.
    pub(super) fn between(
        first: CalendarDay,
        last: CalendarDay,
        zone: CalendarZone,
    ) -> Result<Self, AdminRefusal> {
        if last.days_since(first) > MOST_DAYS {
            let message = format!("The range has more than {MOST_DAYS} days: ask for fewer.");
            return Err(AdminRefusal::bad(message).param(END));
        }
        Ok(Self { first, last, zone })
    }

    /// The last `count` days in UTC.
    pub(super) fn latest(now: UtcTime, count: u64) -> Self {
        let back = Duration::from_hours(24 * count.saturating_sub(1)).as_millis();
        let back = i64::try_from(back).unwrap_or(i64::MAX);
        let first = UtcTime::from_millis(now.millis().saturating_sub(back));
        let (first, last) = (CalendarDay::of(first), CalendarDay::of(now));
        Self { first, last, zone: CalendarZone::utc() }
    }

    /// The days.
    pub(super) fn days(&self) -> impl Iterator<Item = CalendarDay> + use<> {
        self.first.to(self.last)
    }

    /// The hours of the days, each part with one offset from UTC.
    pub(super) fn hours(&self) -> Vec<ZoneHours> {
        self.zone.hours(self.first, self.last)
    }

    /// Whether hours lie across midnight, so that sums of days are not exact.
    pub(super) fn is_approximate(&self) -> bool {
        !self.hours().iter().all(ZoneHours::are_whole)
    }
}

impl TimeRange {
    /// The times that a request must name: a day is all of it.
    ///
    /// # Errors
    /// An end is missing, or no day or time.
    pub(super) fn required(query: &AdminQuery) -> Result<Self, AdminRefusal> {
        Self::optional(query)?.ok_or_else(missing)
    }

    /// The times that a request names, if it names both ends.
    ///
    /// # Errors
    /// An end is no day or time.
    pub(super) fn optional(query: &AdminQuery) -> Result<Option<Self>, AdminRefusal> {
        let (Some(start), Some(end)) = (query.text(START), query.text(END)) else {
            return Ok(None);
        };
        let utc = CalendarZone::utc();
        let from = match CalendarDay::parse(start) {
            Some(day) => utc.start_of(day),
            None => time(start, START)?,
        };
        let until = match CalendarDay::parse(end) {
            Some(day) => UtcTime::from_millis(utc.start_of(day.next()).millis() - 1),
            None => time(end, END)?,
        };
        Ok(Some(Self { from, until }))
    }
}

/// A question to the aggregates about hours of one offset.
pub(super) fn within(hours: ZoneHours, query: SpendQuery) -> SpendQuery {
    let ZoneHours { from, until, offset_minutes } = hours;
    SpendQuery { from, until, offset_minutes, ..query }
}

/// A day; of a time the day in UTC.
fn day(text: &str, param: &'static str) -> Result<CalendarDay, AdminRefusal> {
    match CalendarDay::parse(text) {
        Some(day) => Ok(day),
        None => time(text, param).map(CalendarDay::of),
    }
}

/// A time, with a blank in place of the `T` and without a zone too.
fn time(text: &str, param: &'static str) -> Result<UtcTime, AdminRefusal> {
    let text = text.trim();
    let plain = text.replacen(' ', "T", 1);
    let found = UtcTime::parse(&plain).or_else(|| UtcTime::parse(&format!("{plain}Z")));
    found.ok_or_else(|| {
        let message = format!("Invalid date format '{text}'. Use YYYY-MM-DD.");
        AdminRefusal::bad(message).param(param)
    })
}

fn missing() -> AdminRefusal {
    let message = "Please provide start_date and end_date";
    AdminRefusal::bad(message).param(START).detail(json!({ "error": message }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str) -> AdminQuery {
        AdminQuery::parse(text)
    }

    #[test]
    fn days_and_times_are_read() {
        let days = |text: &str| {
            let range = DayRange::required(&query(text)).unwrap();
            format!("{} {}", range.first, range.last)
        };
        assert_eq!(days("start_date=2026-11-26&end_date=2026-11-27"), "2026-11-26 2026-11-27");
        let times = "start_date=2026-11-26%2023:59:59&end_date=2026-11-27T23:30:00-02:00";
        assert_eq!(days(times), "2026-11-26 2026-11-28");
        let range =
            TimeRange::required(&query("start_date=2026-11-26&end_date=2026-11-26")).unwrap();
        assert_eq!(range.from.to_string(), "2026-11-26T00:00:00Z");
        assert_eq!(range.until.to_string(), "2026-11-26T23:59:59.999Z");
        let latest = DayRange::latest(UtcTime::parse("2026-03-01T05:00:00Z").unwrap(), 30);
        assert_eq!(
            (latest.first.to_string(), latest.days().count()),
            ("2026-01-31".to_owned(), 30)
        );
    }

    #[test]
    fn bad_ranges_are_refused() {
        for (text, expected) in [
            ("", "Please provide"),
            ("start_date=2026-11-26", "Please provide"),
            ("start_date=x&end_date=2026-11-26", "Invalid date format 'x'"),
            ("start_date=2026-02-30&end_date=2026-11-26", "Invalid date format"),
            ("start_date=1970-01-01&end_date=2026-11-26", "more than 1100 days"),
            ("start_date=2026-11-26&end_date=2026-11-26&timezone=CET", "Invalid timezone"),
            ("start_date=2026-11-26&end_date=2026-11-26&timezone=-2147483648", "Invalid timezone"),
        ] {
            let refusal = DayRange::zoned(&query(text)).unwrap_err();
            assert!(refusal.message().contains(expected), "{text}: {}", refusal.message());
        }
    }

    #[test]
    fn zones_have_javascripts_sign() {
        let range = |zone: &str| {
            let text = format!("start_date=2026-11-27&end_date=2026-11-27&timezone={zone}");
            DayRange::zoned(&query(&text)).unwrap()
        };
        let paris = range("-60");
        assert_eq!(paris.hours()[0].from.to_string(), "2026-11-26T23:00:00Z");
        assert!(!paris.is_approximate() && range("-330").is_approximate());
        assert_eq!(range("480").hours()[0].from.to_string(), "2026-11-27T08:00:00Z");
    }
}
