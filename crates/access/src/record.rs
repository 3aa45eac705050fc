//! Records of accounts: keys, teams, members, users, customers, tags and budget rows, with the fields of LiteLLM's
//! admin API. A request's fields are an input type, in which an absent field and null differ; a record merges it.
//! The moving of reserved names in and out of `metadata` belongs to the HTTP layer.

mod budget;
mod customer;
mod key;
mod limits;
mod set;
mod tag;
mod team;
mod text;
mod user;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub use budget::{BudgetInput, BudgetRecord};
pub use customer::{CustomerInput, CustomerRecord, GeographyRule};
pub use key::{KeyInput, KeyRecord, KeyType, LimitType, UnsupportedParams};
pub(crate) use limits::whole;
pub use limits::{BudgetLimitInput, BudgetRule, LimitInput, Limits, ModelBudgetInput};
pub use set::Set;
pub use tag::{TagInput, TagRecord};
pub use team::{MemberInput, MemberRecord, TeamInput, TeamMember, TeamRecord, TeamRole};
pub use user::{UserInput, UserRecord, UserRole};

use crate::UtcTime;

/// The identity that the master key acts as.
pub const DEFAULT_USER: &str = "default_user_id";

/// The kind of a record, and of the scope of its limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordKind {
    /// A key.
    Key,
    /// A team.
    Team,
    /// A user's membership of a team.
    Member,
    /// A person inside.
    User,
    /// An end user.
    Customer,
    /// A tag.
    Tag,
    /// A row of limits that keys and customers refer to.
    Budget,
}

impl RecordKind {
    /// The name in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Team => "team",
            Self::Member => "member",
            Self::User => "user",
            Self::Customer => "customer",
            Self::Tag => "tag",
            Self::Budget => "budget",
        }
    }
}

/// The times of a record, and the parties that wrote it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// The time it was made.
    pub created_at: UtcTime,
    /// The identity that made it.
    pub created_by: String,
    /// The time of the last change.
    pub updated_at: UtcTime,
    /// The identity that made the last change.
    pub updated_by: String,
}

impl Stamp {
    /// A new record's.
    pub fn new(now: UtcTime, actor: &str) -> Self {
        let (created_by, updated_by) = (actor.to_owned(), actor.to_owned());
        Self { created_at: now, created_by, updated_at: now, updated_by }
    }

    /// Notes a change.
    pub fn touch(&mut self, now: UtcTime, actor: &str) {
        self.updated_at = now;
        actor.clone_into(&mut self.updated_by);
    }
}

/// A record as the store sees it: a document with a few fields to find it by.
pub trait Record: Serialize + DeserializeOwned + Clone + Send + Sync + 'static {
    /// Its kind.
    const KIND: RecordKind;

    /// Its id, unique among those of its kind.
    fn id(&self) -> String;

    /// Its references and the name people give it.
    fn links(&self) -> Links<'_>;

    /// Its times.
    fn stamp_mut(&mut self) -> &mut Stamp;
}

/// Fields by which records are found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Links<'r> {
    /// The alias; of keys it is unique.
    pub alias: Option<&'r str>,
    /// The team it belongs to.
    pub team: Option<&'r str>,
    /// The user it belongs to.
    pub user: Option<&'r str>,
    /// The organization it belongs to.
    pub organization: Option<&'r str>,
    /// The budget row it refers to.
    pub budget: Option<&'r str>,
    /// The time it expires.
    pub expires: Option<UtcTime>,
    /// Whether it is blocked.
    pub blocked: bool,
}

#[cfg(test)]
mod tests;
