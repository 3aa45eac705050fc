//! Spend of records as lists show it: many scopes in one question to the store.

use std::collections::BTreeMap;

use super::calls::lifetime;
use super::{Accounts, AdminError};
use crate::ledger::{CounterKey, CounterState, ScopeKind};
use crate::record::{KeyRecord, Limits, RecordKind, TeamRecord};
use crate::store::{AuditEntry, Change, Document, RecordQuery, StoreError};
use crate::{Nanodollars, UtcTime};

/// Records read at once.
const PAGE: u64 = 500;

/// Spend of a scope, as reads show it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ScopeSpend {
    /// Spend of the present window.
    pub spend: Nanodollars,
    /// Estimates of calls under way, in the present window.
    pub reserved: Nanodollars,
    /// Spend of the lifetime.
    pub total_spend: Nanodollars,
    /// The end of the present window.
    pub reset_at: Option<UtcTime>,
}

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
    /// Spend of a scope, from the same counters that refuse calls.
    ///
    /// # Errors
    /// The store fails.
    pub async fn spend_of(
        &self,
        kind: ScopeKind,
        id: &str,
        limits: &Limits,
    ) -> Result<ScopeSpend, StoreError> {
        let spends = self.spends_of(&[SpendAsk { kind, id, limits }]).await?;
        Ok(spends.into_iter().next().unwrap_or_default().spend)
    }

    /// Sets the spend of a scope's present window: for imports, and to reset it.
    ///
    /// # Errors
    /// The store fails.
    pub async fn set_spend(
        &self,
        kind: ScopeKind,
        id: &str,
        limits: &Limits,
        spend: Nanodollars,
    ) -> Result<(), StoreError> {
        let (counter, _) = self.counter(kind, id, "", &limits.budget(), self.clock.now());
        self.store.set_spent(counter, spend.nano()).await
    }

    /// The states of counters, with what calls under way hold of them: room that this process only holds in advance is
    /// free.
    async fn counter_states(
        &self,
        counters: Vec<CounterKey>,
    ) -> Result<Vec<CounterState>, StoreError> {
        let held: Vec<_> = counters.iter().map(|counter| self.ledger.held(counter)).collect();
        let mut states = self.store.counters(counters).await?;
        for (state, held) in states.iter_mut().zip(held) {
            state.reserved = state.reserved.minus(held).max(Nanodollars::ZERO);
        }
        Ok(states)
    }

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
        let mut states = self.counter_states(counters).await?.into_iter();
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

    /// Spend of the present window of the gateway's own budget, and the most of it; absent without one.
    ///
    /// # Errors
    /// The store fails.
    pub async fn gateway_spend(&self) -> Result<Option<(Nanodollars, Nanodollars)>, StoreError> {
        let Some(max) = self.configured.gateway.max_budget else { return Ok(None) };
        let spend = self.spend_of(ScopeKind::Gateway, "", &self.configured.gateway).await?;
        Ok(Some((spend.spend, max)))
    }

    /// Sets the spend of the present windows of all keys and teams to zero, with an entry in the audit log. The
    /// ledger and its aggregates stay. Returns the number of records.
    ///
    /// # Errors
    /// The store fails; records before the failure are reset.
    pub async fn reset_spend(&self, actor: &str) -> Result<u64, AdminError> {
        let mut count = 0;
        for kind in [RecordKind::Key, RecordKind::Team] {
            let all = RecordQuery::all(kind, self.clock.now());
            let mut query = RecordQuery { limit: PAGE, ..all };
            loop {
                let page = self.store.documents(query.clone()).await?;
                if page.rows.is_empty() {
                    break;
                }
                query.offset += page.rows.len() as u64;
                for document in &page.rows {
                    self.reset_one(document).await?;
                    count += 1;
                }
            }
        }
        let entry = AuditEntry {
            at: self.clock.now(),
            actor: actor.to_owned(),
            action: "spend.reset".to_owned(),
            object: "keys and teams".to_owned(),
            before: None,
            after: None,
        };
        self.changed(self.store.write(vec![Change::Audit(entry)]).await?);
        Ok(count)
    }

    async fn reset_one(&self, document: &Document) -> Result<(), StoreError> {
        let (kind, limits) = match document.kind {
            RecordKind::Team => (ScopeKind::Team, document.read::<TeamRecord>()?.limits),
            _ => (ScopeKind::Key, document.read::<KeyRecord>()?.limits),
        };
        let limits = self.with_row(&limits, document.budget.as_deref()).await?;
        self.set_spend(kind, &document.id, &limits, Nanodollars::ZERO).await
    }
}
