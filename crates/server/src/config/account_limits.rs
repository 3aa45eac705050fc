//! Limits that the configuration gives: to all calls together, to every key, and to end users and tags that have none
//! of their own.

use std::collections::BTreeMap;

use access::{Limits, Nanodollars, WrittenSpan};

use super::accounts::AccessSettings;
use super::parsers::{self, Expected};
use super::provenance::Show;
use super::section::Section;
use super::yaml_tree::Value;
use super::{Config, Problem};

/// Expected of a count of calls or tokens.
const COUNT: Expected = "a whole number from 0";

/// Limits of end users without any of their own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct EndUserLimits {
    /// Dollars a window.
    pub(crate) max_budget: Option<Nanodollars>,
    /// The window; absent is the lifetime.
    pub(crate) budget_duration: Option<WrittenSpan>,
    /// Tokens a minute.
    pub(crate) tpm_limit: Option<u64>,
    /// Requests a minute.
    pub(crate) rpm_limit: Option<u64>,
    /// Tokens a day.
    pub(crate) tpd_limit: Option<u64>,
    /// Calls at the same time.
    pub(crate) max_parallel_requests: Option<u64>,
    /// A budget row of the store, which fills what is absent.
    pub(crate) budget_id: Option<String>,
}

impl EndUserLimits {
    /// The limits without those of the budget row.
    pub(crate) fn own(&self) -> Limits {
        Limits {
            max_budget: self.max_budget,
            budget_duration: self.budget_duration.clone(),
            tpm_limit: self.tpm_limit,
            rpm_limit: self.rpm_limit,
            tpd_limit: self.tpd_limit,
            max_parallel_requests: self.max_parallel_requests,
            ..Limits::default()
        }
    }
}

impl Show for Nanodollars {
    fn show(&self) -> String {
        self.to_string()
    }
}

impl Show for WrittenSpan {
    fn show(&self) -> String {
        self.as_str().to_owned().show()
    }
}

impl Show for u64 {
    fn show(&self) -> String {
        self.to_string()
    }
}

impl Config {
    /// The problem of limits that no accounts count, because there is no master key.
    pub(super) fn uncounted_limits(&self) -> Option<Problem> {
        let access = &self.access;
        let none = Limits::default();
        let limited = [
            ("access.gateway", access.gateway != none),
            ("access.unknown_end_users", access.unknown_end_users != EndUserLimits::default()),
            ("access.tags", !access.tags.is_empty()),
        ];
        let (key, _) = limited.into_iter().find(|(_, is_set)| *is_set)?;
        let message = format!("{key} limits calls, and without a master key no calls are counted");
        let remedy = "set master_key (or LITELLM_MASTER_KEY), or leave the limits out";
        self.master_key.is_none().then(|| Problem::general(message, remedy))
    }
}

/// Reads the keys of the section `access` that limit calls.
pub(super) fn read(section: &mut Section<'_>, access: &mut AccessSettings) {
    section.section("gateway", |section| {
        budget(section, &mut access.gateway);
        rates(section, &mut access.gateway);
    });
    section.section("every_key", |section| {
        rates(section, &mut access.every_key);
        by_model(section, "model_tpm_limit", &mut access.every_key.model_tpm_limit);
        by_model(section, "model_rpm_limit", &mut access.every_key.model_rpm_limit);
    });
    section.section("unknown_end_users", |section| {
        let mut limits = Limits::default();
        budget(section, &mut limits);
        rates(section, &mut limits);
        let place = &mut access.unknown_end_users;
        section.set("budget_id", &mut place.budget_id, |value| parsers::text(value).map(Some));
        let Limits { max_budget, budget_duration, tpm_limit, rpm_limit, tpd_limit, .. } = limits;
        (place.max_budget, place.budget_duration) = (max_budget, budget_duration);
        (place.tpm_limit, place.rpm_limit, place.tpd_limit) = (tpm_limit, rpm_limit, tpd_limit);
        place.max_parallel_requests = limits.max_parallel_requests;
    });
    let prefix = section.path("tags");
    for (key, node) in section.map("tags").unwrap_or_default() {
        let path = format!("{prefix}.{}", key.name);
        let Some(entries) = section.entries_of(&path, node) else { continue };
        let mut limits = Limits::default();
        section.child(format!("{path}."), entries, |section| {
            budget(section, &mut limits);
            rates(section, &mut limits);
        });
        access.tags.insert(key.name, limits);
    }
}

/// Reads a budget, by LiteLLM's further names too, and rates.
pub(super) fn budget_of(section: &mut Section<'_>, limits: &mut Limits) {
    let most = section.optional("budget_limit", dollars);
    let span = section.optional("time_period", window);
    budget(section, limits);
    limits.max_budget = limits.max_budget.or(most);
    limits.budget_duration = limits.budget_duration.take().or(span);
    rates(section, limits);
}

/// Reads a budget and its window.
fn budget(section: &mut Section<'_>, limits: &mut Limits) {
    section.set("max_budget", &mut limits.max_budget, |value| dollars(value).map(Some));
    section.set("budget_duration", &mut limits.budget_duration, |value| window(value).map(Some));
}

/// Reads rates of all models.
fn rates(section: &mut Section<'_>, limits: &mut Limits) {
    let Limits { tpm_limit, rpm_limit, tpd_limit, max_parallel_requests, .. } = limits;
    section.set("tpm_limit", tpm_limit, |value| count(value).map(Some));
    section.set("rpm_limit", rpm_limit, |value| count(value).map(Some));
    section.set("tpd_limit", tpd_limit, |value| count(value).map(Some));
    section.set("max_parallel_requests", max_parallel_requests, |value| count(value).map(Some));
}

/// Reads rates by the names of models.
fn by_model(
    section: &mut Section<'_>,
    name: &'static str,
    place: &mut Option<BTreeMap<String, u64>>,
) {
    let prefix = section.path(name);
    for (key, node) in section.map(name).unwrap_or_default() {
        let path = format!("{prefix}.{}", key.name);
        let Some((limit, origin)) = section.read_node(&path, node, count) else { continue };
        section.reading.provenance.tell(&path, limit.show(), origin);
        place.get_or_insert_default().insert(key.name, limit);
    }
}

/// An amount of US dollars.
pub(super) fn dollars(value: &Value) -> Result<Nanodollars, Expected> {
    let amount = match value {
        Value::Integer(number) => Nanodollars::parse(&number.to_string()),
        Value::Float(number) => Nanodollars::parse(&number.to_string()),
        _ => None,
    };
    amount
        .filter(|amount| !amount.is_negative())
        .ok_or("a number of dollars from 0, such as 25 or 0.5")
}

/// The window of a budget.
pub(super) fn window(value: &Value) -> Result<WrittenSpan, Expected> {
    let text = parsers::text(value).ok();
    let span = text.and_then(|text| WrittenSpan::of_budget(&text, "budget_duration").ok());
    span.ok_or("a window such as 1h, 1d, 7d, 30d or 1mo")
}

/// Calls or tokens; 0 lets nothing pass.
pub(super) fn count(value: &Value) -> Result<u64, Expected> {
    parsers::whole(value, 0..=i64::MAX, COUNT)
}
