//! Spend of records as lists show it: many scopes in one question to the store.

use std::collections::BTreeMap;

use super::calls::lifetime;
use super::{Accounts, ScopeSpend};
use crate::Nanodollars;
use crate::ledger::{CounterState, ScopeKind};
use crate::record::Limits;
use crate::store::StoreError;

/// A record whose spend is read.
#[derive(Debug, Clone, Copy)]
pub struct SpendAsk<'a> {
    /// The kind of its scope.
    pub kind: ScopeKind,
    /// The id of its scope.
    pub id: &'a str,
    /// Its limits with those of its budget row: they say which window is the present one.
    pub limits: &'a Limits,
}

/// Spend of a record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecordSpend {
    /// The sums of all calls.
    pub spend: ScopeSpend,
    /// Spend of the present windows of models with budgets of their own.
    pub models: BTreeMap<String, Nanodollars>,
}

impl Accounts {
    /// Spend of records, from the same counters that refuse calls; in the order of the question.
    ///
    /// # Errors
    /// The store fails.
    pub async fn spends_of(&self, asks: &[SpendAsk<'_>]) -> Result<Vec<RecordSpend>, StoreError> {
        let now = self.clock.now();
        let mut counters = Vec::with_capacity(2 * asks.len());
        let mut resets = Vec::with_capacity(asks.len());
        for SpendAsk { kind, id, limits } in asks {
            let (present, reset_at) = self.counter(*kind, id, "", &limits.budget(), now);
            let (total, _) = self.counter(*kind, id, "", &lifetime(), now);
            counters.extend([present, total]);
            for (model, rule) in limits.model_max_budget.iter().flatten() {
                counters.push(self.counter(*kind, id, model, rule, now).0);
            }
            resets.push(reset_at);
        }
        let mut states = self.store.counters(counters).await?.into_iter();
        let mut next = || states.next().unwrap_or_default();
        let spend_of = |(ask, reset_at): (&SpendAsk<'_>, _)| {
            let CounterState { spent: spend, reserved, .. } = next();
            let total_spend = next().spent;
            let budgeted = ask.limits.model_max_budget.iter().flatten();
            let models = budgeted.map(|(model, _)| (model.clone(), next().spent)).collect();
            let spend = ScopeSpend { spend, reserved, total_spend, reset_at };
            RecordSpend { spend, models }
        };
        Ok(asks.iter().zip(resets).map(spend_of).collect())
    }
}
