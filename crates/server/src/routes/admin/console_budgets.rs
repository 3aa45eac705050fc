//! Budgets that are nearly spent, for the first screen of an operator's page.

use access::accounts::{AdminError, SpendAsk};
use access::ledger::ScopeKind;
use access::store::RecordQuery;
use access::{
    BudgetRecord, CustomerRecord, KeyRecord, Limits, Nanodollars, Record, RecordKind, TagRecord,
    TeamRecord, UserRecord, UtcTime,
};
use serde::Serialize;

use super::console_row::cut;
use super::error::AdminRefusal;
use super::request::AdminRequest;

/// Most records of a kind that are looked at: the newest.
const MOST: u64 = 1000;
/// Most budgets shown.
const SHOWN: usize = 50;

/// A budget of which four fifths or more are spent or reserved.
#[derive(Debug, Serialize)]
pub(super) struct NearBudget {
    kind: &'static str,
    id: String,
    label: String,
    spent_nano: String,
    reserved_nano: String,
    max_nano: String,
    resets_at: Option<UtcTime>,
    #[serde(skip)]
    share: f64,
}

/// A record with a budget.
struct Budgeted {
    /// The id of its scope.
    scope: String,
    /// The handle in admin calls.
    id: String,
    label: String,
    own: Limits,
    row: Option<String>,
}

/// The budgets that are nearly spent, the fullest first, and whether some records were left out.
///
/// # Errors
/// The store fails.
pub(super) async fn near(request: &AdminRequest) -> Result<(Vec<NearBudget>, bool), AdminRefusal> {
    if !request.caller.reads_all() {
        return Ok((Vec::new(), false));
    }
    let keys = listed::<KeyRecord>(request, RecordKind::Key, |key| Budgeted {
        scope: key.id.clone(),
        id: key.token.clone(),
        label: key.shown().to_owned(),
        own: key.limits.clone(),
        row: key.budget_id.clone(),
    });
    let teams = listed::<TeamRecord>(request, RecordKind::Team, |team| Budgeted {
        scope: team.team_id.clone(),
        id: team.team_id.clone(),
        label: team.team_alias.clone().unwrap_or_else(|| team.team_id.clone()),
        own: team.limits.clone(),
        row: None,
    });
    let users = listed::<UserRecord>(request, RecordKind::User, |user| Budgeted {
        scope: user.user_id.clone(),
        id: user.user_id.clone(),
        label: user.user_alias.clone().unwrap_or_else(|| user.user_id.clone()),
        own: user.limits.clone(),
        row: user.budget_id.clone(),
    });
    let customers = listed::<CustomerRecord>(request, RecordKind::Customer, |one| Budgeted {
        scope: one.user_id.clone(),
        id: one.user_id.clone(),
        label: one.alias.clone().unwrap_or_else(|| one.user_id.clone()),
        own: one.limits.clone(),
        row: one.budget_id.clone(),
    });
    let tags = listed::<TagRecord>(request, RecordKind::Tag, |tag| Budgeted {
        scope: tag.name.clone(),
        id: tag.name.clone(),
        label: tag.name.clone(),
        own: tag.limits.clone(),
        row: tag.budget_id.clone(),
    });
    let kinds = [
        (ScopeKind::Key, keys.await?),
        (ScopeKind::Team, teams.await?),
        (ScopeKind::User, users.await?),
        (ScopeKind::Customer, customers.await?),
        (ScopeKind::Tag, tags.await?),
    ];
    let (mut all, mut is_cut) = (Vec::new(), false);
    for (kind, (records, is_more)) in kinds {
        is_cut |= is_more;
        all.extend(of_kind(request, kind, records).await?);
    }
    all.sort_by(|a, b| b.share.total_cmp(&a.share));
    all.truncate(SHOWN);
    Ok((all, is_cut))
}

async fn listed<R: Record>(
    request: &AdminRequest,
    kind: RecordKind,
    of: fn(&R) -> Budgeted,
) -> Result<(Vec<Budgeted>, bool), AdminRefusal> {
    let query = RecordQuery { limit: MOST, ..RecordQuery::all(kind, request.accounts.now()) };
    let page = request.accounts.list::<R>(query).await?;
    let is_more = page.total > MOST;
    let mut records: Vec<_> = page.rows.iter().map(of).collect();
    records.retain(|one| one.own.max_budget.is_some() || one.row.is_some());
    Ok((records, is_more))
}

async fn of_kind(
    request: &AdminRequest,
    kind: ScopeKind,
    records: Vec<Budgeted>,
) -> Result<Vec<NearBudget>, AdminRefusal> {
    let accounts = &request.accounts;
    let mut limits = Vec::with_capacity(records.len());
    for one in &records {
        limits.push(match &one.row {
            None => one.own.clone(),
            Some(row) => match accounts.record::<BudgetRecord>(row).await {
                Ok(row) => one.own.or(&row.limits),
                Err(AdminError::NotFound { .. }) => one.own.clone(),
                Err(error) => return Err(error.into()),
            },
        });
    }
    let asks = records.iter().zip(&limits);
    let asks: Vec<_> =
        asks.map(|(one, limits)| SpendAsk { kind, id: &one.scope, limits }).collect();
    let spends = accounts.spends_of(&asks).await?;
    let near = records.into_iter().zip(&limits).zip(spends).filter_map(|((one, limits), spend)| {
        let (max, spend) = (limits.max_budget?, spend.spend);
        let used = spend.spend.plus(spend.reserved);
        (is_near(used, max)).then(|| NearBudget {
            kind: kind.as_str(),
            id: one.id,
            label: cut(&one.label).into_owned(),
            spent_nano: spend.spend.nano().to_string(),
            reserved_nano: spend.reserved.nano().to_string(),
            max_nano: max.nano().to_string(),
            resets_at: spend.reset_at,
            share: share(used, max),
        })
    });
    Ok(near.collect())
}

/// Whether four fifths or more are used; a budget of nothing always is.
fn is_near(used: Nanodollars, max: Nanodollars) -> bool {
    i128::from(used.nano()) * 5 >= i128::from(max.nano()) * 4
}

/// The part that is used, for the order alone.
fn share(used: Nanodollars, max: Nanodollars) -> f64 {
    #[allow(clippy::cast_precision_loss)]
    let share = used.nano() as f64 / max.nano().max(1) as f64;
    share
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_near_from_four_fifths_on() {
        let of = |used, max| is_near(Nanodollars::new(used), Nanodollars::new(max));
        assert!(of(80, 100) && of(100, 100) && of(0, 0) && of(i64::MAX, i64::MAX));
        assert!(!of(79, 100) && !of(0, 1) && !of(400_000_000, 15_000_000_000));
    }
}
