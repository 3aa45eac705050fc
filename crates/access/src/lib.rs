//! Accounts of the gateway's callers: keys, records, policies, limits, budgets and the ledger. [`admit`] is the
//! only source of an [`Admission`], and an admission is the only way to a transport, so that no request reaches
//! Bedrock without a principal and a policy.

mod admission;
mod invalid;
mod key;
mod principal;
mod time;

pub use admission::{Admission, Denied, admit};
pub use invalid::InvalidField;
pub use key::{AwsKeyPair, KeyDigest, KeyToken, NoRandomness, Pepper, SecretKey, public_id_of};
pub use principal::Principal;
pub use time::{Clock, UtcTime};
