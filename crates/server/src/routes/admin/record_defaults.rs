//! Fields of new records that requests leave out, from the configuration.

use serde_json::Value;

use super::body::AdminBody;
use crate::config::RecordDefaults;

/// Limits that a budget row may have.
const OF_BUDGETS: &[&str] = &[
    "max_budget",
    "soft_budget",
    "budget_duration",
    "tpm_limit",
    "rpm_limit",
    "tpd_limit",
    "max_parallel_requests",
    "model_max_budget",
];

/// Fills the members that a body leaves out, null or empty, except those that `leave` names. Limits are not filled where
/// the body names a budget: that may have less.
pub(super) fn fill(body: &mut AdminBody, defaults: &RecordDefaults, leave: impl Fn(&str) -> bool) {
    let budget = body.members().get("budget_id").and_then(Value::as_str);
    let has_budget = budget.is_some_and(|id| !id.is_empty());
    for (name, value) in defaults.iter() {
        let is_of_budget = has_budget && OF_BUDGETS.contains(&name);
        if !is_of_budget && !leave(name) {
            body.fill_empty(name, value);
        }
    }
}
