//! Lists of spend: of keys, users and tags.

use std::cmp::Reverse;

use access::ledger::{SpendColumn, SpendQuery};
use access::store::RecordQuery;
use access::{CalendarDay, CalendarZone, RecordKind, UtcTime, ZoneHours};
use serde::Serialize;

use super::answer::{AdminAnswer, Dollars};
use super::error::AdminRefusal;
use super::key_access::{self, KeyUse};
use super::key_row::KeyView;
use super::report_names::shown;
use super::report_range::{DayRange, within};
use super::report_scope::{AskedParties, selected};
use super::report_sums::{Sums, cost, counted};
use super::request::AdminRequest;

/// Most rows of a list.
const MOST: u64 = 10_000;

/// A tag of `/spend/tags`.
#[derive(Debug, Serialize)]
struct TagSpend {
    individual_request_tag: String,
    log_count: i64,
    total_spend: Dollars,
}

/// `GET /spend/keys`: rows of keys that the caller may read, the dearest first.
pub(super) async fn keys(request: AdminRequest) -> Result<AdminAnswer, AdminRefusal> {
    let limit = request.query.number("limit", (1, MOST))?;
    let all = RecordQuery::all(RecordKind::Key, request.accounts.now());
    let mut records = Vec::new();
    for (key, _) in key_access::every(&request, all).await? {
        if key_access::may(&request, &key, (KeyUse::Read, "/spend/keys")).await? {
            records.push(key);
        }
    }
    let mut views = KeyView::of_all(&request.accounts, records).await?;
    views.sort_by_key(|view| Reverse(view.spend()));
    views.truncate(usize::try_from(limit.unwrap_or(MOST)).unwrap_or(usize::MAX));
    let rows = views.iter().map(|view| view.row_with_token(&request.accounts));
    AdminAnswer::of(&rows.collect::<Vec<_>>())
}

/// `GET /spend/tags`: calls and spend of tags; a call counts for each of its tags.
pub(super) async fn tags(request: AdminRequest) -> Result<AdminAnswer, AdminRefusal> {
    let hours = match DayRange::optional(&request.query)? {
        Some(range) => range.hours(),
        None => all_time(request.accounts.now()),
    };
    let who = selected(&request, AskedParties::default()).await?;
    let mut sums = Sums::default();
    for hours in hours {
        let (by, who) = (vec![SpendColumn::Tag], who.clone());
        let query = SpendQuery { by, who, ..SpendQuery::default() };
        for row in counted(&request, within(hours, query)).await? {
            sums.add(row.at(0), &row);
        }
    }
    let tags = sums.by_cost().into_iter().map(|(tag, sums)| TagSpend {
        individual_request_tag: shown(&tag).to_owned(),
        log_count: sums.requests(),
        total_spend: Dollars(cost(&sums)),
    });
    AdminAnswer::of(&tags.collect::<Vec<_>>())
}

/// All hours up to now.
pub(super) fn all_time(now: UtcTime) -> Vec<ZoneHours> {
    let until = CalendarZone::utc().start_of(CalendarDay::of(now).next());
    vec![ZoneHours { from: UtcTime::default(), until, offset_minutes: 0 }]
}
