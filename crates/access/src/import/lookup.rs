//! Tables that records of other tables refer to, read before them.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Number, Value};

use super::fields::{Fields, is_set};
use super::limits::{CarriedSpend, Reading};
use super::source::{LitellmDatabase, SourceError, Table};
use crate::record::{BudgetRule, Limits};
use crate::{BudgetZone, Nanodollars, UtcTime};

/// The user whose row holds the spend of LiteLLM's whole gateway.
pub(super) const GATEWAY_USER: &str = "litellm-proxy-budget";
/// Columns of a permission that limit calls of models; the others are of features that do not exist here.
const LIMITING_PERMISSIONS: &[&str] = &["models", "blocked_tools"];
/// Columns of a budget that limit.
const LIMITING_BUDGET: &[&str] = &[
    "max_budget",
    "max_parallel_requests",
    "tpm_limit",
    "rpm_limit",
    "tpd_limit",
    "model_max_budget",
];

/// A budget row, with what this crate's has no place for.
#[derive(Debug, Clone, Default)]
pub(super) struct BudgetRow {
    pub(super) limits: Limits,
    pub(super) reset: Option<UtcTime>,
    pub(super) allowed_models: Vec<String>,
    limiting: bool,
}

/// A project, which this gateway does not have.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Project {
    pub(super) blocked: bool,
    pub(super) limiting: bool,
}

/// The rows by their ids.
#[derive(Debug, Default)]
pub(super) struct Lookup {
    pub(super) budgets: HashMap<String, BudgetRow>,
    /// Aliases of teams, by the id of their row.
    pub(super) team_models: HashMap<String, Map<String, Value>>,
    /// Organizations that limit.
    pub(super) organizations: HashSet<String>,
    pub(super) projects: HashMap<String, Project>,
    /// Models of access groups.
    pub(super) access_groups: HashMap<String, Vec<String>>,
    /// Permissions that limit calls of models, with the columns that do.
    pub(super) permissions: HashMap<String, Vec<&'static str>>,
    /// Organizations of teams.
    pub(super) organization_of_team: HashMap<String, String>,
    /// Budget rows of teams' members, by the team.
    member_budgets: HashMap<String, String>,
    /// Users with a budget of their own.
    pub(super) users_with_budget: HashSet<String>,
    /// Spend of LiteLLM's whole gateway.
    pub(super) gateway: CarriedSpend,
    windows: Option<Windows>,
}

impl Lookup {
    pub(super) async fn read(
        source: &mut LitellmDatabase,
        zone: &BudgetZone,
        now: UtcTime,
    ) -> Result<Self, SourceError> {
        let mut lookup = Self::default();
        for row in source.all(Table::Budgets).await? {
            let Some(id) = row.text("budget_id") else { continue };
            // The notes on it are those of the budget's own record.
            let mut reading = Reading { now, zone, notes: Vec::new() };
            let budget = BudgetRow {
                limits: reading.limits(&row, &mut Map::new()),
                reset: row.time("budget_reset_at"),
                allowed_models: row.list("allowed_models"),
                limiting: LIMITING_BUDGET.iter().any(|name| row.value(name).is_some_and(is_set)),
            };
            lookup.budgets.insert(id, budget);
        }
        lookup.read_surroundings(source).await?;
        lookup.read_people(source, zone, now).await?;
        lookup.windows = read_windows(source).await?;
        Ok(lookup)
    }

    async fn read_surroundings(&mut self, source: &mut LitellmDatabase) -> Result<(), SourceError> {
        for row in source.all(Table::TeamModels).await? {
            if let Some(id) = row.number("id") {
                self.team_models.insert(id.to_string(), row.object("aliases"));
            }
        }
        for row in source.all(Table::Organizations).await? {
            let limiting = !row.list("models").is_empty() || self.is_limiting(&row);
            self.organizations.extend(row.text("organization_id").filter(|_| limiting));
        }
        for row in source.all(Table::Projects).await? {
            let rates = ["model_rpm_limit", "model_tpm_limit"];
            let limiting = !row.list("models").is_empty()
                || rates.iter().any(|name| !row.object(name).is_empty())
                || self.is_limiting(&row);
            let blocked = row.flag("blocked") == Some(true);
            let project = Project { blocked, limiting };
            self.projects.extend(row.text("project_id").map(|id| (id, project)));
        }
        for row in source.all(Table::AccessGroups).await? {
            let models = row.list("access_model_names");
            self.access_groups.extend(row.text("access_group_id").map(|id| (id, models)));
        }
        for row in source.all(Table::Permissions).await? {
            let columns = LIMITING_PERMISSIONS.iter().copied();
            let limiting: Vec<_> = columns.filter(|name| !row.list(name).is_empty()).collect();
            if !limiting.is_empty() {
                self.permissions.extend(row.text("object_permission_id").map(|id| (id, limiting)));
            }
        }
        Ok(())
    }

    async fn read_people(
        &mut self,
        source: &mut LitellmDatabase,
        zone: &BudgetZone,
        now: UtcTime,
    ) -> Result<(), SourceError> {
        for row in source.all(Table::Teams).await? {
            let Some(id) = row.text("team_id") else { continue };
            let metadata = row.object("metadata");
            let members = metadata.get("team_member_budget_id").and_then(Value::as_str);
            self.member_budgets.extend(members.map(|budget| (id.clone(), budget.to_owned())));
            let organization = row.text("organization_id");
            self.organization_of_team.extend(organization.map(|organization| (id, organization)));
        }
        for row in source.all(Table::Users).await? {
            let Some(id) = row.text("user_id") else { continue };
            if id == GATEWAY_USER {
                let mut reading = Reading { now, zone, notes: Vec::new() };
                let windowed = row.text("budget_duration").is_some();
                self.gateway = reading.spend(&row, (windowed, row.time("budget_reset_at")));
            } else if row.number("max_budget").is_some() {
                self.users_with_budget.insert(id);
            }
        }
        Ok(())
    }

    /// Whether the budget row that a row refers to limits.
    fn is_limiting(&self, row: &Fields) -> bool {
        let budget = row.text("budget_id").and_then(|id| self.budgets.get(&id));
        budget.is_some_and(|budget| budget.limiting)
    }

    /// The budget row of a membership: its own, and the team's for its members.
    pub(super) fn member_budgets(&self, row: &Fields) -> [Option<&BudgetRow>; 2] {
        let of_team = row.text("team_id").and_then(|id| self.member_budgets.get(&id));
        [row.text("budget_id").as_ref(), of_team].map(|id| self.budgets.get(id?))
    }

    /// The window in which LiteLLM counts a row's spend: whether there is one, and its end.
    pub(super) fn window_of(&self, row: &Fields, limits: &Limits) -> (bool, Option<UtcTime>) {
        if limits.budget_duration.is_some() {
            return (true, row.time("budget_reset_at"));
        }
        let budget = row.text("budget_id").and_then(|id| self.budgets.get(&id));
        match budget {
            Some(budget) => (budget.limits.budget_duration.is_some(), budget.reset),
            None => (false, None),
        }
    }

    /// Adds spend of further windows and of models, as far as LiteLLM's version keeps it. `of_models` is the word
    /// with which it names counters of models.
    pub(super) fn add_windows(
        &self,
        reading: &mut Reading<'_>,
        limits: &Limits,
        (entity, of_models, id): (&str, &str, &str),
        spend: &mut CarriedSpend,
    ) {
        let listed = limits.budget_limits.iter().flatten().map(|rule| (String::new(), rule));
        let models = limits.model_max_budget.iter().flatten();
        let models = models.map(|(model, rule)| (model.clone(), rule));
        let all: Vec<_> = listed.chain(models).collect();
        if all.is_empty() {
            return;
        }
        let Some(windows) = &self.windows else {
            let text = "the tables do not hold its spend: it begins at 0";
            reading.changed("budget_limits, model_max_budget", text);
            return;
        };
        for (model, rule) in all {
            let span = rule.duration.as_ref().map_or("", |span| span.as_str());
            let key = if model.is_empty() {
                (entity.to_owned(), id.to_owned(), span.to_owned())
            } else {
                let counter = format!("{of_models}:{id}:{model}:{span}");
                ("model_max_budget".to_owned(), counter, span.to_owned())
            };
            let Some((began, amount)) = windows.get(&key) else { continue };
            if is_present(rule, *began, reading.now) {
                let amount = Nanodollars::parse(&amount.to_string()).unwrap_or_default();
                spend.rules.push((model, rule.clone(), amount.max(Nanodollars::ZERO)));
            }
        }
    }
}

/// Whether a window of LiteLLM's that began then holds the present.
fn is_present(rule: &BudgetRule, began: UtcTime, now: UtcTime) -> bool {
    rule.duration.as_ref().is_none_or(|span| span.after(began) > now)
}

type Windows = HashMap<(String, String, String), (UtcTime, Number)>;

/// Spend of windows by entity, id and span; absent in versions without the table.
async fn read_windows(source: &mut LitellmDatabase) -> Result<Option<Windows>, SourceError> {
    if !source.open(Table::WindowSpend).await? {
        return Ok(None);
    }
    let mut windows = Windows::new();
    loop {
        let page = source.page().await?;
        if page.is_empty() {
            return Ok(Some(windows));
        }
        for row in page {
            let ids = (row.text("entity_type"), row.text("entity_id"), row.text("window_duration"));
            let values = row.time("window_start").zip(row.number("spend"));
            if let ((Some(entity), Some(id), span), Some(values)) = (ids, values) {
                let key = (entity.to_ascii_lowercase(), id, span.unwrap_or_default());
                windows.insert(key, values);
            }
        }
    }
}
