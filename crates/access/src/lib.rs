//! Accounts of the gateway's callers. [`admit`] is the only source of an [`Admission`], and an admission is
//! the only way to a transport, so that no request reaches Bedrock without a principal and a policy.
//!
//! Keys, limits and spend are not built yet: every caller is anonymous and every request is granted.

mod admission;
mod principal;

pub use admission::{Admission, Denied, admit};
pub use principal::Principal;
