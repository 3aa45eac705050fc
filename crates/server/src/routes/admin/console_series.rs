//! Series of activity over time: the largest groups of a dimension, and the others together. The largest are found by the sums
//! of the whole time, so that the parts of the time are read for them alone.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use access::ledger::{SpendColumn, SpendQuery, SpendSums};
use serde::Serialize;

use super::console_activity::Ask;
use super::error::AdminRefusal;
use super::query::AdminQuery;
use super::report_names::{KeyNames, ModelNames, TeamNames, shown};
use super::report_sums::{counted, total_tokens};
use super::request::AdminRequest;

/// A series.
#[derive(Debug, Serialize)]
pub(super) struct Series {
    id: String,
    label: String,
    #[serde(flatten)]
    curve: Curve,
}

/// Values by bucket.
#[derive(Debug, Default, Serialize)]
pub(super) struct Curve {
    spend_nano: Vec<String>,
    requests: Vec<i64>,
    tokens: Vec<i64>,
}

/// A dimension that series are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum GroupBy {
    Model,
    Key,
    Team,
    User,
    EndUser,
    Tag,
    Region,
    Status,
}

/// A group: its sums in the whole time, and the values of the column that are of it.
#[derive(Debug, Default)]
struct Group {
    sums: SpendSums,
    values: Vec<String>,
}

/// The sums of a dimension, as they were read.
pub(super) struct ReadSeries {
    /// The largest series.
    pub(super) series: Vec<Series>,
    /// All others together.
    pub(super) other: Curve,
    pub(super) total: SpendSums,
    /// The sums of the whole time of all groups, the dearest first.
    pub(super) groups: Vec<(String, SpendSums)>,
}

/// Reads the largest series of a dimension, all others together, and the total.
///
/// # Errors
/// The store fails.
pub(super) async fn series(
    request: &AdminRequest,
    ask: &Ask,
    (by, question): (GroupBy, &SpendQuery),
    top: u64,
) -> Result<ReadSeries, AdminRefusal> {
    let mut largest = groups(request, ask, (by, question)).await?;
    let groups = largest.iter().map(|(id, group)| (id.clone(), group.sums)).collect();
    largest.truncate(usize::try_from(top).unwrap_or(usize::MAX));
    let labels = Labels::read(request, by, &largest).await?;
    let places: BTreeMap<&str, usize> = (0..)
        .zip(&largest)
        .flat_map(|(at, (_, group))| group.values.iter().map(move |value| (value.as_str(), at)))
        .collect();
    let values = largest.iter().flat_map(|(_, group)| group.values.iter().cloned()).collect();
    let one = SpendQuery { by: vec![by.column()], ..by.only(question, values) };
    let nothing = vec![SpendSums::default(); ask.count()];
    let mut curves = vec![nothing.clone(); largest.len()];
    let (mut others, mut total) = (nothing, SpendSums::default());
    for (at, row) in ask.rows(request, &one).await? {
        let place = places.get(row.at(1)).and_then(|place| curves.get_mut(*place));
        let curve = match place {
            Some(curve) => curve,
            // A call with several tags is in several series: the others are none of the total less those.
            None if by == GroupBy::Tag => &mut others,
            None => continue,
        };
        if let Some(sums) = curve.get_mut(at) {
            sums.add(row.sums());
        }
    }
    // Read last: a call that is settled meanwhile is one of the others, until the next question.
    for (at, row) in ask.rows(request, question).await? {
        total.add(row.sums());
        if let Some(sums) = others.get_mut(at).filter(|_| by != GroupBy::Tag) {
            sums.add(row.sums());
        }
    }
    if by != GroupBy::Tag {
        for curve in &curves {
            others.iter_mut().zip(curve).for_each(|(other, one)| other.subtract(one));
        }
    }
    let series = largest.iter().zip(curves).map(|((id, _), curve)| Series {
        label: labels.of(id),
        id: labels.id(id.clone()),
        curve: Curve::of(&curve),
    });
    Ok(ReadSeries { series: series.collect(), other: Curve::of(&others), total, groups })
}

/// The groups of the whole time, the dearest first; of equal ones those with more calls.
async fn groups(
    request: &AdminRequest,
    ask: &Ask,
    (by, question): (GroupBy, &SpendQuery),
) -> Result<Vec<(String, Group)>, AdminRefusal> {
    let query =
        SpendQuery { from: ask.from, until: ask.to, by: vec![by.column()], ..question.clone() };
    let now = request.worker().now();
    let mut models = ModelNames::of(now.names.catalogue());
    let mut groups: BTreeMap<String, Group> = BTreeMap::new();
    for row in counted(request, query).await? {
        let value = row.at(0).to_owned();
        let id = if by == GroupBy::Model { models.base(&value) } else { value.clone() };
        let group = groups.entry(id).or_default();
        group.sums.add(row.sums());
        group.values.push(value);
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by_key(|(_, group)| Reverse((group.sums.cost, group.sums.requests())));
    Ok(groups)
}

/// Names of groups for people.
struct Labels {
    by: GroupBy,
    keys: KeyNames,
    teams: TeamNames,
}

impl Labels {
    async fn read(
        request: &AdminRequest,
        by: GroupBy,
        groups: &[(String, Group)],
    ) -> Result<Self, AdminRefusal> {
        let ids = |wanted| groups.iter().filter(move |_| by == wanted).map(|(id, _)| id.as_str());
        let keys = KeyNames::read(&request.accounts, ids(GroupBy::Key)).await?;
        let teams = TeamNames::read(&request.accounts, ids(GroupBy::Team)).await?;
        Ok(Self { by, keys, teams })
    }

    /// The id in answers: of keys the token.
    fn id(&self, id: String) -> String {
        match self.by {
            GroupBy::Key => self.keys.token(&id).to_owned(),
            GroupBy::EndUser | GroupBy::Tag => shown(&id).to_owned(),
            GroupBy::Model | GroupBy::Team | GroupBy::User | GroupBy::Region | GroupBy::Status => {
                id
            }
        }
    }

    fn of(&self, id: &str) -> String {
        match self.by {
            GroupBy::Key => self.keys.shown(id),
            GroupBy::Team => self.teams.shown(id).to_owned(),
            GroupBy::EndUser | GroupBy::Tag => shown(id).to_owned(),
            GroupBy::Model | GroupBy::User | GroupBy::Region | GroupBy::Status => id.to_owned(),
        }
    }
}

impl GroupBy {
    const ALL: [Self; 8] = [
        Self::Model,
        Self::Key,
        Self::Team,
        Self::User,
        Self::EndUser,
        Self::Tag,
        Self::Region,
        Self::Status,
    ];

    /// The dimension that a request names.
    ///
    /// # Errors
    /// It names none of them.
    pub(super) fn asked(query: &AdminQuery) -> Result<Self, AdminRefusal> {
        let Some(name) = query.text("group") else { return Ok(Self::Model) };
        Self::ALL.into_iter().find(|group| group.name() == name).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            AdminRefusal::bad(format!("Invalid group '{name}'. Use one of: {names}."))
                .param("group")
        })
    }

    /// The name in requests.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Key => "key",
            Self::Team => "team",
            Self::User => "user",
            Self::EndUser => "end_user",
            Self::Tag => "tag",
            Self::Region => "region",
            Self::Status => "status",
        }
    }

    /// The column of the aggregates.
    pub(super) const fn column(self) -> SpendColumn {
        match self {
            Self::Model => SpendColumn::Model,
            Self::Key => SpendColumn::Key,
            Self::Team => SpendColumn::Team,
            Self::User => SpendColumn::User,
            Self::EndUser => SpendColumn::Customer,
            Self::Tag => SpendColumn::Tag,
            Self::Region => SpendColumn::Region,
            Self::Status => SpendColumn::Status,
        }
    }

    /// A question about some values of the dimension, where questions can be.
    fn only(self, question: &SpendQuery, values: Vec<String>) -> SpendQuery {
        let mut only = question.clone();
        match self {
            Self::Model => only.models = Some(values),
            Self::Key => only.who.keys = Some(values),
            Self::Team => only.who.teams = Some(values),
            Self::User => only.who.users = Some(values),
            Self::EndUser => only.who.customers = Some(values),
            Self::Tag | Self::Region | Self::Status => {}
        }
        only
    }
}

impl Curve {
    fn of(sums: &[SpendSums]) -> Self {
        Self {
            spend_nano: sums.iter().map(|sums| sums.cost.to_string()).collect(),
            requests: sums.iter().map(SpendSums::requests).collect(),
            tokens: sums.iter().map(total_tokens).collect(),
        }
    }
}
