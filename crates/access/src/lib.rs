//! Accounts of the gateway's callers: keys, records, signatures and the arithmetic of costs ([`spend`]). [`admit`] is the
//! only source of an [`Admission`], and an admission is the only way to a transport, so that no request reaches
//! Bedrock without a principal and a policy.
//!
//! Limits and the ledger are not built yet: every caller is anonymous and every request is granted.

mod admission;
mod duration;
mod invalid;
mod key;
mod money;
mod principal;
mod record;
mod signature;
pub mod spend;
mod time;

pub use admission::{Admission, Denied, admit};
pub use duration::{BudgetWindow, BudgetZone, SpanUnit, WrittenSpan};
pub use invalid::InvalidField;
pub use key::{AwsKeyPair, KeyDigest, KeyToken, NoRandomness, Pepper, SecretKey, public_id_of};
pub use money::Nanodollars;
pub use principal::Principal;
pub use record::{
    BudgetInput, BudgetLimitInput, BudgetRecord, BudgetRule, CustomerInput, CustomerRecord,
    DEFAULT_USER, GeographyRule, KeyInput, KeyRecord, KeyType, LimitInput, LimitType, Limits,
    Links, MemberInput, MemberRecord, ModelBudgetInput, Record, RecordKind, Set, Stamp, TagInput,
    TagRecord, TeamInput, TeamMember, TeamRecord, TeamRole, UserInput, UserRecord, UserRole,
};
pub use signature::{SignatureClaim, SignatureError, SignedRequest};
pub use time::{Clock, UtcTime};
