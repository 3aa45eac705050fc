//! Accounts as the gateway uses them: callers are authenticated from a cache that a revocation overtakes, calls are
//! reserved and settled, and records are changed.

mod admin;
mod book;
mod cache;
mod calls;
mod keys;
mod names;
mod open;
mod refusals;
mod spending;

pub use admin::AdminError;
pub use calls::{BudgetExceeded, CallAsk, Refused, Reservation};
pub use keys::{KeyRef, NewKey};
pub use names::PastRecord;
pub use open::{AccountSettings, Accounts, AuthError, OpenError};
pub use spending::{RecordSpend, ScopeSpend, SpendAsk};
