//! Limits and spend of a row in the terms of this crate. Values that this crate refuses keep the effect they had:
//! a negative limit let no call pass.

use std::collections::BTreeMap;

use serde_json::{Map, Number, Value};

use super::fields::{Fields, time};
use super::report::{ImportNote, NoteEffect};
use crate::record::{BudgetRule, Limits};
use crate::{BudgetZone, Nanodollars, UtcTime, WrittenSpan};

/// Differences between two ends of a window that are no difference.
const CLOSE: std::time::Duration = std::time::Duration::from_mins(1);

/// The reading of one record, with the fields that will not work as they did.
#[derive(Debug)]
pub(super) struct Reading<'z> {
    pub(super) now: UtcTime,
    pub(super) zone: &'z BudgetZone,
    pub(super) notes: Vec<ImportNote>,
}

/// Spend of a record. It is carried over into counters that are zero.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct CarriedSpend {
    /// Of the present window.
    pub(super) window: Nanodollars,
    /// Of the lifetime.
    pub(super) total: Nanodollars,
    /// Of further windows and of models; the model is empty for all.
    pub(super) rules: Vec<(String, BudgetRule, Nanodollars)>,
}

impl Reading<'_> {
    /// Notes a limit that is not enforced here.
    pub(super) fn not_enforced(&mut self, field: &str, text: impl Into<String>) {
        self.note(field, NoteEffect::NotEnforced, text.into());
    }

    /// Notes a value that is not as it was.
    pub(super) fn changed(&mut self, field: &str, text: impl Into<String>) {
        self.note(field, NoteEffect::Changed, text.into());
    }

    fn note(&mut self, field: &str, effect: NoteEffect, text: String) {
        self.notes.push(ImportNote { field: field.to_owned(), effect, text });
    }

    /// Limits of a row: columns, and limits of models that LiteLLM keeps in `metadata`, which are taken out of it.
    pub(super) fn limits(&mut self, row: &Fields, metadata: &mut Map<String, Value>) -> Limits {
        let max_budget = self.money(row, "max_budget");
        let mut soft_budget = self.money(row, "soft_budget");
        if let (Some(soft), Some(hard)) = (soft_budget, max_budget)
            && soft >= hard
        {
            self.changed("soft_budget", "not taken over: it is not below max_budget");
            soft_budget = None;
        }
        let budget_duration = self.span(row.text("budget_duration"), "budget_duration");
        let reset = row.time("budget_reset_at");
        let budget_since = self.since(budget_duration.as_ref(), reset);
        let limits = Limits {
            max_budget,
            soft_budget,
            budget_duration,
            budget_since,
            budget_limits: self.windows(row.document("budget_limits")),
            model_max_budget: self.budgets_of_models(&row.object("model_max_budget")),
            tpm_limit: self.count(row, "tpm_limit"),
            rpm_limit: self.count(row, "rpm_limit"),
            tpd_limit: self.count(row, "tpd_limit"),
            max_parallel_requests: self.count(row, "max_parallel_requests"),
            model_tpm_limit: self.rates(metadata, "model_tpm_limit"),
            model_rpm_limit: self.rates(metadata, "model_rpm_limit"),
            strict_budget: None,
        };
        self.compare_reset(&limits, reset);
        limits
    }

    /// Dollars of a column; absent limits no call.
    pub(super) fn money(&mut self, row: &Fields, name: &str) -> Option<Nanodollars> {
        row.number(name).and_then(|number| self.dollars(&number, name))
    }

    pub(super) fn dollars(&mut self, number: &Number, name: &str) -> Option<Nanodollars> {
        let Some(amount) = Nanodollars::parse(&number.to_string()) else {
            self.changed(name, format!("{number} is more than can be spent: no limit"));
            return None;
        };
        if amount.is_negative() {
            self.changed(name, format!("{number} is 0: no call passes, as before"));
            return Some(Nanodollars::ZERO);
        }
        Some(amount)
    }

    fn count(&mut self, row: &Fields, name: &str) -> Option<u64> {
        row.number(name).and_then(|number| self.whole(&number, name))
    }

    pub(super) fn whole(&mut self, number: &Number, name: &str) -> Option<u64> {
        if number.as_i64().is_some_and(|n| n < 0) || number.as_f64().is_some_and(|n| n < 0.0) {
            self.changed(name, format!("{number} is 0: no call passes, as before"));
            return Some(0);
        }
        match crate::record::whole(number, "limit") {
            Ok(count) => Some(count),
            Err(_) => {
                self.not_enforced(name, format!("{number} is no whole number"));
                None
            }
        }
    }

    /// Rates of models, taken out of a row's metadata.
    fn rates(
        &mut self,
        metadata: &mut Map<String, Value>,
        name: &str,
    ) -> Option<BTreeMap<String, u64>> {
        let map = match metadata.remove(name)? {
            Value::Object(map) => map,
            Value::Null => return None,
            value @ (Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => {
                self.not_enforced(name, "it is not a limit by model");
                metadata.insert(name.to_owned(), value);
                return None;
            }
        };
        let mut rates = BTreeMap::new();
        for (model, value) in map {
            match value {
                Value::Number(number) => {
                    rates.extend(self.whole(&number, name).map(|count| (model, count)));
                }
                Value::Null => {}
                Value::Bool(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => {
                    self.not_enforced(name, format!("the limit of {model} is no number"));
                }
            }
        }
        Some(rates)
    }

    /// A span as LiteLLM reads it: what follows the unit is not looked at.
    fn span(&mut self, text: Option<String>, name: &str) -> Option<WrittenSpan> {
        let text = text?;
        let found = WrittenSpan::parse(text.trim()).or_else(|| {
            let digits = text.find(|c: char| !c.is_ascii_digit())?;
            let rest = text[digits..].to_ascii_lowercase();
            let unit = if rest.starts_with("mo") { "mo" } else { rest.get(..1)? };
            WrittenSpan::parse(&format!("{}{unit}", &text[..digits]))
                .or_else(|| WrittenSpan::parse(&text.to_ascii_lowercase()))
        });
        let found = found.filter(|span| WrittenSpan::of_budget(span.as_str(), "span").is_ok());
        if found.is_none() {
            self.changed(name, format!("{text:?} is no span: the budget is of the lifetime"));
        }
        found
    }

    /// The time from which windows follow one another, such that the present one ends as LiteLLM's does.
    fn since(&self, span: Option<&WrittenSpan>, reset: Option<UtcTime>) -> UtcTime {
        let began = span.zip(reset).filter(|(_, reset)| *reset > self.now);
        let began = began.map(|(span, reset)| span.before(reset));
        began.filter(|began| *began < self.now).unwrap_or(self.now)
    }

    fn compare_reset(&mut self, limits: &Limits, reset: Option<UtcTime>) {
        let ours = limits.reset_at(self.zone, self.now);
        let (Some(ours), Some(theirs)) = (ours, reset) else { return };
        let apart = ours.since(theirs).max(theirs.since(ours));
        if limits.max_budget.is_some() && theirs > self.now && apart > CLOSE {
            let text = format!("the window ends at {ours}; with LiteLLM it ended at {theirs}");
            self.changed("budget_reset_at", text);
        }
    }

    fn windows(&mut self, listed: Option<Value>) -> Option<Vec<BudgetRule>> {
        const NAME: &str = "budget_limits";
        let listed = listed?;
        let mut rules = Vec::new();
        for window in listed.as_array().map(Vec::as_slice).unwrap_or_default() {
            let text = |name: &str| window.get(name).and_then(Value::as_str).map(str::to_owned);
            let max = window.get("max_budget").and_then(Value::as_number);
            let max = max.and_then(|number| self.dollars(number, NAME));
            let duration = self.span(text("budget_duration"), NAME);
            let reset = window.get("reset_at").and_then(time);
            let since = self.since(duration.as_ref(), reset);
            rules.push(BudgetRule { max, duration, since });
        }
        Some(rules)
    }

    fn budgets_of_models(
        &mut self,
        models: &Map<String, Value>,
    ) -> Option<BTreeMap<String, BudgetRule>> {
        const NAME: &str = "model_max_budget";
        let mut rules = BTreeMap::new();
        for (model, value) in models {
            let member = |names: [&str; 2]| names.iter().find_map(|name| value.get(*name));
            // An early version kept the sum alone.
            let max = value.as_number();
            let max = max.or_else(|| member(["budget_limit", "max_budget"])?.as_number());
            let span = member(["time_period", "budget_duration"]).and_then(Value::as_str);
            let duration = self.span(span.map(str::to_owned), NAME);
            let rates = ["tpm_limit", "rpm_limit"];
            if rates.iter().any(|name| value.get(*name).is_some_and(Value::is_number)) {
                self.not_enforced(NAME, format!("the rates of {model}"));
            }
            if let Some(max) = max.and_then(|number| self.dollars(number, NAME)) {
                let rule = BudgetRule { max: Some(max), duration, since: self.now };
                rules.insert(model.clone(), rule);
            }
        }
        (!rules.is_empty()).then_some(rules)
    }

    /// Spend of a row whose budget has this window. A window that has ended was spent in the past.
    pub(super) fn spend(&mut self, row: &Fields, window: (bool, Option<UtcTime>)) -> CarriedSpend {
        let spend = self.spent(row, "spend");
        let (is_windowed, reset) = window;
        if !is_windowed {
            return CarriedSpend { window: spend, total: spend, rules: Vec::new() };
        }
        let is_over = reset.is_some_and(|reset| reset <= self.now);
        let window = if is_over { Nanodollars::ZERO } else { spend };
        let total = self.spent(row, "total_spend").max(spend);
        CarriedSpend { window, total, rules: Vec::new() }
    }

    fn spent(&mut self, row: &Fields, name: &str) -> Nanodollars {
        let Some(number) = row.number(name) else { return Nanodollars::ZERO };
        match Nanodollars::parse(&number.to_string()) {
            Some(amount) => amount.max(Nanodollars::ZERO),
            None => Nanodollars::MAX,
        }
    }
}
