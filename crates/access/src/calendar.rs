//! Days of the calendar, and the hours they have in a time zone: reports cut hourly sums at the reader's midnights.

use std::fmt;

use jiff::civil::{Date, Time};
use jiff::tz::{Offset, TimeZone};
use serde::{Serialize, Serializer};

use crate::UtcTime;

/// Offsets of zones reach from -12 to +14 hours; a day more is no zone.
const FARTHEST: i32 = 24 * 60;

/// A day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CalendarDay(Date);

/// The zone in which days begin.
#[derive(Debug, Clone)]
pub struct CalendarZone(TimeZone);

/// Consecutive hours in which a zone has one offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ZoneHours {
    /// The first hour.
    pub from: UtcTime,
    /// The hour after the last.
    pub until: UtcTime,
    /// Minutes that local time is ahead of UTC.
    pub offset_minutes: i32,
}

impl ZoneHours {
    /// Whether the days of these hours begin at whole hours in UTC.
    pub const fn are_whole(&self) -> bool {
        self.offset_minutes % 60 == 0
    }
}

impl CalendarDay {
    /// Reads `2026-11-27`.
    pub fn parse(text: &str) -> Option<Self> {
        // jiff takes other forms too, such as 20261127.
        let plain = text.len() == 10 && text.as_bytes().get(4) == Some(&b'-');
        plain.then(|| text.parse().ok().map(Self)).flatten()
    }

    /// The day of a point in time, in UTC.
    pub fn of(at: UtcTime) -> Self {
        CalendarZone::utc().day_of(at)
    }

    /// The next day; the last of all has none after it.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.tomorrow().unwrap_or(self.0))
    }

    /// The number of days from `first` to this one, both included; zero where this one is earlier.
    pub fn days_since(self, first: Self) -> u64 {
        let days = self.0.since(first.0).map_or(-1, |span| i64::from(span.get_days()));
        u64::try_from(days + 1).unwrap_or(0)
    }

    /// This day and those up to `last`, which is one of them.
    pub fn to(self, last: Self) -> impl Iterator<Item = Self> {
        let end = (self <= last).then_some(self);
        std::iter::successors(end, move |day| (*day < last).then(|| day.next()))
    }

    /// The short name, such as `Nov 27`.
    pub fn short(self) -> String {
        self.0.strftime("%b %d").to_string()
    }
}

impl fmt::Display for CalendarDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl Serialize for CalendarDay {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl CalendarZone {
    /// UTC.
    pub const fn utc() -> Self {
        Self(TimeZone::UTC)
    }

    /// The zone of this name in the time zone database.
    pub fn named(name: &str) -> Option<Self> {
        TimeZone::get(name).ok().map(Self)
    }

    /// A zone that is always so many minutes ahead of UTC.
    pub fn ahead(minutes: i32) -> Option<Self> {
        let near = minutes.abs() <= FARTHEST;
        let offset = near.then(|| Offset::from_seconds(minutes * 60).ok()).flatten()?;
        Some(Self(TimeZone::fixed(offset)))
    }

    /// The day that a point in time belongs to.
    pub fn day_of(&self, at: UtcTime) -> CalendarDay {
        CalendarDay(at.to_jiff().to_zoned(self.0.clone()).date())
    }

    /// The first point of a day.
    pub fn start_of(&self, day: CalendarDay) -> UtcTime {
        let zoned = day.0.to_datetime(Time::midnight()).to_zoned(self.0.clone());
        zoned.map_or(UtcTime::from_millis(i64::MAX), |at| UtcTime::from_jiff(at.timestamp()))
    }

    /// The whole hours in UTC that begin in the days from `first` to `last`, cut where the zone's offset changes. An
    /// hour across midnight, as zones with half hours have, belongs to the day it begins in.
    pub fn hours(&self, first: CalendarDay, last: CalendarDay) -> Vec<ZoneHours> {
        let (from, until) = (full(self.start_of(first)), full(self.start_of(last.next())));
        self.cut(from, until)
    }

    /// The whole hours that begin from one point until before another, cut where the zone's offset changes.
    pub fn cut(&self, from: UtcTime, until: UtcTime) -> Vec<ZoneHours> {
        let mut parts = Vec::new();
        let mut start = full(from);
        let until = full(until);
        for change in self.0.following(start.to_jiff()) {
            let at = full(UtcTime::from_jiff(change.timestamp()));
            if at >= until {
                break;
            }
            self.add(&mut parts, start, at);
            start = at;
        }
        self.add(&mut parts, start, until);
        parts
    }

    fn add(&self, parts: &mut Vec<ZoneHours>, from: UtcTime, until: UtcTime) {
        if from < until {
            let offset_minutes = self.0.to_offset(from.to_jiff()).seconds().div_euclid(60);
            parts.push(ZoneHours { from, until, offset_minutes });
        }
    }
}

/// The first whole hour that is not earlier.
fn full(at: UtcTime) -> UtcTime {
    let hour = at.hour();
    if hour == at { hour } else { hour.plus(std::time::Duration::from_hours(1)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> CalendarDay {
        CalendarDay::parse(text).unwrap()
    }

    fn shown(hours: &[ZoneHours]) -> Vec<String> {
        let one = |part: &ZoneHours| {
            format!("{} {} {}", part.from, part.until, part.offset_minutes).replace(":00Z", "Z")
        };
        hours.iter().map(one).collect()
    }

    #[test]
    fn days_are_read_counted_and_written() {
        let (first, last) = (day("2026-02-27"), day("2026-03-01"));
        let days: Vec<_> = first.to(last).map(|day| day.to_string()).collect();
        assert_eq!(days, ["2026-02-27", "2026-02-28", "2026-03-01"]);
        assert_eq!((last.days_since(first), first.days_since(last)), (3, 0));
        assert_eq!((last.to(first).count(), first.to(first).count()), (0, 1));
        assert_eq!(last.short(), "Mar 01");
        for text in ["", "2026-2-1", "20260227", "2026-02-30", "2026-02-27T00", "+002026-02"] {
            assert_eq!(CalendarDay::parse(text), None, "{text}");
        }
    }

    #[test]
    fn hours_are_those_of_the_days_in_the_zone() {
        let (one, next) = (day("2026-11-27"), day("2026-11-28"));
        let hours = |zone: CalendarZone, first, last| shown(&zone.hours(first, last));
        assert_eq!(hours(CalendarZone::utc(), one, one), ["2026-11-27T00:00Z 2026-11-28T00:00Z 0"]);
        let paris = CalendarZone::ahead(60).unwrap();
        assert_eq!(hours(paris, one, next), ["2026-11-26T23:00Z 2026-11-28T23:00Z 60"]);
        // Kathmandu is 5:45 ahead: the hour in which its day begins counts to the day before.
        let kathmandu = CalendarZone::named("Asia/Kathmandu").unwrap();
        assert!(!kathmandu.hours(one, one)[0].are_whole());
        assert_eq!(hours(kathmandu, one, one), ["2026-11-26T19:00Z 2026-11-27T19:00Z 345"]);
        assert!(CalendarZone::ahead(1441).is_none() && CalendarZone::named("Mars/X").is_none());
    }

    #[test]
    fn a_change_of_the_offset_cuts_the_hours() {
        let paris = CalendarZone::named("Europe/Paris").unwrap();
        let change = day("2026-10-25");
        assert_eq!(
            shown(&paris.hours(change, change)),
            ["2026-10-24T22:00Z 2026-10-25T01:00Z 120", "2026-10-25T01:00Z 2026-10-25T23:00Z 60"]
        );
        let year = paris.hours(day("2026-01-01"), day("2026-12-31"));
        assert_eq!(year.len(), 3);
        assert!(year.windows(2).all(|pair| pair[0].until == pair[1].from));
        assert_eq!(paris.hours(change, day("2026-10-24")), []);
    }
}
