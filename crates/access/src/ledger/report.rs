//! Questions to the ledger and its aggregates.

use super::{CallState, Closing};
use crate::UtcTime;

/// Stands for the end users and tags of an hour beyond the first ones, by default [`MOST_NAMES`]. Its control character is in no id.
pub const OTHER: &str = "\u{1}other";
/// Most end users, and most tags, of an hour that have aggregates of their own, unless a store is told otherwise: both
/// are named by callers, who could fill it with them.
pub const MOST_NAMES: u64 = 10_000;

/// A selection by the parties of calls. An absent list selects all, an empty one none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PartyFilter {
    /// Rows of keys.
    pub keys: Option<Vec<String>>,
    /// Teams.
    pub teams: Option<Vec<String>>,
    /// Users.
    pub users: Option<Vec<String>>,
    /// End users.
    pub customers: Option<Vec<String>>,
    /// The calls that the asking party may see at all.
    pub visible: Option<VisibleCalls>,
}

/// The calls that a party may see: those of any of these.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VisibleCalls {
    /// Rows of keys.
    pub keys: Vec<String>,
    /// Teams.
    pub teams: Vec<String>,
    /// Users.
    pub users: Vec<String>,
}

/// A selection of rows. Both ends of the times are inclusive.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CallFilter {
    /// Rows that began at this time or later.
    pub from: Option<UtcTime>,
    /// Rows that began at this time or before.
    pub until: Option<UtcTime>,
    /// The request's id.
    pub id: Option<String>,
    /// The parties.
    pub who: PartyFilter,
    /// Whether calls under way are left out.
    pub ended: bool,
    /// The session.
    pub session_id: Option<String>,
    /// The model that served.
    pub model: Option<String>,
    /// One of these models served.
    pub models: Option<Vec<String>>,
    /// The region that was called.
    pub region: Option<String>,
    /// One of the tags.
    pub tag: Option<String>,
    /// Only rows that began before this time, or at it with a smaller id.
    pub before: Option<(UtcTime, String)>,
    /// The operator's name.
    pub model_group: Option<String>,
    /// The code of the error.
    pub error_code: Option<String>,
    /// Successful or failed calls only.
    pub succeeded: Option<bool>,
    /// Least cost in nanodollars.
    pub min_cost: Option<i64>,
    /// Most cost in nanodollars.
    pub max_cost: Option<i64>,
    /// The order; ties by time and id.
    pub sort: CallSort,
    /// The other way round: smallest first.
    pub ascending: bool,
    /// Rows left out.
    pub offset: u64,
    /// Most rows returned.
    pub limit: u64,
}

/// The orders of rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CallSort {
    /// By the time they began.
    #[default]
    Start,
    /// By the time they ended.
    End,
    /// By cost.
    Spend,
    /// By the sum of tokens.
    Tokens,
    /// By duration.
    Duration,
    /// By time to the first byte.
    FirstByte,
    /// By model.
    Model,
}

/// A row as it is read. Calls under way have no end and no outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallRow {
    /// The call and, of one under way, an outcome of zeros.
    pub closing: Closing,
    /// Whether it is still under way.
    pub under_way: bool,
}

/// The newest rows of a selection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewestCalls {
    /// The rows, newest first.
    pub rows: Vec<CallRow>,
    /// The point to which they were looked for, where a search ended before it had seen all older rows and found as many as
    /// were asked for.
    pub searched: Option<UtcTime>,
}

/// Durations of the newest successful calls of a selection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Durations {
    /// The number of calls.
    pub calls: u64,
    /// Whether the selection may have more of them.
    pub sampled: bool,
    /// To the last byte of answers.
    pub total: Percentiles,
    /// To the first byte of answers, where it was seen.
    pub first: Percentiles,
}

/// Percentiles in milliseconds, by the nearest rank; absent without any value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Percentiles {
    /// The value that half of them do not exceed.
    pub p50: Option<u64>,
    /// The value that 95 in 100 do not exceed.
    pub p95: Option<u64>,
}

/// Columns of the aggregates, to group by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpendColumn {
    /// The day, shifted by the query's offset; as milliseconds since 1970 of the shifted midnight.
    Day,
    /// The hour in UTC; as milliseconds since 1970.
    Hour,
    /// The key's row.
    Key,
    /// The team.
    Team,
    /// The user.
    User,
    /// The end user.
    Customer,
    /// The model that served.
    Model,
    /// The region.
    Region,
    /// `success` or `failure`.
    Status,
    /// A tag. Calls with several tags count for each, so that sums overlap; calls without any are left out.
    Tag,
}

/// A question to the aggregates. Both ends are hours, inclusive and exclusive.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SpendQuery {
    /// The first hour.
    pub from: UtcTime,
    /// The end of the last hour.
    pub until: UtcTime,
    /// Minutes that local time is ahead of UTC, for days.
    pub offset_minutes: i32,
    /// The columns to group by, in the order of the answer.
    pub by: Vec<SpendColumn>,
    /// The parties.
    pub who: PartyFilter,
    /// The models that served; absent for all.
    pub models: Option<Vec<String>>,
    /// Only calls with one of these tags; those with several of them count for each.
    pub tags: Option<Vec<String>>,
    /// Most groups returned, whichever; absent returns all.
    pub most: Option<u64>,
}

/// A group of the aggregates.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SpendRow {
    /// The values of the columns; the empty text where a call had none.
    pub group: Vec<String>,
    /// The sums.
    pub sums: SpendSums,
}

/// Sums of calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SpendSums {
    /// Successful calls.
    pub succeeded: i64,
    /// Failed calls.
    pub failed: i64,
    /// Input tokens.
    pub input: i64,
    /// Output tokens.
    pub output: i64,
    /// Tokens read from the prompt cache.
    pub cache_read: i64,
    /// Tokens written to the prompt cache.
    pub cache_write: i64,
    /// Cost in nanodollars.
    pub cost: i64,
    /// Calls without a price.
    pub unpriced: i64,
    /// Calls whose usage is an estimate.
    pub estimated: i64,
}

impl Percentiles {
    /// Those of some values.
    pub(crate) fn of(mut values: Vec<u64>) -> Self {
        values.sort_unstable();
        let at = |percent: usize| {
            let rank = (values.len() * percent).div_ceil(100);
            values.get(rank.saturating_sub(1)).copied()
        };
        Self { p50: at(50), p95: at(95) }
    }
}

impl SpendQuery {
    /// Whether it is answered from the sums by tag.
    pub(crate) fn is_by_tag(&self) -> bool {
        self.tags.is_some() || self.by.contains(&SpendColumn::Tag)
    }
}

impl SpendSums {
    /// Calls.
    pub const fn requests(&self) -> i64 {
        self.succeeded.saturating_add(self.failed)
    }

    /// The sums of one call.
    pub(crate) fn of(closing: &Closing) -> Self {
        let count = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        let outcome = &closing.outcome;
        let ok = closing.succeeded();
        Self {
            succeeded: i64::from(ok),
            failed: i64::from(!ok),
            input: count(outcome.input),
            output: count(outcome.output),
            cache_read: count(outcome.cache_read),
            cache_write: count(outcome.cache_write_5m.saturating_add(outcome.cache_write_1h)),
            cost: closing.charged().nano(),
            unpriced: i64::from(closing.state != CallState::Voided && outcome.cost.is_none()),
            estimated: i64::from(closing.state == CallState::Estimated),
        }
    }

    /// Adds other sums.
    pub fn add(&mut self, other: &Self) {
        for (sum, more) in self.columns_mut().into_iter().zip(other.columns()) {
            *sum = sum.saturating_add(more);
        }
    }

    /// Takes other sums away.
    pub fn subtract(&mut self, other: &Self) {
        for (sum, less) in self.columns_mut().into_iter().zip(other.columns()) {
            *sum = sum.saturating_sub(less);
        }
    }

    /// The sums in the order of the store's columns.
    pub(crate) fn columns(&self) -> [i64; 9] {
        let Self {
            succeeded,
            failed,
            input,
            output,
            cache_read,
            cache_write,
            cost,
            unpriced,
            estimated,
        } = *self;
        [succeeded, failed, input, output, cache_read, cache_write, cost, unpriced, estimated]
    }

    pub(crate) fn columns_mut(&mut self) -> [&mut i64; 9] {
        let Self {
            succeeded,
            failed,
            input,
            output,
            cache_read,
            cache_write,
            cost,
            unpriced,
            estimated,
        } = self;
        [succeeded, failed, input, output, cache_read, cache_write, cost, unpriced, estimated]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let of = |values: &[u64]| {
            let Percentiles { p50, p95 } = Percentiles::of(values.to_vec());
            (p50, p95)
        };
        assert_eq!(of(&(1..=100).rev().collect::<Vec<_>>()), (Some(50), Some(95)));
        assert_eq!(of(&[7]), (Some(7), Some(7)));
        assert_eq!(of(&[3, 1, 2]), (Some(2), Some(3)));
        assert_eq!(of(&[]), (None, None));
    }
}
