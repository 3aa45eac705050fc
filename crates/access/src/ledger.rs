//! The ledger: one row for each call, written before the call is made and settled after it. Counters and aggregates
//! change in the transaction that settles, so that they are sums of the rows and no second truth.

mod intents;
mod reaper;
mod refusal;
mod report;
mod roller;
mod row;
mod slices;
mod writer;

pub(crate) use refusal::RefusalQueue;
pub use refusal::{Refusal, RefusalCount, RefusalFilter};
pub use report::{
    CallFilter, CallRow, CallSort, Durations, MOST_NAMES, NewestCalls, OTHER, PartyFilter,
    Percentiles, SpendColumn, SpendQuery, SpendRow, SpendSums, VisibleCalls,
};
pub use row::{
    Attribution, CallOutcome, CallState, Charge, Closing, CounterKey, CounterState, OpenOutcome,
    Opening, ScopeKind,
};
pub use slices::{Slice, SliceAmounts};
pub use writer::{FailMode, LedgerOptions, LedgerWriter, OpenRefusal, OpenedCall};
