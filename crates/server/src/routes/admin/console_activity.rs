//! `GET /outcrop/activity`: spend, calls and tokens over time, by one dimension, for an operator's page. Money is text
//! of nanodollars, because browsers have no exact numbers; one answer has all that a screen shows.

use std::time::Duration;

use access::ledger::{SpendColumn, SpendQuery, SpendSums};
use access::{CalendarDay, CalendarZone, UtcTime, ZoneHours};
use serde::Serialize;

use super::answer::AdminAnswer;
use super::console_series::{Curve, GroupBy, ReadSeries, Series, series};
use super::error::AdminRefusal;
use super::query::AdminQuery;
use super::report_names::ModelNames;
use super::report_range::within;
use super::report_scope::{AskedParties, selected};
use super::report_sums::{SumRow, counted, total_tokens};
use super::request::AdminRequest;

/// Most buckets of an answer.
const MOST_BUCKETS: usize = 1100;
/// Series told apart, where the request says no number, and at most.
const TOP: u64 = 8;
const MOST_SERIES: u64 = 100;
/// Days of an answer to a request that names no time.
const USUAL: Duration = Duration::from_hours(24 * 7);

/// Time that settlements take from a call's end to their commit, at most, while the store keeps up.
const USUAL_DELAY: Duration = Duration::from_secs(3);

/// The answer.
#[derive(Debug, Serialize)]
pub(super) struct ConsoleActivity {
    /// The starts of the buckets.
    buckets: Vec<UtcTime>,
    /// The largest series by cost.
    series: Vec<Series>,
    /// All others together.
    other: Curve,
    total: Totals,
    /// The totals of the time before, of the same length.
    previous: Totals,
    /// Whether more was spent than is known: some calls have no price.
    floor: bool,
    unpriced: i64,
    estimated: i64,
    /// The point up to which the calls of this process are counted.
    as_of: UtcTime,
    /// Whether it is so long ago that the sums lack calls.
    delayed: bool,
    from: UtcTime,
    to: UtcTime,
    zone: String,
    group: &'static str,
    /// Whether an hour across midnight counts to one day.
    approximate: bool,
    /// Whether a call counts in several series.
    overlapping: bool,
}

#[derive(Debug, Serialize)]
struct Totals {
    spend_nano: String,
    requests: i64,
    failed: i64,
    tokens: i64,
    input_tokens: i64,
    output_tokens: i64,
    cache_read_tokens: i64,
    cache_write_tokens: i64,
}

/// The width of buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BucketWidth {
    Hour,
    Day,
}

/// The parameters of a request.
pub(super) struct Ask {
    zone: CalendarZone,
    pub(super) zone_name: String,
    width: BucketWidth,
    pub(super) from: UtcTime,
    pub(super) to: UtcTime,
    buckets: Vec<UtcTime>,
}

/// A question that was answered: what other parts of a screen ask by.
pub(super) struct ReadActivity {
    pub(super) activity: ConsoleActivity,
    /// The parties and models.
    pub(super) question: SpendQuery,
    pub(super) ask: Ask,
    /// The sums of the dimension that series are of, the dearest first.
    pub(super) groups: (SpendColumn, Vec<(String, SpendSums)>),
}

/// `GET /outcrop/activity`.
pub(super) async fn activity(request: AdminRequest) -> Result<AdminAnswer, AdminRefusal> {
    let ReadActivity { activity, .. } = read(&request).await?;
    AdminAnswer::of(&activity).map(|answer| answer.header("cache-control", "no-store"))
}

/// Reads the activity that a request asks for.
///
/// # Errors
/// A parameter is none, the caller may not see it, or the store fails.
pub(super) async fn read(request: &AdminRequest) -> Result<ReadActivity, AdminRefusal> {
    let query = &request.query;
    let (by, ask) = (GroupBy::asked(query)?, Ask::read(query, request.accounts.now())?);
    let top = query.number("top", (1, MOST_SERIES))?.unwrap_or(TOP);
    let parties = AskedParties {
        key: query.text("key"),
        teams: query.text("team"),
        users: query.text("user"),
        customers: query.text("end_user"),
    };
    let length = ask.to.since(ask.from);
    let earlier = earlier(ask.from, length);
    let who = selected(request, parties).await?;
    let tags = query.text("tag").map(|tag| vec![tag.to_owned()]);
    let mut question = SpendQuery { who, tags, ..SpendQuery::default() };
    if let Some(model) = query.text("model") {
        question.models = Some(served(request, &question, (earlier, ask.to), model).await?);
    }
    let previous = whole(request, &question, (earlier, ask.from)).await?;
    let ReadSeries { series, other, total, groups } =
        series(request, &ask, (by, &question), top).await?;
    let parts = ask.zone.cut(ask.from, ask.to);
    let activity = ConsoleActivity {
        series,
        other,
        total: Totals::of(&total),
        previous: Totals::of(&previous),
        floor: total.unpriced > 0,
        unpriced: total.unpriced,
        estimated: total.estimated,
        as_of: request.accounts.settled_until(),
        delayed: is_delayed(request),
        from: ask.from,
        to: ask.to,
        zone: ask.zone_name.clone(),
        group: by.name(),
        approximate: ask.width == BucketWidth::Day && !parts.iter().all(ZoneHours::are_whole),
        overlapping: by == GroupBy::Tag,
        buckets: ask.buckets.clone(),
    };
    Ok(ReadActivity { activity, question, ask, groups: (by.column(), groups) })
}

/// Whether calls wait for the store longer than one that is well lets them.
pub(super) fn is_delayed(request: &AdminRequest) -> bool {
    let accounts = &request.accounts;
    accounts.now().since(accounts.settled_until()) > USUAL_DELAY
}

/// The sums of all calls between two points.
async fn whole(
    request: &AdminRequest,
    question: &SpendQuery,
    (from, until): (UtcTime, UtcTime),
) -> Result<SpendSums, AdminRefusal> {
    let query = SpendQuery { from, until, ..question.clone() };
    let mut total = SpendSums::default();
    counted(request, query).await?.iter().for_each(|row| total.add(row.sums()));
    Ok(total)
}

/// The ids under which a model was called.
pub(super) async fn served(
    request: &AdminRequest,
    question: &SpendQuery,
    (from, until): (UtcTime, UtcTime),
    model: &str,
) -> Result<Vec<String>, AdminRefusal> {
    let by = vec![SpendColumn::Model];
    let query = SpendQuery { from, until, by, ..question.clone() };
    let now = request.worker().now();
    let mut names = ModelNames::of(now.names.catalogue());
    let mut ids: Vec<_> =
        counted(request, query).await?.iter().map(|row| row.at(0).to_owned()).collect();
    ids.retain(|id| names.is_named(id, model));
    Ok(ids)
}

impl Ask {
    /// The time of rows, which is exact and has no buckets.
    pub(super) fn of_rows(query: &AdminQuery, now: UtcTime) -> Result<Self, AdminRefusal> {
        let (zone, zone_name) = zone(query)?;
        let (from, to) = times(query, &zone, now)?;
        Ok(Self { zone, zone_name, width: BucketWidth::Day, from, to, buckets: Vec::new() })
    }

    fn read(query: &AdminQuery, now: UtcTime) -> Result<Self, AdminRefusal> {
        let (zone, zone_name) = zone(query)?;
        let width = match query.text("bucket") {
            None | Some("day") => BucketWidth::Day,
            Some("hour") => BucketWidth::Hour,
            Some(other) => {
                let message = format!("Invalid bucket '{other}'. Use hour or day.");
                return Err(AdminRefusal::bad(message).param("bucket"));
            }
        };
        let (from, to) = times(query, &zone, now)?;
        // Hours are the smallest part of time here.
        let (from, to) = (from.hour(), ceiling(to));
        let mut ask = Self { zone, zone_name, width, from, to, buckets: Vec::new() };
        ask.buckets = ask.starts()?;
        Ok(ask)
    }

    /// The starts of the buckets; the first is cut where the time begins within it.
    fn starts(&self) -> Result<Vec<UtcTime>, AdminRefusal> {
        let mut starts = Vec::new();
        let mut at = self.from;
        while at < self.to {
            if starts.len() == MOST_BUCKETS {
                let message = format!(
                    "The time has more than {MOST_BUCKETS} buckets: ask for less of it, or for days."
                );
                return Err(AdminRefusal::bad(message).param("from"));
            }
            starts.push(at);
            at = match self.width {
                BucketWidth::Hour => at.plus(Duration::from_hours(1)),
                BucketWidth::Day => ceiling(self.zone.start_of(self.zone.day_of(at).next())),
            };
        }
        Ok(starts)
    }

    /// The number of buckets.
    pub(super) fn count(&self) -> usize {
        self.buckets.len()
    }

    /// Sums by bucket and the columns of a question, each with the position of its bucket.
    pub(super) async fn rows(
        &self,
        request: &AdminRequest,
        question: &SpendQuery,
    ) -> Result<Vec<(usize, SumRow)>, AdminRefusal> {
        let first = match self.width {
            BucketWidth::Hour => SpendColumn::Hour,
            BucketWidth::Day => SpendColumn::Day,
        };
        let mut rows = Vec::new();
        for hours in self.zone.cut(self.from, self.to) {
            let by = [&[first], &*question.by].concat();
            let query = SpendQuery { by, ..question.clone() };
            for row in counted(request, within(hours, query)).await? {
                let start = match self.width {
                    BucketWidth::Hour => row.at(0).parse().ok().map(UtcTime::from_millis),
                    BucketWidth::Day => {
                        row.day().map(|day| ceiling(self.zone.start_of(day)).max(self.from))
                    }
                };
                if let Some(at) = start.and_then(|start| self.position(start)) {
                    rows.push((at, row));
                }
            }
        }
        Ok(rows)
    }

    /// The position of the bucket that a point lies in.
    fn position(&self, at: UtcTime) -> Option<usize> {
        self.buckets.partition_point(|start| *start <= at).checked_sub(1)
    }
}

impl Totals {
    fn of(sums: &SpendSums) -> Self {
        Self {
            spend_nano: sums.cost.to_string(),
            requests: sums.requests(),
            failed: sums.failed,
            tokens: total_tokens(sums),
            input_tokens: sums.input,
            output_tokens: sums.output,
            cache_read_tokens: sums.cache_read,
            cache_write_tokens: sums.cache_write,
        }
    }
}

fn zone(query: &AdminQuery) -> Result<(CalendarZone, String), AdminRefusal> {
    let name = query.text("tz").unwrap_or("UTC").to_owned();
    match CalendarZone::named(&name) {
        Some(zone) => Ok((zone, name)),
        None => {
            let message = format!("Unknown time zone '{name}'. Use a name such as Europe/Paris.");
            Err(AdminRefusal::bad(message).param("tz"))
        }
    }
}

fn times(
    query: &AdminQuery,
    zone: &CalendarZone,
    now: UtcTime,
) -> Result<(UtcTime, UtcTime), AdminRefusal> {
    let from = match query.text("from") {
        Some(text) => point(text, zone, "from")?.0,
        None => earlier(now, USUAL),
    };
    let to = match query.text("to") {
        Some(text) => point(text, zone, "to")?.1,
        None => now,
    };
    Ok((from, to))
}

/// A point in time, or the first and the end of a day in a zone.
fn point(
    text: &str,
    zone: &CalendarZone,
    param: &'static str,
) -> Result<(UtcTime, UtcTime), AdminRefusal> {
    if let Some(day) = CalendarDay::parse(text) {
        // An hour across midnight belongs to the day it begins in.
        return Ok((ceiling(zone.start_of(day)), ceiling(zone.start_of(day.next()))));
    }
    let at = UtcTime::parse(text).ok_or_else(|| {
        let message = format!("Invalid time '{text}'. Use 2026-11-27 or 2026-11-27T09:00:00Z.");
        AdminRefusal::bad(message).param(param)
    })?;
    Ok((at, at))
}

fn earlier(at: UtcTime, span: Duration) -> UtcTime {
    let millis = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
    UtcTime::from_millis(at.millis().saturating_sub(millis))
}

/// The first whole hour that is not earlier.
fn ceiling(at: UtcTime) -> UtcTime {
    if at.hour() == at { at } else { at.hour().plus(Duration::from_hours(1)) }
}
