//! Columns of limits, which rows of keys, teams, users, customers, tags and budgets share. Null is a limit that was
//! not set.

use std::collections::BTreeMap;

use access::{Accounts, BudgetRecord, BudgetRule, Limits, Stamp, UtcTime, WrittenSpan};
use serde::Serialize;

use super::answer::Dollars;

/// Limits of a record as reads show them.
#[derive(Debug, Serialize)]
pub(super) struct LimitColumns<'l> {
    max_budget: Option<Dollars>,
    soft_budget: Option<Dollars>,
    budget_duration: Option<&'l WrittenSpan>,
    budget_limits: Option<Vec<WindowColumn<'l>>>,
    model_max_budget: BTreeMap<&'l str, ModelBudgetColumn<'l>>,
    tpm_limit: Option<u64>,
    rpm_limit: Option<u64>,
    tpd_limit: Option<u64>,
    max_parallel_requests: Option<u64>,
    strict_budget: Option<bool>,
}

/// An element of `budget_limits`.
#[derive(Debug, Serialize)]
struct WindowColumn<'l> {
    budget_duration: Option<&'l WrittenSpan>,
    max_budget: Option<Dollars>,
    reset_at: Option<UtcTime>,
}

/// A value of `model_max_budget`.
#[derive(Debug, Serialize)]
struct ModelBudgetColumn<'l> {
    budget_limit: Option<Dollars>,
    time_period: Option<&'l WrittenSpan>,
}

/// A budget row: that of LiteLLM's budget table, or the limits of a membership.
#[derive(Debug, Serialize)]
pub(super) struct BudgetColumns<'b> {
    budget_id: Option<&'b str>,
    #[serde(flatten)]
    limits: LimitColumns<'b>,
    budget_reset_at: Option<UtcTime>,
    #[serde(flatten)]
    stamp: Option<&'b Stamp>,
}

impl<'l> LimitColumns<'l> {
    /// The columns of these limits; windows are those of the accounts' zone and time.
    pub(super) fn of(limits: &'l Limits, accounts: &Accounts) -> Self {
        let Limits {
            max_budget,
            soft_budget,
            budget_duration,
            budget_since: _,
            budget_limits,
            model_max_budget,
            tpm_limit,
            rpm_limit,
            tpd_limit,
            max_parallel_requests,
            // Shown inside the metadata.
            model_tpm_limit: _,
            model_rpm_limit: _,
            strict_budget,
        } = limits;
        let now = accounts.now();
        let window = |rule: &'l BudgetRule| WindowColumn {
            budget_duration: rule.duration.as_ref(),
            max_budget: rule.max.map(Dollars),
            reset_at: rule.window(accounts.zone(), now).map(|window| window.end),
        };
        let of_model = |(model, rule): (&'l String, &'l BudgetRule)| {
            let BudgetRule { max, duration, since: _ } = rule;
            let column = ModelBudgetColumn {
                budget_limit: max.map(Dollars),
                time_period: duration.as_ref(),
            };
            (model.as_str(), column)
        };
        Self {
            max_budget: max_budget.map(Dollars),
            soft_budget: soft_budget.map(Dollars),
            budget_duration: budget_duration.as_ref(),
            budget_limits: budget_limits.as_ref().map(|list| list.iter().map(window).collect()),
            model_max_budget: model_max_budget.iter().flatten().map(of_model).collect(),
            tpm_limit: *tpm_limit,
            rpm_limit: *rpm_limit,
            tpd_limit: *tpd_limit,
            max_parallel_requests: *max_parallel_requests,
            strict_budget: *strict_budget,
        }
    }
}

impl<'b> BudgetColumns<'b> {
    /// The columns of a budget row.
    pub(super) fn of_row(row: &'b BudgetRecord, accounts: &Accounts) -> Self {
        let budget_id = Some(row.budget_id.as_str());
        Self { budget_id, stamp: Some(&row.stamp), ..Self::of_limits(&row.limits, accounts) }
    }

    /// The columns of limits that have no row of their own.
    pub(super) fn of_limits(limits: &'b Limits, accounts: &Accounts) -> Self {
        Self {
            budget_id: None,
            limits: LimitColumns::of(limits, accounts),
            budget_reset_at: limits.reset_at(accounts.zone(), accounts.now()),
            stamp: None,
        }
    }
}
