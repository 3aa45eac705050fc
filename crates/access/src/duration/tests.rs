//! Windows over month ends, the leap day and daylight saving, with a clock that is given.

use proptest::prelude::*;

use super::*;

fn at(text: &str) -> UtcTime {
    UtcTime::parse(text).unwrap()
}

fn window(zone: &str, span: &str, now: &str) -> (String, String) {
    let zone = BudgetZone::named(zone, "00:00").unwrap();
    let span = WrittenSpan::of_budget(span, "budget_duration").unwrap();
    let BudgetWindow { start, end } = zone.window(&span, at("2010-01-01T00:00:00Z"), at(now));
    (start.to_string(), end.to_string())
}

#[test]
fn spans_are_compared_by_length() {
    let span = |text| WrittenSpan::parse(text).unwrap();
    for (longer, shorter) in [("31d", "1mo"), ("1d", "23h"), ("weekly", "6d"), ("2mo", "59d")] {
        assert!(span(longer).exceeds(&span(shorter)), "{longer}");
        assert!(!span(shorter).exceeds(&span(longer)), "{longer}");
    }
    for (one, other) in [("1mo", "30d"), ("monthly", "1mo"), ("24h", "daily")] {
        assert!(!span(one).exceeds(&span(other)) && !span(other).exceeds(&span(one)), "{one}");
    }
}

#[test]
fn windows_snap_to_the_calendar() {
    for (zone, span, now, start, end) in [
        ("UTC", "1d", "2026-11-28T10:00:00Z", "2026-11-28T00:00:00Z", "2026-11-29T00:00:00Z"),
        ("UTC", "24h", "2026-11-28T10:00:00Z", "2026-11-28T00:00:00Z", "2026-11-29T00:00:00Z"),
        ("UTC", "daily", "2026-11-28T10:00:00Z", "2026-11-28T00:00:00Z", "2026-11-29T00:00:00Z"),
        ("UTC", "7d", "2026-11-28T10:00:00Z", "2026-11-23T00:00:00Z", "2026-11-30T00:00:00Z"),
        ("UTC", "1w", "2026-11-30T00:00:00Z", "2026-11-30T00:00:00Z", "2026-12-07T00:00:00Z"),
        ("UTC", "30d", "2026-11-28T10:00:00Z", "2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z"),
        ("UTC", "1mo", "2026-12-31T23:59:59.999Z", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"),
        ("UTC", "1mo", "2028-02-29T12:00:00Z", "2028-02-01T00:00:00Z", "2028-03-01T00:00:00Z"),
        ("UTC", "1d", "2028-02-29T12:00:00Z", "2028-02-29T00:00:00Z", "2028-03-01T00:00:00Z"),
        ("UTC", "3mo", "2026-11-28T10:00:00Z", "2026-10-01T00:00:00Z", "2027-01-01T00:00:00Z"),
        ("UTC", "1h", "2026-11-28T10:30:00Z", "2026-11-28T10:00:00Z", "2026-11-28T11:00:00Z"),
        ("UTC", "5m", "2026-11-28T10:33:00Z", "2026-11-28T10:30:00Z", "2026-11-28T10:35:00Z"),
        ("UTC", "7h", "2026-11-28T22:00:00Z", "2026-11-28T21:00:00Z", "2026-11-29T00:00:00Z"),
        // Ten days from 2010-01-01 on.
        ("UTC", "10d", "2010-01-25T10:00:00Z", "2010-01-21T00:00:00Z", "2010-01-31T00:00:00Z"),
        ("UTC", "36h", "2010-01-03T10:00:00Z", "2010-01-02T12:00:00Z", "2010-01-04T00:00:00Z"),
        // Days of 23 and 25 hours.
        (
            "Europe/Berlin",
            "1d",
            "2026-03-29T12:00:00Z",
            "2026-03-28T23:00:00Z",
            "2026-03-29T22:00:00Z",
        ),
        (
            "Europe/Berlin",
            "1d",
            "2026-10-25T12:00:00Z",
            "2026-10-24T22:00:00Z",
            "2026-10-25T23:00:00Z",
        ),
        (
            "Europe/Berlin",
            "1mo",
            "2026-10-31T23:30:00Z",
            "2026-10-31T23:00:00Z",
            "2026-11-30T23:00:00Z",
        ),
        (
            "America/New_York",
            "1w",
            "2026-03-08T12:00:00Z",
            "2026-03-02T05:00:00Z",
            "2026-03-09T04:00:00Z",
        ),
        // The hour that comes twice is two windows.
        (
            "Europe/Berlin",
            "1h",
            "2026-10-25T00:30:00Z",
            "2026-10-25T00:00:00Z",
            "2026-10-25T01:00:00Z",
        ),
        (
            "Europe/Berlin",
            "1h",
            "2026-10-25T01:30:00Z",
            "2026-10-25T01:00:00Z",
            "2026-10-25T02:00:00Z",
        ),
        // A zone whose midnight does not exist on that day.
        (
            "America/Sao_Paulo",
            "1d",
            "2018-11-04T12:00:00Z",
            "2018-11-04T03:00:00Z",
            "2018-11-05T02:00:00Z",
        ),
    ] {
        assert_eq!(
            window(zone, span, now),
            (start.to_owned(), end.to_owned()),
            "{zone} {span} {now}"
        );
    }
}

#[test]
fn the_reset_has_a_time_of_day() {
    let zone = BudgetZone::named("Asia/Tokyo", "06:00").unwrap();
    let span = WrittenSpan::parse("1d").unwrap();
    let found = |now| zone.window(&span, at("2020-01-01T00:00:00Z"), at(now));
    // 05:59 in Tokyo is still the day before.
    assert_eq!(found("2026-11-27T20:59:00Z").end, at("2026-11-27T21:00:00Z"));
    assert_eq!(found("2026-11-27T21:00:00Z").start, at("2026-11-27T21:00:00Z"));
    assert!(BudgetZone::named("Mars/Olympus", "00:00").is_err());
    assert!(BudgetZone::named("UTC", "25:00").is_err());
}

#[test]
fn a_budget_set_in_mid_window_starts_then() {
    let span = WrittenSpan::parse("30d").unwrap();
    let set = at("2026-11-20T09:00:00Z");
    let found = BudgetZone::default().window(&span, set, at("2026-11-28T10:00:00Z"));
    assert_eq!((found.start, found.end), (set, at("2026-12-01T00:00:00Z")));
    let next = BudgetZone::default().window(&span, set, at("2026-12-02T10:00:00Z"));
    assert_eq!(next.start, at("2026-12-01T00:00:00Z"));
}

#[test]
fn expiry_is_exact() {
    let now = at("2026-01-31T10:00:00Z");
    for (span, end) in [
        ("0s", "2026-01-31T10:00:00Z"),
        ("0d", "2026-01-31T10:00:00Z"),
        ("90d", "2026-05-01T10:00:00Z"),
        ("1mo", "2026-02-28T10:00:00Z"),
        ("2w", "2026-02-14T10:00:00Z"),
        ("45m", "2026-01-31T10:45:00Z"),
    ] {
        assert_eq!(WrittenSpan::of_key(span, "duration").unwrap().after(now), at(end), "{span}");
    }
}

#[test]
fn bad_spans_are_refused_in_the_contracts_words() {
    for span in ["", "d", "30", "-1d", "1.5h", "1y", "0d", "99999999999d", "30 d", "1MO"] {
        let refusal = WrittenSpan::of_budget(span, "budget_duration").unwrap_err();
        assert_eq!(refusal.param, "budget_duration");
        let words = format!(
            "Invalid budget_duration '{span}'. Use a format like '1h', '24h', '7d', or '30d'."
        );
        assert_eq!(refusal.message, words);
    }
    assert!(WrittenSpan::of_key("0s", "duration").is_ok());
    assert!(WrittenSpan::of_key("soon", "duration").is_err());
}

proptest! {
    /// Every point of time lies in its window, both ends of a window agree, and windows adjoin.
    #[test]
    fn windows_tile_time(
        now in 1_577_836_800_000_i64..2_208_988_800_000,
        span in prop::sample::select(vec!["1m", "1h", "6h", "7h", "1d", "3d", "7d", "2w", "30d", "1mo", "5mo", "36h"]),
        zone in prop::sample::select(vec!["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"]),
    ) {
        let zone = BudgetZone::named(zone, "00:00").unwrap();
        let span = WrittenSpan::parse(span).unwrap();
        let (set, now) = (UtcTime::from_millis(0), UtcTime::from_millis(now));
        let found = zone.window(&span, set, now);
        prop_assert!(found.start <= now && now < found.end, "{found:?}");
        prop_assert_eq!(zone.window(&span, set, found.start), found);
        let last = UtcTime::from_millis(found.end.millis() - 1);
        prop_assert_eq!(zone.window(&span, set, last), found);
        prop_assert_eq!(zone.window(&span, set, found.end).start, found.end);
    }
}
