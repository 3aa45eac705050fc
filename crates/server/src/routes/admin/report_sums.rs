//! Sums of calls by groups, as reports read and add them.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use access::ledger::{SpendQuery, SpendRow, SpendSums};
use access::{CalendarDay, Nanodollars, UtcTime};
use serde::Serialize;

use super::answer::Dollars;
use super::error::AdminRefusal;
use super::request::AdminRequest;

/// Most groups of a report.
const MOST_GROUPS: u64 = 200_000;

/// The sums of a group. Its columns are those that were asked for, in their order.
#[derive(Debug, Clone)]
pub(super) struct SumRow(SpendRow);

/// Sums by name.
#[derive(Debug, Clone, Default)]
pub(super) struct Sums(BTreeMap<String, SpendSums>);

/// Counts and costs of calls, as LiteLLM names them. Prompt tokens include those read from and written to the cache.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct SpendMetrics {
    spend: Dollars,
    prompt_tokens: i64,
    completion_tokens: i64,
    cache_read_input_tokens: i64,
    cache_creation_input_tokens: i64,
    total_tokens: i64,
    successful_requests: i64,
    failed_requests: i64,
    api_requests: i64,
}

/// Asks the aggregates.
///
/// # Errors
/// The answer would have too many groups, or the store fails.
pub(super) async fn counted(
    request: &AdminRequest,
    query: SpendQuery,
) -> Result<Vec<SumRow>, AdminRefusal> {
    let query = SpendQuery { most: Some(MOST_GROUPS + 1), ..query };
    let rows = request.accounts.store().spend(query).await?;
    if rows.len() as u64 > MOST_GROUPS {
        let message = format!(
            "The report has more than {MOST_GROUPS} groups: ask for fewer days, or for one team or key."
        );
        return Err(AdminRefusal::bad(message));
    }
    Ok(rows.into_iter().map(SumRow).collect())
}

/// Groups by their first column, the day.
pub(super) fn by_day(rows: Vec<SumRow>) -> BTreeMap<CalendarDay, Vec<SumRow>> {
    let mut days: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for row in rows {
        if let Some(day) = row.day() {
            days.entry(day).or_default().push(row);
        }
    }
    days
}

impl SumRow {
    /// The value of a column.
    pub(super) fn at(&self, column: usize) -> &str {
        self.0.group.get(column).map_or("", String::as_str)
    }

    /// The day, where that is the first column.
    pub(super) fn day(&self) -> Option<CalendarDay> {
        // The shifted midnight, written as if it were that of UTC.
        self.at(0).parse().ok().map(UtcTime::from_millis).map(CalendarDay::of)
    }

    /// The sums.
    pub(super) fn sums(&self) -> &SpendSums {
        &self.0.sums
    }

    /// The cost.
    pub(super) fn cost(&self) -> Nanodollars {
        cost(&self.0.sums)
    }
}

impl Sums {
    /// Adds a group under a name.
    pub(super) fn add(&mut self, name: &str, row: &SumRow) {
        self.0.entry(name.to_owned()).or_default().add(row.sums());
    }

    /// The costs by name. Calls without one are left out.
    pub(super) fn costs(self) -> BTreeMap<String, Dollars> {
        let named = self.0.into_iter().filter(|(name, _)| !name.is_empty());
        named.map(|(name, sums)| (name, Dollars(cost(&sums)))).collect()
    }

    /// The sums, the dearest first.
    pub(super) fn by_cost(self) -> Vec<(String, SpendSums)> {
        let mut all: Vec<_> = self.0.into_iter().collect();
        all.sort_by_key(|(_, sums)| Reverse(sums.cost));
        all
    }
}

impl SpendMetrics {
    /// The metrics of these sums.
    pub(super) fn of(sums: &SpendSums) -> Self {
        Self {
            spend: Dollars(cost(sums)),
            prompt_tokens: prompt_tokens(sums),
            completion_tokens: sums.output,
            cache_read_input_tokens: sums.cache_read,
            cache_creation_input_tokens: sums.cache_write,
            total_tokens: total_tokens(sums),
            successful_requests: sums.succeeded,
            failed_requests: sums.failed,
            api_requests: sums.requests(),
        }
    }
}

/// The cost of sums.
pub(super) fn cost(sums: &SpendSums) -> Nanodollars {
    Nanodollars::new(sums.cost)
}

/// Tokens of prompts, those read from and written to the cache included.
pub(super) fn prompt_tokens(sums: &SpendSums) -> i64 {
    sums.input.saturating_add(sums.cache_read).saturating_add(sums.cache_write)
}

/// All tokens.
pub(super) fn total_tokens(sums: &SpendSums) -> i64 {
    prompt_tokens(sums).saturating_add(sums.output)
}
