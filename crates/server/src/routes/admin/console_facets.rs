//! Values that an operator's page offers for its filters: the largest of the time shown, from the aggregates.

use access::ledger::{PartyFilter, SpendColumn, SpendQuery};
use serde::Serialize;

use super::console_activity::Ask;
use super::error::AdminRefusal;
use super::report_names::{KeyNames, ModelNames, TeamNames, shown};
use super::report_sums::{Sums, counted};
use super::request::AdminRequest;

/// Most values of a filter.
const MOST: usize = 50;

/// The values of the filters.
#[derive(Debug, Serialize)]
pub(super) struct Facets {
    key: Vec<Facet>,
    team: Vec<Facet>,
    end_user: Vec<Facet>,
    model: Vec<Facet>,
    region: Vec<Facet>,
}

/// A value, and its name for people.
#[derive(Debug, Serialize)]
pub(super) struct Facet {
    id: String,
    label: String,
    requests: i64,
}

/// Reads them.
pub(super) async fn facets(
    request: &AdminRequest,
    ask: &Ask,
    who: &PartyFilter,
) -> Result<Facets, AdminRefusal> {
    // The party that is selected does not hide the others.
    let who = PartyFilter { visible: who.visible.clone(), ..PartyFilter::default() };
    let read = async |column| {
        let query = SpendQuery {
            from: ask.from.hour(),
            until: ask.to,
            by: vec![column],
            who: who.clone(),
            ..SpendQuery::default()
        };
        counted(request, query).await
    };
    let most = |rows: Vec<super::report_sums::SumRow>| {
        let mut rows: Vec<_> = rows.into_iter().filter(|row| !row.at(0).is_empty()).collect();
        rows.sort_by_key(|row| std::cmp::Reverse(row.sums().requests()));
        rows.truncate(MOST);
        rows
    };
    let keys = most(read(SpendColumn::Key).await?);
    let key_names = KeyNames::read(&request.accounts, keys.iter().map(|row| row.at(0))).await?;
    let teams = most(read(SpendColumn::Team).await?);
    let team_names = TeamNames::read(&request.accounts, teams.iter().map(|row| row.at(0))).await?;
    let now = request.worker().now();
    let mut names = ModelNames::of(now.names.catalogue());
    let mut models = Sums::default();
    for row in read(SpendColumn::Model).await? {
        models.add(&names.base(row.at(0)), &row);
    }
    let plain = |row: &super::report_sums::SumRow| Facet {
        id: shown(row.at(0)).to_owned(),
        label: shown(row.at(0)).to_owned(),
        requests: row.sums().requests(),
    };
    Ok(Facets {
        key: keys
            .iter()
            .map(|row| Facet {
                id: key_names.token(row.at(0)).to_owned(),
                label: key_names.shown(row.at(0)),
                requests: row.sums().requests(),
            })
            .collect(),
        team: teams
            .iter()
            .map(|row| Facet { label: team_names.shown(row.at(0)).to_owned(), ..plain(row) })
            .collect(),
        end_user: most(read(SpendColumn::Customer).await?).iter().map(plain).collect(),
        model: models
            .by_cost()
            .into_iter()
            .take(MOST)
            .map(|(name, sums)| Facet { id: name.clone(), label: name, requests: sums.requests() })
            .collect(),
        region: most(read(SpendColumn::Region).await?).iter().map(plain).collect(),
    })
}
