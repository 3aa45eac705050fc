//! Spend of records, with the budget rows that they refer to: what rows of users, customers and tags show besides
//! the records themselves.

use std::collections::BTreeMap;

use access::accounts::{RecordSpend, SpendAsk};
use access::ledger::ScopeKind;
use access::{Accounts, BudgetRecord, Limits, Nanodollars};

use super::error::AdminRefusal;
use super::key_row::found;
use super::limit_columns::BudgetColumns;

/// A record as its spend depends on it: id, limits of its own, and the id of its budget row.
pub(super) type Budgeted<'r> = (&'r str, &'r Limits, Option<&'r str>);

/// The spend of a record, and its budget row.
#[derive(Debug)]
pub(super) struct SpentRecord {
    /// The budget row.
    pub(super) budget: Option<BudgetRecord>,
    /// The spend.
    pub(super) spend: RecordSpend,
}

impl SpentRecord {
    /// Reads these of records of a kind, in their order, in a few questions for all of them.
    ///
    /// # Errors
    /// The store fails.
    pub(super) async fn of_all(
        accounts: &Accounts,
        kind: ScopeKind,
        records: &[Budgeted<'_>],
    ) -> Result<Vec<Self>, AdminRefusal> {
        let mut rows: BTreeMap<&str, Option<BudgetRecord>> = BTreeMap::new();
        for id in records.iter().filter_map(|(_, _, budget)| *budget) {
            if !rows.contains_key(id) {
                rows.insert(id, found(accounts.record(id).await)?);
            }
        }
        let row = |budget: Option<&str>| rows.get(budget?).cloned().flatten();
        let limits = records.iter().map(|(_, own, budget)| match row(*budget) {
            Some(row) => own.or(&row.limits),
            None => (*own).clone(),
        });
        let limits: Vec<Limits> = limits.collect();
        let asks = records.iter().zip(&limits);
        let asks: Vec<_> = asks.map(|((id, _, _), limits)| SpendAsk { kind, id, limits }).collect();
        let spends = accounts.spends_of(&asks).await?.into_iter();
        let one =
            |((_, _, budget), spend): (&Budgeted<'_>, _)| Self { budget: row(*budget), spend };
        Ok(records.iter().zip(spends).map(one).collect())
    }

    /// The columns of the budget row, or of limits of the record's own.
    pub(super) fn budget_table<'t>(
        &'t self,
        own: &'t Limits,
        accounts: &Accounts,
    ) -> Option<BudgetColumns<'t>> {
        match &self.budget {
            Some(row) => Some(BudgetColumns::of_row(row, accounts)),
            None if *own == Limits::default() => None,
            None => Some(BudgetColumns::of_limits(own, accounts)),
        }
    }
}

/// Sets the spend of a record's present window, for imports. The lifetime has spent no less.
///
/// # Errors
/// The store fails.
pub(super) async fn set(
    accounts: &Accounts,
    kind: ScopeKind,
    (id, limits, budget): Budgeted<'_>,
    spend: Nanodollars,
) -> Result<(), AdminRefusal> {
    let limits = accounts.with_row(limits, budget).await?;
    accounts.set_spend(kind, id, &Limits::default(), spend).await?;
    accounts.set_spend(kind, id, &limits, spend).await?;
    Ok(())
}
