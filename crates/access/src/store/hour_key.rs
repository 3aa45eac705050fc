//! The aggregates' rows: an hour with the dimensions that sums are kept by, the same in every store.

use std::collections::BTreeMap;

use crate::UtcTime;
use crate::ledger::{
    Closing, OTHER, Opening, PartyFilter, SpendColumn, SpendQuery, SpendSums, VisibleCalls,
};

const MINUTE: i64 = 60_000;
const DAY: i64 = 86_400_000;

/// The dimensions of a sum.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct HourKey {
    pub(super) hour: UtcTime,
    pub(super) key_id: String,
    pub(super) team: String,
    pub(super) user: String,
    pub(super) customer: String,
    pub(super) model: String,
    pub(super) region: String,
    pub(super) status: &'static str,
}

/// A dimension whose values callers make up, so that their number is bounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Dimension {
    Customer,
    Tag,
}

/// A value of a bounded dimension in an hour.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct HourName {
    pub(super) hour: UtcTime,
    pub(super) dimension: Dimension,
    pub(super) name: String,
}

/// Sums of some calls: of all by their dimensions, and once more by each of their tags.
#[derive(Debug, Clone, Default)]
pub(super) struct HourSums {
    pub(super) all: BTreeMap<HourKey, SpendSums>,
    pub(super) by_tag: BTreeMap<(HourKey, String), SpendSums>,
}

impl Dimension {
    pub(super) const ALL: [Self; 2] = [Self::Customer, Self::Tag];

    /// The name in the store.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::Tag => "tag",
        }
    }
}

impl HourName {
    /// The bounded values of a call.
    pub(super) fn of(closing: &Closing) -> Vec<Self> {
        let Opening { at, who, .. } = &*closing.call;
        let named =
            |dimension, name: &String| Self { hour: at.hour(), dimension, name: name.clone() };
        let customer = who.customer.iter().map(|name| named(Dimension::Customer, name));
        customer.chain(who.tags.iter().map(|name| named(Dimension::Tag, name))).collect()
    }
}

impl HourSums {
    /// Adds a call. Values for which the hour has no room count as [`OTHER`].
    pub(super) fn add(&mut self, closing: &Closing, has_room: impl Fn(&HourName) -> bool) {
        let mut key = HourKey::of(closing);
        let mut tags = Vec::new();
        for value in HourName::of(closing) {
            let name = if has_room(&value) { value.name } else { OTHER.to_owned() };
            match value.dimension {
                Dimension::Customer => key.customer = name,
                Dimension::Tag if tags.contains(&name) => {}
                Dimension::Tag => tags.push(name),
            }
        }
        let sums = SpendSums::of(closing);
        for tag in tags {
            self.by_tag.entry((key.clone(), tag)).or_default().add(&sums);
        }
        self.all.entry(key).or_default().add(&sums);
    }
}

impl HourKey {
    /// The first of all from a point on.
    pub(super) fn start_of(hour: UtcTime) -> Self {
        let [key_id, team, user, customer, model, region] = std::array::from_fn(|_| String::new());
        Self { hour, key_id, team, user, customer, model, region, status: "" }
    }

    fn of(closing: &Closing) -> Self {
        let Opening { at, who, .. } = &*closing.call;
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        Self {
            hour: at.hour(),
            key_id: who.key_id.clone(),
            team: text(&who.team),
            user: text(&who.user),
            customer: text(&who.customer),
            model: closing.outcome.model.clone(),
            region: text(&closing.outcome.region),
            status: if closing.succeeded() { "success" } else { "failure" },
        }
    }

    /// The value of a column; `tag` is empty in sums over all calls.
    pub(super) fn column(&self, column: SpendColumn, tag: &str, offset_minutes: i32) -> String {
        match column {
            SpendColumn::Day => day(self.hour, offset_minutes),
            SpendColumn::Hour => self.hour.millis().to_string(),
            SpendColumn::Key => self.key_id.clone(),
            SpendColumn::Team => self.team.clone(),
            SpendColumn::User => self.user.clone(),
            SpendColumn::Customer => self.customer.clone(),
            SpendColumn::Model => self.model.clone(),
            SpendColumn::Region => self.region.clone(),
            SpendColumn::Status => self.status.to_owned(),
            SpendColumn::Tag => tag.to_owned(),
        }
    }
}

fn day(hour: UtcTime, offset_minutes: i32) -> String {
    (hour.millis() + i64::from(offset_minutes) * MINUTE)
        .div_euclid(DAY)
        .saturating_mul(DAY)
        .to_string()
}

impl SpendQuery {
    /// Whether a sum is part of the answer.
    pub(super) fn takes(&self, at: &HourKey, tag: &str) -> bool {
        let is = |wanted: &Option<Vec<String>>, found: &str| {
            wanted.as_ref().is_none_or(|list| list.iter().any(|one| one == found))
        };
        let party =
            Party { key: &at.key_id, team: &at.team, user: &at.user, customer: &at.customer };
        self.from <= at.hour
            && at.hour < self.until
            && self.who.takes(&party)
            && is(&self.models, &at.model)
            && is(&self.tags, tag)
    }
}

/// The parties of a call, empty where it had none.
pub(super) struct Party<'c> {
    pub(super) key: &'c str,
    pub(super) team: &'c str,
    pub(super) user: &'c str,
    pub(super) customer: &'c str,
}

impl PartyFilter {
    /// Whether calls of these parties are selected.
    pub(super) fn takes(&self, party: &Party<'_>) -> bool {
        let Self { keys, teams, users, customers, visible } = self;
        let one_of = |list: &Vec<String>, found: &str| list.iter().any(|one| one == found);
        let is = |wanted: &Option<Vec<String>>, found: &str| {
            wanted.as_ref().is_none_or(|list| one_of(list, found))
        };
        let seen = visible.as_ref().is_none_or(|VisibleCalls { keys, teams, users }| {
            one_of(keys, party.key) || one_of(teams, party.team) || one_of(users, party.user)
        });
        seen && is(keys, party.key)
            && is(teams, party.team)
            && is(users, party.user)
            && is(customers, party.customer)
    }
}
