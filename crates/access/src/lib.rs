//! Accounts of the gateway's callers. [`admit`] is the only source of an [`Admission`], and an admission is
//! the only way to a transport, so that no request reaches Bedrock without a principal and a policy.
//!
//! Keys and limits are not built yet: every caller is anonymous and every request is granted. [`spend`] holds the
//! arithmetic of costs.

mod admission;
mod principal;
pub mod spend;

pub use admission::{Admission, Denied, admit};
pub use principal::Principal;
