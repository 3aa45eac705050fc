//! `GET /outcrop/requests`: the newest calls and refusals of a selection, a page at a time by a cursor, for an operator's
//! page; `GET /outcrop/requests.csv`, the same as a table. Texts are cut, because callers make some of them up.

use std::cmp::Reverse;

use access::UtcTime;
use access::ledger::{CallFilter, RefusalFilter, SpendColumn, SpendQuery, SpendSums};
use serde::Serialize;

use super::answer::AdminAnswer;
use super::console_activity::{Ask, is_delayed, served};
use super::console_facets::{Facets, facets};
use super::console_row::{ConsoleRow, LedgerEntry, RowNames};
use super::error::AdminRefusal;
use super::query::AdminQuery;
use super::report_csv::CsvTable;
use super::report_scope::{AskedParties, selected};
use super::report_sums::counted;
use super::request::AdminRequest;

/// Rows of a page, where the request says no number, and at most.
const SIZES: (u64, u64) = (50, 200);
/// Most rows of a table of comma-separated values.
const MOST_ROWS: u64 = 10_000;
/// Rows read at once for such a table.
const BATCH: u64 = 1000;
/// Says that a table is cut.
const TRUNCATED: &str = "x-outcrop-truncated";

#[derive(Debug, Serialize)]
struct RequestPage<'r> {
    rows: Vec<ConsoleRow<'r>>,
    /// The cursor of the next page, if there may be one.
    next: Option<String>,
    /// The point to which a search was made that ended before the page was full: it goes on at `next`.
    searched: Option<UtcTime>,
    from: UtcTime,
    to: UtcTime,
    zone: String,
    /// The point up to which the calls of this process are counted.
    as_of: UtcTime,
    /// Whether it is so long ago that the sums lack calls.
    delayed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    sums: Option<Sums>,
    #[serde(skip_serializing_if = "Option::is_none")]
    facets: Option<Facets>,
}

/// Sums of the selection, as far as the aggregates know its filters.
#[derive(Debug, Serialize)]
struct Sums {
    spend_nano: String,
    requests: i64,
    failed: i64,
    floor: bool,
}

/// The outcomes that are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcomes {
    All,
    Succeeded,
    /// Failed and refused ones.
    Failed,
    Refused,
}

/// A page of rows.
struct Entries {
    /// Newest first.
    rows: Vec<LedgerEntry>,
    /// The point to which a search was made that ended before the page was full.
    searched: Option<UtcTime>,
    /// The place of the next page, if there may be one.
    next: Option<(UtcTime, String)>,
}

/// The selection of a request.
struct Selection {
    calls: CallFilter,
    refusals: RefusalFilter,
    outcomes: Outcomes,
    /// Whether refusals cannot be of the selection, because they have no such member.
    only_calls: bool,
    ask: Ask,
}

/// `GET /outcrop/requests`.
pub(super) async fn page(request: AdminRequest) -> Result<AdminAnswer, AdminRefusal> {
    let query = &request.query;
    let limit = query.number("limit", (1, SIZES.1))?.unwrap_or(SIZES.0);
    let selection = Selection::read(&request).await?;
    let before = query.text("before").map(cursor).transpose()?;
    let wants_facets = query.flag("facets")?;
    let Entries { rows: entries, searched, next } =
        selection.entries(&request, (before, limit)).await?;
    let names = RowNames::read(&request, &entries).await?;
    let (sums, facets) = match wants_facets {
        true => (
            selection.sums(&request).await?,
            Some(facets(&request, &selection.ask, &selection.calls.who).await?),
        ),
        false => (None, None),
    };
    AdminAnswer::of(&RequestPage {
        rows: entries.iter().map(|entry| ConsoleRow::of(entry, &names)).collect(),
        next: next.map(|(at, id)| format!("{}.{id}", at.millis())),
        searched,
        from: selection.ask.from,
        to: selection.ask.to,
        zone: selection.ask.zone_name.clone(),
        as_of: request.accounts.settled_until(),
        delayed: is_delayed(&request),
        sums,
        facets,
    })
    .map(|answer| answer.header("cache-control", "no-store"))
}

/// `GET /outcrop/requests.csv`.
pub(super) async fn csv(request: AdminRequest) -> Result<AdminAnswer, AdminRefusal> {
    let selection = Selection::read(&request).await?;
    let mut table = CsvTable::new(&ConsoleRow::COLUMNS);
    let (mut before, mut count) = (None, 0);
    loop {
        let entries = selection.entries(&request, (before.take(), BATCH)).await?;
        let names = RowNames::read(&request, &entries.rows).await?;
        for entry in &entries.rows {
            ConsoleRow::of(entry, &names).write(&mut table);
        }
        count += entries.rows.len() as u64;
        before = entries.next;
        if before.is_none() || count >= MOST_ROWS {
            break;
        }
    }
    let answer = AdminAnswer::csv(table.text()).header("cache-control", "no-store");
    let answer = answer.header("content-disposition", "attachment; filename=\"requests.csv\"");
    Ok(if before.is_some() { answer.header(TRUNCATED, "true") } else { answer })
}

impl Selection {
    async fn read(request: &AdminRequest) -> Result<Self, AdminRefusal> {
        let query = &request.query;
        let ask = Ask::of_rows(query, request.accounts.now())?;
        let parties = AskedParties {
            key: query.text("key"),
            teams: query.text("team"),
            users: query.text("user"),
            customers: query.text("end_user"),
        };
        let who = selected(request, parties).await?;
        let owned = |name: &str| query.text(name).map(str::to_owned);
        let models = match query.text("model") {
            None => None,
            Some(model) => {
                let question = SpendQuery { who: who.clone(), ..SpendQuery::default() };
                let mut ids = served(request, &question, (ask.from, ask.to), model).await?;
                ids.push(model.to_owned());
                Some(ids)
            }
        };
        let outcomes = Outcomes::read(query)?;
        // Both ends of a filter are inclusive; the end of the time is not.
        let until = UtcTime::from_millis(ask.to.millis().saturating_sub(1));
        let calls = CallFilter {
            from: Some(ask.from),
            until: Some(until),
            id: owned("id"),
            who: who.clone(),
            session_id: owned("session"),
            models: models.clone(),
            region: owned("region"),
            tag: owned("tag"),
            error_code: owned("code"),
            succeeded: match outcomes {
                Outcomes::All | Outcomes::Refused => None,
                Outcomes::Succeeded => Some(true),
                Outcomes::Failed => Some(false),
            },
            ..CallFilter::default()
        };
        let refusals = RefusalFilter {
            from: Some(ask.from),
            until: Some(until),
            id: owned("id"),
            who,
            models,
            code: owned("code"),
            ..RefusalFilter::default()
        };
        let of_calls = ["end_user", "session", "region", "tag"];
        let only_calls = of_calls.iter().any(|name| query.text(name).is_some());
        Ok(Self { calls, refusals, outcomes, only_calls, ask })
    }

    /// The newest calls and refusals before a point, newest first.
    async fn entries(
        &self,
        request: &AdminRequest,
        (before, limit): (Option<(UtcTime, String)>, u64),
    ) -> Result<Entries, AdminRefusal> {
        let store = request.accounts.store();
        let (mut entries, mut searched) = (Vec::new(), None);
        if self.outcomes != Outcomes::Refused {
            let filter = CallFilter { before: before.clone(), limit, ..self.calls.clone() };
            let newest = store.newest(filter).await?;
            searched = newest.searched;
            entries.extend(newest.rows.into_iter().map(LedgerEntry::Call));
        }
        if self.outcomes != Outcomes::Succeeded && !self.only_calls {
            let filter = RefusalFilter { before, limit, ..self.refusals.clone() };
            entries.extend(store.refusals(filter).await?.into_iter().map(LedgerEntry::Refusal));
        }
        entries.sort_by_key(|entry| Reverse(entry.point()));
        entries.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        // Refusals from before the end of a search come with the calls beside them.
        entries.retain(|entry| searched.is_none_or(|end| entry.point().0 >= end));
        let is_full = entries.len() as u64 == limit;
        let next = match searched.filter(|_| !is_full) {
            Some(end) => Some((end, String::new())),
            None => entries.last().filter(|_| is_full).map(LedgerEntry::point),
        };
        Ok(Entries { rows: entries, searched: searched.filter(|_| !is_full), next })
    }

    /// The sums of the selection; absent where a filter is of rows alone.
    async fn sums(&self, request: &AdminRequest) -> Result<Option<Sums>, AdminRefusal> {
        let query = &request.query;
        let of_rows = ["id", "session", "code"].iter().any(|name| query.text(name).is_some());
        if of_rows || self.outcomes == Outcomes::Refused {
            return Ok(None);
        }
        let question = SpendQuery {
            from: self.ask.from.hour(),
            until: self.ask.to,
            by: match self.calls.region {
                Some(_) => vec![SpendColumn::Status, SpendColumn::Region],
                None => vec![SpendColumn::Status],
            },
            who: self.calls.who.clone(),
            models: self.calls.models.clone(),
            tags: self.calls.tag.clone().map(|tag| vec![tag]),
            ..SpendQuery::default()
        };
        let mut sums = SpendSums::default();
        for row in counted(request, question).await? {
            let is_asked = match self.outcomes {
                Outcomes::All | Outcomes::Refused => true,
                Outcomes::Succeeded => row.at(0) == "success",
                Outcomes::Failed => row.at(0) == "failure",
            };
            if is_asked && self.calls.region.as_deref().is_none_or(|region| region == row.at(1)) {
                sums.add(row.sums());
            }
        }
        Ok(Some(Sums {
            spend_nano: sums.cost.to_string(),
            requests: sums.requests(),
            failed: sums.failed,
            floor: sums.unpriced > 0,
        }))
    }
}

impl Outcomes {
    fn read(query: &AdminQuery) -> Result<Self, AdminRefusal> {
        match query.text("status") {
            None => Ok(Self::All),
            Some("success") => Ok(Self::Succeeded),
            Some("failure") => Ok(Self::Failed),
            Some("refused") => Ok(Self::Refused),
            Some(other) => {
                let message = format!("Invalid status '{other}'. Use success, failure or refused.");
                Err(AdminRefusal::bad(message).param("status"))
            }
        }
    }
}

/// The point that a cursor stands for: milliseconds, a dot, and an id.
fn cursor(text: &str) -> Result<(UtcTime, String), AdminRefusal> {
    let parts = text.split_once('.').and_then(|(at, id)| Some((at.parse().ok()?, id)));
    parts.map(|(at, id)| (UtcTime::from_millis(at), id.to_owned())).ok_or_else(|| {
        let message = format!("Invalid before '{text}'. Use the value of next of another page.");
        AdminRefusal::bad(message).param("before")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_are_a_time_and_an_id() {
        assert_eq!(cursor("12.req_1.2").unwrap(), (UtcTime::from_millis(12), "req_1.2".to_owned()));
        for bad in ["", "12", "x.req_1", ".a"] {
            assert!(cursor(bad).unwrap_err().message().contains("Invalid before"), "{bad}");
        }
    }
}
