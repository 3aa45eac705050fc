//! Limits and budgets, the same for keys, teams, members, users, customers, tags and budget rows.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value};

use super::Set;
use crate::{BudgetWindow, BudgetZone, InvalidField, Nanodollars, UtcTime, WrittenSpan};

/// Most windows or models with limits of their own in one record.
const MOST: usize = 100;

/// Limits of a request to create or update a record.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct LimitInput {
    /// Dollars a window.
    pub max_budget: Set<Number>,
    /// Dollars above which a warning is given; less than `max_budget`.
    pub soft_budget: Set<Number>,
    /// The window; null is the lifetime.
    pub budget_duration: Set<String>,
    /// Further windows at the same time.
    pub budget_limits: Set<Vec<BudgetLimitInput>>,
    /// Budgets of models.
    pub model_max_budget: Set<BTreeMap<String, ModelBudgetInput>>,
    /// Tokens a minute.
    pub tpm_limit: Set<Number>,
    /// Requests a minute.
    pub rpm_limit: Set<Number>,
    /// Tokens a day.
    pub tpd_limit: Set<Number>,
    /// Calls at the same time.
    pub max_parallel_requests: Set<Number>,
    /// Tokens a minute, by model.
    pub model_tpm_limit: Set<BTreeMap<String, Number>>,
    /// Requests a minute, by model.
    pub model_rpm_limit: Set<BTreeMap<String, Number>>,
    /// Whether a call reserves the model's whole output. Ours.
    pub strict_budget: Set<bool>,
}

/// An element of `budget_limits`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct BudgetLimitInput {
    /// The window.
    pub budget_duration: String,
    /// Dollars a window.
    pub max_budget: Number,
    /// Further members. Those that have a value are refused, because they would limit something.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// A value of `model_max_budget`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ModelBudgetInput {
    /// Dollars a window.
    #[serde(alias = "max_budget")]
    pub budget_limit: Number,
    /// The window; null is the lifetime.
    #[serde(default, alias = "budget_duration")]
    pub time_period: Option<String>,
    /// Further members, such as rates, which have fields of their own. Those that have a value are refused.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// A sum of money for each window of time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetRule {
    /// Most that is spent in a window; null limits nothing, but spend is summed by the window.
    pub max: Option<Nanodollars>,
    /// The window; null is the lifetime.
    pub duration: Option<WrittenSpan>,
    /// The time the window was set: the first one starts then.
    pub since: UtcTime,
}

/// Limits of a record as they are stored. Null limits nothing; zero lets nothing pass.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Most that is spent in a window of `budget_duration`.
    pub max_budget: Option<Nanodollars>,
    /// Spend above which a warning is given.
    pub soft_budget: Option<Nanodollars>,
    /// The window; null is the lifetime.
    pub budget_duration: Option<WrittenSpan>,
    /// The time `budget_duration` was set.
    pub budget_since: UtcTime,
    /// Further windows at the same time.
    pub budget_limits: Option<Vec<BudgetRule>>,
    /// Budgets of models.
    pub model_max_budget: Option<BTreeMap<String, BudgetRule>>,
    /// Tokens a minute.
    pub tpm_limit: Option<u64>,
    /// Requests a minute.
    pub rpm_limit: Option<u64>,
    /// Tokens a day.
    pub tpd_limit: Option<u64>,
    /// Calls at the same time.
    pub max_parallel_requests: Option<u64>,
    /// Tokens a minute, by model.
    pub model_tpm_limit: Option<BTreeMap<String, u64>>,
    /// Requests a minute, by model.
    pub model_rpm_limit: Option<BTreeMap<String, u64>>,
    /// Whether a call reserves the model's whole output.
    pub strict_budget: Option<bool>,
}

impl BudgetRule {
    /// The window that holds `now`; absent for the lifetime.
    pub fn window(&self, zone: &BudgetZone, now: UtcTime) -> Option<BudgetWindow> {
        self.duration.as_ref().map(|span| zone.window(span, self.since, now))
    }
}

impl Limits {
    /// Merges the limits of a request.
    ///
    /// # Errors
    /// A number is negative, not whole or too large, a span is none, or the soft budget is not below the hard one.
    /// Fields merged before it stay: the record is to be dropped.
    pub fn apply(&mut self, input: LimitInput, now: UtcTime) -> Result<(), InvalidField> {
        let LimitInput {
            max_budget,
            soft_budget,
            budget_duration,
            budget_limits,
            model_max_budget,
            tpm_limit,
            rpm_limit,
            tpd_limit,
            max_parallel_requests,
            model_tpm_limit,
            model_rpm_limit,
            strict_budget,
        } = input;
        max_budget.try_map(|n| money(&n, "max_budget"))?.merge(&mut self.max_budget);
        soft_budget.try_map(|n| money(&n, "soft_budget"))?.merge(&mut self.soft_budget);
        if let (Some(soft), Some(hard)) = (self.soft_budget, self.max_budget)
            && soft >= hard
        {
            return Err(InvalidField::new(
                "soft_budget",
                "soft_budget must be lower than max_budget",
            ));
        }
        let span = budget_duration.empty_is_null();
        let span = span.try_map(|text| WrittenSpan::of_budget(&text, "budget_duration"))?;
        self.set_window(span, now);
        let kept = self.budget_limits.clone().unwrap_or_default();
        let listed = budget_limits.try_map(|list| windows(list, &kept, now))?;
        listed.merge(&mut self.budget_limits);
        let kept = self.model_max_budget.clone().unwrap_or_default();
        let models = model_max_budget.try_map(|map| by_model(map, &kept, now))?;
        models.merge(&mut self.model_max_budget);
        tpm_limit.try_map(|n| whole(&n, "tpm_limit"))?.merge(&mut self.tpm_limit);
        rpm_limit.try_map(|n| whole(&n, "rpm_limit"))?.merge(&mut self.rpm_limit);
        tpd_limit.try_map(|n| whole(&n, "tpd_limit"))?.merge(&mut self.tpd_limit);
        let parallel = max_parallel_requests.try_map(|n| whole(&n, "max_parallel_requests"))?;
        parallel.merge(&mut self.max_parallel_requests);
        model_tpm_limit
            .try_map(|map| rates(map, "model_tpm_limit"))?
            .merge(&mut self.model_tpm_limit);
        model_rpm_limit
            .try_map(|map| rates(map, "model_rpm_limit"))?
            .merge(&mut self.model_rpm_limit);
        strict_budget.merge(&mut self.strict_budget);
        Ok(())
    }

    /// The budget of `max_budget` and `budget_duration`, whether or not it limits anything.
    pub fn budget(&self) -> BudgetRule {
        BudgetRule {
            max: self.max_budget,
            duration: self.budget_duration.clone(),
            since: self.budget_since,
        }
    }

    /// The end of the present window; absent for the lifetime.
    pub fn reset_at(&self, zone: &BudgetZone, now: UtcTime) -> Option<UtcTime> {
        self.budget().window(zone, now).map(|window| window.end)
    }

    /// These limits, filled where they are null from those of a budget row.
    #[must_use]
    pub fn or(&self, row: &Self) -> Self {
        let own_window = self.budget_duration.is_some();
        Self {
            max_budget: self.max_budget.or(row.max_budget),
            soft_budget: self.soft_budget.or(row.soft_budget),
            budget_duration: self.budget_duration.clone().or_else(|| row.budget_duration.clone()),
            budget_since: if own_window { self.budget_since } else { row.budget_since },
            budget_limits: self.budget_limits.clone().or_else(|| row.budget_limits.clone()),
            model_max_budget: self
                .model_max_budget
                .clone()
                .or_else(|| row.model_max_budget.clone()),
            tpm_limit: self.tpm_limit.or(row.tpm_limit),
            rpm_limit: self.rpm_limit.or(row.rpm_limit),
            tpd_limit: self.tpd_limit.or(row.tpd_limit),
            max_parallel_requests: self.max_parallel_requests.or(row.max_parallel_requests),
            model_tpm_limit: self.model_tpm_limit.clone().or_else(|| row.model_tpm_limit.clone()),
            model_rpm_limit: self.model_rpm_limit.clone().or_else(|| row.model_rpm_limit.clone()),
            strict_budget: self.strict_budget.or(row.strict_budget),
        }
    }

    /// As [`Limits::or`], except that rates of models are filled model by model.
    #[must_use]
    pub fn or_by_model(&self, all: &Self) -> Self {
        Self {
            model_tpm_limit: each_model(&self.model_tpm_limit, &all.model_tpm_limit),
            model_rpm_limit: each_model(&self.model_rpm_limit, &all.model_rpm_limit),
            ..self.or(all)
        }
    }

    /// Whether any budget limits money, so that calls without a price are refused.
    pub fn has_budget(&self) -> bool {
        let listed = self.budget_limits.as_ref().is_some_and(|list| !list.is_empty());
        let by_model = self.model_max_budget.as_ref().is_some_and(|map| !map.is_empty());
        self.max_budget.is_some() || listed || by_model
    }

    /// Sets the window. The same span again is no new window; without one there is no time that it was set.
    fn set_window(&mut self, span: Set<WrittenSpan>, now: UtcTime) {
        let before = self.budget_duration.clone();
        span.merge(&mut self.budget_duration);
        if self.budget_duration.is_none() {
            self.budget_since = UtcTime::default();
        } else if self.budget_duration != before {
            self.budget_since = now;
        }
    }
}

/// Reads dollars.
pub(crate) fn money(number: &Number, param: &'static str) -> Result<Nanodollars, InvalidField> {
    match Nanodollars::parse(&number.to_string()) {
        Some(amount) if amount.is_negative() => {
            Err(InvalidField::new(param, format!("{param} cannot be negative")))
        }
        Some(amount) => Ok(amount),
        None => Err(InvalidField::new(param, format!("{param} is too large"))),
    }
}

/// Reads a count. Clients that know one kind of number send `60.0`.
pub(crate) fn whole(number: &Number, param: &'static str) -> Result<u64, InvalidField> {
    if let Some(count) = number.as_u64() {
        return Ok(count);
    }
    let exact = 9_007_199_254_740_992.0;
    match number.as_f64() {
        Some(count) if count < 0.0 => {
            Err(InvalidField::new(param, format!("{param} cannot be negative")))
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "whole and in range"
        )]
        Some(count) if count.fract() == 0.0 && count <= exact => Ok(count as u64),
        _ => Err(InvalidField::new(param, format!("{param} must be a whole number"))),
    }
}

/// A window that was set before with the same span goes on.
fn windows(
    list: Vec<BudgetLimitInput>,
    before: &[BudgetRule],
    now: UtcTime,
) -> Result<Vec<BudgetRule>, InvalidField> {
    const PARAM: &str = "budget_limits";
    few(list.len(), PARAM)?;
    let rule = |BudgetLimitInput { budget_duration, max_budget, other }| {
        none_else(&other, PARAM)?;
        let max = Some(money(&max_budget, PARAM)?);
        let duration = Some(WrittenSpan::of_budget(&budget_duration, PARAM)?);
        let same = before.iter().find(|rule| rule.duration == duration);
        Ok(BudgetRule { max, duration, since: same.map_or(now, |rule| rule.since) })
    };
    list.into_iter().map(rule).collect()
}

fn by_model(
    map: BTreeMap<String, ModelBudgetInput>,
    before: &BTreeMap<String, BudgetRule>,
    now: UtcTime,
) -> Result<BTreeMap<String, BudgetRule>, InvalidField> {
    const PARAM: &str = "model_max_budget";
    few(map.len(), PARAM)?;
    let rule = |(model, ModelBudgetInput { budget_limit, time_period, other })| {
        none_else(&other, PARAM)?;
        let max = Some(money(&budget_limit, PARAM)?);
        let duration = time_period.map(|span| WrittenSpan::of_budget(&span, PARAM)).transpose()?;
        let same = before.get(&model).filter(|rule| rule.duration == duration);
        let since = same.map_or(now, |rule| rule.since);
        Ok((model, BudgetRule { max, duration, since }))
    };
    map.into_iter().map(rule).collect()
}

fn rates(
    map: BTreeMap<String, Number>,
    param: &'static str,
) -> Result<BTreeMap<String, u64>, InvalidField> {
    few(map.len(), param)?;
    map.into_iter().map(|(model, number)| Ok((model, whole(&number, param)?))).collect()
}

fn each_model(
    own: &Option<BTreeMap<String, u64>>,
    all: &Option<BTreeMap<String, u64>>,
) -> Option<BTreeMap<String, u64>> {
    let mut rates = all.clone();
    if let Some(own) = own {
        rates.get_or_insert_default().extend(own.clone());
    }
    rates
}

/// Refuses members that have a value, but for the end of a window, which reads show.
fn none_else(other: &Map<String, Value>, param: &'static str) -> Result<(), InvalidField> {
    let unknown = other.iter().find(|(name, value)| *name != "reset_at" && !value.is_null());
    match unknown {
        Some((name, _)) => {
            let message = format!("{param} may not hold {name:?}, which is not enforced there");
            Err(InvalidField::new(param, message))
        }
        None => Ok(()),
    }
}

fn few(count: usize, param: &'static str) -> Result<(), InvalidField> {
    if count > MOST {
        return Err(InvalidField::new(param, format!("{param} has more than {MOST} entries")));
    }
    Ok(())
}
