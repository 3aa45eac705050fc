//! Accounts of the gateway's callers: keys, records, policy, limits, the ledger and the arithmetic of costs
//! ([`spend`]). [`admit`] is the only source of an [`Admission`], and an admission is the only way to a
//! transport, so that no request reaches Bedrock without a principal and a policy.
//!
//! The server does not open any accounts yet: every caller of it is anonymous.

pub mod accounts;
mod admission;
mod calendar;
mod duration;
pub mod import;
mod invalid;
mod key;
pub mod ledger;
pub mod limit;
mod money;
pub mod policy;
mod principal;
mod record;
mod signature;
pub mod spend;
pub mod store;
mod time;

pub use accounts::Accounts;
pub use admission::{Admission, Denied, admit};
pub use calendar::{CalendarDay, CalendarZone, ZoneHours};
pub use duration::{BudgetWindow, BudgetZone, SpanUnit, WrittenSpan};
pub use invalid::InvalidField;
pub use key::{
    AwsKeyPair, KeyDigest, KeyToken, NoRandomness, Pepper, SecretKey, access_key_id, public_id_of,
};
pub use money::Nanodollars;
pub use principal::{CallTag, Caller, Customer, Holder, Principal};
pub use record::{
    BudgetInput, BudgetLimitInput, BudgetRecord, BudgetRule, CustomerInput, CustomerRecord,
    DEFAULT_USER, GeographyRule, KeyInput, KeyRecord, KeyType, LimitInput, LimitType, Limits,
    Links, MemberInput, MemberRecord, ModelBudgetInput, Record, RecordKind, Set, Stamp, TagInput,
    TagRecord, TeamInput, TeamMember, TeamRecord, TeamRole, UnsupportedParams, UserInput,
    UserRecord, UserRole,
};
pub use signature::{SignatureClaim, SignatureError, SignedRequest};
pub use time::{Clock, UtcTime};
